"""The system calls that Python has no names for."""

from __future__ import annotations

import ctypes
import os
import signal

# The library is called with the interpreter's lock held: between fork and the repair of the
# interpreter in the child nothing else may run.
_libc = ctypes.PyDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long
for _name in ("mount", "prctl", "capset"):
    # looked up once, here, and not by each child
    getattr(_libc, _name)

CLONE3, CLOSE_RANGE = 435, 436  # the same on every architecture
CLONE_PIDFD, CLONE_CHILD_CLEARTID, CLONE_CHILD_SETTID = 0x1000, 0x200000, 0x1000000
CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC = 0x20000, 0x4000000, 0x8000000
CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x10000000, 0x20000000, 0x40000000

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_BIND, MS_REC = 1, 2, 4, 8, 0x1000, 0x4000

PR_SET_PDEATHSIG, PR_SET_SECCOMP, PR_CAPBSET_DROP = 1, 22, 24
PR_SET_NO_NEW_PRIVS, PR_GET_TID_ADDRESS, PR_CAP_AMBIENT = 38, 40, 47
PR_CAP_AMBIENT_CLEAR_ALL, SECCOMP_MODE_FILTER = 4, 2

#: Capabilities have numbers below this; the kernel refuses those it does not know.
CAPABILITIES = 64


class _CloneArgs(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_uint64)
        for name in (
            "flags", "pidfd", "child_tid", "parent_tid", "exit_signal", "stack", "stack_size",
            "tls", "set_tid", "set_tid_size", "cgroup",
        )
    ]  # fmt: skip


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_char_p)]


def _check(result: int, what: str) -> None:
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")


def prctl(option: int, *values: object) -> None:
    """prctl(2); raises OSError."""
    rest = (0,) * (4 - len(values))
    _check(_libc.prctl(option, *values, *rest), f"prctl {option}")


class Cloner:
    """Forks with clone3(2): a child in namespaces of its own, and a descriptor for it."""

    def __init__(self, flags: int) -> None:
        self._pidfd = ctypes.c_int(-1)
        # where the C library keeps the thread's number, which is another one in the child: locks
        # that a thread may take twice go by it
        address = ctypes.c_void_p()
        if _libc.prctl(PR_GET_TID_ADDRESS, ctypes.byref(address), 0, 0, 0) == 0:
            flags |= CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID
        self._args = _CloneArgs(
            flags=flags | CLONE_PIDFD,
            pidfd=ctypes.addressof(self._pidfd),
            child_tid=address.value or 0,
            exit_signal=signal.SIGCHLD,
        )
        self._pointer, self._size = ctypes.byref(self._args), ctypes.sizeof(self._args)

    def fork(self) -> tuple[int, int]:
        """The child's pid and its pidfd; in the child 0 and -1. Raises OSError."""
        ctypes.pythonapi.PyOS_BeforeFork()
        pid = _libc.syscall(CLONE3, self._pointer, self._size)
        if pid == 0:
            ctypes.pythonapi.PyOS_AfterFork_Child()
            return 0, -1
        code = ctypes.get_errno()
        ctypes.pythonapi.PyOS_AfterFork_Parent()
        if pid < 0:
            raise OSError(code, f"clone3: {os.strerror(code)}")

        return pid, self._pidfd.value


def mount(source: str, target: str, kind: str | None, flags: int, options: str = "") -> None:
    """mount(2); raises OSError."""
    kind_bytes = kind.encode() if kind else None
    words = (os.fsencode(source), os.fsencode(target), kind_bytes)
    _check(_libc.mount(*words, ctypes.c_ulong(flags), options.encode()), f"mount {target}")


def drop_capabilities() -> None:
    """No capability now, and none to be had ever."""
    for number in range(CAPABILITIES):
        if _libc.prctl(PR_CAPBSET_DROP, number, 0, 0, 0) != 0:
            break  # the last one was the one before
    _libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    _check(_libc.capset(_CAP_HEADER, _NO_CAPS), "capset")


# version 3 of the interface, of this thread; effective, permitted and inheritable, 64 bits each
_CAP_HEADER = (ctypes.c_uint32 * 2)(0x20080522, 0)
_NO_CAPS = (ctypes.c_uint32 * 6)()


def filter_program(instructions: bytes) -> _Program:
    """A seccomp filter as the kernel takes it; an instruction has 8 bytes."""
    return _Program(len(instructions) // 8, instructions)


def install_filter(program: _Program) -> None:
    """Let the filter judge every system call from now on; raises OSError."""
    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program))


def close_from(first: int) -> None:
    """Close every descriptor from this number on; raises OSError."""
    _check(_libc.syscall(CLOSE_RANGE, first, 0xFFFFFFFF, 0), "close_range")
