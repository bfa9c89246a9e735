"""What is told of a child's end: how it ended, what it used, and which limit ended it."""

import os
import signal
from typing import Any

from .living import Child

#: Processes of bubblewrap that go on around the program: the one outside, and the first inside.
KEEPERS = 2

#: The kernel counts processor time by its clock's ticks, and tells less of it on a machine that
#: is a busy guest: this part of a limit is near enough.
NEAR = 0.5


def outcome(child: Child, status: int) -> int:
    """The status of the program, as wait gives it.

    bubblewrap ends with 128+n when its program was killed by signal n: that is taken for the
    signal, although a program may also exit with such a number by itself, as a shell does.
    """
    if child.walls is not None and os.WIFEXITED(status):
        number = os.WEXITSTATUS(status) - 128
        if number in signal.valid_signals():
            return number

    return status


def limit(child: Child, status: int) -> dict[str, object] | None:
    """The limit that has ended it, by the evidence."""
    if child.broken is not None:
        return child.broken
    if status == 0:
        return None

    found = child.group.limit() if child.group is not None else None
    if found is not None and found["name"] == "pids" and child.walls is not None:
        # bubblewrap's own two are in the group as well
        found = {**found, "value": found["value"] - KEEPERS, "peak": found["peak"] - KEEPERS}
    if found is not None and found["name"] == "memory":
        return found
    if child.cpu_limit_s is not None and os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        past = child.cpu_s >= child.cpu_limit_s and not child.killed
        # the first may be sent by anybody
        near = child.cpu_s >= child.cpu_limit_s * NEAR
        if (number == signal.SIGXCPU and near) or (number == signal.SIGKILL and past):
            # the kernel may count the time otherwise than it tells it
            peak = max(child.cpu_s, child.cpu_limit_s)
            return {"name": "cpu", "value": child.cpu_limit_s, "peak": peak}

    return found


def report(child: Child, oom_killed: bool) -> dict[str, Any]:
    """The message of a child's end. `oom_killed`: the kernel has killed for want of memory."""
    status = outcome(child, child.status)
    if child.group is not None:
        child.cpu_s = max(child.cpu_s, child.group.cpu_s())
        child.max_rss_kb = max(child.max_rss_kb, child.group.number("memory.peak") // 1024)
        oom_killed = oom_killed or child.group.oom_kills() > 0
    if child.watch is not None:
        child.cpu_s = max(child.cpu_s, child.watch.processor.used_s)
        child.max_rss_kb = max(child.max_rss_kb, child.watch.peak_bytes // 1024)
    told: dict[str, Any] = {
        "exit": child.pid,
        "status": status,
        "cpu_s": child.cpu_s,
        "max_rss_kb": child.max_rss_kb,
        "oom": oom_killed and status == signal.SIGKILL and child.broken is None,
    }
    found = limit(child, status)
    if found is not None:
        told["limit"] = found
    if failed_late(child):
        told["began"] = False

    return told


def failed_late(child: Child) -> bool:
    """Whether bubblewrap has ended by itself without the program having been run."""
    walls = child.walls
    if walls is None or child.killed or child.broken is not None:
        return False

    return os.WIFEXITED(child.status) and not walls.began()


def failed_walls(child: Child) -> dict[str, Any]:
    """The answer when bubblewrap ended before its walls stood."""
    text = child.trouble
    if not text and os.WIFSIGNALED(child.status):
        text = f"bubblewrap was killed by signal {os.WTERMSIG(child.status)}"
    elif not text:
        text = f"bubblewrap ended with exit code {os.WEXITSTATUS(child.status)}"

    return {"n": child.number, "step": "walls", "text": f"{text} before the program began"}
