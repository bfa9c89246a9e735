"""What a caller may ask of a job, and the stored form of it."""

import dataclasses
from datetime import UTC, datetime, timedelta

import orjson
import pytest

from sandq.model.backoff import Backoff
from sandq.model.keep import Keep
from sandq.model.options import (
    DEFAULT_OPTIONS,
    MAX_ATTEMPTS,
    MAX_PRIORITY,
    MAX_STACK_TRACES,
    JobOptions,
    OptionArgs,
    Priority,
    options_from,
    read_options,
)
from sandq.model.schedule import Repeat

SOON = datetime(2030, 1, 1, tzinfo=UTC)
SOON_MS = 1_893_456_000_000


def test_a_job_without_options_stores_none():
    assert JobOptions().to_text() == b""
    assert JobOptions().to_extras() == b""
    assert options_from({}) is DEFAULT_OPTIONS
    assert JobOptions() == DEFAULT_OPTIONS


def test_the_stored_form_holds_what_differs_from_the_defaults():
    options = JobOptions(
        job_id="a",
        delay=1,
        expires_at=SOON,
        priority=2,
        lifo=True,
        attempts=3,
        backoff=5,
        timeout="2s",
        remove_on_complete=True,
        remove_on_fail=Keep(100, "1d"),
        result_ttl="1h",
        stack_trace_limit=0,
        tags=["red", "blue", "red"],
        metadata={"by": "me"},
        dedup="once",
        dedup_ttl=60,
        group="acme",
    )

    assert orjson.loads(options.to_text()) == {
        "attempts": 3,
        "backoff": {"type": "fixed", "delay_ms": 5_000},
        "timeout_ms": 2_000,
        "delay_ms": 1_000,
        "lifo": True,
        "remove_on_complete": {"count": 0},
        "remove_on_fail": {"count": 100, "age_ms": 86_400_000},
        "result_ttl_ms": 3_600_000,
        "stack_trace_limit": 0,
        "metadata": {"by": "me"},
    }
    assert orjson.loads(options.to_extras()) == {
        "lifo": True,
        "expires_at": SOON_MS,
        "group": "acme",
        "dedup": "once",
        "dedup_ttl_ms": 60_000,
        "tags": ["red", "blue"],
    }


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"attempts": 1, "delay": 0, "lifo": False, "priority": 9, "job_id": "a"}, b""),
        ({"attempts": 2}, b'{"attempts":2}'),
        ({"delay": "1.5s"}, b'{"delay_ms":1500}'),
        ({"timeout": timedelta(minutes=1)}, b'{"timeout_ms":60000}'),
        ({"heartbeat_timeout": "1.5s"}, b'{"heartbeat_timeout_ms":1500}'),
        ({"pool_key": "two words"}, b'{"pool_key":"two words"}'),
        ({"backoff": 0}, b'{"backoff":{"type":"fixed","delay_ms":0}}'),
        (
            {"backoff": Backoff.exponential("250ms")},
            b'{"backoff":{"type":"exponential","delay_ms":250}}',
        ),
        ({"lifo": True}, b'{"lifo":true}'),
        ({"remove_on_complete": False, "remove_on_fail": False}, b""),
        ({"remove_on_complete": True}, b'{"remove_on_complete":{"count":0}}'),
        ({"remove_on_fail": 100}, b'{"remove_on_fail":{"count":100}}'),
        ({"remove_on_fail": Keep(age=1)}, b'{"remove_on_fail":{"age_ms":1000}}'),
        ({"result_ttl": 0.5}, b'{"result_ttl_ms":500}'),
        ({"stack_trace_limit": 10}, b'{"stack_trace_limit":10}'),
        ({"metadata": {}}, b""),
        ({"metadata": {"a": "b"}}, b'{"metadata":{"a":"b"}}'),
        ({"tags": ["a"], "group": "g", "dedup": "d", "run_at": 1, "expires_at": 2}, b""),
    ],
)
def test_each_option_has_its_stored_member(arguments, text):
    assert options_from(arguments).to_text() == text


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"attempts": 2, "delay": 1, "priority": 1, "job_id": "a", "metadata": {"a": "b"}}, b""),
        ({"lifo": True}, b'{"lifo":true}'),
        ({"lifo": False, "tags": [], "group": None}, b""),
        ({"run_at": SOON}, b'{"run_at":1893456000000}'),
        ({"run_at": 0}, b'{"run_at":0}'),
        ({"expires_at": 1_893_456_000.5}, b'{"expires_at":1893456000500}'),
        ({"group": "acme"}, b'{"group":"acme"}'),
        ({"dedup": "a:b"}, b'{"dedup":"a:b"}'),
        ({"dedup": "a", "dedup_ttl": "1m"}, b'{"dedup":"a","dedup_ttl_ms":60000}'),
        ({"tags": ("b", "a", "b")}, b'{"tags":["b","a"]}'),
    ],
)
def test_what_the_adding_script_needs_travels_beside(arguments, text):
    assert options_from(arguments).to_extras() == text


def test_another_group_counts_only_if_the_options_name_none():
    assert JobOptions().to_extras("acme") == b'{"group":"acme"}'
    assert JobOptions(group="own").to_extras("acme") == b'{"group":"own"}'


@pytest.mark.parametrize(
    ("given", "kept"),
    [(True, Keep(0)), (False, False), (5, Keep(5)), (0, Keep(0)), (Keep(1, 2), Keep(1, 2))],
)
def test_what_is_kept_has_one_form(given, kept):
    options = JobOptions(remove_on_complete=given, remove_on_fail=given)

    assert options.remove_on_complete == options.remove_on_fail == kept
    assert type(options.remove_on_complete) is type(kept)


@pytest.mark.parametrize("delay", [5, 5.0, "5s", timedelta(seconds=5)])
def test_a_duration_as_backoff_means_a_fixed_one(delay):
    assert JobOptions(backoff=delay).backoff == Backoff.fixed(5)


@pytest.mark.parametrize(
    "arguments",
    [
        {"delay": 0, "run_at": SOON},
        {"delay": "0s", "run_at": SOON},
        {"delay": 1, "expires_at": SOON},
        {"run_at": SOON, "expires_at": SOON},
        {"run_at": 1, "expires_at": 2},
        {"job_id": "a", "dedup": "b"},
    ],
)
def test_options_that_agree_are_allowed(arguments):
    options = options_from(arguments)

    assert {name: getattr(options, name) for name in arguments} == arguments


def test_a_job_may_be_repeated_with_most_other_options():
    repeat = Repeat.every("1h")
    options = JobOptions(repeat=repeat, delay=0, attempts=3, tags=["a"], group="b", lifo=True)

    assert options.repeat is repeat


@pytest.mark.parametrize(
    "arguments",
    [
        {"priority": 0},
        {"priority": MAX_PRIORITY},
        {"attempts": MAX_ATTEMPTS},
        {"delay": "36600d"},
        {"timeout": "1ms"},
        {"heartbeat_timeout": "1ms"},
        {"pool_key": "x" * 256},
        {"result_ttl": "1ms"},
        {"stack_trace_limit": MAX_STACK_TRACES},
        {"dedup": "x" * 256, "dedup_ttl": "1ms"},
        {"group": "two words"},
    ],
)
def test_the_ends_of_a_range_are_allowed(arguments):
    options = options_from(arguments)

    assert {name: getattr(options, name) for name in arguments} == arguments


def test_a_silence_and_a_pool_key_are_stored_with_the_job():
    text = JobOptions(heartbeat_timeout="30s", pool_key="ann").to_text()
    stored = read_options(text)

    assert (stored.heartbeat_timeout_ms, stored.pool_key) == (30_000, "ann")
    assert (read_options(b"").heartbeat_timeout_ms, read_options(b"").pool_key) == (None, None)


def test_the_keyword_arguments_are_the_fields():
    assert set(OptionArgs.__annotations__) == {
        field.name for field in dataclasses.fields(JobOptions)
    }
    assert OptionArgs.__total__ is False


def test_named_priorities_run_from_critical_to_low():
    named = [(priority.name, priority.value) for priority in Priority]

    assert named == [("CRITICAL", 1), ("HIGH", 2), ("NORMAL", 3), ("LOW", 4)]
    assert JobOptions(priority=Priority.CRITICAL).priority == 1


def test_options_can_be_compared_and_kept_in_sets():
    one, other = (JobOptions(metadata={"a": "b"}, tags=["c"], backoff=1) for _ in range(2))

    assert one == other
    assert len({one, other}) == 1


def test_the_metadata_given_may_change_afterwards():
    metadata = {"a": "b"}
    options = JobOptions(metadata=metadata)
    metadata["a"] = "c"

    assert options.metadata == {"a": "b"}


def test_options_do_not_change():
    with pytest.raises(dataclasses.FrozenInstanceError):
        DEFAULT_OPTIONS.attempts = 2
