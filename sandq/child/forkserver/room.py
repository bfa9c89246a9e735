"""What a forked child does to itself before it becomes a job: its own namespaces are furnished,
what it has no business with goes, and the limits and the filter come last.
"""

from __future__ import annotations

import base64
import os
import resource
import signal

from . import kernel

TYPE_CHECKING = False  # type checkers know the name; the module typing is dear to load
if TYPE_CHECKING:
    from typing import Any

#: Children are in namespaces of their own; the network's only where the host's is not wanted.
NAMESPACES = (
    kernel.CLONE_NEWUSER
    | kernel.CLONE_NEWPID
    | kernel.CLONE_NEWNS
    | kernel.CLONE_NEWIPC
    | kernel.CLONE_NEWUTS
)

TMP = "/tmp"


class Room:
    """What every child of a server is surrounded by; `order` is the message that opens it."""

    def __init__(self, order: dict[str, Any]) -> None:
        self.flags = NAMESPACES | (0 if order["net"] else kernel.CLONE_NEWNET)
        self._cwd = os.getcwd()
        self._limits = [
            # the processor's hard limit one second on: the first signal names the cause
            (getattr(resource, name), value, value + (1 if name == "RLIMIT_CPU" else 0))
            for name, value in order["rlimits"].items()
        ]
        self._filter = (
            kernel.filter_program(base64.b64decode(order["seccomp"])) if order["seccomp"] else None
        )
        sizes = {"size": order["disk"], "nr_inodes": order["inodes"], "mode": "1777"}
        self._tmp = ",".join(f"{name}={size}" for name, size in sizes.items() if size is not None)
        self._maps = [
            # a user's own group can be mapped only when no others can be taken on
            ("/proc/self/setgroups", b"deny"),
            ("/proc/self/uid_map", f"{os.getuid()} {os.getuid()} 1".encode()),
            ("/proc/self/gid_map", f"{os.getgid()} {os.getgid()} 1".encode()),
        ]
        self._in_tmp = mounted_below(TMP)
        self._has_ptys = os.path.ismount("/dev/pts")

    def enter(self) -> None:
        """In the child: take every step. Raises OSError, which says what failed."""
        os.setsid()
        for path, text in self._maps:
            _write(path, text)
        self._mount()
        for number, soft, hard in self._limits:
            _limit(number, soft, hard)
        kernel.drop_capabilities()
        kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
        kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
        os.chdir(self._cwd)
        if self._filter is not None:
            kernel.install_filter(self._filter)

    def _mount(self) -> None:
        closed = kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC
        kept = [(path, os.open(path, os.O_PATH)) for path in self._in_tmp]
        kernel.mount("tmpfs", TMP, "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, self._tmp)
        for path, fd in kept:
            _make_place(path, fd)
            kernel.mount(f"/proc/self/fd/{fd}", path, None, kernel.MS_BIND | kernel.MS_REC)
            os.close(fd)
        if self._has_ptys:
            own = "newinstance,ptmxmode=0666,mode=620"
            kernel.mount("devpts", "/dev/pts", "devpts", kernel.MS_NOSUID | kernel.MS_NOEXEC, own)
        # last: the paths above lead through the old one
        kernel.mount("proc", "/proc", "proc", closed | kernel.MS_RDONLY)


def take(fds: list[int]) -> None:
    """Number these from 0 on and close all others; the last one is not inherited any further.

    None of them may have such a number now: the server's own are there, its socket among them.
    """
    for number, fd in enumerate(fds):
        os.dup2(fd, number, inheritable=number < len(fds) - 1)
    kernel.close_from(len(fds))


def _limit(number: int, soft: int, hard: int) -> None:
    most = resource.getrlimit(number)[1]
    if most != resource.RLIM_INFINITY:
        soft, hard = min(soft, most), min(hard, most)
    resource.setrlimit(number, (soft, hard))


def _write(path: str, text: bytes) -> None:
    fd = os.open(path, os.O_WRONLY)
    try:
        os.write(fd, text)
    finally:
        os.close(fd)


def _make_place(path: str, fd: int) -> None:
    """Make what the thing behind `fd` can be mounted on."""
    if os.path.isdir(f"/proc/self/fd/{fd}"):
        os.makedirs(path, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))


def mounted_below(folder: str) -> list[str]:
    """The paths below a folder on which something is mounted, but for those below another."""
    with open("/proc/self/mountinfo", "rb") as stream:
        places = sorted({unescaped(line.split(b" ")[4]) for line in stream})
    found: list[str] = []
    for place in places:
        if place.startswith(f"{folder}/") and not (found and place.startswith(f"{found[-1]}/")):
            found.append(place)

    return found


def unescaped(word: bytes) -> str:
    """A path as /proc/self/mountinfo writes it: some characters are three octal digits."""
    first, *rest = word.split(b"\\")
    return os.fsdecode(first + b"".join(bytes([int(part[:3], 8)]) + part[3:] for part in rest))
