"""Run a program on a host on which something is broken: `broken_host.py BREAKAGE PROGRAM ARG…`.

The host is this one, seen from a user namespace and a mount namespace of the program's own, so
that nothing is broken for anybody else. Everybody has the same uid inside as outside.

| breakage | what is so                                               |
|----------|----------------------------------------------------------|
| none     | nothing: what works on this host works                   |
| bwrap    | there is no bubblewrap                                   |
| userns   | no further user namespace can be made                    |
| proc     | a part of /proc is masked, as in most containers         |
"""

import ctypes
import os
import shutil
import sys

NEWNS, NEWUSER = 0x20000, 0x10000000
MS_BIND, MS_REC, MS_PRIVATE = 0x1000, 0x4000, 0x40000

MASKED = ("/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/interrupts")

libc = ctypes.CDLL(None, use_errno=True)


def checked(result, what):
    if result != 0:
        sys.exit(f"{what}: {os.strerror(ctypes.get_errno())}")


def hide(path):
    """Nothing that could be run, or read, is there any more."""
    checked(libc.mount(b"/dev/null", path.encode(), None, MS_BIND, None), f"hide {path}")


def break_host(what):
    checked(libc.mount(None, b"/", None, MS_REC | MS_PRIVATE, None), "private mounts")
    if what == "bwrap":
        for path in {"/usr/bin/bwrap", shutil.which("bwrap")} - {None}:
            hide(path)
    elif what == "userns":
        with open("/proc/sys/user/max_user_namespaces", "w") as stream:
            stream.write("0")
    elif what == "proc":
        # one of those that Docker masks; which there are depends on how the kernel was built
        hide(next(path for path in MASKED if os.path.exists(path)))
    elif what != "none":
        sys.exit(f"{what!r} cannot be broken")


def main():
    breakage, *program = sys.argv[1:]
    uid, gid, root = os.getuid(), os.getgid(), os.getuid() == 0
    ready_read, ready_write = os.pipe()
    mapped_read, mapped_write = os.pipe()
    helper = os.fork()
    if helper == 0:
        os.close(ready_write)
        os.read(ready_read, 1)
        pid = os.getppid()
        if not root:
            with open(f"/proc/{pid}/setgroups", "w") as stream:
                stream.write("deny")
        for name, number in (("uid_map", uid), ("gid_map", gid)):
            with open(f"/proc/{pid}/{name}", "w") as stream:
                stream.write("0 0 4294967295" if root else f"{number} {number} 1")
        os.write(mapped_write, b".")
        os._exit(0)

    os.close(mapped_write)
    checked(libc.unshare(NEWUSER | NEWNS), "namespaces")
    os.write(ready_write, b".")
    if os.read(mapped_read, 1) != b".":
        sys.exit("the users could not be mapped")
    os.waitpid(helper, 0)
    for fd in (ready_read, ready_write, mapped_read):
        os.close(fd)
    break_host(breakage)
    os.execvp(program[0], program)


if __name__ == "__main__":
    main()
