"""What a caller may ask of a job, and the stored form of it."""

import dataclasses
from datetime import timedelta

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandq.errors import InvalidInput, UnknownOption
from sandq.model.backoff import KINDS, Backoff
from sandq.model.duration import MAX_MS
from sandq.model.options import (
    DEFAULT_OPTIONS,
    MAX_ATTEMPTS,
    MAX_PRIORITY,
    JobOptions,
    OptionArgs,
    Priority,
    StoredOptions,
    options_from,
    read_options,
)

MILLISECONDS = st.integers(1, MAX_MS)
BACKOFFS = st.builds(Backoff, st.sampled_from(KINDS), st.integers(0, MAX_MS))
STORED = st.builds(
    StoredOptions,
    attempts=st.integers(1, MAX_ATTEMPTS),
    backoff=st.none() | BACKOFFS,
    timeout_ms=st.none() | MILLISECONDS,
    delay_ms=st.just(0) | MILLISECONDS,
)


def test_a_job_without_options_stores_none():
    assert JobOptions().to_text() == b""
    assert read_options(b"") == StoredOptions()
    assert options_from({}) is DEFAULT_OPTIONS
    assert JobOptions() == DEFAULT_OPTIONS


def test_the_stored_form_holds_what_differs_from_the_defaults():
    options = JobOptions(
        job_id="a", delay=1, priority=2, lifo=True, attempts=3, backoff=5, timeout="2s"
    )

    assert orjson.loads(options.to_text()) == {
        "attempts": 3,
        "backoff": {"type": "fixed", "delay_ms": 5_000},
        "timeout_ms": 2_000,
        "delay_ms": 1_000,
        "lifo": True,
    }


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"attempts": 1, "delay": 0, "lifo": False, "priority": 9, "job_id": "a"}, b""),
        ({"attempts": 2}, b'{"attempts":2}'),
        ({"delay": "1.5s"}, b'{"delay_ms":1500}'),
        ({"timeout": timedelta(minutes=1)}, b'{"timeout_ms":60000}'),
        ({"backoff": 0}, b'{"backoff":{"type":"fixed","delay_ms":0}}'),
        (
            {"backoff": Backoff.exponential("250ms")},
            b'{"backoff":{"type":"exponential","delay_ms":250}}',
        ),
    ],
)
def test_each_option_has_its_stored_member(arguments, text):
    assert options_from(arguments).to_text() == text


@given(STORED)
def test_what_a_supervisor_needs_survives_the_stored_form(stored):
    options = JobOptions(
        attempts=stored.attempts,
        backoff=stored.backoff,
        timeout=None if stored.timeout_ms is None else f"{stored.timeout_ms}ms",
        delay=f"{stored.delay_ms}ms",
    )

    assert read_options(options.to_text()) == stored


def test_members_of_a_newer_producer_are_ignored():
    text = b'{"attempts":2,"colour":"red","lifo":true}'

    assert read_options(text) == StoredOptions(attempts=2)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"{", "stored options are not JSON"),
        (b"\xff", "stored options are not JSON"),
        (b"[]", "stored options must be an object"),
        (b"null", "stored options must be an object"),
        (b'{"attempts":0}', "attempts must be a whole number"),
        (b'{"attempts":"3"}', "attempts must be a whole number"),
        (b'{"attempts":true}', "attempts must be a whole number"),
        (b'{"delay_ms":-1}', "delay_ms must be a whole number"),
        (b'{"delay_ms":1.5}', "delay_ms must be a whole number"),
        (b'{"timeout_ms":0}', "timeout_ms must be a whole number"),
        (b'{"timeout_ms":1e30}', "timeout_ms must be a whole number"),
        (b'{"backoff":5}', "backoff must have the members"),
        (b'{"backoff":{"type":"jitter","delay_ms":5}}', "backoff type 'jitter' is not known"),
    ],
)
def test_stored_options_nobody_could_have_meant_are_refused(text, message):
    with pytest.raises(InvalidInput, match=message):
        read_options(text)


@given(st.binary() | st.from_regex(rb'\{"(attempts|delay_ms|timeout_ms|backoff)":.{0,9}\}'))
def test_any_stored_options_are_read_or_refused(text):
    try:
        stored = read_options(text)
    except InvalidInput:
        return

    assert stored.attempts >= 1
    assert stored.delay_ms >= 0


@pytest.mark.parametrize("delay", [5, 5.0, "5s", timedelta(seconds=5)])
def test_a_duration_as_backoff_means_a_fixed_one(delay):
    assert JobOptions(backoff=delay).backoff == Backoff.fixed(5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"priority": -1}, "priority must be a whole number from 0 to 2147483648"),
        ({"priority": MAX_PRIORITY + 1}, "priority must be a whole number"),
        ({"priority": 1.0}, "priority must be a whole number"),
        ({"priority": True}, "priority must be a whole number"),
        ({"priority": "1"}, "priority must be a whole number"),
        ({"attempts": 0}, "attempts must be a whole number from 1 to 1000000"),
        ({"attempts": MAX_ATTEMPTS + 1}, "attempts must be a whole number"),
        ({"attempts": None}, "attempts must be a whole number"),
        ({"attempts": 2.5}, "attempts must be a whole number"),
        ({"delay": -1}, "delay must be between"),
        ({"delay": None}, "delay must be seconds"),
        ({"delay": "soon"}, "delay is not a duration"),
        ({"timeout": 0}, "timeout must be more than zero"),
        ({"timeout": "0ms"}, "timeout must be more than zero"),
        ({"timeout": -1}, "timeout must be between"),
        ({"lifo": 1}, "lifo must be True or False"),
        ({"lifo": None}, "lifo must be True or False"),
        ({"backoff": "soon"}, "backoff delay is not a duration"),
        ({"backoff": -1}, "backoff delay must be between"),
        ({"backoff": {"type": "fixed"}}, "backoff delay must be seconds"),
        ({"job_id": ""}, "job id must be a text"),
        ({"job_id": "7"}, "reserved"),
        ({"job_id": 7}, "job id must be a text"),
    ],
)
def test_a_value_out_of_range_is_refused(arguments, message):
    with pytest.raises(InvalidInput, match=message):
        options_from(arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        {"priority": 0},
        {"priority": MAX_PRIORITY},
        {"attempts": MAX_ATTEMPTS},
        {"delay": "36600d"},
        {"timeout": "1ms"},
    ],
)
def test_the_ends_of_a_range_are_allowed(arguments):
    options = options_from(arguments)

    assert {name: getattr(options, name) for name in arguments} == arguments


@pytest.mark.parametrize(
    ("name", "hint"),
    [("atempts", "attempts"), ("prio", "priority"), ("time_out", "timeout"), ("jobId", "job_id")],
)
def test_an_unknown_option_is_refused_with_the_nearest_known_one(name, hint):
    with pytest.raises(UnknownOption, match=f"option '{name}' is not known; did you mean '{hint}'"):
        options_from({name: 1})


def test_an_option_like_no_other_is_refused_with_all_known_ones():
    with pytest.raises(UnknownOption, match="known are: attempts, backoff, delay, job_id, lifo"):
        options_from({"xyzzy": 1})


def test_the_keyword_arguments_are_the_fields():
    assert set(OptionArgs.__annotations__) == {
        field.name for field in dataclasses.fields(JobOptions)
    }
    assert OptionArgs.__total__ is False


def test_named_priorities_run_from_critical_to_low():
    named = [(priority.name, priority.value) for priority in Priority]

    assert named == [("CRITICAL", 1), ("HIGH", 2), ("NORMAL", 3), ("LOW", 4)]
    assert JobOptions(priority=Priority.CRITICAL).priority == 1


def test_options_do_not_change():
    with pytest.raises(dataclasses.FrozenInstanceError):
        DEFAULT_OPTIONS.attempts = 2
