"""What a handler's jobs may touch and use: guarantees, not mechanisms.

spec/security.md tells what each profile promises; how that is given on a host is decided in
sandq/isolation.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any

from sandq.errors import InvalidInput
from sandq.model.sandbox_entries import (
    NUMBERS,
    check_apart,
    check_module,
    check_path,
    check_variable,
    host_and_inside,
    made_of,
    number_of,
    one_of,
    texts_of,
    words_of,
)

MIB = 1024 * 1024


class Profile(StrEnum):
    """How far a handler's code is trusted."""

    NONE = "none"
    LIMITS = "limits"
    UNTRUSTED = "untrusted"


class Fresh(StrEnum):
    """Which jobs may share a child: none, those of one pool key, or all."""

    JOB = "job"
    KEY = "key"
    NEVER = "never"


class Net(StrEnum):
    """What a child sees of the network."""

    NONE = "none"
    HOST = "host"


class Start(StrEnum):
    """How a child comes to be: as a new program, or forked from one that has loaded it before."""

    AUTO = "auto"
    EXEC = "exec"
    FORK = "fork"


class Backend(StrEnum):
    """Which walls are used; the weaker ones only when they are named."""

    AUTO = "auto"
    BWRAP = "bwrap"
    LANDLOCK = "landlock"


class Guarantee(StrEnum):
    """What a sandbox can promise; each may be waived by its name in `without`."""

    ENVIRONMENT = "environment"
    ORPHANS = "orphans"
    SUPERVISOR = "supervisor"
    PRIVILEGES = "privileges"
    FILES = "files"
    NETWORK = "network"
    PROCESSES = "processes"
    IPC = "ipc"
    KERNEL = "kernel"
    RESIDUE = "residue"
    MEMORY = "memory"
    MEMORY_TOTAL = "memory-total"
    PIDS = "pids"
    CPU = "cpu"
    DISK = "disk"
    INODES = "inodes"


_KEPT_ALWAYS = (Guarantee.ENVIRONMENT, Guarantee.ORPHANS)

#: What a profile promises; of the limits those that have a number, no network if there is none.
PROMISES: Mapping[Profile, tuple[Guarantee, ...]] = {
    Profile.NONE: _KEPT_ALWAYS,
    Profile.LIMITS: (
        *_KEPT_ALWAYS, Guarantee.SUPERVISOR, Guarantee.PRIVILEGES,
        Guarantee.MEMORY, Guarantee.MEMORY_TOTAL, Guarantee.PIDS, Guarantee.CPU,
    ),
    Profile.UNTRUSTED: tuple(Guarantee),
}  # fmt: skip

# what a profile sets unless told otherwise
_DEFAULTS: Mapping[Profile, Mapping[str, Any]] = {
    Profile.NONE: {"fresh": Fresh.NEVER, "net": Net.HOST},
    Profile.LIMITS: {"fresh": Fresh.NEVER, "net": Net.HOST},
    Profile.UNTRUSTED: {
        "fresh": Fresh.JOB,
        "net": Net.NONE,
        "wall": 60.0,
        "cpu": 10,
        "memory": 256 * MIB,
        "pids": 32,
        "disk": 64 * MIB,
    },
}

# only the walls of these profiles can give it
_UNTRUSTED_ONLY = ("disk", "read", "write", "net", "preload", "backend")
_LIMITS_ON = ("cpu", "memory", "pids", "without")

_ENUMS = {"profile": Profile, "fresh": Fresh, "net": Net, "start": Start, "backend": Backend}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sandbox:
    """What the jobs of a handler may touch and use. What is None is set by the profile.

    - `profile`: none, limits or untrusted.
    - `wall`: seconds from the lending of a job to its end; no option of a job can pass it.
    - `cpu`: seconds of processor time of all its processes together, for the life of the child.
    - `memory`: bytes of all its processes together.
    - `pids`: most processes and threads at once.
    - `disk`: bytes of all the room it can write to.
    - `output`: bytes of the longest line it may answer with.
    - `read`, `write`: further paths it sees; "HOST:INSIDE" shows one elsewhere.
    - `net`: "none" or "host".
    - `env`: names of variables that are copied from the supervisor, or "NAME=value".
    - `fresh`: "job": one job a child; "key": jobs of one pool key share it; "never": all do.
    - `max_jobs`: a child that is shared ends after so many jobs.
    - `without`: guarantees that the handler does without on a host that cannot give them.
    - `start`: "exec": each child is a new program; "fork": it is forked inside the walls from a
      Python interpreter; "auto": the second for Python handlers with a child per job.
    - `preload`: Python modules which that interpreter loads before; none of them is of a job.
    - `backend`: "landlock" names the weaker walls that work inside most containers.

    Numbers may be given as elsewhere: wall="30s", memory="256M". Raises InvalidInput, which names
    the key.
    """

    profile: Profile = Profile.LIMITS
    wall: float | None = None
    cpu: int | None = None
    memory: int | None = None
    pids: int | None = None
    disk: int | None = None
    output: int | None = None
    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()
    net: Net | None = None
    env: tuple[str, ...] = ()
    fresh: Fresh | None = None
    max_jobs: int | None = None
    without: frozenset[Guarantee] = frozenset()
    start: Start = Start.AUTO
    preload: tuple[str, ...] = ()
    backend: Backend = Backend.AUTO

    def __post_init__(self) -> None:
        for name, kind in _ENUMS.items():
            value = getattr(self, name)
            if value is not None or name not in ("fresh", "net"):
                self._set(name, one_of(name, kind, value))
        for name in ("read", "write", "env", "preload"):
            self._set(name, texts_of(name, getattr(self, name)))
        without = words_of("without", self.without)
        self._set("without", frozenset(one_of("without", Guarantee, word) for word in without))
        for name in NUMBERS:
            if getattr(self, name) is not None:
                self._set(name, number_of(name, getattr(self, name)))
        self._check_profile()
        for name, value in _DEFAULTS[self.profile].items():
            if getattr(self, name) is None:
                self._set(name, value)
        self._check_lists()
        self._check_life()

    @classmethod
    def untrusted(cls, **settings: Any) -> "Sandbox":
        """The profile for code that is not trusted, with these settings."""
        return cls(profile=Profile.UNTRUSTED, **settings)

    @classmethod
    def of(cls, value: "Sandbox | str | Mapping[str, Any]", key: str = "sandbox") -> "Sandbox":
        """A sandbox from the name of a profile or a table; raises InvalidInput, naming `key`."""
        if isinstance(value, cls):
            return value
        if isinstance(value, str):
            value = {"profile": value}
        if not isinstance(value, Mapping):
            raise InvalidInput(f"{key} must be the name of a profile, or a table: {value!r}")

        return made_of(cls, value, key)

    @property
    def wall_ms(self) -> int | None:
        """The same as `wall`, in milliseconds."""
        return None if self.wall is None else round(self.wall * 1000)

    @property
    def asks_of_host(self) -> bool:
        """Whether it asks for what not every host can give, or not in the same way."""
        return self.walled or self.memory is not None or self.pids is not None

    @property
    def walled(self) -> bool:
        """Whether its children live behind walls of their own."""
        return self.profile is Profile.UNTRUSTED

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)

    def _check_profile(self) -> None:
        """Refuse what the profile cannot give."""
        defaults = _DEFAULTS[self.profile]
        for field in fields(self):
            name, value = field.name, getattr(self, field.name)
            if value in (field.default, defaults.get(name)):
                continue
            if name in _UNTRUSTED_ONLY and not self.walled:
                raise InvalidInput(
                    f"{name} needs profile 'untrusted'; with {self.profile.value!r} a child has "
                    "the files and the network of the host"
                )
            if name in _LIMITS_ON and self.profile is Profile.NONE:
                raise InvalidInput(f"{name} needs profile 'limits' or 'untrusted'")
        for guarantee in sorted(self.without):
            if guarantee not in PROMISES[self.profile]:
                raise InvalidInput(
                    f"without {guarantee.value!r}: profile {self.profile.value!r} does not promise "
                    "it anyway"
                )

    def _check_lists(self) -> None:
        for name in ("read", "write"):
            for entry in getattr(self, name):
                check_path(name, entry)
        for entry in self.read:
            check_apart("read", host_and_inside(entry)[0], self.write)
        for entry in self.env:
            check_variable(entry)
        for module in self.preload:
            check_module(module)

    def _check_life(self) -> None:
        forked = self.walled and self.fresh is Fresh.JOB
        if self.fresh is Fresh.JOB and self.max_jobs not in (None, 1):
            raise InvalidInput("max_jobs is for children that are shared; with fresh 'job' it is 1")
        if self.start is Start.FORK and not forked:
            raise InvalidInput("start 'fork' needs profile 'untrusted' and fresh 'job'")
        if self.start is Start.FORK and self.backend is Backend.LANDLOCK:
            raise InvalidInput("start 'fork' needs the walls of bubblewrap: backend 'bwrap'")
        if self.preload and (
            self.start is Start.EXEC or not forked or self.backend is Backend.LANDLOCK
        ):
            raise InvalidInput(
                "preload is for children that are forked: fresh 'job', start 'fork' or 'auto', "
                "backend 'bwrap' or 'auto'"
            )


def warnings_of(sandbox: Sandbox) -> tuple[str, ...]:
    """What whoever runs it should be told once, though it is allowed."""
    if not sandbox.walled or sandbox.fresh is Fresh.JOB:
        return ()
    whose = "of one pool key" if sandbox.fresh is Fresh.KEY else "of this handler"
    warning = (
        f"sandbox.fresh is {str(sandbox.fresh)!r} with profile 'untrusted': jobs {whose} share a "
        "child, and one can poison those that come after it; 'job' gives each a child of its own"
    )

    return (warning,)
