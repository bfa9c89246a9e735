"""What is known of a host: plain facts, found by sandq/isolation/probe.py or made up by a test."""

import platform
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Try:
    """What came of trying something: `error` is the kernel's word for it, such as "EPERM", empty
    if it is not known; `text` is what was said about it."""

    ok: bool
    error: str = ""
    text: str = ""


#: What came of what was not tried, because something before it had failed.
UNTRIED = Try(False)
WORKS = Try(True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bwrap:
    """A bubblewrap and what it can do here, tried as the user it will run as.

    - `minimal`: a user namespace and a root of its own.
    - `namespaces`: all the others too.
    - `proc`: a /proc of its own.
    - `no_userns`: that no further user namespace can be made inside.
    """

    path: str
    version: tuple[int, ...]
    minimal: Try = WORKS
    namespaces: Try = WORKS
    proc: Try = WORKS
    no_userns: Try = WORKS

    @property
    def shown(self) -> str:
        """The version as people write it."""
        return ".".join(map(str, self.version))


@dataclass(frozen=True, slots=True, kw_only=True)
class Cgroup:
    """The supervisor's own folder in the tree of cgroup v2.

    - `delegated`: it may make groups below it.
    - `controllers`: those it may hand on to them.
    - `kill`, `freeze`: the kernel can end, or stop, a group as a whole.
    """

    folder: str
    delegated: bool = False
    controllers: frozenset[str] = frozenset()
    kill: bool = True
    freeze: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class HostFacts:
    """What a plan is made from.

    - `arch`: of the processor, as `uname -m` says it.
    - `kernel`: its version, as numbers.
    - `uid`: of the supervisor; `capabilities`: the names of those it has.
    - `uids`: the uids of slots when it is root, first and last; None: there are none, see
      `uids_problem`.
    - `stages`: as root it can mount what a slot's uid cannot reach where it can.
    - `bwrap`: None: there is none.
    - `seccomp`: the kernel takes filters; `seccomp_arch`: ours speak this processor's language.
    - `landlock`: its version; 0: there is none.
    - `cgroup`: None: there is no tree of version 2.
    - `sysctls`: the numbers of those that matter, by name; those that are not there are left out.
    - `container`: "docker", "kubernetes" or such; empty: none is seen.
    - `proc_masked`: parts of /proc are hidden by mounts.
    """

    linux: bool = True
    arch: str = "x86_64"
    kernel: tuple[int, ...] = (6, 1)
    uid: int = 1000
    capabilities: frozenset[str] = frozenset()
    uids: tuple[int, int] | None = None
    uids_problem: str = ""
    stages: bool = False
    bwrap: Bwrap | None = None
    seccomp: bool = True
    seccomp_arch: bool = True
    landlock: int = 0
    cgroup: Cgroup | None = None
    sysctls: dict[str, int] = field(default_factory=dict)
    container: str = ""
    proc_masked: bool = False

    @property
    def slot_uids(self) -> bool:
        """Whether each slot has a uid of its own."""
        return self.uid == 0 and self.uids is not None

    def controls(self, controller: str) -> bool:
        """Whether a control group of a child can have this controller."""
        group = self.cgroup

        return group is not None and group.delegated and controller in group.controllers


def elsewhere() -> HostFacts:
    """The facts of a host that is not Linux."""
    return HostFacts(linux=False, arch=platform.machine(), seccomp=False, seccomp_arch=False)
