"""How long a failed job waits before its next attempt.

`n` below is the number of failed attempts so far, so it is 1 after the first failure.

| kind        | delay before the next attempt                             | source        |
|-------------|-----------------------------------------------------------|---------------|
| fixed       | d, d, d, …                                                | seeds 0 and 3 |
| exponential | (2^n - 1) · d: d, 3d, 7d, 15d, …                          | seed 0 (Bull) |
| geometric   | d · m^(n - 1), at most max: d, 2d, 4d, 8d, …; then ± jitter | seeds 3 and 4 |
| list        | the n-th of a list; its last one repeats                  | seed 2        |
| named       | what a function of the supervisor answers                 | seed 0        |

No delay is below 0 or above 100 years.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import orjson

from sandq.errors import InvalidInput
from sandq.model.checks import check_integer, check_label
from sandq.model.duration import MAX_MS, Duration, to_ms
from sandq.model.names import nearest
from sandq.model.payload import encode

Kind = Literal["fixed", "exponential", "geometric", "list", "named"]
KINDS: tuple[Kind, ...] = get_args(Kind)

#: Most entries of a list of delays; the last one repeats, so no list has to be long.
MAX_DELAYS = 1000

#: A larger multiplier is taken for a mistake.
MAX_MULTIPLIER = 1_000_000

#: Longest options of a named backoff, in bytes of JSON text: every claim carries them.
MAX_OPTIONS_BYTES = 16 * 1024


@dataclass(frozen=True, slots=True)
class Backoff:
    """The delay between attempts.

    Build it with `Backoff.fixed`, `exponential`, `geometric`, `delays` or `named`; which of the
    fields mean anything depends on the kind. `options_text` is JSON text with sorted names, so
    that equal options are equal texts.
    """

    kind: Kind
    delay_ms: int = 0
    multiplier: float = 2.0
    max_ms: int | None = None
    jitter_ms: int = 0
    delays_ms: tuple[int, ...] = ()
    name: str = ""
    options_text: bytes = b""

    @classmethod
    def fixed(cls, delay: Duration) -> "Backoff":
        """Always wait `delay` (seconds, timedelta or text)."""
        return cls("fixed", to_ms(delay, "backoff delay"))

    @classmethod
    def exponential(cls, delay: Duration) -> "Backoff":
        """Wait `delay`, then 3, 7, 15 times as long: Bull's curve (seed 0)."""
        return cls("exponential", to_ms(delay, "backoff delay"))

    @classmethod
    def geometric(
        cls,
        delay: Duration,
        multiplier: float = 2,
        max: Duration | None = None,
        jitter: Duration = 0,
    ) -> "Backoff":
        """Wait `delay`, then each time `multiplier` times as long, but no longer than `max`.

        At last a random part of `jitter` is added or taken away, so that jobs that failed
        together do not come back together. Source: seeds 3 and 4.
        """
        return cls(
            "geometric",
            to_ms(delay, "backoff delay"),
            multiplier=_check_multiplier(multiplier),
            max_ms=None if max is None else to_ms(max, "backoff max"),
            jitter_ms=to_ms(jitter, "backoff jitter"),
        )

    @classmethod
    def delays(cls, delays: Sequence[Duration]) -> "Backoff":
        """Wait the first of `delays`, then the second, …; the last one repeats (seed 2)."""
        if isinstance(delays, str | bytes) or not isinstance(delays, Sequence):
            raise InvalidInput(f"backoff delays must be a list of durations: {delays!r}")

        return cls(
            "list",
            delays_ms=_check_delays(
                tuple(to_ms(delay, f"backoff delay {n}") for n, delay in enumerate(delays, 1))
            ),
        )

    @classmethod
    def named(cls, name: str, /, **options: Any) -> "Backoff":
        """Wait as long as the function says that the supervisor has under `name` (seed 0).

        It is given `options`, which are JSON values. See `BackoffFunction`.
        """
        return cls(
            "named", name=check_label("backoff name", name), options_text=_options_text(options)
        )

    def after(self, failures: int, spread: float = 0.0) -> int:
        """Milliseconds to wait after the `failures`-th failure, which is at least 1.

        `spread` is a number from -1 to 1 that says which part of the jitter counts. A named
        backoff is its function's to say: here it raises InvalidInput.
        """
        match self.kind:
            case "fixed":
                return self.delay_ms
            case "exponential":
                # 2^64 times anything is past the longest delay already
                return min(((1 << min(failures, 64)) - 1) * self.delay_ms, MAX_MS)
            case "geometric":
                delay_ms = self._grown_ms(failures) + spread * self.jitter_ms
                return min(max(round(delay_ms), 0), MAX_MS)
            case "list":
                return self.delays_ms[min(failures, len(self.delays_ms)) - 1]
            case "named":
                raise InvalidInput(f"backoff {self.name!r} is a function's to say; call that")

    @property
    def options(self) -> dict[str, Any]:
        """The options of a named backoff, a new copy each time."""
        options: dict[str, Any] = orjson.loads(self.options_text) if self.options_text else {}

        return options

    def to_member(self) -> dict[str, Any]:
        """The `backoff` member of a job's stored options."""
        match self.kind:
            case "fixed" | "exponential":
                return {"type": self.kind, "delay_ms": self.delay_ms}
            case "geometric":
                return {
                    "type": self.kind,
                    "delay_ms": self.delay_ms,
                    "multiplier": self.multiplier,
                    **({} if self.max_ms is None else {"max_ms": self.max_ms}),
                    **({"jitter_ms": self.jitter_ms} if self.jitter_ms else {}),
                }
            case "list":
                return {"type": self.kind, "delays_ms": list(self.delays_ms)}
            case "named":
                options = {"options": self.options} if self.options_text else {}
                return {"type": self.kind, "name": self.name, **options}

    @classmethod
    def from_member(cls, member: Any) -> "Backoff":
        """The reverse of `to_member`; raises InvalidInput for anything else.

        Members that are not known are ignored: a newer producer may have written them.
        """
        if not isinstance(member, dict) or not isinstance(member.get("type"), str):
            raise InvalidInput(f"backoff must have the members type and those it takes: {member!r}")

        match member["type"]:
            case "fixed" | "exponential" as kind:
                return cls("fixed" if kind == "fixed" else "exponential", _ms(member, "delay_ms"))
            case "geometric":
                return cls(
                    "geometric",
                    _ms(member, "delay_ms"),
                    multiplier=_check_multiplier(member.get("multiplier", 2)),
                    max_ms=None if member.get("max_ms") is None else _ms(member, "max_ms"),
                    jitter_ms=_ms(member, "jitter_ms", 0),
                )
            case "list":
                entries = member.get("delays_ms")
                if not isinstance(entries, list):
                    raise InvalidInput(f"backoff delays_ms must be an array: {entries!r}")
                for entry in entries:
                    check_integer("backoff delays_ms", entry, 0, MAX_MS)
                return cls("list", delays_ms=_check_delays(tuple(entries)))
            case "named":
                options = member.get("options", {})
                if not isinstance(options, dict):
                    raise InvalidInput(f"backoff options must be an object: {options!r}")
                return cls(
                    "named",
                    name=check_label("backoff name", member.get("name")),
                    options_text=_options_text(options),
                )
            case kind:
                raise InvalidInput(f"backoff type {kind!r} is not known; {nearest(kind, KINDS)}")

    def _grown_ms(self, failures: int) -> float:
        """The geometric curve without its jitter."""
        most_ms = MAX_MS if self.max_ms is None else self.max_ms
        if self.delay_ms == 0:
            return 0
        try:
            return min(self.delay_ms * self.multiplier ** (failures - 1), most_ms)
        except OverflowError:
            return most_ms


def _ms(member: dict[str, Any], name: str, default: int | None = None) -> int:
    return check_integer(f"backoff {name}", member.get(name, default), 0, MAX_MS)


def _check_multiplier(value: Any) -> float:
    # below 1 the waits would shrink, which helps nobody who waits for something to recover;
    # NaN is not between any two numbers
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not 1 <= value <= MAX_MULTIPLIER
    ):
        raise InvalidInput(
            f"backoff multiplier must be a number from 1 to {MAX_MULTIPLIER}: {value!r}"
        )

    return float(value)


def _check_delays(delays_ms: tuple[int, ...]) -> tuple[int, ...]:
    if not 1 <= len(delays_ms) <= MAX_DELAYS:
        raise InvalidInput(
            f"backoff delays must have 1 to {MAX_DELAYS} entries, not {len(delays_ms)}; the last "
            "one repeats"
        )

    return delays_ms


def _options_text(options: dict[str, Any]) -> bytes:
    if not options:
        return b""

    text = encode(options, "backoff options")
    if len(text) > MAX_OPTIONS_BYTES:
        raise InvalidInput(
            f"backoff options are {len(text)} bytes of JSON; at most {MAX_OPTIONS_BYTES} are "
            "allowed"
        )

    return orjson.dumps(orjson.loads(text), option=orjson.OPT_SORT_KEYS)
