"""The last that a process writes to its standard error."""

import asyncio
import os


class Tail:
    """Reads what is written, so that nobody has to wait, and keeps the last `most` bytes."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept = b""
        self._fd = -1

    def open(self) -> int:
        """Make a pipe and read it; the answer is the end that is written to, of the caller."""
        self._fd, theirs = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self._fd, False)
        asyncio.get_running_loop().add_reader(self._fd, self._take)

        return theirs

    def read(self) -> str:
        """What was written last, as one line."""
        while self._take():
            pass

        return " ".join(self._kept.decode(errors="replace").split())

    def close(self) -> None:
        """Read no more; what was kept can still be read."""
        self._take()
        self._end()

    def _take(self) -> bool:
        if self._fd < 0:
            return False
        try:
            data = os.read(self._fd, self._most)
        except BlockingIOError:
            return False
        self._kept = (self._kept + data)[-self._most :]
        if not data:
            self._end()

        return bool(data)

    def _end(self) -> None:
        if self._fd >= 0:
            asyncio.get_running_loop().remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1
