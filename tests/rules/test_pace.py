"""How many claims are worth holding ahead, from how fast jobs end."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandq.flow.pace import Pace
from sandq.model.supervision import Supervision

GAPS = st.lists(st.floats(0, 60), max_size=60)


def pace_of(gaps, supervision=None, start_s=1_000.0):
    """A pace after jobs that ended so far apart, and the time of the last end."""
    pace, now_s = Pace(supervision or Supervision()), start_s
    for gap_s in gaps:
        now_s += gap_s
        pace.ended(now_s)

    return pace, now_s


def test_nothing_is_held_ahead_before_a_job_has_ended():
    assert Pace(Supervision()).ahead(1_000.0) == 0


@pytest.mark.parametrize(
    ("gap_s", "ahead"),
    [(0.000101, 49), (0.00021, 23), (0.0011, 4), (0.0021, 2), (0.0049, 1), (0.0051, 0), (1.0, 0)],
)
def test_at_an_even_pace_it_is_what_ends_in_5_ms(gap_s, ahead):
    pace, now_s = pace_of([gap_s] * 200)

    assert pace.ahead(now_s) == ahead


def test_never_more_than_the_most_are_held_ahead():
    pace, now_s = pace_of([0.0] * 500)

    assert pace.ahead(now_s) == 64


def test_nothing_is_held_ahead_when_no_job_has_ended_for_5_ms():
    pace, now_s = pace_of([0.0001] * 200)

    assert pace.ahead(now_s + 0.0051) == 0
    assert pace.ahead(now_s + 0.0049) == 1
    assert pace.ahead(now_s + 0.0024) == 2


def test_a_pause_is_soon_forgiven():
    pace, now_s = pace_of([0.0001] * 200 + [3_600.0])
    before = pace.ahead(now_s)
    for _ in range(40):
        now_s += 0.0001
        pace.ended(now_s)

    assert before <= 2
    assert pace.ahead(now_s) >= 20


@given(GAPS)
def test_a_pause_counts_the_same_however_long_it_was(gaps):
    short, short_s = pace_of([min(gap_s, 0.02) for gap_s in gaps], start_s=0.0)
    long, long_s = pace_of([gap_s if gap_s < 0.02 else 0.02 + 100 * gap_s for gap_s in gaps])

    assert long.ahead(long_s) == pytest.approx(short.ahead(short_s), abs=1)


@given(GAPS, st.floats(0, 1), st.integers(0, 50), st.integers(0, 100))
def test_it_is_never_negative_nor_over_the_most(gaps, later_s, ahead_ms, most):
    pace, now_s = pace_of(gaps, Supervision(ahead_ms=ahead_ms, ahead_most=most))

    assert 0 <= pace.ahead(now_s + later_s) <= most
    assert pace.ahead(now_s + ahead_ms / 1000 + 0.001) == 0


@given(GAPS, st.floats(0, 0.01), st.floats(0, 0.01))
def test_it_only_shrinks_while_no_job_ends(gaps, first_s, then_s):
    pace, now_s = pace_of(gaps)

    assert pace.ahead(now_s + first_s + then_s) <= pace.ahead(now_s + first_s)


@given(GAPS)
def test_none_are_held_ahead_when_that_is_switched_off(gaps):
    for off in (Supervision(ahead_ms=0), Supervision(ahead_most=0)):
        pace, now_s = pace_of(gaps, off)

        assert pace.ahead(now_s) == 0
