"""Landlock and a filter of system calls: walls for where no namespace can be had.

    "walls": {"kind": "landlock", "read": [path, …], "write": [path, …], "execute": [path, …],
              "tcp": false, "scope": true, "seccomp": base64 or null, "uids": [first, last] or null}

In the forked process, as the last thing before exec. What is asked for and cannot be given by this
kernel fails: nothing is left out silently. A path that is not there is passed over.
"""

import base64
import ctypes
import errno
import os
import stat
import struct
from typing import Any

from .system import PR_SET_SECCOMP, prctl, syscall

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_ASK_VERSION, _PATH_BENEATH = 1, 1
_SECCOMP_MODE_FILTER = 2
_INSTRUCTION_BYTES = 8

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1, 2, 4, 8
TRUNCATE, IOCTL_DEV = 1 << 14, 1 << 15

#: What can be refused at all, by the version of the kernel's interface; it only grows.
HANDLED = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}
OF_FILES = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV

TCP, TCP_SINCE = 3, 4
SCOPE, SCOPE_SINCE = 3, 6


def version() -> int:
    """The version of the interface; 0 when there is none."""
    try:
        return syscall(_CREATE_RULESET, None, 0, _ASK_VERSION)
    except OSError:
        return 0


def handled_files(abi: int) -> int:
    """All that this version can refuse of files."""
    return max((bits for since, bits in HANDLED.items() if since <= abi), default=0)


def restrict(walls: dict[str, Any]) -> None:
    """Confine this process for ever, by the walls of a request; raises OSError."""
    abi = version()
    tcp, scope = not walls.get("tcp"), bool(walls.get("scope"))
    if abi < 1 or (tcp and abi < TCP_SINCE) or (scope and abi < SCOPE_SINCE):
        raise OSError(errno.EOPNOTSUPP, "this kernel's Landlock cannot give it")

    files = handled_files(abi)
    words = [files]
    if abi >= TCP_SINCE:
        words.append(TCP if tcp else 0)
    if abi >= SCOPE_SINCE:
        words.append(SCOPE if scope else 0)
    attributes = struct.pack(f"={len(words)}Q", *words)
    ruleset = syscall(_CREATE_RULESET, attributes, len(attributes), 0)
    try:
        for path in walls.get("read", ()):
            _allow(ruleset, path, READ_FILE | READ_DIR)
        for path in walls.get("execute", ()):
            _allow(ruleset, path, EXECUTE | READ_FILE | READ_DIR)
        for path in walls.get("write", ()):
            _allow(ruleset, path, files & ~EXECUTE)
        syscall(_RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)
    if walls.get("seccomp"):
        refuse(base64.b64decode(walls["seccomp"]))


def refuse(program: bytes) -> None:
    """Have the kernel ask this filter about every call from now on; raises OSError."""
    instructions = ctypes.create_string_buffer(program, len(program))
    # struct sock_fprog, with its hole
    count = len(program) // _INSTRUCTION_BYTES
    filter_ = struct.pack("HxxxxxxP", count, ctypes.addressof(instructions))
    prctl(PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, filter_)


def _allow(ruleset: int, path: str, rights: int) -> None:
    try:
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        if not stat.S_ISDIR(os.fstat(fd).st_mode):
            rights &= OF_FILES
        rule = struct.pack("=Qi", rights & handled_files(version()), fd)
        syscall(_ADD_RULE, ruleset, _PATH_BENEATH, rule, 0)
    finally:
        os.close(fd)
