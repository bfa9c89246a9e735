"""Where a one-shot child may leave its answer instead of printing it: a file in a private folder.

What is printed can be chosen by whoever wrote the job's data; the name of this file is known to
the program alone.
"""

import os
import shutil
import stat
import tempfile
import threading
from contextlib import suppress
from pathlib import Path

#: The variable that names the file.
VARIABLE = "SANDQ_RESULT_FILE"


class ResultFile:
    """An empty file for one answer, in a folder that only this user may enter."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="sandq-"))
        self.path = self._folder / "result"
        # the child may put another folder in its place
        self._place = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self.path.touch(0o600)

    def take(self, most: int) -> bytes:
        """What it holds, at most one byte more than `most`; then file and folder are removed.

        A link, or anything else that is no file, holds nothing: the child may have put it there to
        have us read what it cannot.
        """
        try:
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            fd = os.open(self.path.name, flags, dir_fd=self._place)
        except OSError:
            fd = -1
        try:
            if fd < 0 or not stat.S_ISREG(os.fstat(fd).st_mode):
                return b""
            with os.fdopen(os.dup(fd), "rb") as stream:
                return stream.read(most + 1)
        finally:
            if fd >= 0:
                os.close(fd)
            self.remove()

    def remove(self) -> None:
        """Remove file and folder; removing twice is harmless."""
        if self._place >= 0:
            # the child may have put something else in its place, or nothing
            with suppress(OSError):
                os.unlink(self.path.name, dir_fd=self._place)
            os.close(self._place)
            self._place = -1
        try:
            os.rmdir(self._folder)
        except FileNotFoundError:
            pass
        except OSError:
            # it has put things beside it: however many these are, nobody waits for their end
            threading.Thread(target=shutil.rmtree, args=(self._folder, True)).start()
