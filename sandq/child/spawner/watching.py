"""Who is held to limits, and what happens when one is passed.

Beside the children these are processes that a child has started, such as the jobs of a fork server:
the supervisor names them, and is told of a limit before the process is killed for it.
"""

import os
from collections.abc import Callable, Iterable
from typing import Any

from . import signals, sweep, tree
from .living import Child
from .tree import Stat
from .watchdog import Watch


class Named:
    """A process that a child of ours has started."""

    def __init__(self, now: Stat, limits: dict[str, int]) -> None:
        self.pid = now.pid
        # it is one that was forked behind walls
        self.watch = Watch(limits, walled=True)
        self.killed = False
        self._began = now.began
        # opened once: it can forbid us to look at it later
        self._folder = tree.open_room(self.pid)

    def lives(self) -> bool:
        """Whether the number is still its own."""
        now = tree.stat_of(self.pid)

        return now is not None and now.began == self._began and not now.exiting

    def files_used(self) -> int:
        """How many files are in the folder it may write to."""
        return tree.files_used(self._folder)

    def close(self) -> None:
        """It is watched no more."""
        if self._folder >= 0:
            os.close(self._folder)


class Watching:
    """The look at all of them, from time to time."""

    def __init__(self, children: dict[int, Child], send: Callable[[dict[str, Any]], None]) -> None:
        self._children = children
        self._send = send
        self._named: dict[int, Named] = {}

    def busy(self) -> bool:
        """Whether there is anybody to look at."""
        return bool(self._named) or any(child.watch for child in self._children.values())

    def name(self, pid: int, limits: dict[str, int]) -> None:
        """Watch a process, if one of our children has started it: a stranger is never killed."""
        self.forget(pid)
        now = tree.stat_of(pid)
        if now is not None and limits and pid not in self._children and self._is_ours(now):
            self._named[pid] = Named(now, limits)

    def forget(self, pid: int) -> None:
        """Watch a process no more."""
        if pid in self._named:
            self._named.pop(pid).close()

    def look(self) -> None:
        """End who has passed a limit."""
        watched = [child for child in self._children.values() if child.up and child.watch]
        orphans = signals.marked() if watched else {}
        for child in watched:
            if child.broken is None:
                try:
                    self._look_at_child(child, signals.members(child, orphans))
                except (ValueError, IndexError, KeyError):
                    # what cannot be looked at cannot be bounded
                    signals.kill(child)
        for named in list(self._named.values()):
            if not named.lives():
                self.forget(named.pid)
            elif not named.killed:
                self._look_at_named(named)

    def _look_at_child(self, child: Child, pids: list[int]) -> None:
        assert child.watch is not None
        init, files = (
            (0, 0) if child.walls is None else (child.walls.init, child.walls.files_used())
        )
        cpu_s = child.group.cpu_s() if child.group is not None else None
        child.broken = child.watch.look(pids, init, files, cpu_s)
        if child.broken is not None:
            signals.kill(child)
            _kill_all(pids)

    def _look_at_named(self, named: Named) -> None:
        pids = [named.pid, *tree.descendants(named.pid)]
        limit = named.watch.look(pids, 0, named.files_used(), None)
        if limit is not None:
            named.killed = True
            self._send({"limit_hit": named.pid, "limit": limit})
            _kill_all(pids)

    def _is_ours(self, now: Stat) -> bool:
        """Whether it descends from a child of ours."""
        seen = {os.getpid(), 0}
        while now.parent not in seen:
            if now.parent in self._children:
                return True
            seen.add(now.parent)
            above = tree.stat_of(now.parent)
            if above is None:
                return False
            now = above

        return False


def _kill_all(pids: Iterable[int]) -> None:
    for pid in pids:
        sweep.kill(pid)
