"""What blocks a guarantee on a host, and exactly what mends it: the words of the doctor.

The same words are a handler's reason for not starting.
"""

from dataclasses import dataclass

from sandq.isolation.facts import Bwrap, HostFacts, Try

#: Older ones cannot bound the room of what is mounted.
OLDEST_BWRAP = (0, 7)

#: The versions of Landlock that bound connections, and signals and abstract unix sockets.
LANDLOCK_TCP, LANDLOCK_SCOPES = 4, 6

_APT = "apt-get install bubblewrap"
_PIP = "pip install 'sandq[sandbox]'"

_DOCKER = (
    "docker run --security-opt seccomp=unconfined --security-opt systempaths=unconfined "
    "--security-opt apparmor=unconfined"
)
_KUBERNETES = (
    "in the pod: hostUsers: false; in the container's securityContext: procMount: Unmasked, "
    "seccompProfile: {type: Unconfined}, appArmorProfile: {type: Unconfined}"
)
_LANDLOCK = 'or name the weaker walls: backend = "landlock", without = ["processes", "ipc"]'

_APPARMOR = (
    "printf 'abi <abi/4.0>,\\ninclude <tunables/global>\\nprofile bwrap {path} "
    "flags=(unconfined) {{\\n  userns,\\n}}\\n' > /etc/apparmor.d/bwrap && "
    "apparmor_parser -r /etc/apparmor.d/bwrap"
)

#: What a user namespace of an ordinary user may lack under AppArmor: capabilities.
_WITHOUT_CAPABILITIES = ("uid map", "RTM_NEWADDR", "Failed to make / slave")

#: What of a sandbox needs which line of a unit.
DELEGATE = (
    "Delegate=yes in the unit of the supervisor, or: systemd-run --user --scope -p Delegate=yes "
    "sandq run …"
)


@dataclass(frozen=True, slots=True)
class Blocker:
    """What is missing, and what mends it."""

    what: str
    mend: str


NOT_LINUX = Blocker("it needs Linux", "run the supervisor on Linux")
NO_SECCOMP = Blocker(
    "the kernel takes no seccomp filters", "run a kernel with CONFIG_SECCOMP_FILTER=y"
)


def no_seccomp(facts: HostFacts) -> Blocker | None:
    """Why calls of the kernel cannot be refused to a child; None: they can."""
    if not facts.seccomp:
        return NO_SECCOMP
    if not facts.seccomp_arch:
        return Blocker(
            f"there is no seccomp filter for {facts.arch}",
            "run the supervisor on x86_64 or aarch64",
        )

    return None


def no_walls(facts: HostFacts) -> Blocker | None:
    """Why bubblewrap cannot build walls here; None: it can."""
    bwrap = facts.bwrap
    if not facts.linux:
        return NOT_LINUX
    if bwrap is None:
        return Blocker("bubblewrap is not installed", f"{_APT}, or {_PIP}")
    if bwrap.version < OLDEST_BWRAP:
        return Blocker(
            f"{bwrap.path} is bubblewrap {bwrap.shown}; 0.7 is the oldest that bounds the room of "
            "what it mounts",
            f"remove it and {_PIP}",
        )
    if facts.uid == 0 and facts.uids is None:
        return no_slot_uid(facts)
    for tried in (bwrap.minimal, bwrap.namespaces):
        if not tried.ok:
            return _no_namespace(facts, bwrap, tried)

    return None


def no_proc(facts: HostFacts) -> Blocker | None:
    """Why a child cannot have a /proc of its own."""
    blocker = no_walls(facts)
    if blocker is not None or facts.bwrap is None or facts.bwrap.proc.ok:
        return blocker
    masked = "parts of /proc are masked, so " if facts.proc_masked else ""

    return Blocker(
        f"{masked}no /proc can be mounted in a namespace of its own: {facts.bwrap.proc.text}",
        _container_mend(facts)
        if facts.container
        else "run the supervisor where nothing is mounted below /proc (findmnt -R /proc)",
    )


def no_slot_uid(facts: HostFacts) -> Blocker:
    """Why children of a root supervisor cannot leave uid 0."""
    return Blocker(
        f"the supervisor is root and its children cannot have uids of their own: "
        f"{facts.uids_problem}",
        "run the supervisor as an ordinary user, or give it CAP_SETUID and CAP_SETGID and a range "
        "of uids that are mapped where it runs: SANDQ_UIDS=60000-60999",
    )


def no_cgroup(facts: HostFacts, controller: str) -> Blocker:
    """Why a child cannot have a control group with this controller."""
    group = facts.cgroup
    if group is None:
        return Blocker("cgroup v2 is not mounted", "boot with systemd.unified_cgroup_hierarchy=1")
    if not group.delegated:
        if facts.container:
            return Blocker(
                f"{group.folder} cannot be written to in this container",
                "bound the container itself, such as by docker run --memory --pids-limit",
            )
        return Blocker(f"{group.folder} is not delegated to the supervisor", DELEGATE)

    return Blocker(
        f"the controller {controller!r} is not handed down to {group.folder}",
        f"{DELEGATE}; on a host with cgroup v1 beside it: boot with cgroup_no_v1=all",
    )


def no_landlock(facts: HostFacts) -> Blocker | None:
    """Why Landlock cannot be had; None: it can."""
    if not facts.linux:
        return NOT_LINUX
    if facts.landlock == 0:
        return Blocker("the kernel has no Landlock", "run Linux 5.13 or later, with lsm=landlock,…")

    return no_slot_uid(facts) if facts.uid == 0 and facts.uids is None else None


def not_by_landlock(facts: HostFacts, what: str) -> Blocker:
    """What Landlock cannot do at all."""
    walls = no_walls(facts)
    first = "" if walls is None else f"; for that: {walls.mend}"

    return Blocker(f"under Landlock {what}", f'use bubblewrap, backend = "bwrap"{first}')


def own_files(facts: HostFacts) -> Blocker | None:
    """Why Landlock alone does not guard files; None: it does, as they are another user's."""
    blocker = no_landlock(facts)
    if blocker is None and not facts.slot_uids:
        blocker = Blocker(
            "under Landlock the modes and times of files of the supervisor's user can be changed",
            "run the supervisor as root: then each child has a uid of its own",
        )

    return blocker


def signals(facts: HostFacts) -> Blocker | None:
    """Why a child under Landlock can signal the supervisor; None: it cannot."""
    blocker = no_landlock(facts)
    if blocker is None and not facts.slot_uids and facts.landlock < LANDLOCK_SCOPES:
        blocker = Blocker(
            f"Landlock of version {facts.landlock} does not bound signals",
            "run Linux 6.12 or later, or run the supervisor as root",
        )

    return blocker


def _no_namespace(facts: HostFacts, bwrap: Bwrap, tried: Try) -> Blocker:
    sysctls = facts.sysctls
    if tried.error == "ENOSPC" or sysctls.get("user.max_user_namespaces") == 0:
        return Blocker(
            "user namespaces are switched off: user.max_user_namespaces = "
            f"{sysctls.get('user.max_user_namespaces', 0)}",
            "sysctl -w user.max_user_namespaces=15000",
        )
    if sysctls.get("kernel.unprivileged_userns_clone") == 0:
        return Blocker(
            "user namespaces are for root alone: kernel.unprivileged_userns_clone = 0",
            "sysctl -w kernel.unprivileged_userns_clone=1",
        )
    if _is_apparmor(facts, tried):
        return _apparmor(facts, bwrap)
    if facts.container:
        return Blocker(
            f"the container ({facts.container}) does not let bubblewrap work: {tried.text}",
            _container_mend(facts),
        )

    return Blocker(
        f"{bwrap.path} does not work here: {tried.text}",
        "run the supervisor where `unshare -Urm true` works for its user: what forbids it is a "
        "filter (seccomp), a security module, or a chroot around it",
    )


def _is_apparmor(facts: HostFacts, tried: Try) -> bool:
    if facts.sysctls.get("kernel.apparmor_restrict_unprivileged_userns") != 1:
        return False
    # it allows the namespace itself, which a container's own filter does not
    if any(word in tried.text for word in _WITHOUT_CAPABILITIES):
        return True

    return not facts.container and tried.error in ("EACCES", "EPERM")


def _apparmor(facts: HostFacts, bwrap: Bwrap) -> Blocker:
    what = (
        "AppArmor takes the capabilities from user namespaces: "
        "kernel.apparmor_restrict_unprivileged_userns = 1"
    )
    if facts.container:
        mend = "on the host: sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"
        return Blocker(what, f"{mend}; {_LANDLOCK}")
    if bwrap.path == "/usr/bin/bwrap":
        return Blocker(what, _APPARMOR.format(path=bwrap.path))

    return Blocker(
        f"{what}, and profiles name a path, which is not {bwrap.path}",
        f"{_APT} && {_APPARMOR.format(path='/usr/bin/bwrap')}",
    )


def _container_mend(facts: HostFacts) -> str:
    how = _KUBERNETES if facts.container == "kubernetes" else _DOCKER

    return f"{how}; {_LANDLOCK}"
