"""Make a host of another kind around this process, as an ordinary user of it, and tell its facts.

`python other_host.py KIND`: what is loaded is loaded before, as the other user may not get there.
"""

import ctypes
import json
import os
import sys
from dataclasses import asdict

from sandq.isolation.plan import plan
from sandq.isolation.probe import probe
from sandq.isolation.seccomp import filter_bytes
from sandq.model.sandbox import Sandbox

UID = 70998
NEWNS, NEWUSER, NEWPID = 0x00020000, 0x10000000, 0x20000000
PR_SET_DUMPABLE, PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS = 4, 22, 38
BIND = 0x1000

libc = ctypes.CDLL(None, use_errno=True)


def check(result):
    if result == -1:
        raise OSError(ctypes.get_errno(), "the host cannot be made")


def become_ordinary():
    """An ordinary user, whoever runs the tests."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(UID, UID, UID)
        os.setresuid(UID, UID, UID)
        # a process that has changed its user may else not write its own maps
        check(libc.prctl(PR_SET_DUMPABLE, 1, 0, 0, 0))


def unshare(flags):
    """Leave namespaces, as the same user, with all capabilities until the next program."""
    uid, gid = os.geteuid(), os.getegid()
    check(libc.unshare(NEWUSER | flags))
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{uid} {uid} 1"),
        ("gid_map", f"{gid} {gid} 1"),
    ):
        with open(f"/proc/self/{name}", "w") as stream:
            stream.write(text)


def hide(path):
    """Nothing is there any more that can be run or read."""
    check(libc.mount(b"/dev/null", path.encode(), None, BIND, None))


def without_user_namespaces():
    unshare(0)
    with open("/proc/sys/user/max_user_namespaces", "w") as stream:
        stream.write("0")


def without_bwrap():
    unshare(NEWNS)
    hide("/usr/bin/bwrap")
    os.environ["PATH"] = "/nonexistent"


def masked_proc():
    unshare(NEWNS | NEWPID)
    pid = os.fork()
    if pid:
        os._exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    check(libc.mount(b"proc", b"/proc", b"proc", 0, None))
    hide("/proc/version")


def filtered():
    """What Docker's own filter does: no call that makes namespaces goes through."""
    program = filter_bytes(os.uname().machine, net=True, shared_memory=True)
    instructions = ctypes.create_string_buffer(program, len(program))

    class Program(ctypes.Structure):
        _fields_ = (("count", ctypes.c_ushort), ("start", ctypes.c_void_p))

    check(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    given = Program(len(program) // 8, ctypes.addressof(instructions))
    check(libc.prctl(PR_SET_SECCOMP, 2, ctypes.byref(given), 0, 0))


KINDS = {
    "plain": lambda: None,
    "no user namespaces": without_user_namespaces,
    "no bwrap": without_bwrap,
    "masked": masked_proc,
    "filtered": filtered,
}


def main():
    # what the probe needs later is loaded now
    probe((UID, UID))
    become_ordinary()
    KINDS[sys.argv[1]]()
    facts = probe((UID, UID))
    refusal = plan(Sandbox.untrusted(), facts).refusal
    bwrap = asdict(facts.bwrap) if facts.bwrap is not None else None
    told = {"uid": facts.uid, "bwrap": bwrap, "masked": facts.proc_masked, "refusal": refusal}
    print(json.dumps({**told, "sysctls": facts.sysctls}))


if __name__ == "__main__":
    main()
