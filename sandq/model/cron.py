"""Cron expressions: what croniter reads, checked, and put onto the clocks of a time zone.

Five fields (minute hour day month weekday), or six with seconds in front. `*`, lists, ranges,
steps, names (MON, JAN), `?`, `L` (last) and `MON#2` are croniter's. If day and weekday are both
given, either is enough, as in every cron. Refused are a field for years, `H` and `R` (they stand
for chance), `@reboot`, and what means something else than it seems to: `9-9`, `*/90`.

When the clocks change, the hour field decides:

| hour field              | clocks go forward               | clocks go back               |
|-------------------------|---------------------------------|------------------------------|
| numbers: `2`, `1,2,14`  | a time left out fires at once   | a time shown twice fires     |
|                         | after the gap, with others once | once, the first time         |
| `*`, `*/2`, `1-3`       | a time left out does not fire   | both times, by elapsed time  |

So `30 2 * * *` runs once every day, and `*/10 * * * *` every ten minutes.
"""

import re
from copy import copy
from dataclasses import dataclass
from functools import lru_cache

from croniter import CroniterBadDateError, croniter

from sandq.errors import InvalidInput
from sandq.model.names import nearest
from sandq.model.zone import Zone, read_zone

#: Longest expression, in characters: a list of all minutes and one of all seconds fit.
MAX_LENGTH = 512

#: An expression without a match for so long never matches. The rarest there is, a 29 February
#: on a given weekday, comes again after 40 years at the latest.
HORIZON_YEARS = 50

#: Where the search for a first match begins: 1 January 2000, in seconds since 1970.
_ORIGIN = 946_684_800

_ALIASES = {
    "@YEARLY": "0 0 1 1 *",
    "@ANNUALLY": "0 0 1 1 *",
    "@MONTHLY": "0 0 1 * *",
    "@WEEKLY": "0 0 * * 0",
    "@DAILY": "0 0 * * *",
    "@MIDNIGHT": "0 0 * * *",
    "@HOURLY": "0 * * * *",
}

# field -> how many values it has
_FIELDS = {"second": 60, "minute": 60, "hour": 24, "day": 31, "month": 12, "weekday": 7}

_NUMBERS = re.compile(r"[0-9,]+")


@dataclass(frozen=True, slots=True)
class Cron:
    """A cron expression in a time zone; made by `read_cron`. Instants are seconds since 1970."""

    expression: str
    zone: Zone
    numbered_hours: bool
    _matcher: "croniter[float]"

    def next(self, instant: int) -> int | None:
        """The first match after an instant; None if there is none within 50 years."""
        wall = self.zone.wall(instant)
        turn = self.zone.turn(wall)
        if turn is not None and self.numbered_hours:
            # what is shown for the second time has fired
            wall = wall if instant < turn.at else turn.at + turn.before - 1
        elif turn is not None and instant < turn.at:
            found = self._wall_after(wall)
            if found is not None and found < turn.at + turn.before:
                return found - turn.before
            wall = turn.at + turn.after - 1

        until = wall + HORIZON_YEARS * 366 * 86_400
        while (found := self._wall_after(wall)) is not None and found < until:
            turn = self.zone.turn(found)
            if turn is None or self.numbered_hours:
                return self.zone.first_instant(found)
            if not turn.skips:
                first = found - turn.before
                return first if first > instant else found - turn.after
            wall = turn.at + turn.after - 1

        return None

    def previous(self, instant: int) -> int | None:
        """The last match before an instant; None if there is none within 50 years."""
        wall = self.zone.wall(instant)
        turn = self.zone.turn(wall)
        if turn is not None and instant >= turn.at:
            # the clocks show this for the second time
            if not self.numbered_hours:
                found = self._wall_before(wall)
                if found is not None and found >= turn.at + turn.after:
                    return found - turn.after
            wall = turn.at + turn.before

        until = wall - HORIZON_YEARS * 366 * 86_400
        while (found := self._wall_before(wall)) is not None and found > until:
            turn = self.zone.turn(found)
            if turn is None:
                return self.zone.first_instant(found)
            if not turn.skips:
                second = found - turn.after
                late = second < instant and not self.numbered_hours
                return second if late else found - turn.before
            if self.numbered_hours and turn.at < instant:
                return turn.at
            wall = turn.at + turn.before

        return None

    # croniter moves on by every answer, so each question goes to a copy of its own

    def _wall_after(self, wall: int) -> int | None:
        try:
            return int(copy(self._matcher).get_next(float, start_time=wall))
        except CroniterBadDateError:
            return None

    def _wall_before(self, wall: int) -> int | None:
        try:
            return int(copy(self._matcher).get_prev(float, start_time=wall))
        except CroniterBadDateError:
            return None


@lru_cache(maxsize=1024)
def read_cron(expression: str, tz: str) -> Cron:
    """The expression, in capitals and with single spaces, on the clocks of the zone `tz`.

    Raises InvalidInput for one that is not understood, not promised, or never matches.
    """
    if not isinstance(expression, str) or not expression.isascii():
        raise InvalidInput(f"cron expression must be a text like '30 2 * * *': {expression!r}")
    if len(expression) > MAX_LENGTH:
        raise InvalidInput(
            f"cron expression {expression[:40]!r}… is {len(expression)} characters long; "
            f"at most {MAX_LENGTH} are allowed"
        )

    zone = read_zone(tz)
    fields = _fields(expression)
    cron = Cron(
        expression=" ".join(fields.values()),
        zone=zone,
        numbered_hours=_NUMBERS.fullmatch(fields["hour"]) is not None,
        _matcher=croniter(
            " ".join(fields.values()),
            start_time=_ORIGIN,
            max_years_between_matches=HORIZON_YEARS,
            second_at_beginning=True,
        ),
    )
    if cron.next(_ORIGIN) is None:
        raise InvalidInput(
            f"cron expression {expression!r} never matches: there is no such day or time"
        )

    return cron


def _fields(expression: str) -> dict[str, str]:
    """The fields by name, each of them checked."""
    text = " ".join(expression.upper().split())
    if text.startswith("@") and text not in _ALIASES:
        hint = nearest(text.lower(), map(str.lower, _ALIASES))
        raise InvalidInput(f"cron expression {expression!r} is not known; {hint}")

    texts = _ALIASES.get(text, text).split()
    names = list(_FIELDS)[6 - len(texts) :]
    if len(texts) not in (5, 6):
        raise InvalidInput(
            f"cron expression {expression!r} has {len(texts)} fields; write 5 (minute hour day "
            "month weekday) or 6 with seconds first"
        )

    for place, (name, field) in enumerate(zip(names, texts, strict=True)):
        # alone among asterisks, so that the message can name it
        alone = " ".join("*" if other != place else field for other in range(len(texts)))
        wrong = _unpromised(field, _FIELDS[name])
        if wrong is None and not croniter.is_valid(alone, second_at_beginning=True):
            wrong = "is not understood or out of range"
        if wrong is not None:
            raise InvalidInput(f"cron expression {expression!r}: its {name} {field!r} {wrong}")

    return dict(zip(names, texts, strict=True))


def _unpromised(field: str, values: int) -> str | None:
    """What is wrong with a field that croniter would take."""
    # no name of a month or a day begins with one of them
    if field[0] in "HR":
        return "would be chosen by chance; write a number"

    for term in field.split(","):
        span, _, step = term.partition("/")
        if step.isdigit() and int(step) > values:
            return f"has a step longer than the field, which has {values} values"
        low, dash, high = span.partition("-")
        if dash and low.lstrip("0") == high.lstrip("0"):
            return f"would mean every value; write {low!r} for one"

    return None
