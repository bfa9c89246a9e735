"""What a caller may ask of a job, and how it is stored.

Stored options are a JSON object that holds only what differs from the defaults, with durations
in milliseconds; most jobs store none at all.
"""

from dataclasses import dataclass, fields
from enum import IntEnum
from functools import lru_cache
from typing import Any, TypedDict

import orjson

from sandq.errors import InvalidInput, UnknownOption
from sandq.model.backoff import Backoff
from sandq.model.duration import MAX_MS, Duration, to_ms
from sandq.model.names import check_job_id, nearest

#: Priorities go from 1 (first) to this number; 0 means none, and comes after all of them.
MAX_PRIORITY = 2**31

#: More attempts than this are taken for a mistake.
MAX_ATTEMPTS = 1_000_000


class Priority(IntEnum):
    """Names for the first four priorities (seed 4); any number from 1 to 2^31 may be given."""

    CRITICAL = 1
    HIGH = 2
    NORMAL = 3
    LOW = 4


class OptionArgs(TypedDict, total=False):
    """The keyword arguments of `Queue.add`: the fields of `JobOptions`."""

    job_id: str | None
    delay: Duration
    priority: int
    lifo: bool
    attempts: int
    backoff: Backoff | Duration | None
    timeout: Duration | None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobOptions:
    """What a caller asks of one job.

    - `job_id`: the caller's own id; adding it again is a no-op that answers the same id.
    - `delay`: how long the job stays delayed before it may start (seconds, timedelta or text).
    - `priority`: 1 is first, 0 is none and comes last; equal priorities run in order of adding.
    - `lifo`: run before the other jobs of the same priority.
    - `attempts`: tries in all, the first included.
    - `backoff`: the wait between tries; a duration means a fixed one; None: at once.
    - `timeout`: how long one try may run before its process is killed; None: the handler's.

    Raises InvalidInput for a value that is out of range. Source: seed 0, `JobOpts`.
    """

    job_id: str | None = None
    delay: Duration = 0
    priority: int = 0
    lifo: bool = False
    attempts: int = 1
    backoff: Backoff | Duration | None = None
    timeout: Duration | None = None

    def __post_init__(self) -> None:
        if self.job_id is not None:
            check_job_id(self.job_id)
        to_ms(self.delay, "delay")
        _check_integer("priority", self.priority, 0, MAX_PRIORITY)
        _check_integer("attempts", self.attempts, 1, MAX_ATTEMPTS)
        if not isinstance(self.lifo, bool):
            raise InvalidInput(f"lifo must be True or False: {self.lifo!r}")
        if self.backoff is not None and not isinstance(self.backoff, Backoff):
            object.__setattr__(self, "backoff", Backoff.fixed(self.backoff))
        if self.timeout is not None and to_ms(self.timeout, "timeout") == 0:
            raise InvalidInput("timeout must be more than zero; leave it out for none")

    @property
    def delay_ms(self) -> int:
        """The delay in whole milliseconds."""
        return to_ms(self.delay, "delay")

    def to_text(self) -> bytes:
        """The stored form: JSON text, empty when every stored option has its default."""
        members: dict[str, Any] = {}
        if self.attempts != 1:
            members["attempts"] = self.attempts
        if isinstance(self.backoff, Backoff):
            members["backoff"] = self.backoff.to_member()
        if self.timeout is not None:
            members["timeout_ms"] = to_ms(self.timeout, "timeout")
        if self.delay_ms:
            members["delay_ms"] = self.delay_ms
        if self.lifo:
            members["lifo"] = True

        return orjson.dumps(members) if members else b""


def _check_integer(what: str, value: int, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise InvalidInput(f"{what} must be a whole number from {low} to {high}: {value!r}")


#: What a job without options of its own has.
DEFAULT_OPTIONS = JobOptions()

_KNOWN = frozenset(field.name for field in fields(JobOptions))


def options_from(arguments: OptionArgs) -> JobOptions:
    """The options given as keyword arguments.

    Raises UnknownOption, which names the nearest known one, and InvalidInput.
    """
    if not arguments:
        return DEFAULT_OPTIONS

    for name in arguments:
        if name not in _KNOWN:
            raise UnknownOption(f"option {name!r} is not known; {nearest(name, _KNOWN)}")

    return JobOptions(**arguments)


@dataclass(frozen=True, slots=True)
class StoredOptions:
    """What a supervisor needs of a job's stored options."""

    attempts: int = 1
    backoff: Backoff | None = None
    timeout_ms: int | None = None
    delay_ms: int = 0


@lru_cache(maxsize=1024)
def read_options(text: bytes) -> StoredOptions:
    """The reverse of `JobOptions.to_text`; jobs of one kind share one text, so it is cached.

    Members that are not known are ignored: a newer producer may have written them. Raises
    InvalidInput for options that nobody could have meant.
    """
    if text == b"":
        return StoredOptions()

    try:
        members = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise InvalidInput(f"stored options are not JSON: {error}") from error
    if not isinstance(members, dict):
        raise InvalidInput(f"stored options must be an object: {members!r}")

    backoff, timeout_ms = members.get("backoff"), members.get("timeout_ms")
    attempts, delay_ms = members.get("attempts", 1), members.get("delay_ms", 0)
    _check_integer("attempts", attempts, 1, MAX_ATTEMPTS)
    _check_integer("delay_ms", delay_ms, 0, MAX_MS)
    if timeout_ms is not None:
        _check_integer("timeout_ms", timeout_ms, 1, MAX_MS)

    return StoredOptions(
        attempts=attempts,
        backoff=None if backoff is None else Backoff.from_member(backoff),
        timeout_ms=timeout_ms,
        delay_ms=delay_ms,
    )
