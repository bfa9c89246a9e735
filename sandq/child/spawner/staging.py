"""Paths that only root can reach, shown where every user can: for bubblewrap without root.

An interpreter under a home folder of mode 0700 is the usual one. They are mounted, read-only, in a
mount namespace of the spawner's own: nobody else on the host sees them there.
"""

import os

from .system import (
    CLONE_NEWNS,
    MS_BIND,
    MS_NODEV,
    MS_NOSUID,
    MS_RDONLY,
    MS_REC,
    MS_REMOUNT,
    MS_SLAVE,
    make_folder,
    mount,
    unshare,
)

FOLDER = "/run/sandq/stage"


class Staging:
    """What has been staged; nothing is done before the first path comes."""

    def __init__(self) -> None:
        self._ready = False
        self._places: dict[str, str] = {}

    def place(self, path: str) -> str:
        """Where a path can be reached by everybody; raises OSError."""
        if path not in self._places:
            self._prepare()
            place = f"{FOLDER}/{len(self._places)}"
            if os.path.isdir(path):
                os.makedirs(place, exist_ok=True)
            else:
                os.close(os.open(place, os.O_CREAT | os.O_CLOEXEC, 0o444))
            mount(path, place, MS_BIND | MS_REC)
            mount("", place, MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV)
            self._places[path] = place

        return self._places[path]

    def _prepare(self) -> None:
        if self._ready:
            return

        make_folder(os.path.dirname(FOLDER), 0o711)
        make_folder(FOLDER, 0o711)
        unshare(CLONE_NEWNS)
        # what the host mounts is seen here, what is mounted here is not seen by the host
        mount("", "/", MS_REC | MS_SLAVE)
        mount("sandq", FOLDER, MS_NOSUID | MS_NODEV, "tmpfs", "mode=0711,size=1m")
        self._ready = True
