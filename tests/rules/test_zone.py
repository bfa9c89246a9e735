"""Time zones: how they are written, and what their clocks show, against Python's own."""

import sys
import zoneinfo
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandq.errors import InvalidInput
from sandq.model.zone import Turn, read_zone

ZONES = [
    "UTC",
    "+05:30",
    "-11:00",
    "Asia/Kolkata",
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "Africa/Casablanca",
    "Pacific/Apia",
]

# from 1970 to 2100
INSTANTS = st.integers(0, 4_102_444_800)


def second(text):
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("UTC", "UTC"),
        ("utc", "UTC"),
        ("Z", "UTC"),
        ("z", "UTC"),
        ("+00:00", "UTC"),
        ("-0000", "UTC"),
        ("+05:30", "+05:30"),
        ("+0530", "+05:30"),
        ("-0330", "-03:30"),
        ("+01", "+01:00"),
        ("+23:59", "+23:59"),
        ("Europe/Berlin", "Europe/Berlin"),
        ("Etc/GMT+5", "Etc/GMT+5"),
    ],
)
def test_one_way_of_writing_is_kept(written, kept):
    assert read_zone(written).name == kept
    assert read_zone(kept) == read_zone(written)


def test_an_offset_counts_eastwards():
    assert read_zone("+05:30").wall(0) == 5 * 3600 + 1800
    assert read_zone("-03:30").wall(0) == -3 * 3600 - 1800


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("Europe/Berln", "'Europe/Berln' is not known; did you mean 'Europe/Berlin'"),
        ("Mars", "'Mars' is not known; write UTC, an offset like"),
        ("", "'' is not known"),
        ("Europe", "'Europe' is not known"),
        ("../../etc/passwd", "is not known"),
        ("/etc/localtime", "is not known"),
        ("Europe/\0", "is not known"),
        ("x" * 5000, "is not known"),
        ("\ud800", "is not known"),
        ("localtime", "differs from machine to machine"),
        ("+24:00", "'\\+24:00' is not an offset"),
        ("+05:60", "is not an offset"),
        ("-5", "is not an offset"),
        (None, "must be a text such as"),
        (5, "must be a text such as"),
    ],
)
def test_what_is_no_zone_is_refused(written, message):
    with pytest.raises(InvalidInput, match=message):
        read_zone(written)


@pytest.fixture
def _no_time_zone_database(monkeypatch):
    """As on a machine with neither the system's files nor the package tzdata."""
    for name in ["tzdata", *(name for name in sys.modules if name.startswith("tzdata."))]:
        monkeypatch.setitem(sys.modules, name, None)
    path = zoneinfo.TZPATH
    zoneinfo.reset_tzpath(to=())
    zoneinfo.ZoneInfo.clear_cache()
    yield
    zoneinfo.reset_tzpath(to=path)
    zoneinfo.ZoneInfo.clear_cache()


@pytest.mark.usefixtures("_no_time_zone_database")
def test_a_machine_without_time_zones_says_what_to_install():
    with pytest.raises(InvalidInput, match=r"no time zone database; install the package tzdata"):
        read_zone("Europe/Berlin")

    assert read_zone("UTC").wall(0) == 0
    assert read_zone("+01:00").wall(0) == 3600


@pytest.mark.parametrize("name", ZONES)
@given(instant=INSTANTS)
def test_an_instant_is_among_those_of_what_the_clocks_show(name, instant):
    zone = read_zone(name)
    wall = zone.wall(instant)
    turn = zone.turn(wall)

    if turn is None:
        assert zone.first_instant(wall) == instant
    else:
        # a time that is left out is never shown
        assert not turn.skips
        assert zone.first_instant(wall) == wall - turn.before
        assert instant in (wall - turn.before, wall - turn.after)
        assert zone.wall(turn.at) - turn.at == turn.after
        assert zone.wall(turn.at - 1) - turn.at + 1 == turn.before


@pytest.mark.parametrize("name", ZONES)
@given(instant=INSTANTS)
def test_walls_are_what_python_says(name, instant):
    zone = read_zone(name)
    local = datetime.fromtimestamp(instant, zone.rules).replace(tzinfo=None)

    assert zone.wall(instant) == (local - datetime(1970, 1, 1)) // timedelta(seconds=1)


@pytest.mark.parametrize(
    ("name", "at", "before", "after"),
    [
        ("Europe/Berlin", "2026-03-29T01:00", 3600, 7200),
        ("Europe/Berlin", "2026-10-25T01:00", 7200, 3600),
        ("Australia/Lord_Howe", "2026-04-04T15:00", 39_600, 37_800),
        ("Australia/Lord_Howe", "2026-10-03T15:30", 37_800, 39_600),
        ("Africa/Cairo", "2026-04-23T22:00", 7200, 10_800),
        ("Pacific/Apia", "2011-12-30T10:00", -36_000, 50_400),
    ],
)
def test_a_turn_is_found_from_every_wall_time_that_it_touches(name, at, before, after):
    zone, turn = read_zone(name), Turn(second(at), before, after)
    low, high = sorted((turn.at + before, turn.at + after))

    assert turn.skips == (after > before)
    for wall in (low, low + 1, (low + high) // 2, high - 1):
        assert zone.turn(wall) == turn
        assert zone.first_instant(wall) == (turn.at if turn.skips else wall - before)
    assert zone.turn(low - 1) is None
    assert zone.turn(high) is None
