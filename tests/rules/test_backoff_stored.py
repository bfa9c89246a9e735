"""The stored form of a backoff: what it holds, and what is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandq.errors import InvalidInput
from sandq.model.backoff import KINDS, MAX_MULTIPLIER, Backoff
from sandq.model.duration import MAX_MS

DELAYS = st.integers(0, MAX_MS)
MULTIPLIERS = st.floats(1, MAX_MULTIPLIER)

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=3)
    ),
    max_leaves=5,
)
PLAIN = st.builds(Backoff, st.sampled_from(["fixed", "exponential"]), DELAYS)
GEOMETRIC = st.builds(
    Backoff,
    st.just("geometric"),
    DELAYS,
    multiplier=MULTIPLIERS,
    max_ms=st.none() | DELAYS,
    jitter_ms=DELAYS,
)
LISTS = st.builds(
    Backoff, st.just("list"), delays_ms=st.lists(DELAYS, min_size=1, max_size=5).map(tuple)
)
NAMED = st.builds(
    lambda options: Backoff.named("mine", **options),
    st.dictionaries(st.text(st.characters(codec="utf-8")), JSON, max_size=3),
)


@given(PLAIN | GEOMETRIC | LISTS | NAMED)
def test_a_backoff_survives_its_stored_form(backoff):
    assert Backoff.from_member(backoff.to_member()) == backoff


@pytest.mark.parametrize(
    ("backoff", "member"),
    [
        (Backoff.exponential(1.5), {"type": "exponential", "delay_ms": 1_500}),
        (Backoff.geometric(1), {"type": "geometric", "delay_ms": 1_000, "multiplier": 2.0}),
        (
            Backoff.geometric(1, 3, "1h", 0.1),
            {
                "type": "geometric",
                "delay_ms": 1_000,
                "multiplier": 3.0,
                "max_ms": 3_600_000,
                "jitter_ms": 100,
            },
        ),
        (Backoff.delays([0, 1]), {"type": "list", "delays_ms": [0, 1_000]}),
        (Backoff.named("mine"), {"type": "named", "name": "mine"}),
        (Backoff.named("mine", a=1), {"type": "named", "name": "mine", "options": {"a": 1}}),
    ],
)
def test_the_stored_form_has_milliseconds_in_its_names(backoff, member):
    assert backoff.to_member() == member
    assert Backoff.from_member({**member, "colour": "red"}) == backoff


def test_a_stored_geometric_backoff_may_leave_out_what_has_a_default():
    assert Backoff.from_member({"type": "geometric", "delay_ms": 5}) == Backoff.geometric("5ms")
    assert Backoff.from_member(
        {"type": "geometric", "delay_ms": 5, "multiplier": 2, "max_ms": None}
    ) == Backoff.geometric("5ms")


@pytest.mark.parametrize(
    ("member", "message"),
    [
        ({"type": "fixd", "delay_ms": 1}, "backoff type 'fixd' is not known; did you mean 'fixed'"),
        ({"type": "geometrical"}, "did you mean 'geometric'"),
        ({"type": "xyzzy"}, "known are: exponential, fixed, geometric, list, named"),
        ({"type": 1, "delay_ms": 1}, "must have the members type and those it takes"),
        ({"delay_ms": 1}, "must have the members type"),
        ({}, "must have the members type"),
        ("fixed", "must have the members type"),
        ([], "must have the members type"),
        (5, "must have the members type"),
        (None, "must have the members type"),
        ({"type": "fixed"}, "backoff delay_ms must be a whole number .*: None"),
        ({"type": "fixed", "delay_ms": -1}, "backoff delay_ms must be a whole number from 0"),
        ({"type": "fixed", "delay_ms": MAX_MS + 1}, "backoff delay_ms must be a whole number"),
        ({"type": "exponential", "delay_ms": True}, "backoff delay_ms must be a whole number"),
        ({"type": "exponential", "delay_ms": 1.5}, "backoff delay_ms must be a whole number"),
        ({"type": "geometric", "delay_ms": "1"}, "backoff delay_ms must be a whole number"),
        ({"type": "geometric", "delay_ms": 1, "max_ms": -1}, "backoff max_ms must be a whole"),
        (
            {"type": "geometric", "delay_ms": 1, "jitter_ms": -1},
            "backoff jitter_ms must be a whole",
        ),
        ({"type": "geometric", "delay_ms": 1, "jitter_ms": None}, "backoff jitter_ms must be"),
        ({"type": "geometric", "delay_ms": 1, "multiplier": 0.5}, "backoff multiplier must be"),
        ({"type": "geometric", "delay_ms": 1, "multiplier": "2"}, "backoff multiplier must be"),
        ({"type": "list"}, "backoff delays_ms must be an array: None"),
        ({"type": "list", "delays_ms": 5}, "backoff delays_ms must be an array"),
        ({"type": "list", "delays_ms": []}, "must have 1 to 1000 entries, not 0"),
        ({"type": "list", "delays_ms": [1, -1]}, "backoff delays_ms must be a whole number"),
        ({"type": "list", "delays_ms": [1, [2]]}, "backoff delays_ms must be a whole number"),
        ({"type": "list", "delays_ms": [0] * 1001}, "must have 1 to 1000 entries, not 1001"),
        ({"type": "named"}, "backoff name must be a text"),
        ({"type": "named", "name": ""}, "backoff name must be a text"),
        ({"type": "named", "name": "a", "options": [1]}, "backoff options must be an object"),
        ({"type": "named", "name": "a", "options": None}, "backoff options must be an object"),
    ],
)
def test_another_stored_form_is_refused(member, message):
    with pytest.raises(InvalidInput, match=message):
        Backoff.from_member(member)


@given(JSON | st.fixed_dictionaries({"type": st.sampled_from(KINDS)}, optional={"delay_ms": JSON}))
def test_any_stored_form_is_read_or_refused(member):
    try:
        backoff = Backoff.from_member(member)
    except InvalidInput:
        return

    assert Backoff.from_member(backoff.to_member()) == backoff
