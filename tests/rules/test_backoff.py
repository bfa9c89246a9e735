"""How long a failed job waits: the curves against their formulas."""

import math
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandq.errors import InvalidInput
from sandq.model.backoff import (
    KINDS,
    MAX_DELAYS,
    MAX_MULTIPLIER,
    MAX_OPTIONS_BYTES,
    Backoff,
)
from sandq.model.duration import MAX_MS

DELAYS = st.integers(0, MAX_MS)
FAILURES = st.integers(1, 1_000_000)
SPREADS = st.floats(-1, 1)
MULTIPLIERS = st.floats(1, MAX_MULTIPLIER)

FIXED = st.builds(Backoff, st.just("fixed"), DELAYS)
EXPONENTIAL = st.builds(Backoff, st.just("exponential"), DELAYS)
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
COMPUTED = FIXED | EXPONENTIAL | GEOMETRIC | LISTS


def test_the_kinds_are_these():
    assert KINDS == ("fixed", "exponential", "geometric", "list", "named")


@pytest.mark.parametrize(
    ("backoff", "delays"),
    [
        (Backoff.fixed(1), [1_000, 1_000, 1_000, 1_000]),
        (Backoff.fixed(0), [0, 0, 0, 0]),
        (Backoff.fixed("250ms"), [250, 250, 250, 250]),
        (Backoff.exponential(1), [1_000, 3_000, 7_000, 15_000]),
        (Backoff.exponential(0), [0, 0, 0, 0]),
        (Backoff.exponential(timedelta(milliseconds=5)), [5, 15, 35, 75]),
        (Backoff.geometric(1), [1_000, 2_000, 4_000, 8_000]),
        (Backoff.geometric(0), [0, 0, 0, 0]),
        (Backoff.geometric(1, 1), [1_000, 1_000, 1_000, 1_000]),
        (Backoff.geometric("1s", 3, "5s"), [1_000, 3_000, 5_000, 5_000]),
        (Backoff.geometric(1, max=0.5), [500, 500, 500, 500]),
        (Backoff.geometric(1, multiplier=1.5, jitter=9), [1_000, 1_500, 2_250, 3_375]),
        (Backoff.delays([1]), [1_000, 1_000, 1_000, 1_000]),
        (Backoff.delays([0, "5s", timedelta(minutes=1)]), [0, 5_000, 60_000, 60_000]),
        (Backoff.delays((3, 1)), [3_000, 1_000, 1_000, 1_000]),
    ],
)
def test_the_first_delays_of_each_kind(backoff, delays):
    assert [backoff.after(failures) for failures in (1, 2, 3, 4)] == delays


@pytest.mark.parametrize(
    ("failures", "spread", "delay_ms"),
    [
        (1, 0.0, 1_000),
        (1, 1.0, 1_500),
        (1, -1.0, 500),
        (1, 0.5, 1_250),
        (2, -1.0, 1_500),
        # the jitter comes after the cap
        (3, 1.0, 3_500),
        (9, -0.5, 2_750),
    ],
)
def test_jitter_is_added_to_the_capped_delay_or_taken_away(failures, spread, delay_ms):
    backoff = Backoff.geometric(1, max=3, jitter=0.5)

    assert backoff.after(failures, spread) == delay_ms


@pytest.mark.parametrize("backoff", [Backoff.fixed(1), Backoff.exponential(1), Backoff.delays([1])])
def test_the_other_kinds_know_no_jitter(backoff):
    assert [backoff.after(1, spread) for spread in (-1, 0, 1)] == [1_000] * 3


def test_jitter_takes_no_delay_below_zero_or_past_the_longest():
    assert Backoff.geometric(1, jitter=5).after(1, -1) == 0
    assert Backoff.geometric("36600d", jitter=5).after(1, 1) == MAX_MS


@given(DELAYS, FAILURES)
def test_a_fixed_backoff_is_the_same_every_time(delay_ms, failures):
    assert Backoff("fixed", delay_ms).after(failures) == delay_ms


@given(DELAYS, st.integers(1, 60))
def test_an_exponential_backoff_follows_the_curve_up_to_the_longest_delay(delay_ms, failures):
    delay = Backoff("exponential", delay_ms).after(failures)

    assert delay == min((2**failures - 1) * delay_ms, MAX_MS)


@given(DELAYS, st.integers(1, 10), st.none() | DELAYS, st.integers(1, 200))
def test_a_geometric_backoff_follows_the_curve_up_to_its_cap(delay_ms, factor, max_ms, failures):
    backoff = Backoff("geometric", delay_ms, multiplier=float(factor), max_ms=max_ms)
    most_ms = MAX_MS if max_ms is None else max_ms

    assert backoff.after(failures) == min(delay_ms * factor ** (failures - 1), most_ms)


@given(FIXED | EXPONENTIAL | GEOMETRIC, FAILURES)
def test_a_delay_never_shrinks_as_failures_add_up(backoff, failures):
    assert backoff.after(failures) <= backoff.after(failures + 1)


@given(COMPUTED, FAILURES, SPREADS)
def test_a_delay_is_whole_and_never_out_of_range(backoff, failures, spread):
    delay = backoff.after(failures, spread)

    assert type(delay) is int
    assert 0 <= delay <= MAX_MS


def test_a_named_backoff_is_not_computed_here():
    with pytest.raises(InvalidInput, match="backoff 'mine' is a function's to say"):
        Backoff.named("mine").after(1)


def test_the_options_of_a_named_backoff_are_json_values_under_any_name():
    backoff = Backoff.named("mine", name="a", cls=None, base=[1, {"b": 2.5}])

    assert backoff.options == {"name": "a", "cls": None, "base": [1, {"b": 2.5}]}
    assert backoff.options is not backoff.options
    assert Backoff.named("mine").options == {}


def test_equal_options_make_equal_backoffs():
    assert Backoff.named("a", x=1, y={"b": 1, "a": 2}) == Backoff.named(
        "a", y={"a": 2, "b": 1}, x=1
    )
    assert len({Backoff.named("a", x=[1]), Backoff.named("a", x=[1])}) == 1


@pytest.mark.parametrize(
    "make",
    [Backoff.fixed, Backoff.exponential, Backoff.geometric, lambda delay: Backoff.delays([delay])],
)
@pytest.mark.parametrize("delay", [-1, math.nan, "soon", None, True])
def test_a_delay_that_is_no_duration_is_refused(make, delay):
    with pytest.raises(InvalidInput, match="backoff delay"):
        make(delay)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"multiplier": 0.99}, "backoff multiplier must be a number from 1 to 1000000: 0.99"),
        ({"multiplier": MAX_MULTIPLIER + 1}, "backoff multiplier must be a number from 1"),
        ({"multiplier": 10**400}, "backoff multiplier must be a number from 1"),
        ({"multiplier": math.nan}, "backoff multiplier must be a number from 1"),
        ({"multiplier": math.inf}, "backoff multiplier must be a number from 1"),
        ({"multiplier": True}, "backoff multiplier must be a number from 1"),
        ({"multiplier": "2"}, "backoff multiplier must be a number from 1"),
        ({"max": -1}, "backoff max must be between"),
        ({"max": "soon"}, "backoff max is not a duration"),
        ({"jitter": -1}, "backoff jitter must be between"),
        ({"jitter": None}, "backoff jitter must be seconds"),
    ],
)
def test_a_geometric_backoff_out_of_range_is_refused(arguments, message):
    with pytest.raises(InvalidInput, match=message):
        Backoff.geometric(1, **arguments)


@pytest.mark.parametrize(
    ("delays", "message"),
    [
        ([], "backoff delays must have 1 to 1000 entries, not 0; the last one repeats"),
        ([1] * (MAX_DELAYS + 1), "backoff delays must have 1 to 1000 entries, not 1001"),
        ("5s", "backoff delays must be a list of durations: '5s'"),
        (5, "backoff delays must be a list of durations"),
        (None, "backoff delays must be a list of durations"),
        ({1: 2}, "backoff delays must be a list of durations"),
        ([1, "soon"], "backoff delay 2 is not a duration: 'soon'"),
    ],
)
def test_a_list_of_delays_that_is_none_is_refused(delays, message):
    with pytest.raises(InvalidInput, match=message):
        Backoff.delays(delays)


def test_a_list_of_delays_may_be_as_long_as_the_limit():
    backoff = Backoff.delays(range(MAX_DELAYS))

    assert backoff.after(MAX_DELAYS) == backoff.after(MAX_DELAYS + 1) == 999_000


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("", {}, "backoff name must be a text that is not empty"),
        (None, {}, "backoff name must be a text"),
        ("a\n", {}, "backoff name .* must hold no control characters"),
        ("x" * 257, {}, "backoff name is 257 bytes long"),
        ("a", {"x": {1}}, "backoff options cannot be written as JSON"),
        ("a", {"x": math.nan}, "backoff options holds NaN"),
        ("a", {"x": 2**64}, "backoff options cannot be written as JSON"),
        ("a", {"x": "y" * MAX_OPTIONS_BYTES}, "backoff options are 16392 bytes of JSON; at most"),
    ],
)
def test_a_named_backoff_out_of_range_is_refused(name, options, message):
    with pytest.raises(InvalidInput, match=message):
        Backoff.named(name, **options)
