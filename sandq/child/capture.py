"""What a child writes for people: each line goes to the job at work, the last ones are kept.

1. Nothing here waits for a child, and nothing grows with what it writes: lines are cut, of many
   that come at once the first and the last are taken, and a flood is read only so fast.
2. What a job wrote before its answer is its own, though it may be read after the answer.
"""

import array
import asyncio
import os
from collections import deque
from collections.abc import Callable

from sandq.child.pipes import read_some, read_what_is_there
from sandq.protocol.messages import Captured

try:
    from fcntl import ioctl as _ioctl
    from termios import FIONREAD as _FIONREAD
except ImportError:  # on Windows, where jobs can be added but no children run
    pass

# made once: every job asks
_count = array.array("i", [0])

#: Lines kept for the death record, and characters kept of each.
TAIL_LINES, TAIL_CHARACTERS = 20, 500

#: Characters kept of a line in the log of its job.
LINE_CHARACTERS = 2_000

#: Of the lines that come at once so many are taken: the first, and the last.
FIRST_AT_ONCE, LAST_AT_ONCE = 100, 300

#: A stream that brings more than so many bytes within so many seconds rests until they are over.
FLOOD_BYTES, FLOOD_S = 1024 * 1024, 0.1

# A character takes at most four bytes.
_BYTES_KEPT = LINE_CHARACTERS * 4


class Capture:
    """The text streams of one child. `say` is called with the lines of the job at work."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.say: Callable[[Captured], None] | None = None
        #: Lines that were put among the others: they came where answers are expected.
        self.added = 0
        self._loop = loop
        self._streams: list[_Stream] = []
        self._lines: deque[str] = deque(maxlen=TAIL_LINES)

    def open(self, fd: int, name: str) -> None:
        """Read the stream `name` from a pipe, which is closed by `close`."""
        self._streams.append(_Stream(self._loop, fd, name, self._take))

    def add(self, line: bytes, name: str) -> None:
        """Put a line among the others: what the child wrote elsewhere, but not as a message."""
        self.added += 1
        self._take([line], name, 0)

    def finish_job(self) -> None:
        """The job has ended: what is in the pipes now, half a line included, is the last of it."""
        for stream in self._streams:
            stream.catch_up()
        self.say = None

    def tail(self) -> tuple[str, ...]:
        """The last lines, oldest first; the child is dead, and what it wrote is read to the end."""
        for stream in self._streams:
            stream.drain()

        return tuple(self._lines)

    def close(self) -> None:
        """Close the pipes; closing twice is harmless."""
        for stream in self._streams:
            stream.close()

    def _take(self, lines: list[bytes], name: str, left_out: int) -> None:
        for line in lines:
            text = line[:_BYTES_KEPT].decode("utf-8", "backslashreplace").rstrip()
            if text:
                self._lines.append(text[:TAIL_CHARACTERS])
                if self.say is not None:
                    self.say(Captured(name, _cut(text, len(line)), left_out))
                    left_out = 0


class _Stream:
    """One pipe of text, and the line that has not ended yet."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        fd: int,
        name: str,
        take: Callable[[list[bytes], str, int], None],
    ) -> None:
        self._loop = loop
        self._fd = fd
        self._name = name
        self._take = take
        self._rest = b""
        self._window_s = 0.0
        self._window_bytes = 0
        self._pause: asyncio.TimerHandle | None = None
        loop.add_reader(fd, self._read)

    def catch_up(self) -> None:
        """Take what is there now, and the line that has not ended for a whole one."""
        if self._fd >= 0 and _unread(self._fd):
            data = read_some(self._fd)
            if data:
                self._split(data)
        self._end_line()

    def drain(self) -> None:
        """Take everything that is there: its writer is dead."""
        if self._fd >= 0:
            for data in read_what_is_there(self._fd):
                self._split(data)
        self._end_line()

    def close(self) -> None:
        """Close the pipe."""
        if self._pause is not None:
            self._pause.cancel()
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1

    def _read(self) -> None:
        data = read_some(self._fd)
        if data:
            self._split(data)
            self._slow_down(len(data))
        elif data is not None:
            self._loop.remove_reader(self._fd)

    def _split(self, data: bytes) -> None:
        *lines, rest = (self._rest + data).split(b"\n")
        # a line without an end must not grow
        self._rest = rest[:_BYTES_KEPT]
        left_out = len(lines) - FIRST_AT_ONCE - LAST_AT_ONCE
        if left_out <= 0:
            self._take(lines, self._name, 0)
        else:
            self._take(lines[:FIRST_AT_ONCE], self._name, 0)
            self._take(lines[-LAST_AT_ONCE:], self._name, left_out)

    def _end_line(self) -> None:
        if self._rest:
            rest, self._rest = self._rest, b""
            self._take([rest], self._name, 0)

    def _slow_down(self, count: int) -> None:
        now_s = self._loop.time()
        if now_s - self._window_s >= FLOOD_S:
            self._window_s, self._window_bytes = now_s, 0
        self._window_bytes += count
        if self._window_bytes > FLOOD_BYTES:
            self._loop.remove_reader(self._fd)
            self._pause = self._loop.call_at(self._window_s + FLOOD_S, self._go_on)

    def _go_on(self) -> None:
        if self._fd >= 0:
            self._loop.add_reader(self._fd, self._read)


def _cut(text: str, line_bytes: int) -> str:
    if len(text) <= LINE_CHARACTERS and line_bytes < _BYTES_KEPT:
        return text

    return f"{text[:LINE_CHARACTERS]}… (cut)"


def _unread(fd: int) -> int:
    """How many bytes wait in a pipe; dearer to ask by reading, as an empty one raises."""
    _ioctl(fd, _FIONREAD, _count)

    return _count[0]
