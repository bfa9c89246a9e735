"""A program that tries to break out: it runs behind walls that are to be proved.

It reads one line of JSON that tells what there is to be reached, made by sandq/isolation/judge.py,
tries, and writes one line: attempt -> what came of it. Only the standard library: it runs alone.

It must be harmless where nothing holds it: it is run there too, to show that its attempts do work.
"""

import ctypes
import errno
import json
import os
import platform
import resource
import signal
import socket
import sys
from contextlib import suppress
from typing import Any

_CLONE_NEWUSER = 0x10000000
_PTRACE_TRACEME = 0
_PR_GET_NO_NEW_PRIVS = 39
_KEYCTL = {"x86_64": 250, "aarch64": 219}
_RLIMITS = ("RLIMIT_CORE", "RLIMIT_CPU", "RLIMIT_DATA", "RLIMIT_NOFILE", "RLIMIT_NPROC")
_ANSWER_S = 1.0
_REFUSED = (errno.EPERM, errno.EACCES, errno.ENOSYS)
_PIECE = b"\0" * 65536

_libc = ctypes.CDLL(None, use_errno=True)


def read(paths: list[str]) -> list[str]:
    """The files of others that can be read."""
    return [path for path in paths if _opens(path, os.O_RDONLY)]


def write(paths: list[str]) -> list[str]:
    """The folders in which files can be made, and the files that can be opened for writing."""
    found = []
    for path in paths:
        if not os.path.isdir(path):
            if _opens(path, os.O_WRONLY):
                found.append(path)
            continue
        name = os.path.join(path, f"sandq-canary-{os.getpid()}")
        if _opens(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL):
            found.append(path)
            os.unlink(name)

    return found


def connect(port: int, names: list[str]) -> list[str]:
    """What answers: a port of the host, and unix sockets; a name that begins with @ is abstract."""
    places: list[tuple[int, Any, str]] = [(socket.AF_INET, ("127.0.0.1", port), "port")]
    places += [(socket.AF_UNIX, name.replace("@", "\0", 1), name) for name in names]
    found = []
    for family, address, name in places:
        try:
            with socket.socket(family) as one:
                one.settimeout(_ANSWER_S)
                one.connect(address)
            found.append(name)
        except OSError:
            continue

    return found


def processes(supervisor: int) -> list[int]:
    """Processes that are seen, or can be signalled, beside this one and the walls' own."""
    try:
        names = os.listdir("/proc")
    except OSError:
        names = []
    found = {int(name) for name in names if name.isdigit()} - {1, os.getpid()}
    try:
        os.kill(supervisor, 0)
        found.add(supervisor)
    except OSError:
        pass

    return sorted(found)


def variables() -> list[str]:
    """The names of all variables, its own and those of the first process that is seen."""
    names = set(os.environ)  # noqa: TID251
    try:
        with open("/proc/1/environ", "rb") as stream:
            words = stream.read().split(b"\0")
        names |= {word.partition(b"=")[0].decode("utf-8", "replace") for word in words if word}
    except OSError:
        pass

    return sorted(names)


def calls() -> list[str]:
    """The calls of the kernel that are open to it and should not be."""
    tried = {
        "unshare": lambda: _libc.unshare(_CLONE_NEWUSER),
        # there is no such file system: who may not mount is told that first
        "mount": lambda: _libc.mount(b"none", b"/", b"sandq-canary", 0, None),
        "ptrace": lambda: _libc.ptrace(_PTRACE_TRACEME, 0, None, None),
        "keyctl": lambda: _libc.syscall(_KEYCTL[platform.machine()], 0, -3, 0, 0, 0),
    }

    return [name for name, call in tried.items() if _in_another(call)]


def raised() -> list[str]:
    """The limits that it can raise."""
    found = []
    for name in _RLIMITS:
        number = getattr(resource, name)
        soft, hard = resource.getrlimit(number)
        if hard != resource.RLIM_INFINITY:
            try:
                resource.setrlimit(number, (soft, hard + 1))
                found.append(name)
            except (OSError, ValueError):
                pass

    return found


def privileges() -> list[str]:
    """What it could do that an ordinary program cannot."""
    found = []
    if _libc.prctl(_PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1:
        found.append("new privileges")
    try:
        with open("/proc/self/status", encoding="latin-1", newline="\n") as stream:
            lines = dict(line.split(":", 1) for line in stream if ":" in line)
        if int(lines["CapEff"], 16):
            found.append("capabilities")
    except OSError:
        pass

    return found


def forks(most: int) -> int:
    """How many processes it can start at once, up to so many."""
    held, ready = os.pipe()
    pids: list[int] = []
    try:
        while len(pids) < most:
            pid = os.fork()
            if pid == 0:
                os.close(ready)
                os.read(held, 1)
                os._exit(0)
            pids.append(pid)
    except OSError:
        pass
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    os.close(held)
    os.close(ready)

    return len(pids)


def fills(most: int) -> int:
    """How many bytes it can write where it may write, up to so many."""
    written = 0
    names: list[str] = []
    try:
        while written < most:
            names.append(f"/tmp/canary-{len(names)}")
            fd = os.open(names[-1], os.O_WRONLY | os.O_CREAT | os.O_EXCL)
            try:
                for _ in range(4):
                    written += os.write(fd, _PIECE)
            finally:
                os.close(fd)
    except OSError:
        pass
    for name in names:
        with suppress(OSError):
            os.unlink(name)

    return written


def _opens(path: str, flags: int) -> bool:
    try:
        os.close(os.open(path, flags | os.O_CLOEXEC, 0o600))
    except OSError:
        return False

    return True


def _in_another(call: Any) -> bool:
    """Whether a call is let through, tried in a process of its own, which it may change."""
    try:
        pid = os.fork()
    except OSError:
        return False
    if pid == 0:
        refused = True
        try:
            refused = call() == -1 and ctypes.get_errno() in _REFUSED
        finally:
            os._exit(int(refused))

    return os.waitpid(pid, 0)[1] == 0


def main() -> None:
    """Try it all."""
    task = json.loads(sys.stdin.readline())
    report = {
        "read": read(task["read"]),
        "write": write(task["write"]),
        "connect": connect(task["port"], task["sockets"]),
        "processes": processes(task["supervisor"]),
        "variables": variables(),
        "calls": calls(),
        "raised": raised(),
        "privileges": privileges(),
        "forks": forks(task["forks"]),
        "fills": fills(task["fills"]),
    }
    sys.stdout.write(json.dumps(report) + "\n")


if __name__ == "__main__":
    main()
