"""Options that jobs have unless they say otherwise: who wins, and how they are stored."""

from datetime import UTC, datetime, timedelta

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandq.errors import InvalidInput, UnknownOption
from sandq.model.backoff import Backoff
from sandq.model.defaults import (
    NO_DEFAULTS,
    check_defaults,
    defaults_from_members,
    defaults_to_members,
    merge_options,
)
from sandq.model.duration import MAX_MS
from sandq.model.keep import Keep
from sandq.model.options import DEFAULT_OPTIONS, JobOptions, OptionArgs, Priority
from sandq.model.schedule import Repeat

SOON = datetime(2030, 1, 1, tzinfo=UTC)
EVERY = Repeat.every("1h")

DURATIONS = st.integers(1, MAX_MS).flatmap(
    lambda ms: st.sampled_from([f"{ms}ms", timedelta(milliseconds=ms), ms / 1000])
)
WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=9)
REMOVALS = st.booleans() | st.integers(0, 10**9) | st.builds(Keep, st.integers(0, 99), DURATIONS)
DEFAULTS = st.fixed_dictionaries(
    {},
    optional={
        "delay": st.just(0) | DURATIONS,
        "priority": st.sampled_from([0, 7, *Priority]),
        "lifo": st.booleans(),
        "attempts": st.integers(1, 99),
        "backoff": st.none()
        | DURATIONS
        | st.builds(Backoff.geometric, DURATIONS, st.floats(1, 9), st.none() | DURATIONS)
        | st.builds(Backoff.delays, st.lists(DURATIONS, min_size=1, max_size=3))
        | st.builds(lambda x: Backoff.named("mine", x=x), st.integers(0, 9)),
        "timeout": st.none() | DURATIONS,
        "heartbeat_timeout": st.none() | DURATIONS,
        "pool_key": st.none() | WORDS,
        "remove_on_complete": REMOVALS,
        "remove_on_fail": REMOVALS,
        "result_ttl": st.none() | DURATIONS,
        "stack_trace_limit": st.none() | st.integers(0, 1000),
        "tags": st.lists(WORDS, max_size=3),
        "metadata": st.none() | st.dictionaries(WORDS, WORDS, max_size=3),
        "group": st.none() | WORDS,
    },
)


@pytest.mark.parametrize(
    ("stored", "client", "job", "merged"),
    [
        ({}, {}, {}, {}),
        ({"attempts": 2}, {}, {}, {"attempts": 2}),
        ({"attempts": 2}, {"attempts": 3}, {}, {"attempts": 3}),
        ({"attempts": 2}, {"attempts": 3}, {"attempts": 4}, {"attempts": 4}),
        ({"attempts": 2}, {"attempts": 1}, {}, {}),
        ({"attempts": 2}, {}, {"attempts": 1}, {}),
        (
            {"attempts": 2},
            {"timeout": 5},
            {"lifo": True},
            {"attempts": 2, "timeout": 5, "lifo": True},
        ),
        ({"backoff": 5}, {}, {"backoff": None}, {}),
        ({"remove_on_complete": 5}, {}, {"remove_on_complete": False}, {}),
        # an option is replaced as a whole
        ({"tags": ["a"]}, {"tags": ["b"]}, {}, {"tags": ["b"]}),
        ({"metadata": {"a": "1"}}, {}, {"metadata": {"b": "2"}}, {"metadata": {"b": "2"}}),
        # a job's own moment replaces a default delay
        ({"delay": 5}, {}, {"run_at": SOON}, {"run_at": SOON}),
        ({"delay": 5}, {"delay": 6}, {"repeat": EVERY}, {"repeat": EVERY}),
        ({"delay": 5}, {}, {"run_at": None}, {"delay": 5}),
        ({}, {}, {"job_id": "a", "dedup": "b"}, {"job_id": "a", "dedup": "b"}),
        ({"attempts": 2}, {}, {"job_id": "a"}, {"job_id": "a", "attempts": 2}),
    ],
)
def test_the_last_one_that_names_an_option_wins(stored, client, job, merged):
    assert merge_options(stored, client, job) == JobOptions(**merged)


@pytest.mark.parametrize(
    ("job", "merged"),
    [
        (JobOptions(), {"attempts": 2, "delay": 5}),
        (JobOptions(attempts=3), {"attempts": 3, "delay": 5}),
        # it cannot be told from one that says nothing
        (JobOptions(attempts=1), {"attempts": 2, "delay": 5}),
        (JobOptions(run_at=SOON), {"attempts": 2, "run_at": SOON}),
        (JobOptions(delay=1, lifo=True), {"attempts": 2, "delay": 1, "lifo": True}),
    ],
)
def test_of_job_options_only_what_differs_from_the_defaults_counts(job, merged):
    assert merge_options({"attempts": 2}, {"delay": 5}, job) == JobOptions(**merged)


def test_without_defaults_nothing_is_made_anew():
    options = JobOptions(attempts=2)

    assert merge_options({}, {}, options) is options
    assert merge_options({}, {}, {}) is DEFAULT_OPTIONS


def test_a_delay_and_a_moment_of_the_job_itself_exclude_each_other_still():
    with pytest.raises(InvalidInput, match="delay and run_at exclude each other"):
        merge_options({"delay": 5}, {}, {"delay": 1, "run_at": SOON})


@pytest.mark.parametrize(
    ("stored", "client", "job"),
    [({"atempts": 2}, {}, {}), ({}, {"atempts": 2}, {}), ({}, {}, {"atempts": 2})],
)
def test_an_unknown_option_is_refused_wherever_it_stands(stored, client, job):
    with pytest.raises(UnknownOption, match="did you mean 'attempts'"):
        merge_options(stored, client, job)


def test_options_of_one_job_alone_are_these():
    assert {"job_id", "dedup", "dedup_ttl", "repeat", "run_at", "expires_at"} == NO_DEFAULTS
    assert set(OptionArgs.__annotations__) > NO_DEFAULTS


@pytest.mark.parametrize("name", sorted(NO_DEFAULTS))
def test_an_option_of_one_job_alone_is_no_default(name):
    message = f"option '{name}' cannot be a default"

    for stored, client in (({name: "a"}, {}), ({}, {name: "a"})):
        with pytest.raises(InvalidInput, match=message):
            merge_options(stored, client, {})
    with pytest.raises(InvalidInput, match=message):
        check_defaults({name: "a"})


@pytest.mark.parametrize(
    ("defaults", "kept"),
    [
        ({}, {}),
        ({"attempts": 1}, {"attempts": 1}),
        ({"delay": "1m", "timeout": timedelta(seconds=2)}, {"delay": 60.0, "timeout": 2.0}),
        ({"timeout": None}, {"timeout": None}),
        (
            {"heartbeat_timeout": "1m", "pool_key": "a"},
            {"heartbeat_timeout": 60.0, "pool_key": "a"},
        ),
        ({"backoff": "1m"}, {"backoff": Backoff.fixed(60)}),
        ({"remove_on_fail": True}, {"remove_on_fail": Keep(0)}),
        ({"remove_on_complete": False}, {"remove_on_complete": False}),
        ({"tags": ["a", "a"]}, {"tags": ("a",)}),
        ({"priority": Priority.HIGH}, {"priority": 2}),
    ],
)
def test_defaults_have_one_form_and_only_what_is_given(defaults, kept):
    assert check_defaults(defaults) == kept


@pytest.mark.parametrize(
    ("defaults", "message"),
    [
        (5, "defaults must be a mapping of options: 5"),
        ([("attempts", 2)], "defaults must be a mapping"),
        ({"attempts": 0}, "attempts must be a whole number"),
        ({"timeout": 0}, "timeout must be more than zero"),
        ({"prio": 1}, "did you mean 'priority'"),
    ],
)
def test_defaults_no_job_could_have_are_refused(defaults, message):
    with pytest.raises(InvalidInput, match=message):
        check_defaults(defaults)


def test_the_stored_form_has_the_members_of_stored_options():
    defaults = {
        "delay": 1,
        "priority": Priority.LOW,
        "backoff": 5,
        "timeout": None,
        "heartbeat_timeout": 2,
        "pool_key": "a",
        "remove_on_complete": True,
        "remove_on_fail": False,
        "result_ttl": "1h",
        "tags": ["a"],
    }

    assert orjson.loads(orjson.dumps(defaults_to_members(defaults))) == {
        "delay_ms": 1_000,
        "priority": 4,
        "backoff": {"type": "fixed", "delay_ms": 5_000},
        "timeout_ms": None,
        "heartbeat_timeout_ms": 2_000,
        "pool_key": "a",
        "remove_on_complete": {"count": 0},
        "remove_on_fail": False,
        "result_ttl_ms": 3_600_000,
        "tags": ["a"],
    }


@given(DEFAULTS)
def test_defaults_survive_their_stored_form(defaults):
    text = orjson.dumps(defaults_to_members(defaults))

    assert defaults_from_members(orjson.loads(text)) == check_defaults(defaults)
    assert check_defaults(check_defaults(defaults)) == check_defaults(defaults)


@given(DEFAULTS)
def test_the_one_form_means_the_same(defaults):
    one, other = JobOptions(**defaults), JobOptions(**check_defaults(defaults))

    assert (one.to_text(), one.to_extras()) == (other.to_text(), other.to_extras())


def test_members_of_a_newer_version_are_ignored():
    # among them a delay in seconds: what is stored is in milliseconds
    members = {"attempts": 2, "colour": "red", "delay": 7, "job_id": "a"}

    assert defaults_from_members(members) == {"attempts": 2}


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"attempts": 0}, "attempts must be a whole number"),
        ({"delay_ms": 1.5}, "delay_ms must be a whole number"),
        ({"timeout_ms": -1}, "timeout_ms must be a whole number"),
        ({"timeout_ms": 0}, "timeout must be more than zero"),
        ({"backoff": 5}, "backoff must have the members"),
        ({"remove_on_fail": True}, "remove_on_fail must have the members"),
        ({"tags": 5}, "tags must be a list"),
        ({"metadata": []}, "metadata must be a mapping"),
    ],
)
def test_stored_defaults_nobody_could_have_meant_are_refused(members, message):
    with pytest.raises(InvalidInput, match=message):
        defaults_from_members(members)
