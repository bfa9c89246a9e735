"""When a job is repeated: the arithmetic against counting, and what is stored and refused."""

import math
from datetime import UTC, datetime, timedelta, timezone

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandq.errors import InvalidInput
from sandq.model.duration import MAX_MS
from sandq.model.moment import LAST_MS
from sandq.model.repeat import (
    DEFAULT_CATCH_UP,
    MAX_CATCH_UP,
    MAX_LIMIT,
    Missed,
    Repeat,
)

YEAR_MS = 365 * 86_400_000

SMALL = st.integers(0, 300)


@st.composite
def intervals(draw):
    """Intervals of some milliseconds, so that every occurrence can be counted out."""
    start, end = draw(st.none() | SMALL), draw(st.none() | SMALL)
    if start is not None and end is not None and end < start:
        start, end = end, start

    return Repeat(
        every_ms=draw(st.integers(1, 40)), align=draw(st.booleans()), start_ms=start, end_ms=end
    )


def counted(repeat, anchor, until=600):
    """Every occurrence, by looking at every millisecond."""
    base = 0 if repeat.align else anchor
    start = repeat.start_ms or 0
    end = until if repeat.end_ms is None else min(until, repeat.end_ms)

    return [ms for ms in range(start, end + 1) if (ms - base) % repeat.every_ms == 0]


@given(intervals(), st.integers(-50, 400), SMALL)
def test_the_next_one_is_the_first_after(repeat, after, anchor):
    coming = [ms for ms in counted(repeat, anchor) if ms > after]

    assert repeat.next_after(after, anchor) == (coming[0] if coming else None)


@given(intervals(), st.integers(0, 60), st.integers(-50, 400), st.integers(-50, 400), SMALL)
def test_the_newest_are_the_last_of_those_between(repeat, count, after, until, anchor):
    between = [ms for ms in counted(repeat, anchor) if after < ms <= until]

    assert (
        list(repeat.newest(count, after, until, anchor)) == between[max(0, len(between) - count) :]
    )


@given(intervals(), SMALL)
def test_the_first_one_is_after_now_and_not_before_the_start(repeat, now):
    anchor = now if repeat.start_ms is None else repeat.start_ms
    coming = [ms for ms in counted(repeat, anchor) if ms > now]

    assert repeat.anchor(now) == anchor
    assert repeat.first(now) == (coming[0] if coming else None)


@pytest.mark.parametrize(
    ("repeat", "now", "times"),
    [
        (Repeat.every(1), 10_250, [11_000, 12_000, 13_000]),
        (Repeat.every(1), 11_000, [12_000, 13_000, 14_000]),
        (Repeat.every(1, align=False), 10_250, [11_250, 12_250, 13_250]),
        (Repeat.every(1, align=False, start=10.1), 10_250, [11_100, 12_100, 13_100]),
        (Repeat.every(1, align=False, start=20.1), 10_250, [20_100, 21_100, 22_100]),
        (Repeat.every(1, start=20.1), 10_250, [21_000, 22_000, 23_000]),
        (Repeat.every(1, start=20), 10_250, [20_000, 21_000, 22_000]),
        (Repeat.every(1, end=12), 10_250, [11_000, 12_000, None]),
        (Repeat.every(1, end=10), 10_250, [None]),
        (Repeat.every(1, start=10.1, end=10.9), 0, [None]),
        (Repeat.crontab("* * * * *"), 59_999, [60_000, 120_000, 180_000]),
        (Repeat.crontab("* * * * *"), 60_000, [120_000, 180_000]),
        (Repeat.crontab("* * * * *", start=180), 0, [180_000, 240_000]),
        (Repeat.crontab("* * * * *", start=180.001), 0, [240_000]),
        (Repeat.crontab("* * * * *", end=120), 0, [60_000, 120_000, None]),
        (Repeat.crontab("0 1 * * *", tz="+01:00"), 0, [86_400_000]),
        (Repeat.crontab("*/2 * * * * *"), 1_999, [2_000, 4_000]),
    ],
)
def test_the_first_occurrences(repeat, now, times):
    anchor = repeat.anchor(now)
    found = [repeat.first(now)]
    while len(found) < len(times):
        found.append(repeat.next_after(found[-1], anchor))

    assert found == times


@pytest.mark.parametrize("repeat", [Repeat.every("1d"), Repeat.crontab("@daily")])
def test_nothing_comes_after_the_last_year(repeat):
    assert repeat.next_after(LAST_MS, 0) is None
    assert repeat.next_after(LAST_MS + YEAR_MS, 0) is None
    assert repeat.next_after(LAST_MS - YEAR_MS, 0) is not None


# minutes 7 and 21 of hours 0 and 5 are among them, and what is around them
MARKS = st.sampled_from([420, 1_260, 18_420, 19_260, 86_820, 87_660]).flatmap(
    lambda second: st.sampled_from([second * 1000 + beside for beside in (-1000, -1, 0, 1, 999)])
)


@given(
    MARKS | st.integers(0, 3 * 86_400_000),
    MARKS | st.integers(0, 3 * 86_400_000),
    st.integers(0, 30),
)
def test_the_newest_of_a_cron_are_the_last_of_those_between(after, until, count):
    repeat, between = Repeat.crontab("7,21 */5 * * *"), []
    found = repeat.next_after(after, 0)
    while found <= until:
        between.append(found)
        found = repeat.next_after(found, 0)

    newest = repeat.newest(count, after, until, 0)
    assert list(newest) == between[max(0, len(between) - count) :]


# ---------------------------------------------------------------------------------------------
# keys


@pytest.mark.parametrize(
    ("repeat", "key"),
    [
        (Repeat.every(60), "every:60000:report"),
        (Repeat.every("1m", limit=5, missed="all", start=7), "every:60000:report"),
        (Repeat.crontab("30 2 * * *"), "cron:30 2 * * *:UTC:report"),
        (Repeat.crontab(" 30  2 * * * ", tz="z"), "cron:30 2 * * *:UTC:report"),
        (Repeat.crontab("@daily", tz="Europe/Berlin"), "cron:0 0 * * *:Europe/Berlin:report"),
        (Repeat.crontab("@daily", tz="+0530"), "cron:0 0 * * *:+05:30:report"),
        (Repeat.every(60, key="nightly"), "nightly"),
        (Repeat.every(60, key="a:b c"), "a:b c"),
    ],
)
def test_the_key_is_the_callers_or_rule_and_name(repeat, key):
    assert repeat.key_for("report") == key


NAMES = st.text(st.sampled_from(":a0+5"), min_size=1, max_size=8)


@given(*[st.tuples(NAMES, st.sampled_from(["UTC", "+05:30", "-05:00", "Europe/Berlin"]))] * 2)
def test_no_two_names_share_a_key_whatever_colons_they_hold(one, other):
    keys = {Repeat.crontab("@daily", tz=tz).key_for(name) for name, tz in (one, other)}

    assert len(keys) == len({one, other})


def test_the_name_is_checked():
    with pytest.raises(InvalidInput, match="job name"):
        Repeat.every(1).key_for("")


# ---------------------------------------------------------------------------------------------
# the stored form


@given(
    st.sampled_from([{"every_ms": 50}, {"every_ms": 50, "align": False}])
    | st.sampled_from(["30 2 * * *", "@daily", "*/5 * * * * mon"]).map(lambda cron: {"cron": cron}),
    st.fixed_dictionaries(
        {},
        optional={
            "start_ms": st.integers(0, 1000),
            "end_ms": st.integers(1000, LAST_MS),
            "limit": st.integers(1, MAX_LIMIT),
            "missed": st.sampled_from(Missed),
            "catch_up": st.integers(1, MAX_CATCH_UP),
            "key": st.text(
                st.characters(codec="utf-8", categories=["L", "P"]), min_size=1, max_size=9
            ),
        },
    ),
)
def test_a_rule_survives_its_stored_form(rule, rest):
    repeat = Repeat(**rule, **rest)

    assert Repeat.from_text(repeat.to_text()) == repeat


def test_the_stored_form_holds_what_differs_from_the_defaults():
    assert Repeat.every(60).to_text() == b'{"every_ms":60000}'
    assert orjson.loads(
        Repeat.crontab(
            "@daily", tz="+0530", start=1, end=2.5, limit=3, missed="all", catch_up=4, key="k"
        ).to_text()
    ) == {
        "cron": "0 0 * * *",
        "tz": "+05:30",
        "start_ms": 1000,
        "end_ms": 2500,
        "limit": 3,
        "missed": "all",
        "catch_up": 4,
        "key": "k",
    }


def test_members_of_a_newer_version_are_ignored():
    assert Repeat.from_text(b'{"every_ms":5,"moon":"full"}') == Repeat(every_ms=5)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"[]", "must be an object"),
        (b"null", "must be an object"),
        (b"{}", "either an interval or a cron expression"),
        (b'{"every_ms":null}', "either an interval or a cron expression"),
        (b'{"every_ms":1,"cron":"* * * * *"}', "either an interval or a cron expression"),
        (b'{"every_ms":0}', "interval in milliseconds must be a whole number from 1"),
        (b'{"every_ms":1.5}', "interval in milliseconds must be a whole number"),
        (b'{"every_ms":true}', "interval in milliseconds must be a whole number"),
        (b'{"every_ms":"60000"}', "interval in milliseconds must be a whole number"),
        (b'{"every_ms":1e30}', "interval in milliseconds must be a whole number"),
        (b'{"every_ms":1,"start_ms":-1}', "start in milliseconds"),
        (b'{"every_ms":1,"end_ms":[]}', "end in milliseconds"),
        (b'{"every_ms":1,"start_ms":2,"end_ms":1}', "must not be before its start"),
        (b'{"every_ms":1,"limit":0}', "limit must be a whole number from 1"),
        (b'{"every_ms":1,"missed":"skipp"}', "did you mean 'skip'"),
        (b'{"every_ms":1,"missed":[]}', "missed \\[\\] is not known"),
        (b'{"every_ms":1,"catch_up":null}', "catch_up must be a whole number"),
        (b'{"every_ms":1,"align":1}', "align must be True or False"),
        (b'{"every_ms":1,"key":""}', "key must be a text that is not empty"),
        (b'{"every_ms":1,"key":5}', "key must be a text that is not empty"),
        (b'{"every_ms":1,"tz":"Europe/Berlin"}', "leave out 'Europe/Berlin'"),
        (b'{"cron":[]}', "must be texts: \\[\\]"),
        (b'{"cron":5}', "must be texts: 5"),
        (b'{"cron":"* * * * *","tz":{}}', "must be texts: {}"),
        (b'{"cron":"* * * *"}', "has 4 fields"),
        (b'{"cron":"* * * * *","tz":"Mars"}', "'Mars' is not known"),
    ],
)
def test_another_stored_form_is_refused(text, message):
    with pytest.raises(InvalidInput, match=message):
        Repeat.from_text(text)


# ---------------------------------------------------------------------------------------------
# what a caller gives


def test_a_caller_gives_durations_and_moments():
    berlin_winter = timezone(timedelta(hours=1))

    assert Repeat.every(
        timedelta(minutes=5),
        start=datetime(2026, 1, 1, 1, tzinfo=berlin_winter),
        end=datetime(2026, 1, 2, tzinfo=UTC),
        missed=Missed.ONCE,
    ) == Repeat(
        every_ms=300_000,
        start_ms=1_767_225_600_000,
        end_ms=1_767_312_000_000,
        missed=Missed.ONCE,
    )
    assert Repeat.every("50ms").every_ms == 50
    assert Repeat.every(0.000_1).every_ms == 1
    assert Repeat.every(1).catch_up == DEFAULT_CATCH_UP
    assert Repeat.crontab("@daily", tz=None).tz == "UTC"
    assert Repeat.every(1, start=5, end=5).first(0) == 5_000


@pytest.mark.parametrize(
    "interval", [0, -1, math.nan, math.inf, True, None, "often", MAX_MS, timedelta(-1)]
)
def test_what_is_no_interval_is_refused(interval):
    with pytest.raises(InvalidInput, match="interval"):
        Repeat.every(interval)


@pytest.mark.parametrize(
    "make", [lambda **k: Repeat.every(1, **k), lambda **k: Repeat.crontab("@daily", **k)]
)
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"start": datetime(2026, 1, 1)}, "start has no time zone: .* tzinfo=UTC"),
        ({"end": datetime(2026, 1, 1)}, "end has no time zone"),
        ({"start": "2026-01-01"}, "start must be a datetime or seconds"),
        ({"start": True}, "start must be a datetime or seconds"),
        ({"start": -1}, "start must be between"),
        ({"end": math.nan}, "end must be between"),
        ({"end": 1_767_225_600_000}, "end must be between .* in seconds"),
        ({"start": 2, "end": 1}, "end of a repeated job must not be before its start"),
        ({"limit": 0}, "limit must be a whole number from 1"),
        ({"limit": True}, "limit must be a whole number"),
        ({"limit": 1.0}, "limit must be a whole number"),
        ({"missed": "everything"}, "missed 'everything' is not known; known are: all, once, skip"),
        ({"missed": None}, "missed None is not known"),
        ({"catch_up": 0}, "catch_up must be a whole number from 1 to 10000"),
        ({"catch_up": MAX_CATCH_UP + 1}, "catch_up must be a whole number"),
        ({"key": ""}, "key must be a text"),
        ({"key": "a\nb"}, "key .* control characters"),
        ({"key": "k" * 300}, "key is 300 bytes long"),
    ],
)
def test_what_a_caller_cannot_mean_is_refused(make, arguments, message):
    with pytest.raises(InvalidInput, match=message):
        make(**arguments)


def test_what_is_for_one_rule_is_refused_for_the_other():
    with pytest.raises(InvalidInput, match="align is for intervals"):
        Repeat(cron="@daily", align=False)
    with pytest.raises(InvalidInput, match="the same in every time zone"):
        Repeat(every_ms=1, tz="Europe/Berlin")
