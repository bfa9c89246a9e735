"""When a job is repeated.

| rule  | occurrences                                                          | source       |
|-------|----------------------------------------------------------------------|--------------|
| every | multiples of the interval since 1970: every 5 minutes is :00, :05, … | seed 0, Bull |
|       | `align=False`: counted from `start`, else from when it was added     | seed 3       |
| cron  | what `sandq.model.cron` finds                                        | seeds 0, 3   |

Occurrences are in whole milliseconds since 1970. What becomes of those that were missed is said
in `sandq.model.schedule`.
"""

from dataclasses import dataclass, fields
from enum import StrEnum
from typing import TYPE_CHECKING

import orjson

from sandq.errors import InvalidInput
from sandq.model.checks import check_flag, check_integer, check_label
from sandq.model.duration import MAX_MS, Duration, to_ms
from sandq.model.moment import LAST_MS, Moment, to_moment_ms
from sandq.model.names import check_job_name, nearest

if TYPE_CHECKING:
    from sandq.model.cron import Cron

#: Most missed occurrences made up for when nothing else is said.
DEFAULT_CATCH_UP = 100

#: Most missed occurrences that may be asked for; seed 3 stops there too.
MAX_CATCH_UP = 10_000

#: More occurrences than this are taken for a mistake.
MAX_LIMIT = 2**31


class Missed(StrEnum):
    """What becomes of occurrences whose time passed while nobody was there."""

    SKIP = "skip"
    ONCE = "once"
    ALL = "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeat:
    """When a job is repeated; build it with `Repeat.every` or `Repeat.crontab`.

    - `every_ms`, at least 1, or `cron`, in the time zone `tz`.
    - `start_ms`, `end_ms`: no occurrence before, none after; both may be one.
    - `limit`: occurrences in all.
    - `missed`, `catch_up`: what becomes of missed ones, and how many `all` makes at most.
    - `align`: whether `every_ms` counts from 1970 or from the anchor of the series.
    - `key`: the caller's own name for the series.

    Raises InvalidInput for a value that is out of range.
    """

    every_ms: int | None = None
    cron: str | None = None
    tz: str = "UTC"
    start_ms: int | None = None
    end_ms: int | None = None
    limit: int | None = None
    missed: Missed = Missed.SKIP
    catch_up: int = DEFAULT_CATCH_UP
    align: bool = True
    key: str | None = None

    def __post_init__(self) -> None:
        if (self.every_ms is None) == (self.cron is None):
            raise InvalidInput("a repeated job needs either an interval or a cron expression")
        if self.cron is not None:
            cron = _read_cron(self.cron, self.tz)
            object.__setattr__(self, "cron", cron.expression)
            object.__setattr__(self, "tz", cron.zone.name)
        elif self.tz != "UTC":
            raise InvalidInput(f"an interval is the same in every time zone; leave out {self.tz!r}")
        for what, value, low, high in (
            ("interval in milliseconds", self.every_ms, 1, MAX_MS),
            ("start in milliseconds", self.start_ms, 0, LAST_MS),
            ("end in milliseconds", self.end_ms, 0, LAST_MS),
            ("limit", self.limit, 1, MAX_LIMIT),
        ):
            if value is not None:
                check_integer(what, value, low, high)
        check_integer("catch_up", self.catch_up, 1, MAX_CATCH_UP)
        if self._start_ms > self._end_ms:
            raise InvalidInput("the end of a repeated job must not be before its start")
        if not check_flag("align", self.align) and self.cron is not None:
            raise InvalidInput("align is for intervals; a cron expression has its times already")
        if self.key is not None:
            check_label("key", self.key)
        object.__setattr__(self, "missed", _to_missed(self.missed))

    @classmethod
    def every(
        cls,
        interval: Duration,
        *,
        start: Moment | None = None,
        end: Moment | None = None,
        limit: int | None = None,
        missed: Missed | str = Missed.SKIP,
        catch_up: int = DEFAULT_CATCH_UP,
        align: bool = True,
        key: str | None = None,
    ) -> "Repeat":
        """Repeat at an interval of 1 ms or more (seconds, timedelta or text)."""
        return cls(
            every_ms=to_ms(interval, "interval"),
            start_ms=_to_ms(start, "start"),
            end_ms=_to_ms(end, "end"),
            limit=limit,
            missed=_to_missed(missed),
            catch_up=catch_up,
            align=align,
            key=key,
        )

    @classmethod
    def crontab(
        cls,
        expression: str,
        *,
        tz: str | None = "UTC",
        start: Moment | None = None,
        end: Moment | None = None,
        limit: int | None = None,
        missed: Missed | str = Missed.SKIP,
        catch_up: int = DEFAULT_CATCH_UP,
        key: str | None = None,
    ) -> "Repeat":
        """Repeat by a cron expression of 5 fields, or 6 with seconds first, in a time zone."""
        return cls(
            cron=expression,
            tz="UTC" if tz is None else tz,
            start_ms=_to_ms(start, "start"),
            end_ms=_to_ms(end, "end"),
            limit=limit,
            missed=_to_missed(missed),
            catch_up=catch_up,
            key=key,
        )

    @property
    def rule(self) -> str:
        """The rule in a readable text: `every:60000` or `cron:30 2 * * *:Europe/Berlin`."""
        if self.cron is None:
            return f"every:{self.every_ms}"

        return f"cron:{self.cron}:{self.tz}"

    def key_for(self, name: str) -> str:
        """The key of the series of jobs of that name: the caller's own, else rule and name.

        The name comes last and nothing before it can be read in two ways, so no two series of
        different names or rules share a key, whatever colons the name holds.
        """
        return f"{self.rule}:{check_job_name(name)}" if self.key is None else self.key

    def anchor(self, now_ms: int) -> int:
        """Where a series that is added now is anchored: at its start if it has one."""
        return now_ms if self.start_ms is None else self.start_ms

    def first(self, now_ms: int) -> int | None:
        """The first occurrence of a series that is added now; it is after now."""
        return self.next_after(now_ms, self.anchor(now_ms))

    def next_after(self, after_ms: int, anchor_ms: int) -> int | None:
        """The first occurrence after that time; None when the series is over by then."""
        low = max(after_ms, self._start_ms - 1)
        if low >= self._end_ms:
            return None

        if self.every_ms is not None:
            base = 0 if self.align else anchor_ms
            found_ms = low + self.every_ms - (low - base) % self.every_ms
        else:
            found = _read_cron(self.cron, self.tz).next(low // 1000)
            if found is None:
                return None
            found_ms = found * 1000

        return found_ms if found_ms <= self._end_ms else None

    def newest(self, count: int, after_ms: int, until_ms: int, anchor_ms: int) -> tuple[int, ...]:
        """The last `count` occurrences after one time and up to another, oldest first."""
        low, high = max(after_ms, self._start_ms - 1), min(until_ms, self._end_ms)
        if self.every_ms is not None:
            base = 0 if self.align else anchor_ms
            last = high - (high - base) % self.every_ms
            oldest = max(last - (count - 1) * self.every_ms, low + 1)
            first = oldest + (last - oldest) % self.every_ms
            return tuple(range(first, last + 1, self.every_ms))

        cron = _read_cron(self.cron, self.tz)
        found: list[int] = []
        instant = cron.previous(high // 1000 + 1)
        while len(found) < count and instant is not None and instant * 1000 > low:
            found.append(instant * 1000)
            instant = cron.previous(instant)

        return tuple(reversed(found))

    def to_text(self) -> bytes:
        """The stored form: JSON text of what differs from the defaults."""
        return orjson.dumps(
            {
                field.name: value
                for field in fields(self)
                if (value := getattr(self, field.name)) != field.default
            }
        )

    @classmethod
    def from_text(cls, text: bytes) -> "Repeat":
        """The reverse of `to_text`; members that are not known are ignored.

        Raises InvalidInput for a rule that nobody could have meant.
        """
        try:
            members = orjson.loads(text)
        except orjson.JSONDecodeError as error:
            raise InvalidInput(f"a stored repeat rule is not JSON: {error}") from error
        if not isinstance(members, dict):
            raise InvalidInput(f"a stored repeat rule must be an object: {members!r}")

        known = {field.name for field in fields(cls)}
        return cls(**{name: value for name, value in members.items() if name in known})

    @property
    def _start_ms(self) -> int:
        return 0 if self.start_ms is None else self.start_ms

    @property
    def _end_ms(self) -> int:
        return LAST_MS if self.end_ms is None else self.end_ms


def _read_cron(expression: str | None, tz: str) -> "Cron":
    # loaded when first needed: croniter takes some 20 ms, which a queue without crons saves
    from sandq.model.cron import read_cron

    for text in (expression, tz):
        if not isinstance(text, str):
            raise InvalidInput(f"cron expression and time zone must be texts: {text!r}")

    return read_cron(expression, tz)


def _to_ms(value: Moment | None, what: str) -> int | None:
    return None if value is None else to_moment_ms(value, what)


def _to_missed(value: str) -> Missed:
    try:
        return Missed(value)
    except ValueError as error:
        hint = nearest(value, [missed.value for missed in Missed])
        raise InvalidInput(f"missed {value!r} is not known; {hint}") from error
