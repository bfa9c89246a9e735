"""How long a failed job waits: the curves against their formulas."""

import math
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandq.errors import InvalidInput
from sandq.model.backoff import KINDS, Backoff
from sandq.model.duration import MAX_MS

DELAYS = st.integers(0, MAX_MS)
FAILURES = st.integers(1, 1_000_000)


@pytest.mark.parametrize(
    ("backoff", "delays"),
    [
        (Backoff.fixed(1), [1_000, 1_000, 1_000, 1_000]),
        (Backoff.fixed(0), [0, 0, 0, 0]),
        (Backoff.fixed("250ms"), [250, 250, 250, 250]),
        (Backoff.exponential(1), [1_000, 3_000, 7_000, 15_000]),
        (Backoff.exponential(0), [0, 0, 0, 0]),
        (Backoff.exponential(timedelta(milliseconds=5)), [5, 15, 35, 75]),
    ],
)
def test_the_first_delays_of_each_kind(backoff, delays):
    assert [backoff.after(failures) for failures in (1, 2, 3, 4)] == delays


@given(DELAYS, FAILURES)
def test_a_fixed_backoff_is_the_same_every_time(delay_ms, failures):
    assert Backoff("fixed", delay_ms).after(failures) == delay_ms


@given(DELAYS, st.integers(1, 60))
def test_an_exponential_backoff_follows_the_curve_up_to_the_longest_delay(delay_ms, failures):
    delay = Backoff("exponential", delay_ms).after(failures)

    assert delay == min((2**failures - 1) * delay_ms, MAX_MS)


@given(st.sampled_from(KINDS), DELAYS, FAILURES)
def test_a_delay_never_shrinks_and_never_passes_the_longest(kind, delay_ms, failures):
    backoff = Backoff(kind, delay_ms)

    assert 0 <= backoff.after(failures) <= backoff.after(failures + 1) <= MAX_MS


@given(st.sampled_from(KINDS), DELAYS)
def test_a_backoff_survives_its_stored_form(kind, delay_ms):
    backoff = Backoff(kind, delay_ms)

    assert Backoff.from_member(backoff.to_member()) == backoff


def test_the_stored_form_has_milliseconds_in_its_name():
    assert Backoff.exponential(1.5).to_member() == {"type": "exponential", "delay_ms": 1_500}


@pytest.mark.parametrize(
    ("member", "message"),
    [
        ({"type": "fixd", "delay_ms": 1}, "did you mean 'fixed'"),
        ({"type": "fixed", "delay_ms": -1}, "out of range"),
        ({"type": "fixed", "delay_ms": MAX_MS + 1}, "out of range"),
        ({"type": "fixed", "delay_ms": True}, "members type and delay_ms"),
        ({"type": "fixed", "delay_ms": 1.5}, "members type and delay_ms"),
        ({"type": "fixed", "delay_ms": "1"}, "members type and delay_ms"),
        ({"type": 1, "delay_ms": 1}, "members type and delay_ms"),
        ({"type": "fixed"}, "members type and delay_ms"),
        ({}, "members type and delay_ms"),
        ("fixed", "members type and delay_ms"),
        (5, "members type and delay_ms"),
        (None, "members type and delay_ms"),
    ],
)
def test_another_stored_form_is_refused(member, message):
    with pytest.raises(InvalidInput, match=message):
        Backoff.from_member(member)


@pytest.mark.parametrize("make", [Backoff.fixed, Backoff.exponential])
@pytest.mark.parametrize("delay", [-1, math.nan, "soon", None, True])
def test_a_delay_that_is_no_duration_is_refused(make, delay):
    with pytest.raises(InvalidInput, match="backoff delay"):
        make(delay)
