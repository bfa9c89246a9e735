"""Calls of the system for which the standard library has no function."""

import ctypes
import os
from contextlib import suppress

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_SECCOMP = 1, 4, 22
PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 36, 38
CLONE_NEWNS = 0x20000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_REMOUNT, MS_BIND = 1, 2, 4, 32, 4096
MS_REC, MS_SLAVE = 1 << 14, 1 << 19

#: When the host is short of memory the kernel ends a child before the supervisor: from -1000 to
#: 1000; anybody may raise their own.
OOM_SCORE = "500"

_KEYCTL = {"x86_64": 250, "aarch64": 219}
_JOIN_SESSION_KEYRING = 1

_libc = ctypes.CDLL(None, use_errno=True)


def prctl(option: int, value: int, pointer: object = None) -> None:
    """Change something of this process; raises OSError."""
    _check(_libc.prctl(option, ctypes.c_ulong(value), pointer, None, None), f"prctl {option}")


def unshare(flags: int) -> None:
    """Leave a namespace for one of our own; raises OSError."""
    _check(_libc.unshare(flags), "unshare")


def mount(source: str, target: str, flags: int, kind: str = "", data: str = "") -> None:
    """Mount or change a mount; raises OSError, naming the target."""
    words = [os.fsencode(word) if word else None for word in (source, target, kind)]
    result = _libc.mount(*words, ctypes.c_ulong(flags), os.fsencode(data) if data else None)
    _check(result, f"mount on {target}")


def prepare_for_children() -> None:
    """What all children inherit: they end first, and have no key of the session. And none of them
    may look at this process."""
    # before it is undumpable: then the file belongs to root
    with suppress(OSError), open("/proc/self/oom_score_adj", "w") as stream:
        stream.write(OOM_SCORE)
    prctl(PR_SET_DUMPABLE, 0)
    number = _KEYCTL.get(os.uname().machine)
    if number is not None:
        # a kernel without keys has none to show
        _libc.syscall(ctypes.c_long(number), ctypes.c_long(_JOIN_SESSION_KEYRING), None)


def make_folder(path: str, mode: int) -> None:
    """Make a folder of root's with this mode, whatever the umask is; raises OSError."""
    os.makedirs(path, mode, exist_ok=True)
    os.chmod(path, mode)


def syscall(number: int, *arguments: object) -> int:
    """A call by its number; raises OSError."""
    words = [ctypes.c_long(word) if isinstance(word, int) else word for word in arguments]

    return _check(_libc.syscall(ctypes.c_long(number), *words), f"system call {number}")


def _check(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")

    return int(result)
