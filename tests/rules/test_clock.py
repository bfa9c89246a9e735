"""The door to time."""

import time

from sandq import clock


def test_the_monotonic_clock_never_goes_back_and_counts_seconds(monkeypatch):
    readings = [clock.monotonic_s() for _ in range(1_000)]

    assert readings == sorted(readings)

    monkeypatch.setattr(time, "monotonic", lambda: 12.5)

    assert clock.monotonic_s() == 12.5


def test_the_wall_clock_counts_whole_milliseconds_since_1970(monkeypatch):
    monkeypatch.setattr(time, "time_ns", lambda: 1_700_000_000_123_999_999)

    assert clock.wall_ms() == 1_700_000_000_123


def test_to_block_is_to_sleep_for_these_seconds(monkeypatch):
    slept = []
    monkeypatch.setattr(time, "sleep", slept.append)
    clock.block_s(0.25)

    assert slept == [0.25]
