"""User ids for children of a supervisor that is root: one each, so that no two have the same.

A file is locked for each that is taken, so that spawners of one host do not take the same.
"""

import errno
import fcntl
import os

from .system import make_folder

#: Only root looks in here; the folder goes with the machine's next start.
FOLDER = "/run/sandq/uids"


class Uid:
    """A user id that nobody else has, until it is released."""

    def __init__(self, number: int, lock: int) -> None:
        self.number = number
        self._lock = lock

    def release(self) -> None:
        """All that ran under it is dead."""
        os.close(self._lock)


def take(first: int, last: int, ours: set[int]) -> Uid:
    """A free one of a range, which is none of `ours`; raises OSError if there is none."""
    make_folder(os.path.dirname(FOLDER), 0o711)
    make_folder(FOLDER, 0o700)
    count = last + 1 - first
    # each spawner begins elsewhere: what a killed one has left may still be dying under its uids
    begin = os.getpid() % count
    for n in range(count):
        number = first + (begin + n) % count
        if number in ours:
            continue
        lock = os.open(f"{FOLDER}/{number}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
        else:
            return Uid(number, lock)

    raise OSError(errno.EAGAIN, f"every user id from {first} to {last} is taken")
