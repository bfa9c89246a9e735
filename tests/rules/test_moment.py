"""Moments: what people write, in milliseconds since 1970."""

import math
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandq.errors import InvalidInput
from sandq.model.moment import LAST_MS, to_moment_ms


@pytest.mark.parametrize(
    ("value", "ms"),
    [
        (0, 0),
        (1_700_000_000, 1_700_000_000_000),
        (1_700_000_000.25, 1_700_000_000_250),
        (1_700_000_000.001, 1_700_000_000_001),
        (0.0001, 1),
        (datetime(1970, 1, 1, tzinfo=UTC), 0),
        (datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC), 1_700_000_000_000),
        (datetime(2023, 11, 14, 22, 13, 20, 1, tzinfo=UTC), 1_700_000_000_001),
        (datetime(2023, 11, 14, 22, 13, 20, 1000, tzinfo=UTC), 1_700_000_000_001),
        (
            datetime(2023, 11, 15, 0, 13, 20, tzinfo=timezone(timedelta(hours=2))),
            1_700_000_000_000,
        ),
        (datetime(2023, 11, 14, 23, 13, 20, tzinfo=ZoneInfo("Europe/Vienna")), 1_700_000_000_000),
        (datetime(2200, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC), LAST_MS),
        (LAST_MS / 1000, LAST_MS),
    ],
)
def test_a_moment_is_kept_in_milliseconds_rounded_up(value, ms):
    answer = to_moment_ms(value, "run_at")

    assert answer == ms
    assert type(answer) is int


def test_the_last_moment_is_the_end_of_the_year_2200():
    assert LAST_MS == 7_289_654_400_000 - 1


def test_a_datetime_without_a_time_zone_is_refused_with_a_hint():
    with pytest.raises(InvalidInput, match=r"run_at has no time zone: .*; write .*tzinfo=UTC"):
        to_moment_ms(datetime(2023, 11, 14), "run_at")


@pytest.mark.parametrize(
    "value",
    [
        -1,
        -0.001,
        math.nan,
        math.inf,
        -math.inf,
        10**400,
        1_700_000_000_000,
        (LAST_MS + 1) / 1000,
        datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC),
        datetime(2201, 1, 1, tzinfo=UTC),
        datetime(2200, 12, 31, 23, 59, 59, 999_001, tzinfo=UTC),
        datetime.max.replace(tzinfo=UTC),
        datetime.min.replace(tzinfo=UTC),
    ],
)
def test_a_moment_out_of_range_is_refused(value):
    with pytest.raises(InvalidInput, match="run_at must be between the years 1970 and 2200, in se"):
        to_moment_ms(value, "run_at")


@pytest.mark.parametrize("value", [True, False, None, "2030-01-01", timedelta(seconds=1), [1]])
def test_what_is_no_moment_is_refused(value):
    with pytest.raises(InvalidInput, match="run_at must be a datetime or seconds since 1970"):
        to_moment_ms(value, "run_at")


@given(st.integers(0, LAST_MS))
def test_whole_milliseconds_survive_as_seconds_and_as_datetime(ms):
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)

    assert to_moment_ms(ms / 1000, "x") == ms
    assert to_moment_ms(moment, "x") == ms


@given(st.datetimes(datetime(1970, 1, 2), datetime(2200, 12, 30), timezones=st.timezones()))
def test_no_moment_comes_early_or_a_millisecond_late(moment):
    ms = to_moment_ms(moment, "x")
    exact = (moment - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(milliseconds=1)

    assert ms - 1 < exact <= ms
