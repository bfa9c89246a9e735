"""Durations: what people may write, and the whole milliseconds that are kept."""

import math
from datetime import timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sandq.errors import InvalidInput
from sandq.model.duration import MAX_MS, to_ms

WHOLE_MS = st.integers(0, MAX_MS)
SECONDS = st.floats(0, MAX_MS / 1000)


@pytest.mark.parametrize(
    ("written", "ms"),
    [
        (0, 0),
        (0.0, 0),
        (-0.0, 0),
        (1, 1_000),
        (2.5, 2_500),
        (0.1 + 0.2, 300),
        (1e-3, 1),
        (timedelta(0), 0),
        (timedelta(milliseconds=1), 1),
        (timedelta(days=1, seconds=1), 86_401_000),
        ("0", 0),
        ("0ms", 0),
        ("500ms", 500),
        ("30s", 30_000),
        ("5m", 300_000),
        ("2h", 7_200_000),
        ("1d", 86_400_000),
        ("1.5s", 1_500),
        ("0.25h", 900_000),
        ("30", 30_000),
        ("  30s\n", 30_000),
        (MAX_MS // 1000, MAX_MS),
        (timedelta(milliseconds=MAX_MS), MAX_MS),
        (f"{MAX_MS}ms", MAX_MS),
    ],
)
def test_seconds_timedeltas_and_texts_become_milliseconds(written, ms):
    assert to_ms(written, "delay") == ms


@pytest.mark.parametrize(
    ("written", "ms"),
    [
        (0.0001, 1),
        (0.0011, 2),
        (1.0005, 1_001),
        (timedelta(microseconds=1), 1),
        (timedelta(microseconds=1_001), 2),
        ("0.1ms", 1),
        ("1.5ms", 2),
    ],
)
def test_a_part_of_a_millisecond_is_rounded_up(written, ms):
    assert to_ms(written, "delay") == ms


@pytest.mark.parametrize(
    "written",
    [
        -1,
        -0.001,
        timedelta(seconds=-1),
        math.nan,
        math.inf,
        -math.inf,
        MAX_MS / 1000 + 1,
        timedelta(milliseconds=MAX_MS + 1),
        timedelta.max,
        f"{MAX_MS + 1}ms",
        "99999d",
        pytest.param("9" * 400, id="400 nines"),
        pytest.param(10**400, id="huge"),
        pytest.param(-(10**400), id="huge negative"),
    ],
)
def test_what_is_not_between_0_and_100_years_is_refused(written):
    with pytest.raises(InvalidInput, match="delay must be between 0 and 100 years"):
        to_ms(written, "delay")


@pytest.mark.parametrize(
    "written",
    ["", "s", "-5s", "+5s", "5 s", "5S", "5M", "1w", "1e3", "nan", "inf", ".5s", "5.s", "1h30m"],
)
def test_a_text_that_is_no_duration_is_refused_with_the_forms_that_are(written):
    with pytest.raises(InvalidInput, match=r"delay is not a duration.*write 500ms, 30s"):
        to_ms(written, "delay")


@pytest.mark.parametrize("written", [True, False, None, b"5s", [1], 1j, {}])
def test_another_type_is_refused(written):
    with pytest.raises(InvalidInput, match="delay must be seconds, a timedelta or a text"):
        to_ms(written, "delay")


def test_the_longest_duration_is_100_years_of_366_days():
    assert timedelta(milliseconds=MAX_MS) == 100 * timedelta(days=366)


@given(WHOLE_MS)
def test_whole_milliseconds_survive_as_a_text(ms):
    assert to_ms(f"{ms}ms", "delay") == ms


@given(WHOLE_MS)
@example(8_388_927_289)
def test_whole_milliseconds_survive_as_a_timedelta(ms):
    assert to_ms(timedelta(milliseconds=ms), "delay") == ms


@given(WHOLE_MS)
@example(8_388_927_289)
def test_whole_milliseconds_survive_as_seconds(ms):
    assert to_ms(ms / 1000, "delay") == ms


@given(st.integers(0, MAX_MS // 86_400_000), st.sampled_from("smhd"))
def test_a_text_says_the_same_as_its_seconds(count, unit):
    seconds = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}[unit]

    assert to_ms(f"{count}{unit}", "delay") == to_ms(count * seconds, "delay")


@given(SECONDS)
def test_a_duration_is_never_longer_than_what_is_kept_of_it_by_a_millisecond(seconds):
    ms = to_ms(seconds, "delay")

    assert isinstance(ms, int)
    assert -0.01 <= ms - seconds * 1000 < 1.01


@given(SECONDS.filter(lambda seconds: seconds > 0))
def test_a_tiny_duration_is_never_none_at_all(seconds):
    assert to_ms(seconds, "delay") >= 1


@given(st.floats() | st.integers() | st.text() | st.timedeltas() | st.none())
def test_anything_else_is_refused_as_invalid_input(value):
    try:
        ms = to_ms(value, "delay")
    except InvalidInput:
        return

    assert 0 <= ms <= MAX_MS
