"""What holds for a whole queue: its range, its stored form, and what the scripts read of it."""

import dataclasses
from datetime import timedelta

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandq.errors import InvalidInput, UnknownOption
from sandq.model.backoff import Backoff
from sandq.model.duration import MAX_MS
from sandq.model.keep import Keep
from sandq.model.queue_settings import (
    MAX_CONCURRENCY,
    MAX_METRICS_POINTS,
    MAX_SIZE,
    QueueSettings,
    check_group_key,
)
from sandq.model.rate_limit import RateLimit

FULL = {
    "max_size": 1_000,
    "max_delay": "30d",
    "concurrency": 8,
    "group_concurrency": 2,
    "rate_limit": RateLimit(100, 60, bounce_back=True, per_group=True),
    "group_key": "tenant.id",
    "metrics_points": 60,
    "defaults": {"attempts": 3, "backoff": 5, "delay": "1s", "remove_on_complete": 100},
}

SETTINGS = st.builds(
    QueueSettings,
    max_size=st.none() | st.integers(1, MAX_SIZE),
    max_delay=st.none() | st.integers(1, MAX_MS).map(lambda ms: timedelta(milliseconds=ms)),
    concurrency=st.none() | st.integers(1, MAX_CONCURRENCY),
    group_concurrency=st.none() | st.integers(1, MAX_CONCURRENCY),
    rate_limit=st.none()
    | st.builds(
        RateLimit,
        st.integers(1, 99),
        st.integers(1, MAX_MS).map(lambda ms: f"{ms}ms"),
        st.booleans(),
        st.booleans(),
    ),
    group_key=st.none() | st.sampled_from(["tenant", "tenant.id", "größe"]),
    metrics_points=st.integers(0, MAX_METRICS_POINTS),
    defaults=st.fixed_dictionaries(
        {},
        optional={
            "attempts": st.integers(1, 9),
            "timeout": st.none() | st.floats(0.001, 1e6),
            "backoff": st.sampled_from([None, 5, Backoff.geometric(1, jitter=1)]),
            "remove_on_fail": st.sampled_from([True, False, 5, Keep(1, "1h")]),
            "tags": st.sampled_from([[], ["a", "b"]]),
            "metadata": st.sampled_from([None, {"a": "b"}]),
        },
    ),
)


def test_a_queue_without_settings_has_no_limit():
    settings = QueueSettings()

    assert settings.to_text() == b"{}"
    assert settings.to_meta() == {}
    assert settings.metrics_points == 1440
    assert QueueSettings.from_text(b"") == QueueSettings.from_text("{}") == settings


def test_the_stored_form_holds_what_differs_from_the_defaults():
    assert orjson.loads(QueueSettings(**FULL).to_text()) == {
        "max_size": 1_000,
        "max_delay_ms": 2_592_000_000,
        "concurrency": 8,
        "group_concurrency": 2,
        "rate_limit": {"max": 100, "duration_ms": 60_000, "bounce_back": True, "per_group": True},
        "group_key": "tenant.id",
        "metrics_points": 60,
        "defaults": {
            "attempts": 3,
            "backoff": {"type": "fixed", "delay_ms": 5_000},
            "delay_ms": 1_000,
            "remove_on_complete": {"count": 100},
        },
    }


@pytest.mark.parametrize("name", FULL)
def test_each_setting_is_stored_alone_and_comes_back(name):
    settings = QueueSettings(**{name: FULL[name]})

    assert len(orjson.loads(settings.to_text())) == 1
    assert QueueSettings.from_text(settings.to_text()) == settings
    assert QueueSettings.from_text(settings.to_text().decode()) == settings


def test_every_setting_is_tried_here():
    assert list(FULL) == [field.name for field in dataclasses.fields(QueueSettings)]


@given(SETTINGS)
def test_settings_survive_their_stored_form(settings):
    again = QueueSettings.from_text(settings.to_text())

    assert again == settings
    assert again.to_text() == settings.to_text()
    assert again.to_meta() == settings.to_meta()
    assert hash(again) == hash(settings)


@pytest.mark.parametrize(
    ("arguments", "meta"),
    [
        ({"max_size": 5}, {"max_size": "5"}),
        ({"concurrency": 5}, {"concurrency": "5"}),
        ({"group_concurrency": 5}, {"group_concurrency": "5"}),
        ({"rate_limit": RateLimit(5, "2s")}, {"rate_max": "5", "rate_ms": "2000"}),
        (
            {"rate_limit": RateLimit(5, 1, bounce_back=True, per_group=True)},
            {"rate_max": "5", "rate_ms": "1000", "rate_group": "1", "rate_bounce": "1"},
        ),
        ({"metrics_points": 0}, {"points": "0"}),
        ({"metrics_points": 1440}, {}),
        ({"max_delay": 5}, {"max_delay": "5000"}),
        ({"group_key": "a", "defaults": {"attempts": 2}}, {}),
    ],
)
def test_the_scripts_read_only_what_is_set(arguments, meta):
    assert QueueSettings(**arguments).to_meta() == meta


def test_what_the_scripts_read_is_the_same_in_any_order_of_settings():
    assert list(QueueSettings(**FULL).to_meta()) == [
        "concurrency",
        "group_concurrency",
        "rate_max",
        "rate_ms",
        "rate_group",
        "rate_bounce",
        "max_size",
        "max_delay",
        "points",
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"max_size": 0}, "max_size must be a whole number from 1 to 1000000000"),
        ({"max_size": True}, "max_size must be a whole number"),
        ({"max_size": 1.0}, "max_size must be a whole number"),
        ({"concurrency": 0}, "concurrency must be a whole number from 1 to 1000000"),
        ({"group_concurrency": -1}, "group_concurrency must be a whole number from 1"),
        ({"metrics_points": -1}, "metrics_points must be a whole number from 0 to 80640"),
        ({"metrics_points": MAX_METRICS_POINTS + 1}, "metrics_points must be a whole number"),
        ({"metrics_points": None}, "metrics_points must be a whole number"),
        ({"max_delay": 0}, "max_delay must be more than zero; leave it out for none"),
        ({"max_delay": "soon"}, "max_delay is not a duration"),
        ({"max_delay": -1}, "max_delay must be between"),
        ({"rate_limit": 5}, "rate_limit must be a RateLimit: 5"),
        ({"rate_limit": {"max": 5}}, "rate_limit must be a RateLimit"),
        ({"group_key": ""}, "group_key must be a text"),
        ({"group_key": "a..b"}, "group_key 'a..b' must be member names with single dots"),
        ({"group_key": ".a"}, "group_key '.a' must be member names"),
        ({"group_key": "a."}, "group_key 'a.' must be member names"),
        ({"group_key": 5}, "group_key must be a text"),
        ({"group_key": "a\nb"}, "group_key .* must hold no control characters"),
        ({"defaults": None}, "defaults must be a mapping"),
        ({"defaults": {"attempts": 0}}, "attempts must be a whole number"),
        ({"defaults": {"job_id": "a"}}, "option 'job_id' cannot be a default"),
        (
            {"max_delay": 5, "defaults": {"delay": "6s"}},
            "the default delay of 6.0 s is longer than max_delay, 5.0 s",
        ),
    ],
)
def test_a_value_out_of_range_is_refused(arguments, message):
    with pytest.raises(InvalidInput, match=message):
        QueueSettings(**arguments)


def test_an_unknown_default_is_refused_with_the_nearest_known_one():
    with pytest.raises(UnknownOption, match="did you mean 'attempts'"):
        QueueSettings(defaults={"atempts": 2})


@pytest.mark.parametrize(
    "arguments",
    [
        {"max_size": 1, "concurrency": 1, "group_concurrency": 1, "metrics_points": 0},
        {"max_size": MAX_SIZE, "concurrency": MAX_CONCURRENCY, "metrics_points": 80_640},
        {"max_delay": 0.001},
        {"max_delay": 5, "defaults": {"delay": 5}},
    ],
)
def test_the_ends_of_a_range_are_allowed(arguments):
    settings = QueueSettings(**arguments)

    assert {name: getattr(settings, name) for name in arguments} == arguments


def test_settings_that_mean_the_same_are_equal():
    one = QueueSettings(max_delay="1m", defaults={"timeout": "1m", "backoff": 60})
    other = QueueSettings(max_delay=60, defaults={"timeout": 60, "backoff": Backoff.fixed("1m")})

    assert one == other
    assert (one.max_delay, one.max_delay_ms) == (60.0, 60_000)


def test_the_defaults_given_may_change_afterwards():
    defaults = {"attempts": 2}
    settings = QueueSettings(defaults=defaults)
    defaults["attempts"] = 3

    assert settings.defaults == {"attempts": 2}


def test_members_of_a_newer_version_are_ignored():
    assert QueueSettings.from_text(b'{"max_size":5,"colour":"red"}') == QueueSettings(max_size=5)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"{", "stored settings are not JSON"),
        (b"[]", "stored settings must be an object"),
        (b"5", "stored settings must be an object"),
        (b'{"max_size":0}', "max_size must be a whole number"),
        (b'{"max_size":"5"}', "max_size must be a whole number"),
        (b'{"max_delay_ms":0}', "max_delay_ms must be a whole number"),
        (b'{"max_delay_ms":1.5}', "max_delay_ms must be a whole number"),
        (b'{"rate_limit":5}', "rate_limit must have the members"),
        (b'{"group_key":5}', "group_key must be a text"),
        (b'{"defaults":[]}', "stored defaults must be an object"),
        (b'{"defaults":{"attempts":0}}', "attempts must be a whole number"),
    ],
)
def test_stored_settings_nobody_could_have_meant_are_refused(text, message):
    with pytest.raises(InvalidInput, match=message):
        QueueSettings.from_text(text)


@given(st.binary() | st.from_regex(rb'\{"(max_size|max_delay_ms|rate_limit|defaults)":.{0,9}\}'))
def test_any_stored_settings_are_read_or_refused(text):
    try:
        settings = QueueSettings.from_text(text)
    except InvalidInput:
        return

    assert QueueSettings.from_text(settings.to_text()) == settings


@pytest.mark.parametrize("group_key", ["tenant", "tenant.id", "a.b.c", "two words", "größe"])
def test_a_group_key_is_a_path_into_the_data(group_key):
    assert check_group_key(group_key) == group_key
