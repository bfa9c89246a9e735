"""The ways in which a guarantee is given, the best first, and what may stand in each way."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from sandq.isolation import mends
from sandq.isolation.facts import HostFacts
from sandq.isolation.mends import Blocker
from sandq.model.sandbox import Guarantee

Condition = Callable[[HostFacts], Blocker | None]


@dataclass(frozen=True, slots=True)
class Way:
    """A mechanism, what it is, and what may stand in its way; `loose`: a better one is wished."""

    mechanism: str
    detail: str
    blocker: Condition = lambda _: None
    loose: bool = False


def _cgroup(controller: str) -> Condition:
    return lambda facts: None if facts.controls(controller) else mends.no_cgroup(facts, controller)


def _counted_per_namespace(facts: HostFacts) -> Blocker | None:
    """Processes are counted for each user namespace from Linux 5.14 on, before for each uid."""
    if facts.kernel >= (5, 14) or facts.slot_uids:
        return mends.no_walls(facts)

    return Blocker("RLIMIT_NPROC counts all processes of the user", "run Linux 5.14 or later")


def _counted_per_uid(facts: HostFacts) -> Blocker | None:
    if facts.slot_uids:
        return None

    return Blocker("RLIMIT_NPROC counts all processes of the user", "run the supervisor as root")


def _root(facts: HostFacts) -> Blocker | None:
    """Root needs more than an ordinary user to be kept in."""
    return mends.no_walls(facts) if facts.uid == 0 else None


def _by_landlock(what: str) -> Condition:
    return lambda facts: mends.no_landlock(facts) or mends.not_by_landlock(facts, what)


_SOON = "checked every 100 ms, so it may be passed for a moment"
_ENVIRONMENT = Way("list", "its variables are those declared, and nothing of the supervisor's")
_SWEEP = Way("sweep", "all that it started is found and killed when it ends")
_MEMORY = Way("rlimits", "RLIMIT_DATA of each process")
_TOTAL = (
    Way(
        "cgroup",
        "memory.max of all its processes, without swap; forked children are checked every 100 ms",
        _cgroup("memory"),
    ),
    Way("watchdog", f"of all its processes, {_SOON}", loose=True),
)
_PIDS_CGROUP = Way("cgroup", "pids.max", _cgroup("pids"))
_PIDS_WATCHED = Way("watchdog", f"processes and threads, {_SOON}", loose=True)
_CPU = Way("rlimits+watchdog", f"RLIMIT_CPU of each process; all together {_SOON}")
_NEW_PRIVILEGES = "no program it starts gains any"
_REFUSED = "the calls it has no use for are refused"
_UNDUMPABLE = Way("undumpable", "others of its user can neither trace it nor read its memory")
_UNWRITTEN = Way("landlock", "it can write nothing but what `write` names", mends.no_landlock)

#: What is given without walls: guarantee -> ways, the best first.
PLAIN: Mapping[Guarantee, Sequence[Way]] = {
    Guarantee.ENVIRONMENT: (_ENVIRONMENT,),
    Guarantee.ORPHANS: (_SWEEP,),
    Guarantee.SUPERVISOR: (_UNDUMPABLE,),
    Guarantee.PRIVILEGES: (Way("no_new_privs", _NEW_PRIVILEGES),),
    Guarantee.MEMORY: (_MEMORY,),
    Guarantee.MEMORY_TOTAL: _TOTAL,
    Guarantee.PIDS: (_PIDS_CGROUP, _PIDS_WATCHED),
    Guarantee.CPU: (_CPU,),
}

#: What is given by the walls of bubblewrap.
BWRAP: Mapping[Guarantee, Sequence[Way]] = {
    **PLAIN,
    Guarantee.ORPHANS: (
        Way("bwrap", "the kernel kills all in its pid namespace with the first", mends.no_walls),
        _SWEEP,
    ),
    Guarantee.SUPERVISOR: (
        Way("bwrap", "it is outside its pid namespace, and undumpable", mends.no_walls),
        replace(_UNDUMPABLE, blocker=_root),
    ),
    Guarantee.PRIVILEGES: (
        Way("bwrap", f"no capabilities, and {_NEW_PRIVILEGES}", mends.no_walls),
        Way("no_new_privs", _NEW_PRIVILEGES, _root),
    ),
    Guarantee.FILES: (Way("bwrap", "a root of its own, read-only but for /tmp", mends.no_walls),),
    Guarantee.NETWORK: (Way("bwrap", "a network namespace with nothing in it", mends.no_walls),),
    Guarantee.PROCESSES: (Way("bwrap", "a pid namespace, and a /proc of its own", mends.no_proc),),
    Guarantee.IPC: (Way("bwrap", "an ipc namespace, and no sockets of others", mends.no_walls),),
    Guarantee.KERNEL: (
        # it is bubblewrap that puts the filter on
        Way("seccomp", _REFUSED, lambda facts: mends.no_seccomp(facts) or mends.no_walls(facts)),
    ),
    Guarantee.RESIDUE: (
        Way("bwrap", "its files and its shared memory go with its namespaces", mends.no_walls),
    ),
    Guarantee.PIDS: (
        _PIDS_CGROUP,
        Way(
            "rlimits",
            "RLIMIT_NPROC in a user namespace of its own",
            _counted_per_namespace,
        ),
        _PIDS_WATCHED,
    ),
    Guarantee.DISK: (Way("bwrap", "/tmp and /dev/shm are one bounded tmpfs", mends.no_walls),),
    Guarantee.INODES: (Way("bwrap+watchdog", f"files of /tmp, {_SOON}", mends.no_walls),),
}

#: What is given by Landlock and seccomp.
LANDLOCK: Mapping[Guarantee, Sequence[Way]] = {
    **PLAIN,
    Guarantee.SUPERVISOR: (
        Way("landlock", "its domain can neither trace nor signal it", mends.signals),
    ),
    Guarantee.PRIVILEGES: (Way("no_new_privs", _NEW_PRIVILEGES, mends.no_landlock),),
    Guarantee.FILES: (
        Way("landlock", "it opens only what is named; sizes and times it can ask", mends.own_files),
    ),
    Guarantee.NETWORK: (Way("seccomp", "it can make no sockets but unix ones", mends.no_seccomp),),
    Guarantee.PROCESSES: (
        Way("landlock", "", _by_landlock("it can be found out which processes there are")),
    ),
    Guarantee.IPC: (
        Way("landlock", "", _by_landlock("unix sockets that have a path can be connected to")),
    ),
    Guarantee.KERNEL: (Way("seccomp", _REFUSED, mends.no_seccomp),),
    Guarantee.RESIDUE: (_UNWRITTEN,),
    Guarantee.PIDS: (
        _PIDS_CGROUP,
        Way("rlimits", "RLIMIT_NPROC of its own uid", _counted_per_uid),
        _PIDS_WATCHED,
    ),
    Guarantee.DISK: (_UNWRITTEN,),
    Guarantee.INODES: (_UNWRITTEN,),
}
