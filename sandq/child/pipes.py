"""Our ends of a child's pipes: raw descriptors that never block."""

import array
import asyncio
import os
from collections import deque
from collections.abc import Callable, Iterator

#: Bytes taken from a pipe at once: what a pipe holds by default; of short lines a quarter, for a
#: flood of them takes some milliseconds to read, in which nobody else is served.
READ_BYTES, SHORT_READ_BYTES = 65_536, 16_384

#: Output whose reading takes longer than this, in seconds, and ends no job, is not read again for
#: so many times as long.
LONG_READ_S = 0.002
REST_TIMES = 6

#: Most bytes read from a pipe whose writer is dead; a larger pipe was made on purpose.
DRAIN_BYTES = 4 * 1024 * 1024


def read_some(fd: int, most: int = READ_BYTES) -> bytes | None:
    """What the pipe holds now: None for nothing yet, empty when its writers are gone."""
    try:
        return os.read(fd, most)
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
    """The child's input: lines in order, written as fast as it reads.

    `on_refused` is called when the child has closed its end.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, fd: int, on_refused: Callable[[], None]
    ) -> None:
        self._loop = loop
        self._fd = fd
        self._on_refused = on_refused
        self._left: deque[memoryview] = deque()
        #: How many of the lines that are left come before the last job's.
        self._before_job = 0
        #: Bytes written from the beginning of the last job's line on.
        self._written = 0
        self._refused = False
        self._then_close = False
        self._waits = False

    @property
    def open(self) -> bool:
        """Whether a line can still be written."""
        return self._fd >= 0 and not self._refused and not self._then_close

    @property
    def busy(self) -> bool:
        """Whether a line is still on its way."""
        return bool(self._left)

    @property
    def waiting(self) -> int:
        """How many lines are still on their way."""
        return len(self._left)

    def write(self, line: bytes, *, job: bool = False, then_close: bool = False) -> None:
        """Write a line after those on their way; `job`: it lends a job; `then_close` ends the
        input after it."""
        if job:
            self._written, self._before_job = 0, len(self._left)
        self._then_close = then_close
        if self._left:
            self._left.append(memoryview(line))
        elif (count := self._put(line)) < len(line):
            self._left.append(memoryview(line)[count:])
            self._wait(True)
        elif then_close:
            self.close()

    def nothing_read(self) -> bool:
        """Whether the child has read nothing at all of the last job's line."""
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
            self._wait(False)
            os.close(self._fd)
            self._fd = -1
            self._left.clear()

    def _go_on(self) -> None:
        while self._left:
            line = self._left[0]
            count = self._put(line)
            if count < len(line):
                self._left[0] = line[count:]
                return
            if self._left:
                self._left.popleft()
                self._before_job = max(0, self._before_job - 1)

        self._wait(False)
        if self._then_close:
            self.close()

    def _put(self, line: bytes | memoryview) -> int:
        """How much of it went into the pipe; all of it is gone if nobody reads it any more."""
        try:
            count = os.write(self._fd, line)
        except BlockingIOError:
            return 0
        except OSError:
            self._wait(False)
            self._left.clear()
            self._refused = True
            self._on_refused()
            return len(line)

        if self._before_job == 0:
            self._written += count

        return count

    def _wait(self, for_room: bool) -> None:
        if for_room and not self._waits:
            self._loop.add_writer(self._fd, self._go_on)
        elif self._waits and not for_room:
            self._loop.remove_writer(self._fd)
        self._waits = for_room


class Output:
    """The child's answers: `on_data` is called with what it wrote, and tells whether that ended a
    job; `on_end` when it cannot write any more."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        fd: int,
        on_data: Callable[[bytes], bool],
        on_end: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._fd = fd
        self._on_data = on_data
        self._on_end = on_end
        self._pause: asyncio.TimerHandle | None = None
        self._most = SHORT_READ_BYTES
        loop.add_reader(fd, self.read)

    def read(self) -> None:
        """Take what is there now; also called by the loop when there is something."""
        began_s = self._loop.time()
        data = read_some(self._fd, self._most)
        if data:
            self._most = SHORT_READ_BYTES if b"\n" in data else READ_BYTES
            if not self._on_data(data):
                self._rest(self._loop.time() - began_s)
        elif data is not None:
            self._stop()
            self._on_end()

    def drain_and_close(self) -> None:
        """The child is dead: take all that is there, then close the pipe."""
        for data in read_what_is_there(self._fd):
            self._on_data(data)
        self._stop()
        os.close(self._fd)

    def _stop(self) -> None:
        if self._pause is not None:
            self._pause.cancel()
        self._loop.remove_reader(self._fd)

    def _rest(self, spent_s: float) -> None:
        """A child that writes faster than it can be read leaves most of our time to the others."""
        if spent_s > LONG_READ_S and self._pause is None:
            self._loop.remove_reader(self._fd)
            self._pause = self._loop.call_later(REST_TIMES * spent_s, self._go_on)

    def _go_on(self) -> None:
        self._pause = None
        self._loop.add_reader(self._fd, self.read)
