"""Signals for a child with all that belongs to it: ended, stopped, let go on."""

import os
import signal
import time
from contextlib import suppress

from . import sweep, tree
from .living import Child

#: A tree that goes on forking while it is stopped is given up after this, in seconds.
FREEZE_WITHIN_S = 0.2

_LOOK_S = 0.0005


def send(child: Child, signum: int) -> None:
    """Signal a child's whole group, in its walls if it has some."""
    if signum == signal.SIGKILL:
        child.killed = True
        kill(child)
        return

    _to_group(_group(child), signum)
    # a stopped process takes no other signal
    _to_group(_group(child), signal.SIGCONT)


def kill(child: Child) -> None:
    """Kill a child's group, and with walls or a control group all that it has started."""
    _to_group(child.pid, signal.SIGKILL)
    if child.walls is not None and not child.walls.init:
        # it may be there and have left the group
        child.walls.hear()
    if child.walls is not None and child.walls.init and _is_of(child):
        # the end of its first process is the end of the namespace
        sweep.kill(child.walls.init)
    if child.group is not None:
        child.group.kill()


def _is_of(child: Child) -> bool:
    """Whether the number of its first process is still that of this process: then its parent is
    bubblewrap, or the spawner once that is dead."""
    now = tree.stat_of(child.walls.init) if child.walls is not None else None

    return now is not None and now.parent in (child.pid, os.getpid())


def freeze(child: Child) -> None:
    """Stop all that runs for it."""
    if child.group is not None:
        child.group.freeze(True)
        return

    until_s = time.monotonic() + FREEZE_WITHIN_S
    told: set[int] = set()
    while True:
        running = {pid for pid in members(child) if (now := tree.stat_of(pid)) and now.runs}
        if not running:
            return
        new = running - told
        # who is stopped forks no more: each round has fewer than the one before
        for pid in running:
            _to(pid, signal.SIGSTOP)
        if told and time.monotonic() > until_s:
            break
        told |= running
        time.sleep(_LOOK_S)
    # those that were told stop as soon as they have a processor; where others come all the time it
    # cannot be stopped, and must not go on beside the next job
    if new:
        kill(child)


def thaw(child: Child) -> None:
    """Let all of it go on."""
    if child.group is not None:
        child.group.freeze(False)
        return

    for pid in members(child):
        _to(pid, signal.SIGCONT)


def members(child: Child, orphans: dict[str, list[int]] | None = None) -> list[int]:
    """The processes of a child, without those of bubblewrap. `orphans`: the heads of what has lost
    its parent, by the mark."""
    if child.walls is not None:
        return tree.descendants(child.walls.init) if child.walls.init and _is_of(child) else []

    heads = {child.pid, *(marked() if orphans is None else orphans).get(child.tag, ())}

    return [one for head in heads for one in (head, *tree.descendants(head))]


def marked() -> dict[str, list[int]]:
    """Our children by their marks, children and adopted ones."""
    found: dict[str, list[int]] = {}
    for pid in tree.our_children():
        for mark in tree.marks_of(pid):
            found.setdefault(mark.decode(errors="replace").partition("=")[2], []).append(pid)

    return found


def _group(child: Child) -> int:
    """The process group that takes its signals; 0 if there is none any more."""
    if child.walls is None:
        return child.pid

    # the namespace's first process, which may be in the same, takes none but the last
    payload = child.walls.payload() if child.up and _is_of(child) else 0
    now = tree.stat_of(payload) if payload else None

    return now.group if now is not None else 0


def _to_group(group: int, signum: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        if group > 0:
            os.killpg(group, signum)


def _to(pid: int, signum: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signum)
