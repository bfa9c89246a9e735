"""Our ends of a child's pipes: raw descriptors that never block."""

import array
import asyncio
import os
from collections import deque
from collections.abc import Callable, Iterator

#: Bytes taken from a pipe at once: what a pipe holds by default.
READ_BYTES = 65_536

#: Most bytes read from a pipe whose writer is dead; a larger pipe was made on purpose.
DRAIN_BYTES = 4 * 1024 * 1024

#: Lines kept of the error stream, and characters kept of each.
TAIL_LINES, TAIL_CHARACTERS = 20, 500


def read_some(fd: int) -> bytes | None:
    """What the pipe holds now: None for nothing yet, empty when its writers are gone."""
    try:
        return os.read(fd, READ_BYTES)
    except BlockingIOError:
        return None
    except OSError:
        return b""


def read_what_is_there(fd: int) -> Iterator[bytes]:
    """Everything the pipe holds now, in pieces; never waits for a writer."""
    taken = 0
    while taken < DRAIN_BYTES:
        data = read_some(fd)
        if not data:
            return
        taken += len(data)
        yield data


class Input:
    """The child's input: one line at a time, written as fast as it reads.

    `on_refused` is called when the child has closed its end.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, fd: int, on_refused: Callable[[], None]
    ) -> None:
        self._loop = loop
        self._fd = fd
        self._on_refused = on_refused
        self._left = memoryview(b"")
        self._written = 0
        self._refused = False
        self._then_close = False

    @property
    def busy(self) -> bool:
        """Whether a line is still on its way."""
        return bool(self._left)

    def write(self, line: bytes, *, then_close: bool = False) -> None:
        """Write a line; `then_close` ends the input after it."""
        self._written = 0
        self._then_close = then_close
        self._left = memoryview(line)
        self._go_on()

    def nothing_read(self) -> bool:
        """Whether the child has read nothing at all of the last line written."""
        if self._fd < 0 or self._written == 0:
            return self._refused

        # here, because they are not there on Windows, where jobs can be added all the same
        import fcntl
        import termios

        unread = array.array("i", [0])
        fcntl.ioctl(self._fd, termios.FIONREAD, unread)

        return unread[0] >= self._written

    def close(self) -> None:
        """End the input; closing twice is harmless."""
        if self._fd >= 0:
            self._loop.remove_writer(self._fd)
            os.close(self._fd)
            self._fd = -1
            self._left = memoryview(b"")

    def _go_on(self) -> None:
        try:
            count = os.write(self._fd, self._left)
        except BlockingIOError:
            count = 0
        except OSError:
            self._loop.remove_writer(self._fd)
            self._left = memoryview(b"")
            self._refused = True
            self._on_refused()
            return

        self._written += count
        if count < len(self._left):
            if self._written == count:
                self._loop.add_writer(self._fd, self._go_on)
            self._left = self._left[count:]
            return

        if self._written > count:
            self._loop.remove_writer(self._fd)
        self._left = memoryview(b"")
        if self._then_close:
            self.close()


class Output:
    """The child's answers: `on_data` is called with what it wrote, `on_end` when it cannot write
    any more."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        fd: int,
        on_data: Callable[[bytes], None],
        on_end: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._fd = fd
        self._on_data = on_data
        self._on_end = on_end
        loop.add_reader(fd, self.read)

    def read(self) -> None:
        """Take what is there now; also called by the loop when there is something."""
        data = read_some(self._fd)
        if data:
            self._on_data(data)
        elif data is not None:
            self._loop.remove_reader(self._fd)
            self._on_end()

    def drain_and_close(self) -> None:
        """The child is dead: take all that is there, then close the pipe."""
        for data in read_what_is_there(self._fd):
            self._on_data(data)
        self._loop.remove_reader(self._fd)
        os.close(self._fd)


class ErrorTail:
    """The last lines of a child's error stream; the rest is dropped, never waited for."""

    def __init__(self, loop: asyncio.AbstractEventLoop, fd: int) -> None:
        self._loop = loop
        self._fd = fd
        self._lines: deque[str] = deque(maxlen=TAIL_LINES)
        self._rest = b""
        loop.add_reader(fd, self._read)

    def add(self, line: bytes) -> None:
        """Put a line among the others: what the child wrote elsewhere, but not as a message."""
        text = line[: TAIL_CHARACTERS * 4].decode("utf-8", "backslashreplace").rstrip()
        if text:
            self._lines.append(text[:TAIL_CHARACTERS])

    def tail(self) -> tuple[str, ...]:
        """The last lines, oldest first, with those that are still in the pipe."""
        if self._fd >= 0:
            for data in read_what_is_there(self._fd):
                self._take(data)
        if self._rest:
            self.add(self._rest)
            self._rest = b""

        return tuple(self._lines)

    def close(self) -> None:
        """Close the pipe; closing twice is harmless."""
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1

    def _read(self) -> None:
        data = read_some(self._fd)
        if data:
            self._take(data)
        elif data is not None:
            self._loop.remove_reader(self._fd)

    def _take(self, data: bytes) -> None:
        *lines, rest = (self._rest + data).split(b"\n")
        # only so many can be kept, and a line without an end must not grow
        for line in lines[-TAIL_LINES:]:
            self.add(line)
        self._rest = rest[: TAIL_CHARACTERS * 4]
