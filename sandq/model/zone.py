"""Time zones: how they are written, and what the clocks in them show.

| written                     | kept as         | meaning                                |
|-----------------------------|-----------------|----------------------------------------|
| UTC, Z, +00:00              | `UTC`           |                                        |
| +05:30, -0330, +01          | `+05:30`, …     | always that far from UTC               |
| Europe/Berlin, …            | the same        | IANA's rules, with summer time         |

An instant is in whole seconds since 1970. A wall time is what the clocks of a zone show at an
instant, counted in seconds as though the zone were UTC, so that it is a plain number too.
Offsets change now and then. Going forward, clocks leave out a stretch of wall times; going
back, they show one twice.
"""

import re
from bisect import bisect_left
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from sandq.errors import InvalidInput
from sandq.model.names import nearest

_OFFSET = re.compile(r"([+-])([01][0-9]|2[0-3])(?::?([0-5][0-9]))?")
_EPOCH = datetime(1970, 1, 1)
_SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Turn:
    """A change of the clocks: from the instant `at` on the offset is `after`, until then `before`.

    Wall times from `at + before` to `at + after` are left out when clocks go forward; those from
    `at + after` to `at + before` are shown twice when they go back. The upper end is not included.
    """

    at: int
    before: int
    after: int

    @property
    def skips(self) -> bool:
        """Whether clocks go forward."""
        return self.after > self.before


@dataclass(frozen=True, slots=True)
class Zone:
    """A time zone; made by `read_zone`. Offsets are in seconds east of UTC."""

    name: str
    rules: tzinfo

    def wall(self, instant: int) -> int:
        """What the clocks show at an instant."""
        return instant + self._offset(instant)

    def turn(self, wall: int) -> Turn | None:
        """The change of the clocks that leaves out or repeats this wall time, if one does."""
        time = _EPOCH + timedelta(seconds=wall)
        # for wall times left out as well, fold 0 has the offset before the change
        before, after = self._offset_at(time, 0), self._offset_at(time, 1)
        if before == after:
            return None

        # between these two lies the change, and nothing else: a stretch lasts an hour or so
        low, high = sorted((wall - before, wall - after))
        instants = range(low, high + 1)
        at = instants[bisect_left(instants, True, key=lambda i: self._offset(i) == after)]

        return Turn(at, before, after)

    def first_instant(self, wall: int) -> int:
        """When the clocks show a wall time for the first time; if never, when they skip it."""
        turn = self.turn(wall)
        if turn is not None:
            return turn.at if turn.skips else wall - turn.before

        return wall - self._offset_at(_EPOCH + timedelta(seconds=wall), 0)

    def _offset(self, instant: int) -> int:
        return _seconds(datetime.fromtimestamp(instant, self.rules).utcoffset())

    def _offset_at(self, time: datetime, fold: int) -> int:
        return _seconds(time.replace(tzinfo=self.rules, fold=fold).utcoffset())


def _seconds(offset: timedelta | None) -> int:
    # only a naive time has none
    return 0 if offset is None else offset // _SECOND


def read_zone(text: str) -> Zone:
    """The zone of that name or offset; raises InvalidInput with a hint if there is none."""
    if not isinstance(text, str):
        raise InvalidInput(f"time zone must be a text such as 'Europe/Berlin': {text!r}")
    if text.upper() in ("UTC", "Z"):
        return Zone("UTC", UTC)
    if (match := _OFFSET.fullmatch(text)) is not None:
        return _fixed(match)
    if text[:1] in ("+", "-"):
        raise InvalidInput(f"time zone {text!r} is not an offset; write +05:30 or -0330")
    if text == "localtime":
        raise InvalidInput("time zone 'localtime' differs from machine to machine; name the zone")

    try:
        return Zone(text, ZoneInfo(text))
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise InvalidInput(_unknown(text)) from error


def _fixed(match: re.Match[str]) -> Zone:
    sign, hours, minutes = match[1], match[2], match[3] or "00"
    offset = timedelta(hours=int(hours), minutes=int(minutes))
    if not offset:
        return Zone("UTC", UTC)

    return Zone(f"{sign}{hours}:{minutes}", timezone(offset if sign == "+" else -offset))


def _unknown(text: str) -> str:
    known = available_timezones()
    if not known:
        return (
            f"time zone {text!r} cannot be looked up: this machine has no time zone database; "
            "install the package tzdata (pip install tzdata)"
        )

    hint = nearest(text, known)
    # all of them would be 600 names
    if hint.startswith("known are"):
        hint = "write UTC, an offset like +05:30 or an IANA name like Europe/Berlin"

    return f"time zone {text!r} is not known; {hint}"
