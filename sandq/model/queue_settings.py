"""What holds for a whole queue, whoever works on it: stored with the queue, so all agree.

| setting             | default | meaning                                         | source        |
|---------------------|---------|-------------------------------------------------|---------------|
| `max_size`          | none    | most waiting jobs; adding another is refused    | seed 4        |
| `max_delay`         | none    | longest delay a job may be added with           | seed 3        |
| `concurrency`       | none    | most jobs running at once, over all supervisors | –             |
| `group_concurrency` | none    | the same for the jobs of one group              | –             |
| `rate_limit`        | none    | most starts in a span of time                   | seed 0        |
| `group_key`         | none    | where in a job's data its group is: `tenant.id` | seed 0        |
| `metrics_points`    | 1440    | minutes of which counts are kept; 0: none       | seed 0        |
| `defaults`          | none    | options of jobs that do not name them           | seeds 0 and 2 |
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import orjson

from sandq.errors import InvalidInput
from sandq.model.checks import check_integer, check_label
from sandq.model.defaults import check_defaults, defaults_from_members, defaults_to_members
from sandq.model.duration import MAX_MS, Duration, to_ms
from sandq.model.rate_limit import RateLimit

#: A queue that may be larger than this needs no limit.
MAX_SIZE = 1_000_000_000

#: More jobs at once than this are taken for a mistake.
MAX_CONCURRENCY = 1_000_000

#: Minutes of counts kept when nothing is said: a day.
METRICS_POINTS = 1440

#: Most minutes of counts: eight weeks (Bull's longest is four).
MAX_METRICS_POINTS = 80_640


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueSettings:
    """The settings of a queue; the table above says what each means. None: no limit.

    Durations are kept as seconds, and `defaults` in one form for each value, so that settings
    that mean the same are equal. Raises InvalidInput (UnknownOption in `defaults`).
    """

    max_size: int | None = None
    max_delay: Duration | None = None
    concurrency: int | None = None
    group_concurrency: int | None = None
    rate_limit: RateLimit | None = None
    group_key: str | None = None
    metrics_points: int = METRICS_POINTS
    # not part of the hash: a dict has none
    defaults: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        for name, most in (
            ("max_size", MAX_SIZE),
            ("concurrency", MAX_CONCURRENCY),
            ("group_concurrency", MAX_CONCURRENCY),
        ):
            if getattr(self, name) is not None:
                check_integer(name, getattr(self, name), 1, most)
        check_integer("metrics_points", self.metrics_points, 0, MAX_METRICS_POINTS)
        if self.rate_limit is not None and not isinstance(self.rate_limit, RateLimit):
            raise InvalidInput(f"rate_limit must be a RateLimit: {self.rate_limit!r}")
        if self.group_key is not None:
            check_group_key(self.group_key)
        object.__setattr__(self, "defaults", check_defaults(self.defaults))
        if self.max_delay is not None:
            self._check_max_delay(to_ms(self.max_delay, "max_delay"))

    def _check_max_delay(self, max_delay_ms: int) -> None:
        if max_delay_ms == 0:
            raise InvalidInput("max_delay must be more than zero; leave it out for none")
        object.__setattr__(self, "max_delay", max_delay_ms / 1000)
        if to_ms(self.defaults.get("delay", 0), "delay") > max_delay_ms:
            raise InvalidInput(
                f"the default delay of {self.defaults['delay']} s is longer than max_delay, "
                f"{max_delay_ms / 1000} s, so no job could be added"
            )

    @property
    def max_delay_ms(self) -> int | None:
        """The longest delay in whole milliseconds."""
        return None if self.max_delay is None else to_ms(self.max_delay, "max_delay")

    def to_text(self) -> bytes:
        """The stored form: a JSON object of what differs from the defaults."""
        members: dict[str, Any] = {
            "max_size": self.max_size,
            "max_delay_ms": self.max_delay_ms,
            "concurrency": self.concurrency,
            "group_concurrency": self.group_concurrency,
            "rate_limit": None if self.rate_limit is None else self.rate_limit.to_member(),
            "group_key": self.group_key,
            "metrics_points": None
            if self.metrics_points == METRICS_POINTS
            else self.metrics_points,
            "defaults": defaults_to_members(self.defaults) or None,
        }

        return orjson.dumps({name: value for name, value in members.items() if value is not None})

    @classmethod
    def from_text(cls, text: bytes | str) -> "QueueSettings":
        """The reverse of `to_text`; an empty text means the defaults.

        Members that are not known are ignored: a newer version may have written them. Raises
        InvalidInput.
        """
        if not text:
            return cls()

        try:
            members = orjson.loads(text)
        except orjson.JSONDecodeError as error:
            raise InvalidInput(f"stored settings are not JSON: {error}") from error
        if not isinstance(members, dict):
            raise InvalidInput(f"stored settings must be an object: {members!r}")

        return cls(
            **{
                setting.name: _READERS.get(setting.name, _as_it_is)(members[member])
                for setting in fields(cls)
                if members.get(member := _MEMBERS.get(setting.name, setting.name)) is not None
            }
        )

    def to_meta(self) -> dict[str, str]:
        """The fields of the queue's `meta` hash that the scripts read: only what is set."""
        limit = self.rate_limit
        numbers = {
            "concurrency": self.concurrency,
            "group_concurrency": self.group_concurrency,
            "rate_max": None if limit is None else limit.max,
            "rate_ms": None if limit is None else limit.duration_ms,
            "rate_group": 1 if limit is not None and limit.per_group else None,
            "rate_bounce": 1 if limit is not None and limit.bounce_back else None,
            "max_size": self.max_size,
            "max_delay": self.max_delay_ms,
            "points": None if self.metrics_points == METRICS_POINTS else self.metrics_points,
        }

        return {name: str(number) for name, number in numbers.items() if number is not None}


def check_group_key(group_key: Any) -> str:
    """`group_key`, if it is a path into a job's data: member names with dots between them."""
    check_label("group_key", group_key)
    if "" in group_key.split("."):
        raise InvalidInput(
            f"group_key {group_key!r} must be member names with single dots between them, such "
            "as tenant.id"
        )

    return str(group_key)


def _max_delay(value: Any) -> float:
    return check_integer("max_delay_ms", value, 1, MAX_MS) / 1000


def _defaults(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InvalidInput(f"stored defaults must be an object: {value!r}")

    return defaults_from_members(value)


def _as_it_is(value: Any) -> Any:
    # what it is, QueueSettings checks
    return value


_MEMBERS = {"max_delay": "max_delay_ms"}
_READERS: dict[str, Callable[[Any], Any]] = {
    "max_delay": _max_delay,
    "rate_limit": RateLimit.from_member,
    "defaults": _defaults,
}
