"""What becomes of a series when an occurrence is due: tables, an oracle, and whole lives."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandq.model.repeat import MAX_CATCH_UP
from sandq.model.schedule import Firing, Missed, Repeat, plan_firing

YEAR_MS = 365 * 86_400_000

SECONDLY = {"every_ms": 1_000}


@pytest.mark.parametrize(
    ("rule", "now", "made", "firing"),
    [
        # due at 1000 and on time, even when it is nearly late
        ({}, 1_000, 1, Firing(False, (), 2_000)),
        ({}, 1_999, 1, Firing(False, (), 2_000)),
        ({"missed": "all"}, 1_999, 1, Firing(False, (), 2_000)),
        ({"limit": 2}, 1_000, 1, Firing(False, (), 2_000)),
        ({"limit": 2}, 1_000, 2, Firing(False, (), None)),
        ({"end_ms": 1_999}, 1_000, 1, Firing(False, (), None)),
        ({"end_ms": 2_000}, 1_000, 1, Firing(False, (), 2_000)),
        # the last one is never late
        ({"end_ms": 1_999}, 99_000, 1, Firing(False, (), None)),
        # 1000 … 5000 were missed
        ({}, 5_500, 1, Firing(True, (), 6_000)),
        ({}, 2_000, 1, Firing(True, (), 3_000)),
        ({"limit": 1}, 5_500, 1, Firing(True, (), 6_000)),
        ({"end_ms": 5_500}, 5_500, 1, Firing(True, (), None)),
        ({"missed": "once"}, 5_500, 1, Firing(False, (), 6_000)),
        ({"missed": "once", "limit": 2}, 5_500, 1, Firing(False, (), 6_000)),
        ({"missed": "once", "limit": 2}, 5_500, 2, Firing(False, (), None)),
        ({"missed": "once", "end_ms": 5_500}, 5_500, 1, Firing(False, (), None)),
        # all of them
        ({"missed": "all"}, 5_500, 1, Firing(False, (2_000, 3_000, 4_000, 5_000), 6_000)),
        (
            {"missed": "all", "catch_up": 5},
            5_500,
            1,
            Firing(False, (2_000, 3_000, 4_000, 5_000), 6_000),
        ),
        (
            {"missed": "all", "end_ms": 3_000},
            5_500,
            1,
            Firing(False, (2_000, 3_000), None),
        ),
        # the newest of them
        (
            {"missed": "all", "catch_up": 4},
            5_500,
            1,
            Firing(True, (2_000, 3_000, 4_000, 5_000), 6_000),
        ),
        ({"missed": "all", "catch_up": 1}, 5_500, 1, Firing(True, (5_000,), 6_000)),
        ({"missed": "all", "catch_up": 2}, 2_000, 1, Firing(False, (2_000,), 3_000)),
        # as many as the limit leaves; the oldest are left out
        (
            {"missed": "all", "limit": 6},
            5_500,
            1,
            Firing(False, (2_000, 3_000, 4_000, 5_000), 6_000),
        ),
        (
            {"missed": "all", "limit": 5},
            5_500,
            1,
            Firing(False, (2_000, 3_000, 4_000, 5_000), None),
        ),
        ({"missed": "all", "limit": 3}, 5_500, 1, Firing(True, (3_000, 4_000, 5_000), None)),
        ({"missed": "all", "limit": 3}, 5_500, 3, Firing(True, (5_000,), None)),
        (
            {"missed": "all", "limit": 9, "catch_up": 2},
            5_500,
            8,
            Firing(True, (4_000, 5_000), None),
        ),
        (
            {"missed": "all", "limit": 9, "catch_up": 2},
            5_500,
            7,
            Firing(True, (4_000, 5_000), 6_000),
        ),
        # a limit that was passed, however that came about, makes nothing
        ({"limit": 2}, 5_500, 4, Firing(True, (), None)),
        ({"missed": "once", "limit": 2}, 5_500, 4, Firing(False, (), None)),
        ({"missed": "all", "limit": 2}, 5_500, 4, Firing(True, (), None)),
    ],
)
def test_what_becomes_of_a_series(rule, now, made, firing):
    repeat = Repeat.from_text(Repeat(**SECONDLY, **rule).to_text())

    assert plan_firing(repeat, 1_000, now, made, 0) == firing


def test_an_interval_that_is_not_aligned_keeps_to_its_anchor():
    repeat = Repeat.every(1, align=False, missed="all")

    assert plan_firing(repeat, 1_250, 3_400, 1, 250) == Firing(False, (2_250, 3_250), 4_250)


def test_occurrences_in_the_hour_that_comes_twice_are_caught_up_once():
    repeat = Repeat.crontab("30 2 * * *", tz="Europe/Berlin", missed="all")
    due, now = 1_792_801_800_000, 1_793_100_000_000  # 24 October 2026, 02:30, and four days later

    firing = plan_firing(repeat, due, now, 1, due)

    assert firing == Firing(
        False, (1_792_888_200_000, 1_792_978_200_000, 1_793_064_600_000), 1_793_151_000_000
    )


# ---------------------------------------------------------------------------------------------
# long outages


@pytest.mark.parametrize("missed", Missed)
def test_a_millisecond_rule_that_was_down_for_a_year_is_planned_at_once(missed):
    repeat = Repeat(every_ms=1, missed=missed, catch_up=MAX_CATCH_UP)
    now = 1_000 + YEAR_MS

    firing = plan_firing(repeat, 1_000, now, 1, 0)

    assert firing.next_ms == now + 1
    if missed is Missed.ALL:
        assert firing == Firing(True, tuple(range(now - MAX_CATCH_UP + 1, now + 1)), now + 1)


@pytest.mark.parametrize("missed", Missed)
def test_a_cron_of_every_second_that_was_down_for_a_year_is_planned_at_once(missed):
    repeat = Repeat.crontab("* * * * * *", tz="Europe/Berlin", missed=missed, catch_up=500)
    now = 1_000 + YEAR_MS

    firing = plan_firing(repeat, 1_000, now, 1, 0)

    assert firing.next_ms == now + 1_000
    if missed is Missed.ALL:
        assert firing.catch_up == tuple(range(now - 499_000, now + 1, 1_000))


def test_a_burst_long_ago_is_found_from_its_end():
    repeat = Repeat.crontab("* * * 1 1 *", missed="all", catch_up=3)

    # the first second of 1970, and the end of that year
    assert plan_firing(repeat, 0, 364 * 86_400_000, 1, 0) == Firing(
        True, (86_397_000, 86_398_000, 86_399_000), YEAR_MS
    )


# ---------------------------------------------------------------------------------------------
# the oracle


@st.composite
def series(draw):
    start = draw(st.none() | st.integers(0, 60))
    end = draw(st.none() | st.integers(60, 300))

    return Repeat(
        every_ms=draw(st.integers(1, 30)),
        align=draw(st.booleans()),
        start_ms=start,
        end_ms=end,
        limit=draw(st.none() | st.integers(1, 12)),
        missed=draw(st.sampled_from(Missed)),
        catch_up=draw(st.integers(1, 12)),
    )


def expected(repeat, due, now, made, anchor):
    """The rules as they are told, over a list of all occurrences."""
    times, last = [], due
    while (last := repeat.next_after(last, anchor)) is not None and last <= 1_000:
        times.append(last)
    left = 1_000 if repeat.limit is None else repeat.limit - made
    missed = [due, *[ms for ms in times if ms <= now]]
    coming = next((ms for ms in times if ms > now), None)

    drop, caught_up = False, []
    if len(missed) > 1 and repeat.missed is Missed.SKIP:
        drop = True
    if len(missed) > 1 and repeat.missed is Missed.ALL:
        # the outstanding one is among those that count already
        kept = missed[-min(repeat.catch_up, left + 1) :]
        drop = due not in kept
        caught_up = [ms for ms in kept if ms != due]
    left += drop - len(caught_up)

    return Firing(drop, tuple(caught_up), coming if left > 0 else None)


@given(series(), st.integers(0, 50), st.integers(0, 400), st.data())
def test_a_firing_is_what_the_rules_say(repeat, added, late, data):
    anchor, due = repeat.anchor(added), repeat.first(added)
    if due is None:
        return
    made = data.draw(st.integers(1, repeat.limit or 100))

    firing = plan_firing(repeat, due, due + late, made, anchor)

    assert firing == expected(repeat, due, due + late, made, anchor)


@given(series(), st.integers(0, 50), st.lists(st.integers(0, 80), min_size=30, max_size=30))
def test_a_series_lives_its_life(repeat, now, delays):
    """It is watched by a supervisor that often comes late, until it ends."""
    anchor, due = repeat.anchor(now), repeat.first(now)
    made = [] if due is None else [due]
    wakes = []

    for delay in delays:
        if due is None:
            break
        now = max(now, due) + delay
        firing = plan_firing(repeat, due, now, len(made), anchor)
        if firing.drop:
            made.remove(due)
        made += firing.catch_up
        if firing.next_ms is not None:
            assert firing.next_ms > now
            made.append(firing.next_ms)
        wakes.append((due, now, firing))
        due = firing.next_ms

    assert made == sorted(set(made)), "each occurrence once, in order"
    assert repeat.limit is None or len(made) <= repeat.limit
    assert all((repeat.start_ms or 0) <= ms <= (repeat.end_ms or 10_000) for ms in made)
    assert all(len(firing.catch_up) <= repeat.catch_up for _, _, firing in wakes)
    if due is None and made and repeat.end_ms is None:
        assert len(made) == repeat.limit, "without an end only the limit ends it"
    if repeat.missed is Missed.ALL and not any(firing.drop for _, _, firing in wakes):
        again = [made[0]] if made else []
        while len(again) < len(made):
            again.append(repeat.next_after(again[-1], anchor))
        assert made == again, "none is left out"
