"""Cron expressions: against an oracle that looks at every minute, above all when clocks change."""

import calendar
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandq.errors import InvalidInput
from sandq.model.cron import MAX_LENGTH, read_cron
from sandq.model.zone import read_zone

# zone -> days on which its clocks change, or just any days where they never do
CHANGES = {
    "Europe/Berlin": ["2026-03-29", "2026-10-25"],
    "America/New_York": ["2026-03-08", "2026-11-01"],
    "Australia/Lord_Howe": ["2026-04-04", "2026-10-03"],  # by half an hour
    "Africa/Casablanca": ["2026-02-15", "2026-03-22"],  # for Ramadan
    "Africa/Cairo": ["2026-04-23", "2026-10-29"],  # at midnight
    "Asia/Kolkata": ["2026-03-29"],
    "UTC": ["2026-10-25"],
    "+05:30": ["2026-03-29"],
}
DAYS = [(zone, day) for zone, days in CHANGES.items() for day in days]


def instant(text):
    """Seconds since 1970 of an ISO time, in UTC unless it says otherwise."""
    time = datetime.fromisoformat(text)
    return int((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp())


def shown(second, zone):
    """What the clocks of a zone show, as a time without zone."""
    return datetime.fromtimestamp(second, read_zone(zone).rules).replace(tzinfo=None)


def nexts(expression, zone, after, count):
    cron, found = read_cron(expression, zone), []
    while len(found) < count and (after := cron.next(after)) is not None:
        found.append(after)

    return found


def previous(expression, zone, before, count):
    cron, found = read_cron(expression, zone), []
    while len(found) < count and (before := cron.previous(before)) is not None:
        found.append(before)

    return found


# ---------------------------------------------------------------------------------------------
# the oracle


@cache
def change_on(zone, day):
    """When the clocks change, seconds since 1970; the middle of the day if they do not."""
    start = instant(day) - 12 * 3600
    for (_, before), (second, wall) in pairwise(walls(zone, start, start + 48 * 3600, 60)):
        if wall - before != timedelta(minutes=1):
            return second

    return start + 24 * 3600


@cache
def walls(zone, start, end, step):
    """What the clocks show, step by step."""
    return [(second, shown(second, zone)) for second in range(start, end, step)]


def matches(fields, wall):
    seconds, minutes, hours, days, months, weekdays = fields
    if not (
        wall.second in seconds
        and wall.minute in minutes
        and wall.hour in hours
        and (months is None or wall.month in months)
    ):
        return False
    last = calendar.monthrange(wall.year, wall.month)[1]
    day = days is None or wall.day in days or ("L" in days and wall.day == last)
    weekday = weekdays is None or wall.isoweekday() % 7 in weekdays

    # either is enough if both are given
    return day or weekday if None not in (days, weekdays) else day and weekday


def oracle(fields, numbered_hours, zone, start, end, step):
    """Every match from start to end, found by looking at every minute or second."""
    found, seen, last = [], set(), None
    unit = timedelta(seconds=step)
    for second, wall in walls(zone, start, end, step):
        fires = matches(fields, wall)
        if numbered_hours:
            fires = fires and wall not in seen
            left_out = last is not None and wall - last > unit and last + unit
            while left_out and left_out < wall:
                fires = fires or matches(fields, left_out)
                left_out += unit
            seen.add(wall)
        if fires:
            found.append(second)
        last = wall

    return found


# ---------------------------------------------------------------------------------------------
# expressions, each field as a text and as the numbers it stands for


@st.composite
def spans(draw, low, high):
    """A field that is no list of numbers: a wildcard, a step or a range."""
    match draw(st.sampled_from(["all", "every", "from", "range", "part"])):
        case "all":
            return "*", set(range(low, high + 1))
        case "every":
            step = draw(st.integers(2, high))
            return f"*/{step}", set(range(low, high + 1, step))
        case "from":
            first, step = draw(st.integers(low, high)), draw(st.integers(1, high))
            return f"{first}/{step}", set(range(first, high + 1, step))
        case kind:
            first, last = sorted(draw(st.sets(st.integers(low, high), min_size=2, max_size=2)))
            step = draw(st.integers(1, 7)) if kind == "part" else 1
            text = f"{first}-{last}" + (f"/{step}" if kind == "part" else "")
            return text, set(range(first, last + 1, step))


@st.composite
def numbers(draw, values, most=3):
    chosen = draw(st.lists(values, min_size=1, max_size=most))
    return ",".join(map(str, chosen)), set(chosen)


# mostly those around the changes
HOURS = st.sampled_from([0, 1, 1, 2, 2, 3, 4, 9, 22, 23, 23])

DAY_FIELDS = st.sampled_from([("*", None), ("?", None), ("L", {"L"})]) | numbers(
    st.sampled_from([1, 3, 4, 5, 8, 15, 22, 23, 24, 25, 28, 29, 31])
)
MONTH_FIELDS = st.sampled_from(
    [
        ("*", None),
        ("*", None),
        ("3,10", {3, 10}),
        ("jan-MAR", {1, 2, 3}),
        ("*/2", {1, 3, 5, 7, 9, 11}),
        ("OCT-4", {10, 11, 12, 1, 2, 3, 4}),
    ]
)
WEEKDAY_FIELDS = st.sampled_from(
    [
        ("*", None),
        ("?", None),
        ("SUN", {0}),
        ("7", {0}),
        ("5-7", {5, 6, 0}),
        ("sat-mon", {6, 0, 1}),
        ("1,4", {1, 4}),
    ]
)


@st.composite
def expressions(draw, seconds=False):
    """A text, what its fields stand for, and whether its hours are numbers only."""
    numbered = draw(st.booleans())
    second = draw(spans(0, 59) | numbers(st.integers(0, 59))) if seconds else ("", {0})
    minute = draw(spans(0, 59) | numbers(st.sampled_from([0, 1, 15, 30, 45, 59])))
    hour = draw(numbers(HOURS) if numbered else spans(0, 23))
    rest = draw(st.tuples(DAY_FIELDS, MONTH_FIELDS, WEEKDAY_FIELDS))
    texts, values = zip(second, minute, hour, *rest, strict=True)

    return " ".join(texts).strip(), values, numbered


# from the change on, in seconds; mostly close to it, where an hour is shown twice or left out
OFFSETS = (
    st.integers(-10 * 3600, 10 * 3600)
    | st.integers(-5400, 5400)
    | st.integers(-90, 90).map(lambda minutes: minutes * 60)
)


@given(st.sampled_from(DAYS), expressions(), OFFSETS)
@settings(max_examples=400)
def test_every_match_around_a_change_is_found_and_no_other(place, expression, offset):
    zone, day = place
    text, fields, numbered = expression
    start = instant(day) - 12 * 3600
    end = start + 48 * 3600
    expected = oracle(fields, numbered, zone, start, end, 60)
    middle = change_on(zone, day) + offset

    after = [second for second in expected if second > middle][:40]
    found = nexts(text, zone, middle, len(after) + 1)
    assert found[: len(after)] == after
    assert len(after) == 40 or len(found) == len(after) or found[-1] >= end

    before = [second for second in expected if second < middle][-40:]
    assert previous(text, zone, middle, len(before)) == before[::-1]


@given(
    st.sampled_from(DAYS),
    expressions(seconds=True),
    st.integers(-1800, 1800),
)
@settings(max_examples=60)
def test_six_fields_have_the_seconds_first(place, expression, offset):
    zone, day = place
    text, fields, numbered = expression
    change = change_on(zone, day)
    start, end, middle = change - 7200, change + 3600, change + offset
    expected = oracle(fields, numbered, zone, start, end, 1)

    after = [second for second in expected if second > middle][:20]
    assert nexts(text, zone, middle, len(after)) == after
    before = [second for second in expected if second < middle][-20:]
    assert previous(text, zone, middle, len(before)) == before[::-1]


# ---------------------------------------------------------------------------------------------
# the promises, one by one


@pytest.mark.parametrize(
    ("expression", "zone", "after", "times"),
    [
        # clocks go back at 01:00 UTC, from 03:00 to 02:00
        (
            "30 2 * * *",
            "Europe/Berlin",
            "2026-10-24T12:00",
            ["2026-10-25T00:30", "2026-10-26T01:30"],
        ),
        (
            "0 2,3 * * *",
            "Europe/Berlin",
            "2026-10-24T12:00",
            ["2026-10-25T00:00", "2026-10-25T02:00", "2026-10-26T01:00"],
        ),
        (
            "0 1-3 * * *",
            "Europe/Berlin",
            "2026-10-24T12:00",
            ["2026-10-24T23:00", "2026-10-25T00:00", "2026-10-25T01:00", "2026-10-25T02:00"],
        ),
        (
            "*/30 * * * *",
            "Europe/Berlin",
            "2026-10-24T23:59",
            ["2026-10-25T00:00", "2026-10-25T00:30", "2026-10-25T01:00", "2026-10-25T01:30"],
        ),
        # from the first 02:30 on, 03:00 comes after the second
        ("0 1/2 * * *", "Europe/Berlin", "2026-10-25T00:30", ["2026-10-25T02:00"]),
        # clocks go forward at 01:00 UTC, from 02:00 to 03:00
        (
            "30 2 * * *",
            "Europe/Berlin",
            "2026-03-28T12:00",
            ["2026-03-29T01:00", "2026-03-30T00:30"],
        ),
        (
            "*/10 2 * * *",
            "Europe/Berlin",
            "2026-03-28T12:00",
            ["2026-03-29T01:00", "2026-03-30T00:00"],
        ),
        (
            "0,30 2,3 * * *",
            "Europe/Berlin",
            "2026-03-28T12:00",
            ["2026-03-29T01:00", "2026-03-29T01:30", "2026-03-30T00:00"],
        ),
        (
            "30 * * * *",
            "Europe/Berlin",
            "2026-03-28T23:59",
            ["2026-03-29T00:30", "2026-03-29T01:30"],
        ),
        (
            "30 2-4 * * *",
            "Europe/Berlin",
            "2026-03-28T12:00",
            ["2026-03-29T01:30", "2026-03-29T02:30", "2026-03-30T00:30"],
        ),
        # half an hour is left out, from 02:00 to 02:30
        (
            "15,45 2 * * *",
            "Australia/Lord_Howe",
            "2026-10-03T00:00",
            ["2026-10-03T15:30", "2026-10-03T15:45", "2026-10-04T15:15"],
        ),
        # a whole day was left out when Samoa crossed the date line
        (
            "0 12 * * *",
            "Pacific/Apia",
            "2011-12-29T12:00",
            ["2011-12-29T22:00", "2011-12-30T10:00", "2011-12-30T22:00"],
        ),
    ],
)
def test_what_a_change_of_the_clocks_does(expression, zone, after, times):
    expected = [instant(time) for time in times]

    assert nexts(expression, zone, instant(after), len(times)) == expected
    assert previous(expression, zone, expected[-1] + 1, len(times)) == expected[::-1]


@pytest.mark.parametrize("zone", CHANGES)
def test_a_fixed_time_comes_once_a_day(zone):
    start = instant("2026-01-01")
    found = nexts("30 2 * * *", zone, start, 365)

    assert len({shown(second, zone).date() for second in found}) == 365
    assert previous("30 2 * * *", zone, found[-1] + 1, 365) == found[::-1]


@pytest.mark.parametrize("zone", CHANGES)
def test_every_ten_minutes_is_every_ten_minutes(zone):
    for day in CHANGES[zone]:
        start = instant(day) - 12 * 3600
        found = nexts("*/10 * * * *", zone, start, 48 * 6)

        assert found == [start + (n + 1) * 600 for n in range(48 * 6)]


@pytest.mark.parametrize(
    ("expression", "times"),
    [
        ("0 0 29 2 *", ["2028-02-29T00:00", "2032-02-29T00:00"]),
        ("0 0 29 2 MON#5", ["2044-02-29T00:00", "2072-02-29T00:00", "2112-02-29T00:00"]),
        ("0 12 L * *", ["2026-01-31T12:00", "2026-02-28T12:00", "2026-03-31T12:00"]),
        ("0 0 * * L5", ["2026-01-30T00:00", "2026-02-27T00:00"]),
        ("0 0 13 * 5", ["2026-01-02T00:00", "2026-01-09T00:00", "2026-01-13T00:00"]),
        ("15 30 6 * * MON", ["2026-01-05T06:30:15", "2026-01-12T06:30:15"]),
        ("* * * * * *", ["2026-01-01T00:00:01", "2026-01-01T00:00:02"]),
        ("*/60 * * * *", ["2026-01-01T01:00", "2026-01-01T02:00"]),
        ("0 */24 * * *", ["2026-01-02T00:00", "2026-01-03T00:00"]),
        # the two that croniter 6 understood otherwise
        ("59/1 * * * *", ["2026-01-01T00:59", "2026-01-01T01:59"]),
        ("0 0 0 * * 7", ["2026-01-04T00:00", "2026-01-11T00:00"]),
        ("@hourly", ["2026-01-01T01:00", "2026-01-01T02:00"]),
        ("@daily", ["2026-01-02T00:00", "2026-01-03T00:00"]),
        ("@Weekly", ["2026-01-04T00:00", "2026-01-11T00:00"]),
        ("@monthly", ["2026-02-01T00:00", "2026-03-01T00:00"]),
        ("@yearly", ["2027-01-01T00:00", "2028-01-01T00:00"]),
    ],
)
def test_the_usual_syntax(expression, times):
    expected = [instant(time) for time in times]

    assert nexts(expression, "UTC", instant("2026-01-01"), len(times)) == expected
    assert previous(expression, "UTC", expected[-1] + 1, len(times)) == expected[::-1]


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("30 2 * * *", "30 2 * * *"),
        ("  30  2 *\t* mon-fri\n", "30 2 * * MON-FRI"),
        ("@midnight", "0 0 * * *"),
        ("@annually", "0 0 1 1 *"),
        ("0 0 l * ?", "0 0 L * ?"),
    ],
)
def test_one_way_of_writing_is_kept(written, kept):
    assert read_cron(written, "UTC").expression == kept


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("", "has 0 fields; write 5"),
        ("* * * *", "'* * * *' has 4 fields; write 5"),
        ("0 0 1 1 * 0 2030", "has 7 fields; write 5 .* or 6 with seconds first"),
        ("60 * * * *", "'60 \\* \\* \\* \\*': its minute '60' is not understood or out of range"),
        ("60 * * * * *", "its second '60'"),
        ("* 24 * * *", "its hour '24'"),
        ("* * 0 * *", "its day '0'"),
        ("* * * 13 *", "its month '13'"),
        ("* * * FOO *", "its month 'FOO'"),
        ("* * * * 8", "its weekday '8'"),
        ("* * * * 1#6", "its weekday '1#6'"),
        ("-5 * * * *", "its minute '-5'"),
        ("*/0 * * * *", "its minute '\\*/0'"),
        ("1..5 * * * *", "its minute"),
        ("? * * * *", "its minute '\\?'"),
        ("H * * * *", "its minute 'H' would be chosen by chance"),
        ("0 h(0-7) * * *", "its hour 'H\\(0-7\\)' would be chosen by chance"),
        ("R/5 * * * *", "its minute 'R/5' would be chosen by chance"),
        ("0 9-9 * * *", "its hour '9-9' would mean every value; write '9' for one"),
        ("0 09-9 * * *", "its hour '09-9' would mean every value"),
        ("0 0 * * mon-MON", "its weekday 'MON-MON' would mean every value"),
        ("*/90 * * * *", "its minute '\\*/90' has a step longer than the field"),
        ("@reboot", "'@reboot' is not known; known are: @annually"),
        ("@dayly", "did you mean '@daily'"),
        ("0 0 30 2 *", "'0 0 30 2 \\*' never matches"),
        ("0 0 31 4,6,9,11 *", "never matches"),
        ("0 0 1 * MON#5", "never matches"),
        ("٣ * * * *", "must be a text like"),
        ("0 0 * * *\ud800", "must be a text like"),
        (5, "must be a text like"),
        (None, "must be a text like"),
        ("0," * MAX_LENGTH, f"1024 characters long; at most {MAX_LENGTH}"),
    ],
)
def test_an_expression_that_is_not_promised_is_refused(expression, message):
    with pytest.raises(InvalidInput, match=message):
        read_cron(expression, "UTC")


def test_a_time_that_is_always_left_out_never_matches():
    # the last Sunday of March, at an hour that it never has
    with pytest.raises(InvalidInput, match="never matches"):
        read_cron("30 2/23 * 3 L7", "Europe/Berlin")

    assert read_cron("30 2 * 3 L7", "Europe/Berlin").next(0) is not None


def test_as_long_as_can_be_is_long_enough_for_all_seconds_of_all_minutes():
    every = ",".join(map(str, range(60)))

    assert read_cron(f"{every} {every} 1 1 * *", "UTC").expression.startswith("0,1,2")


@given(st.text("0123456789*,-/LW#?HRmonjau ", max_size=20))
@settings(max_examples=200)
def test_any_text_is_understood_or_refused(text):
    try:
        cron = read_cron(text, "Europe/Berlin")
    except InvalidInput:
        return

    first = cron.next(0)
    assert first is not None
    assert cron.previous(first + 1) == first
