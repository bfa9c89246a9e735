"""How many jobs of a queue may start in a span of time."""

from dataclasses import dataclass
from typing import Any

from sandq.errors import InvalidInput
from sandq.model.checks import check_flag, check_integer
from sandq.model.duration import MAX_MS, Duration, to_ms

#: A higher limit is no limit: no queue starts so many jobs at once.
MAX_STARTS = 1_000_000


@dataclass(frozen=True, slots=True)
class RateLimit:
    """At most `max` starts in each window of `duration`, over all supervisors (seed 0).

    - `max`: starts in one window, from 1 to 1,000,000.
    - `duration`: how long a window is (seconds, timedelta or text); it begins with the first
      start in it. Kept as seconds.
    - `bounce_back`: jobs over the limit stay waiting, at their place; else they become delayed
      until the window ends.
    - `per_group`: each group has windows of its own.

    Raises InvalidInput for a value out of range.
    """

    max: int
    duration: Duration
    bounce_back: bool = False
    per_group: bool = False

    def __post_init__(self) -> None:
        check_integer("rate limit max", self.max, 1, MAX_STARTS)
        duration_ms = to_ms(self.duration, "rate limit duration")
        if duration_ms == 0:
            raise InvalidInput("rate limit duration must be more than zero")
        object.__setattr__(self, "duration", duration_ms / 1000)
        check_flag("rate limit bounce_back", self.bounce_back)
        check_flag("rate limit per_group", self.per_group)

    @property
    def duration_ms(self) -> int:
        """The duration in whole milliseconds."""
        return to_ms(self.duration, "rate limit duration")

    def to_member(self) -> dict[str, Any]:
        """The `rate_limit` member of a queue's stored settings."""
        return {
            "max": self.max,
            "duration_ms": self.duration_ms,
            **({"bounce_back": True} if self.bounce_back else {}),
            **({"per_group": True} if self.per_group else {}),
        }

    @classmethod
    def from_member(cls, member: Any) -> "RateLimit":
        """The reverse of `to_member`; raises InvalidInput for anything else."""
        if not isinstance(member, dict):
            raise InvalidInput(f"rate_limit must have the members max and duration_ms: {member!r}")

        duration_ms = check_integer("rate_limit duration_ms", member.get("duration_ms"), 1, MAX_MS)

        return cls(
            member.get("max", 0),
            duration_ms / 1000,
            bounce_back=member.get("bounce_back", False),
            per_group=member.get("per_group", False),
        )
