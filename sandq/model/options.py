"""What a caller may ask of a job, and how it is stored.

Stored options are a JSON object that holds only what differs from the defaults, with durations
in milliseconds; most jobs store none at all. The script that adds the job needs some options
itself: these travel beside, as `extras`, a JSON object of what was given.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from enum import IntEnum
from typing import TYPE_CHECKING, Any, TypedDict

import orjson

from sandq.errors import InvalidInput, UnknownOption
from sandq.model.backoff import Backoff
from sandq.model.checks import check_flag, check_integer, check_label, check_metadata, check_tags
from sandq.model.duration import Duration, to_ms
from sandq.model.keep import Keep, Removal, keep_from
from sandq.model.moment import Moment, to_moment_ms
from sandq.model.names import check_job_id, nearest
from sandq.model.stored_options import MAX_ATTEMPTS, MAX_STACK_TRACES

# who writes stored options finds here what reads them
from sandq.model.stored_options import StoredOptions as StoredOptions
from sandq.model.stored_options import read_options as read_options

if TYPE_CHECKING:
    from sandq.model.repeat import Repeat

#: Priorities go from 1 (first) to this number; 0 means none, and comes after all of them.
MAX_PRIORITY = 2**31


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
    run_at: Moment | None
    expires_at: Moment | None
    priority: int
    lifo: bool
    attempts: int
    backoff: Backoff | Duration | None
    timeout: Duration | None
    heartbeat_timeout: Duration | None
    pool_key: str | None
    remove_on_complete: Removal
    remove_on_fail: Removal
    result_ttl: Duration | None
    stack_trace_limit: int | None
    tags: Sequence[str]
    metadata: Mapping[str, str] | None
    dedup: str | None
    dedup_ttl: Duration | None
    group: str | None
    repeat: "Repeat | None"


@dataclass(frozen=True, slots=True, kw_only=True)
class JobOptions:
    """What a caller asks of one job.

    - `job_id`: the caller's own id; adding it again is a no-op that answers the same id.
    - `delay`: how long the job stays delayed before it may start (seconds, timedelta or text).
    - `run_at`: when it may start, instead of a delay (aware datetime, or seconds since 1970); a
      moment that has passed means now.
    - `expires_at`: it must not be started after this moment.
    - `priority`: 1 is first, 0 is none and comes last; equal priorities run in order of adding.
    - `lifo`: run before the other jobs of the same priority.
    - `attempts`: tries in all, the first included.
    - `backoff`: the wait between tries; a duration means a fixed one; None: at once.
    - `timeout`: how long one try may run before its process is killed; None: the handler's.
    - `heartbeat_timeout`: how long it may say nothing before its process is killed; None: the
      handler's. Any message of the child counts.
    - `pool_key`: it runs in children that have only had jobs of this key; None: of no key.
    - `remove_on_complete`, `remove_on_fail`: True: removed when it ends; a number: so many of the
      newest jobs are kept that ended like this; a `Keep`: the same with an age; False: all. A
      cancelled job counts as failed here.
    - `result_ttl`: the job is removed so long after it completed.
    - `stack_trace_limit`: how many failure records of earlier attempts are kept; None: 10.
    - `tags`: words to find it by; `metadata`: texts by name, for the caller's own use.
    - `dedup`: while a job that was added with this key has not ended, adding another with it adds
      nothing and answers the first one's id; with `dedup_ttl`: until so long after it may start.
    - `group`: the tenant it counts for where limits are per group.
    - `repeat`: when it is to be run again and again.

    Raises InvalidInput for a value that is out of range, and for two that exclude each other.
    Source: seed 0, `JobOpts`; `run_at`, `expires_at` seed 3; `tags` seed 2; `metadata` seed 4.
    """

    job_id: str | None = None
    delay: Duration = 0
    run_at: Moment | None = None
    expires_at: Moment | None = None
    priority: int = 0
    lifo: bool = False
    attempts: int = 1
    backoff: Backoff | Duration | None = None
    timeout: Duration | None = None
    heartbeat_timeout: Duration | None = None
    pool_key: str | None = None
    remove_on_complete: Removal = False
    remove_on_fail: Removal = False
    result_ttl: Duration | None = None
    stack_trace_limit: int | None = None
    tags: Sequence[str] = ()
    # not part of the hash: a dict has none
    metadata: Mapping[str, str] | None = field(default=None, hash=False)
    dedup: str | None = None
    dedup_ttl: Duration | None = None
    group: str | None = None
    repeat: "Repeat | None" = None

    def __post_init__(self) -> None:
        # bulks of jobs bring many of these: what has its default is passed over
        check_integer("priority", self.priority, 0, MAX_PRIORITY)
        check_integer("attempts", self.attempts, 1, MAX_ATTEMPTS)
        check_flag("lifo", self.lifo)
        if self.job_id is not None:
            check_job_id(self.job_id)
        if self.backoff is not None and not isinstance(self.backoff, Backoff):
            object.__setattr__(self, "backoff", Backoff.fixed(self.backoff))
        if self.timeout is not None:
            _positive_ms("timeout", self.timeout)
        if self.heartbeat_timeout is not None:
            _positive_ms("heartbeat_timeout", self.heartbeat_timeout)
        if self.pool_key is not None:
            check_label("pool_key", self.pool_key)
        if self.remove_on_complete is not False:
            keep = keep_from("remove_on_complete", self.remove_on_complete)
            object.__setattr__(self, "remove_on_complete", keep)
        if self.remove_on_fail is not False:
            keep = keep_from("remove_on_fail", self.remove_on_fail)
            object.__setattr__(self, "remove_on_fail", keep)
        if self.result_ttl is not None:
            _positive_ms("result_ttl", self.result_ttl)
        if self.stack_trace_limit is not None:
            check_integer("stack_trace_limit", self.stack_trace_limit, 0, MAX_STACK_TRACES)
        if self.tags != ():
            object.__setattr__(self, "tags", check_tags(self.tags))
        if self.metadata is not None:
            object.__setattr__(self, "metadata", check_metadata(self.metadata))
        if self.group is not None:
            check_label("group", self.group)
        if self.dedup is not None:
            check_label("dedup", self.dedup, spaces=False)
        if self.dedup_ttl is not None:
            _positive_ms("dedup_ttl", self.dedup_ttl)
            if self.dedup is None:
                raise InvalidInput("dedup_ttl needs dedup, the key that it is about")
        self._check_when()
        if self.repeat is not None:
            self._check_repeat()

    def _check_when(self) -> None:
        delay_ms = self.delay_ms
        if self.run_at is None and self.expires_at is None:
            return

        run_ms = None if self.run_at is None else to_moment_ms(self.run_at, "run_at")
        expires_ms = (
            None if self.expires_at is None else to_moment_ms(self.expires_at, "expires_at")
        )
        if delay_ms and run_ms is not None:
            raise InvalidInput("delay and run_at exclude each other; give one of them")
        if run_ms is not None and expires_ms is not None and expires_ms < run_ms:
            raise InvalidInput(
                f"expires_at {self.expires_at!r} comes before run_at {self.run_at!r}: the job "
                "could never start"
            )

    def _check_repeat(self) -> None:
        given = {
            "job_id": self.job_id,
            "delay": self.delay_ms or None,
            "run_at": self.run_at,
            "dedup": self.dedup,
        }
        for name, value in given.items():
            if value is not None:
                raise InvalidInput(
                    f"repeat and {name} exclude each other: the series says when its jobs run "
                    "and what their ids are"
                )
        # not before it is needed: cron expressions are dear to load
        from sandq.model.repeat import Repeat

        if not isinstance(self.repeat, Repeat):
            raise InvalidInput(f"repeat must be a Repeat: {self.repeat!r}")

    @property
    def delay_ms(self) -> int:
        """The delay in whole milliseconds."""
        # most jobs have none, and this is asked thrice for each of them; False is no duration
        return 0 if type(self.delay) is int and self.delay == 0 else to_ms(self.delay, "delay")

    def to_text(self) -> bytes:
        """The stored form: JSON text, empty when every stored option has its default."""
        members: dict[str, Any] = {}
        if self.attempts != 1:
            members["attempts"] = self.attempts
        if isinstance(self.backoff, Backoff):
            members["backoff"] = self.backoff.to_member()
        if self.timeout is not None:
            members["timeout_ms"] = to_ms(self.timeout, "timeout")
        if self.heartbeat_timeout is not None:
            members["heartbeat_timeout_ms"] = to_ms(self.heartbeat_timeout, "heartbeat_timeout")
        if self.pool_key is not None:
            members["pool_key"] = self.pool_key
        if delay_ms := self.delay_ms:
            members["delay_ms"] = delay_ms
        if self.lifo:
            members["lifo"] = True
        if isinstance(self.remove_on_complete, Keep):
            members["remove_on_complete"] = self.remove_on_complete.to_member()
        if isinstance(self.remove_on_fail, Keep):
            members["remove_on_fail"] = self.remove_on_fail.to_member()
        if self.result_ttl is not None:
            members["result_ttl_ms"] = to_ms(self.result_ttl, "result_ttl")
        if self.stack_trace_limit is not None:
            members["stack_trace_limit"] = self.stack_trace_limit
        if self.metadata:
            members["metadata"] = self.metadata

        return orjson.dumps(members) if members else b""

    def to_extras(self, group: str | None = None) -> bytes:
        """What the script that adds the job needs: JSON text of what is given, empty for nothing.

        `group` counts if the options name none.
        """
        members: dict[str, Any] = {}
        if self.lifo:
            members["lifo"] = True
        if self.run_at is not None:
            members["run_at"] = to_moment_ms(self.run_at, "run_at")
        if self.expires_at is not None:
            members["expires_at"] = to_moment_ms(self.expires_at, "expires_at")
        if self.group is not None or group is not None:
            members["group"] = group if self.group is None else self.group
        if self.dedup is not None:
            members["dedup"] = self.dedup
        if self.dedup_ttl is not None:
            members["dedup_ttl_ms"] = to_ms(self.dedup_ttl, "dedup_ttl")
        if self.tags:
            members["tags"] = self.tags

        return orjson.dumps(members) if members else b""


def _positive_ms(what: str, value: Duration) -> int:
    ms = to_ms(value, what)
    if ms == 0:
        raise InvalidInput(f"{what} must be more than zero; leave it out for none")

    return ms


#: What a job without options of its own has.
DEFAULT_OPTIONS = JobOptions()

_KNOWN = frozenset(option.name for option in fields(JobOptions))


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
