"""Processes as /proc shows them: who descends from whom, and what they use.

Any of them may end while it is looked at, and none is trusted: what a process can hide from us
by its own means, such as a memory map that only root may read, is taken from a file that it
cannot hide.
"""

import os
from contextlib import suppress
from typing import NamedTuple

from . import TAG

#: How files of /proc are read, with newline="\\n": what a process may call itself is any bytes.
ANY_BYTES = "latin-1"

#: Units of the times in /proc/PID/stat, a second.
TICKS_S = os.sysconf("SC_CLK_TCK")

PF_EXITING = 4


class Stat(NamedTuple):
    """A process at one moment; the times in seconds, `reaped_s` of children it has waited for."""

    pid: int
    state: str
    parent: int
    group: int
    exiting: bool
    own_s: float
    reaped_s: float
    threads: int
    began: int

    @property
    def runs(self) -> bool:
        """Whether it is neither dead nor stopped."""
        return not self.exiting and self.state not in "ZXTt"


def stat_of(pid: int) -> Stat | None:
    """A process, or None when it is gone."""
    words = _words(f"/proc/{pid}/stat")
    if not words:
        return None
    living = _living(pid, words)
    if living is not None:
        words[0], words[6] = living[1][0], living[1][6]

    user, system, reaped_user, reaped_system = (int(word) for word in words[11:15])

    return Stat(
        pid,
        state=words[0],
        parent=int(words[1]),
        group=int(words[2]),
        exiting=bool(int(words[6]) & PF_EXITING) or words[0] in "ZX",
        own_s=(user + system) / TICKS_S,
        reaped_s=(reaped_user + reaped_system) / TICKS_S,
        threads=int(words[17]),
        began=int(words[19]),
    )


def _words(path: str) -> list[str]:
    """What follows the name in a file `stat`."""
    try:
        with open(path, "rb") as stream:
            return stream.read().rpartition(b")")[2].decode().split()
    except OSError:
        return []


def _living(pid: int, words: list[str]) -> tuple[str, list[str]] | None:
    """Of a process whose main thread has ended: another one that has not, and its words. The
    files of the process itself are those of the dead one, which has nothing any more."""
    if words and words[0] in "ZX" and int(words[17]) > 1:
        with suppress(OSError):
            for thread in os.listdir(f"/proc/{pid}/task"):
                own = _words(f"/proc/{pid}/task/{thread}/stat")
                if own and own[0] not in "ZX":
                    return thread, own

    return None


def _place(pid: int) -> str:
    """The folder in /proc that tells what a process has."""
    living = _living(pid, _words(f"/proc/{pid}/stat"))

    return f"/proc/{pid}" if living is None else f"/proc/{pid}/task/{living[0]}"


def children_of(pid: int) -> list[int]:
    """The pids of a process's children, born or adopted."""
    found: list[int] = []
    try:
        # each thread has those that it has started
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children") as stream:
                found.extend(int(word) for word in stream.read().split())
    except OSError:
        pass

    return found


def our_children() -> list[int]:
    """The pids of this process's children, born or adopted."""
    return children_of(os.getpid())


def descendants(pid: int) -> list[int]:
    """The pids of all that descends from a process, parents first, without itself."""
    found = children_of(pid)
    seen = {pid, *found}
    for one in found:
        # pids are used again: a loop cannot be ruled out while we look
        more = [child for child in children_of(one) if child not in seen]
        seen.update(more)
        found.extend(more)

    return found


class Memory(NamedTuple):
    """What a process has of memory that is not of files, in bytes. The tables of its pages, which
    can be larger than the pages themselves, are its own."""

    own: int
    shared: int


def resident(pid: int) -> Memory:
    """Its memory; what it shares with others is counted in full."""
    found = _kilobytes(f"{_place(pid)}/status", ("RssAnon:", "VmSwap:", "VmPTE:", "RssShmem:"))
    shared = found.pop("RssShmem:", 0)

    return Memory(sum(found.values()) * 1024, shared * 1024)


def shared_out(pid: int) -> Memory:
    """The same, what is shared divided among those who share it, if that is to be seen."""
    found = _kilobytes(f"{_place(pid)}/smaps_rollup", ("Pss_Anon:", "SwapPss:", "Pss_Shmem:"))
    if not found:
        return resident(pid)
    tables = _kilobytes(f"{_place(pid)}/status", ("VmPTE:",))
    shared = found.pop("Pss_Shmem:", 0)

    return Memory((sum(found.values()) + sum(tables.values())) * 1024, shared * 1024)


def shared_maps(pid: int) -> dict[str, int]:
    """The shared memory without a name that a process has mapped: number of its file -> bytes.

    The kernel keeps its pages though the process shows that it uses none of them.
    """
    found: dict[str, int] = {}
    try:
        with open(f"{_place(pid)}/maps", encoding=ANY_BYTES, newline="\n") as stream:
            for line in stream:
                if line.endswith(" /dev/zero (deleted)\n"):
                    area, _, offset, _, number, *_ = line.split()
                    first, last = (int(end, 16) for end in area.split("-"))
                    found[number] = max(found.get(number, 0), int(offset, 16) + last - first)
    except OSError:
        pass

    return found


def sockets_of(pid: int) -> int:
    """How many unix sockets there are in the network namespace of a process, if it is its own."""
    try:
        if os.readlink(f"{_place(pid)}/ns/net") == os.readlink("/proc/self/ns/net"):
            return 0
        with open(f"{_place(pid)}/net/unix", "rb") as stream:
            return stream.read().count(b"\n") - 1
    except OSError:
        return 0


def open_room(pid: int) -> int:
    """The folder /tmp as a process sees it, opened to be asked about; -1 if it may not be."""
    try:
        return os.open(os.path.join("/proc", str(pid), "root", "tmp"), os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return -1


def files_used(folder: int) -> int:
    """How many files there are in the file system of an open folder; none if it is not open."""
    if folder < 0:
        return 0
    used = os.fstatvfs(folder)

    return used.f_files - used.f_ffree


def marks_of(pid: int) -> set[bytes]:
    """The marks in the environment of a process."""
    try:
        with open(f"{_place(pid)}/environ", "rb") as stream:
            words = stream.read().split(b"\0")
    except OSError:
        return set()

    return {word for word in words if word.startswith(TAG.encode() + b"=")}


def _kilobytes(path: str, names: tuple[str, ...]) -> dict[str, int]:
    """The numbers that a file of the kernel gives by these names; none if it is not to be seen."""
    try:
        with open(path, encoding=ANY_BYTES, newline="\n") as stream:
            rows = [line.split() for line in stream if line.startswith(names)]
    except OSError:
        return {}

    return {row[0]: int(row[1]) for row in rows}
