"""What can be seen of a supervisor and its children from outside: /proc, and nothing they say."""

import os
import signal
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

#: The variable that marks every process of a handler; the handler's settings hold it.
MARK = "SANDQ_ZOO"

_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Sight:
    """What a supervisor holds: it and its helpers, the processes below it that are no handler's.

    Numbers of processes, open descriptors and threads, and the names in its temporary folder; the
    memory of the supervisor itself (RSS), now and the most there has been since `forget_most`.
    """

    processes: int
    descriptors: int
    threads: int
    files: tuple[str, ...]
    now_kib: int
    most_kib: int

    def grown(self, before: "Sight") -> str:
        """How it has grown, in words; empty if it has not."""
        told = [
            f"{getattr(before, name)} {name} before, {getattr(self, name)} after"
            for name in ("processes", "descriptors", "threads")
            if getattr(self, name) > getattr(before, name)
        ]
        if set(self.files) - set(before.files):
            told.append(f"temporary files are left: {sorted(set(self.files) - set(before.files))}")

        return "; ".join(told)


def look(pid: int, marked: set[int], temporary: Path) -> Sight:
    """What the supervisor with this pid holds now; `marked` are the handler's processes."""
    own = [pid, *(below for below in descendants(pid) if below not in marked)]
    most_kib = memory_kib(pid, "VmHWM")

    return Sight(
        processes=len(own),
        descriptors=sum(_entries(each, "fd") for each in own),
        threads=sum(_entries(each, "task") for each in own),
        files=tuple(sorted(entry.name for entry in temporary.iterdir())),
        now_kib=memory_kib(pid, "VmRSS"),
        most_kib=most_kib,
    )


def descendants(pid: int) -> list[int]:
    """The processes below a process."""
    found: list[int] = []
    left = [pid]
    while left:
        parent = left.pop()
        with suppress(OSError):
            for task in (_PROC / str(parent) / "task").iterdir():
                left += (int(word) for word in (task / "children").read_text().split())
        if parent != pid:
            found.append(parent)

    return found


def marked(mark: str) -> set[int]:
    """The processes that bear the mark in their environment, wherever they are."""
    word = f"{MARK}={mark}".encode()
    found = set()
    for entry in os.listdir(_PROC):
        if entry.isdecimal():
            with suppress(OSError):
                if word in (_PROC / entry / "environ").read_bytes().split(b"\0"):
                    found.add(int(entry))

    return found


def end_all(mark: str) -> None:
    """Kill what bears the mark, and what it starts meanwhile."""
    while pids := marked(mark):
        for pid in pids:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)


def is_dead(pid: int) -> bool:
    """Whether a process has gone, or is only waited for."""
    try:
        return (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True


def memory_kib(pid: int, field: str) -> int:
    """`VmRSS` or `VmHWM`, the most there has been, of a process; 0 if it has gone."""
    with suppress(OSError):
        for line in (_PROC / str(pid) / "status").read_text().splitlines():
            if line.startswith(field + ":"):
                return int(line.split()[1])

    return 0


def forget_most(pid: int) -> None:
    """Let VmHWM begin anew with what there is now."""
    with suppress(OSError):
        (_PROC / str(pid) / "clear_refs").write_text("5")


def _entries(pid: int, folder: str) -> int:
    try:
        return len(os.listdir(_PROC / str(pid) / folder))
    except OSError:
        return 0
