"""How long a failed job waits before its next attempt.

`n` below is the number of failed attempts so far, so it is 1 after the first failure.

| kind        | delay before the next attempt   | source         |
|-------------|---------------------------------|----------------|
| fixed       | d, d, d, …                      | seeds 0 and 3  |
| exponential | (2^n - 1) · d: d, 3d, 7d, 15d, … | seed 0 (Bull)  |
"""

from dataclasses import dataclass
from typing import Any, Literal

from sandq.errors import InvalidInput
from sandq.model.duration import MAX_MS, Duration, to_ms
from sandq.model.names import nearest

Kind = Literal["fixed", "exponential"]
KINDS: tuple[Kind, ...] = ("fixed", "exponential")


@dataclass(frozen=True, slots=True)
class Backoff:
    """The delay between attempts; build it with `Backoff.fixed` or `Backoff.exponential`."""

    kind: Kind
    delay_ms: int

    @classmethod
    def fixed(cls, delay: Duration) -> "Backoff":
        """Always wait `delay` (seconds, timedelta or text)."""
        return cls("fixed", to_ms(delay, "backoff delay"))

    @classmethod
    def exponential(cls, delay: Duration) -> "Backoff":
        """Wait `delay`, then 3, 7, 15 times as long: Bull's curve (seed 0)."""
        return cls("exponential", to_ms(delay, "backoff delay"))

    def after(self, failures: int) -> int:
        """Milliseconds to wait after the `failures`-th failure, which is at least 1."""
        if self.kind == "fixed":
            return self.delay_ms

        # 2^64 times anything is past the longest delay already
        return min(((1 << min(failures, 64)) - 1) * self.delay_ms, MAX_MS)

    def to_member(self) -> dict[str, Any]:
        """The `backoff` member of a job's stored options."""
        return {"type": self.kind, "delay_ms": self.delay_ms}

    @classmethod
    def from_member(cls, member: Any) -> "Backoff":
        """The reverse of `to_member`; raises InvalidInput for anything else."""
        match member:
            case {"type": str(kind), "delay_ms": int(delay_ms)} if not isinstance(delay_ms, bool):
                if kind not in KINDS:
                    raise InvalidInput(
                        f"backoff type {kind!r} is not known; {nearest(kind, KINDS)}"
                    )
                if not 0 <= delay_ms <= MAX_MS:
                    raise InvalidInput(f"backoff delay_ms {delay_ms} is out of range")
                return cls("fixed" if kind == "fixed" else "exponential", delay_ms)
            case _:
                raise InvalidInput(f"backoff must have the members type and delay_ms: {member!r}")
