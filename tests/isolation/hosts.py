"""Hosts as they are met, as the probe would tell them."""

from sandq.isolation.facts import UNTRIED, Bwrap, Cgroup, HostFacts, Try, elsewhere

GOOD = Bwrap(path="/usr/bin/bwrap", version=(0, 8, 0))
SYSCTLS = {"user.max_user_namespaces": 15000}
SLICE = "/sys/fs/cgroup/system.slice/sandq.service"


def blocked(error, text, **more):
    """A bubblewrap that cannot make its first namespace."""
    rest = {"namespaces": UNTRIED, "proc": UNTRIED, "no_userns": UNTRIED}

    return Bwrap(path="/usr/bin/bwrap", version=(0, 8, 0), minimal=Try(False, error, text), **rest)


def host(**more):
    """An ordinary user of a Debian, with these differences."""
    plain = {"bwrap": GOOD, "landlock": 2, "kernel": (6, 1, 0), "sysctls": SYSCTLS}

    return HostFacts(**{**plain, "cgroup": Cgroup(folder=SLICE), **more})


def root(**more):
    """Root of the same."""
    capabilities = frozenset({"CAP_SETUID", "CAP_SETGID", "CAP_SYS_ADMIN", "CAP_SYS_PTRACE"})
    own = {"uid": 0, "capabilities": capabilities, "uids": (70000, 70999), "stages": True}

    return host(**{**own, **more})


DELEGATED = Cgroup(folder=SLICE, delegated=True, controllers=frozenset({"cpu", "memory", "pids"}))
NO_PERMISSION = (
    "bwrap: No permissions to create new namespace, likely because the kernel does not allow "
    "non-privileged user namespaces."
)
MASKED = Bwrap(
    path="/usr/bin/bwrap",
    version=(0, 8, 0),
    proc=Try(False, "EPERM", "bwrap: Can't mount proc on /newroot/proc: Operation not permitted"),
)
APPARMOR = {**SYSCTLS, "kernel.apparmor_restrict_unprivileged_userns": 1}
UID_MAP = "bwrap: setting up uid map: Permission denied"

HOSTS = {
    "user": host(),
    "root": root(),
    "delegated": host(cgroup=DELEGATED),
    "root delegated": root(cgroup=DELEGATED),
    "no bwrap": host(bwrap=None),
    "old bwrap": host(bwrap=Bwrap(path="/usr/bin/bwrap", version=(0, 6, 1))),
    "no user namespaces": host(
        bwrap=blocked("ENOSPC", "bwrap: Creating new namespace failed: No space left on device"),
        sysctls={"user.max_user_namespaces": 0},
    ),
    "namespaces of root": host(
        bwrap=blocked("EPERM", NO_PERMISSION),
        sysctls={**SYSCTLS, "kernel.unprivileged_userns_clone": 0},
    ),
    "apparmor": host(bwrap=blocked("EACCES", UID_MAP), sysctls=APPARMOR),
    "apparmor, other path": host(
        bwrap=Bwrap(path="/opt/bwrap", version=(0, 11), minimal=Try(False, "EACCES", UID_MAP)),
        sysctls=APPARMOR,
    ),
    "docker": root(bwrap=blocked("EPERM", NO_PERMISSION), container="docker", landlock=7),
    "docker user": host(bwrap=blocked("EPERM", NO_PERMISSION), container="docker", landlock=7),
    "docker on ubuntu": host(
        bwrap=blocked("EACCES", UID_MAP), sysctls=APPARMOR, container="docker"
    ),
    "docker unconfined": host(bwrap=MASKED, container="docker", proc_masked=True),
    "kubernetes": host(bwrap=MASKED, container="kubernetes", proc_masked=True),
    "masked": host(bwrap=MASKED, proc_masked=True),
    "other processor": host(arch="riscv64", seccomp_arch=False),
    "no filters": host(seccomp=False),
    "no landlock": host(landlock=0),
    "old kernel": host(kernel=(5, 10)),
    "old kernel, root": root(kernel=(5, 10)),
    "root without setuid": root(uids=None, uids_problem="it lacks CAP_SETUID"),
    "macos": elsewhere(),
}
