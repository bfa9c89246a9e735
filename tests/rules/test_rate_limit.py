"""How many jobs may start in a span of time."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandq.errors import InvalidInput
from sandq.model.duration import MAX_MS
from sandq.model.rate_limit import MAX_STARTS, RateLimit


@pytest.mark.parametrize("duration", [60, 60.0, "1m", timedelta(minutes=1)])
def test_a_duration_is_the_same_however_it_is_written(duration):
    limit = RateLimit(10, duration)

    assert limit == RateLimit(max=10, duration=60, bounce_back=False, per_group=False)
    assert (limit.duration, limit.duration_ms) == (60.0, 60_000)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"max": 0}, "rate limit max must be a whole number from 1 to 1000000"),
        ({"max": MAX_STARTS + 1}, "rate limit max must be a whole number"),
        ({"max": None}, "rate limit max must be a whole number"),
        ({"max": 1.5}, "rate limit max must be a whole number"),
        ({"max": True}, "rate limit max must be a whole number"),
        ({"duration": 0}, "rate limit duration must be more than zero"),
        ({"duration": -1}, "rate limit duration must be between"),
        ({"duration": None}, "rate limit duration must be seconds"),
        ({"duration": "soon"}, "rate limit duration is not a duration"),
        ({"bounce_back": 1}, "rate limit bounce_back must be True or False"),
        ({"per_group": None}, "rate limit per_group must be True or False"),
    ],
)
def test_a_value_out_of_range_is_refused(arguments, message):
    with pytest.raises(InvalidInput, match=message):
        RateLimit(**{"max": 10, "duration": 60, **arguments})


@pytest.mark.parametrize("given_", [{"max": 10}, {"duration": 60}, {}])
def test_both_numbers_are_needed(given_):
    with pytest.raises(TypeError, match=r"missing .* required positional"):
        RateLimit(**given_)


@pytest.mark.parametrize(
    ("limit", "member"),
    [
        (RateLimit(10, 60), {"max": 10, "duration_ms": 60_000}),
        (RateLimit(1, "1ms", True), {"max": 1, "duration_ms": 1, "bounce_back": True}),
        (RateLimit(1, 1, per_group=True), {"max": 1, "duration_ms": 1_000, "per_group": True}),
    ],
)
def test_the_stored_form_holds_what_is_given(limit, member):
    assert limit.to_member() == member
    assert RateLimit.from_member({**member, "colour": "red"}) == limit


@given(st.integers(1, MAX_STARTS), st.integers(1, MAX_MS), st.booleans(), st.booleans())
def test_a_limit_survives_its_stored_form(most, ms, bounce_back, per_group):
    limit = RateLimit(most, timedelta(milliseconds=ms), bounce_back, per_group)

    assert limit.duration_ms == ms
    assert RateLimit.from_member(limit.to_member()) == limit


@pytest.mark.parametrize(
    ("member", "message"),
    [
        (None, "rate_limit must have the members max and duration_ms"),
        (10, "rate_limit must have the members"),
        ({}, "rate_limit duration_ms must be a whole number"),
        ({"max": 10}, "rate_limit duration_ms must be a whole number from 1"),
        ({"max": 10, "duration_ms": 0}, "rate_limit duration_ms must be a whole number"),
        ({"max": 10, "duration_ms": 1.5}, "rate_limit duration_ms must be a whole number"),
        ({"duration_ms": 5}, "rate limit max must be a whole number"),
        ({"max": 1, "duration_ms": 5, "per_group": "1"}, "rate limit per_group must be True"),
    ],
)
def test_another_stored_form_is_refused(member, message):
    with pytest.raises(InvalidInput, match=message):
        RateLimit.from_member(member)
