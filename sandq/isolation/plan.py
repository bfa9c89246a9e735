"""Which mechanism gives each guarantee of a sandbox on a host, or what is missing and its mend.

Pure: tests/isolation/test_plan.py has the table of hosts and profiles.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from sandq.isolation import mends
from sandq.isolation.facts import HostFacts
from sandq.isolation.ways import BWRAP, LANDLOCK, PLAIN, Way
from sandq.model.sandbox import Backend, Fresh, Guarantee, Net, Profile, Sandbox


class State(StrEnum):
    """Whether a guarantee is given: it is; it is not; it is not and the handler does without."""

    HELD = "held"
    GAP = "gap"
    WAIVED = "waived"


class Walls(StrEnum):
    """What surrounds a child."""

    NONE = ""
    BWRAP = "bwrap"
    LANDLOCK = "landlock"


@dataclass(frozen=True, slots=True)
class Line:
    """One guarantee: the mechanism that gives it, and how; or what is missing, and the mend. A
    mend of what is held tells how it would be given better."""

    guarantee: Guarantee
    mechanism: str
    state: State
    detail: str
    mend: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """A line for each guarantee that a sandbox asks for, in the order of `Guarantee`."""

    sandbox: Sandbox
    facts: HostFacts
    walls: Walls
    lines: tuple[Line, ...]

    def by(self, guarantee: Guarantee, mechanism: str) -> bool:
        """Whether this mechanism gives it, maybe with others."""
        return any(
            line.guarantee is guarantee and mechanism in line.mechanism.split("+")
            for line in self.lines
        )

    @property
    def has_proc(self) -> bool:
        """Whether a child behind bubblewrap's walls has a /proc, of its own."""
        return self.walls is Walls.BWRAP and mends.no_proc(self.facts) is None

    @property
    def gaps(self) -> tuple[Line, ...]:
        """What is missing and not done without."""
        return tuple(line for line in self.lines if line.state is State.GAP)

    @property
    def refusal(self) -> str:
        """Why the handler cannot run here, and what mends it; empty: it can."""
        groups: dict[tuple[str, str], list[str]] = {}
        for line in self.gaps:
            groups.setdefault((line.detail, line.mend), []).append(line.guarantee)
        if not groups:
            return ""
        gaps = "; ".join(
            f"{', '.join(names)}: {detail}; mend: {mend}"
            for (detail, mend), names in groups.items()
        )

        return f"sandbox {self.sandbox.profile.value!r} cannot be given on this host: {gaps}"

    @property
    def summary(self) -> str:
        """The mechanisms in one word, such as "bwrap+seccomp+watchdog"; empty: none."""
        if self.sandbox.profile is Profile.NONE:
            return ""
        used = {word for line in self.lines for word in line.mechanism.split("+")}

        return "+".join(word for word in _SUMMARY if word in used)


_SUMMARY = ("bwrap", "landlock", "seccomp", "uid", "rlimits", "cgroup", "watchdog")


def plan(sandbox: Sandbox, facts: HostFacts) -> Plan:
    """How the host gives what the sandbox asks for, and what it cannot give."""
    landlock = sandbox.backend is Backend.LANDLOCK
    ways = PLAIN if not sandbox.walled else LANDLOCK if landlock else BWRAP
    lines = tuple(
        _adapt(_line(guarantee, ways[guarantee], sandbox, facts), sandbox, facts)
        for guarantee in Guarantee
        if guarantee in _asked(sandbox)
    )
    walls = Walls.NONE
    if sandbox.walled and landlock and mends.no_landlock(facts) is None:
        walls = Walls.LANDLOCK
    elif sandbox.walled and not landlock and mends.no_walls(facts) is None:
        walls = Walls.BWRAP

    return Plan(sandbox, facts, walls, lines)


def _asked(sandbox: Sandbox) -> set[Guarantee]:
    """The guarantees that a sandbox asks for: of limits, those that it sets."""
    asked = {Guarantee.ENVIRONMENT, Guarantee.ORPHANS}
    if sandbox.profile is Profile.NONE:
        return asked
    asked |= {Guarantee.SUPERVISOR, Guarantee.PRIVILEGES}
    if sandbox.walled:
        asked |= set(_WALLED)
    if sandbox.walled and sandbox.net is not Net.HOST:
        asked.add(Guarantee.NETWORK)
    if sandbox.memory is not None:
        asked |= {Guarantee.MEMORY, Guarantee.MEMORY_TOTAL}
    if sandbox.pids is not None:
        asked.add(Guarantee.PIDS)
    if sandbox.cpu is not None:
        asked.add(Guarantee.CPU)

    return asked


_WALLED = (
    *(Guarantee.FILES, Guarantee.PROCESSES, Guarantee.IPC, Guarantee.KERNEL, Guarantee.RESIDUE),
    *(Guarantee.DISK, Guarantee.INODES),
)


def _line(guarantee: Guarantee, ways: Sequence[Way], sandbox: Sandbox, facts: HostFacts) -> Line:
    """The first way that works; if none does, what is in the way of the best."""
    if not facts.linux:
        blockers = [mends.NOT_LINUX]
    else:
        blockers = []
        for way in ways:
            blocker = way.blocker(facts)
            if blocker is None:
                mend = blockers[0].mend if blockers and way.loose else ""
                return Line(guarantee, way.mechanism, State.HELD, way.detail, mend)
            blockers.append(blocker)
    state = State.WAIVED if guarantee in sandbox.without else State.GAP

    return Line(guarantee, "", state, blockers[0].what, blockers[0].mend)


def _adapt(line: Line, sandbox: Sandbox, facts: HostFacts) -> Line:
    """What the table cannot say, because it is so by the handler's own choice."""
    if line.state is not State.HELD:
        return line
    by_root = facts.uid == 0 and not sandbox.walled and sandbox.profile is not Profile.NONE
    if line.guarantee is Guarantee.SUPERVISOR and by_root:
        what = "nothing is kept from a child that is root, as the supervisor is"
        mend = "run the supervisor as an ordinary user"
        return replace(line, state=State.WAIVED, detail=what, mend=mend)
    if line.guarantee is Guarantee.PRIVILEGES and sandbox.walled and facts.slot_uids:
        own = f"{line.detail}; a uid of its own"
        return replace(line, mechanism=f"{line.mechanism}+uid", detail=own)
    if line.guarantee is Guarantee.RESIDUE and sandbox.fresh is not Fresh.JOB:
        shared = "all jobs share" if sandbox.fresh is Fresh.NEVER else "jobs of one key share"
        return replace(line, state=State.WAIVED, detail=f"{shared} a child", mend='fresh = "job"')
    if line.guarantee is Guarantee.IPC and sandbox.net is Net.HOST:
        what = "abstract unix sockets belong to the network, which is the host's"
        return replace(line, state=State.WAIVED, detail=what, mend='net = "none"')

    return line
