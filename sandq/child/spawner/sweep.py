"""What children leave behind is found and killed: nothing of a child outlives its report."""

import os
import signal
import time
from collections.abc import Collection
from contextlib import suppress
from resource import struct_rusage

from . import TAG, tree

#: A process that hangs inside the kernel does not die of SIGKILL at once; the others must not
#: wait for it longer than this, in seconds.
STRAY_WAIT_S = 0.5

#: A process without a mark is looked at again after this, in seconds.
NEW_PROGRAM_S = 0.002

_LOOK_S = 0.0005


def kill_strays(tags: Collection[str], known: Collection[int]) -> list[struct_rusage]:
    """Kill what dead children had started and what has left their groups since.

    That is whatever does not bear the mark of a living one, for a mark can be thrown away. `tags`:
    those of the living; `known`: pids that are not strays. The answer is what they used.
    """
    others = {f"{TAG}={other}".encode() for other in tags}
    tried: set[int] = set()
    used: list[struct_rusage] = []
    while True:
        strays = [
            pid
            for pid in tree.our_children()
            if pid not in known and pid not in tried and not others & tree.marks_of(pid)
        ]
        if strays and others:
            # while it becomes another program a process seems to have no environment
            time.sleep(NEW_PROGRAM_S)
            strays = [pid for pid in strays if not others & tree.marks_of(pid)]
        if not strays:
            return used
        tried.update(strays)
        used.extend(end_all(strays))


def end_all(pids: Collection[int]) -> list[struct_rusage]:
    """Kill children of ours with all that descends from them, and wait for them, not for ever, so
    that what they started becomes ours as well."""
    for pid in pids:
        for one in (pid, *tree.descendants(pid)):
            kill(one)
    usages = []
    for pid in pids:
        until_s = time.monotonic() + STRAY_WAIT_S
        try:
            while (ended := os.wait4(pid, os.WNOHANG))[0] == 0 and time.monotonic() < until_s:
                time.sleep(_LOOK_S)
        except ChildProcessError:
            continue
        usages.append(ended[2])

    return usages


def kill(pid: int) -> None:
    """Kill one process, if it is there."""
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGKILL)
