"""For developers: when a file changes, the children are replaced, so that the next job meets the
new text."""

import asyncio
import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import anyio.to_thread

from sandq.child.pool import Pool

log = logging.getLogger("sandq.flow")

#: How often the files are looked at, in seconds.
LOOK_EVERY_S = 0.5

#: Folders that are not looked into, beside those whose names begin with a dot.
IGNORED = ("__pycache__", "node_modules")

#: Path -> what changes when the file does.
Snapshot = dict[str, tuple[int, int, int]]


class FileWatch:
    """Replaces the children of a pool when something below one of the folders has changed."""

    def __init__(self, folders: Sequence[Path], pool: Pool) -> None:
        self._folders = folders
        self._pool = pool

    async def run(self) -> None:
        """Look for ever; returns at once when there is nothing to watch."""
        if not self._folders:
            return

        seen = await anyio.to_thread.run_sync(snapshot, self._folders)
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            now = await anyio.to_thread.run_sync(snapshot, self._folders)
            changed = differences(seen, now)
            seen = now
            if changed:
                more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
                log.warning("%s%s changed: all children are replaced", changed[0], more)
                self._pool.renew_all("watch")


def snapshot(folders: Sequence[Path]) -> Snapshot:
    """Every file below the folders."""
    return {
        entry: (status.st_mtime_ns, status.st_size, status.st_ino)
        for folder in folders
        for entry, status in _files(folder)
    }


def differences(before: Snapshot, after: Snapshot) -> list[str]:
    """The files that are new, gone or changed, in order."""
    return sorted(
        path for path in before.keys() | after.keys() if before.get(path) != after.get(path)
    )


def _files(folder: Path | str) -> Iterator[tuple[str, os.stat_result]]:
    try:
        entries = list(os.scandir(folder))
    except OSError:
        # it is gone, or not ours to look into
        return
    for entry in entries:
        try:
            if entry.name.startswith(".") or entry.name in IGNORED:
                continue
            if entry.is_dir(follow_symlinks=False):
                yield from _files(entry.path)
            elif entry.is_file():
                yield entry.path, entry.stat()
        except OSError:
            # it went away while it was looked at
            continue
