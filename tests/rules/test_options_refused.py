"""What no job may ask: values out of range, options that exclude each other, unknown ones."""

from datetime import UTC, datetime

import pytest

from sandq.errors import InvalidInput, UnknownOption
from sandq.model.options import MAX_ATTEMPTS, MAX_PRIORITY, MAX_STACK_TRACES, options_from

SOON = datetime(2030, 1, 1, tzinfo=UTC)


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
        ({"heartbeat_timeout": 0}, "heartbeat_timeout must be more than zero"),
        ({"heartbeat_timeout": "soon"}, "heartbeat_timeout is not a duration"),
        ({"pool_key": ""}, "pool_key must be a text"),
        ({"pool_key": 5}, "pool_key must be a text"),
        ({"pool_key": "a\nb"}, "must hold no control characters"),
        ({"pool_key": "x" * 257}, "pool_key is 257 bytes long"),
        ({"lifo": 1}, "lifo must be True or False"),
        ({"lifo": None}, "lifo must be True or False"),
        ({"backoff": "soon"}, "backoff delay is not a duration"),
        ({"backoff": -1}, "backoff delay must be between"),
        ({"backoff": {"type": "fixed"}}, "backoff delay must be seconds"),
        ({"job_id": ""}, "job id must be a text"),
        ({"job_id": "7"}, "reserved"),
        ({"job_id": 7}, "job id must be a text"),
        ({"job_id": "repeat:a"}, "reserved"),
        ({"delay": False}, "delay must be seconds"),
        ({"run_at": datetime(2030, 1, 1)}, "run_at has no time zone"),
        ({"run_at": "soon"}, "run_at must be a datetime or seconds"),
        ({"expires_at": -1}, "expires_at must be between the years"),
        ({"remove_on_complete": None}, "remove_on_complete must be True, False, a number"),
        ({"remove_on_fail": -1}, "remove_on_fail must be a whole number"),
        ({"result_ttl": 0}, "result_ttl must be more than zero"),
        ({"result_ttl": "soon"}, "result_ttl is not a duration"),
        ({"stack_trace_limit": -1}, "stack_trace_limit must be a whole number from 0 to 1000"),
        ({"stack_trace_limit": MAX_STACK_TRACES + 1}, "stack_trace_limit must be a whole number"),
        ({"stack_trace_limit": True}, "stack_trace_limit must be a whole number"),
        ({"tags": "urgent"}, r"tags must be a list of texts, not one text; write \['urgent'\]"),
        ({"tags": None}, "tags must be a list of texts"),
        ({"tags": ["a\n"]}, "tag .* must hold no control characters"),
        ({"metadata": {"a": 1}}, "metadata must map text to text"),
        ({"dedup": ""}, "dedup must be a text"),
        ({"dedup": "a b"}, "dedup 'a b' must hold no spaces"),
        ({"dedup": "x" * 257}, "dedup is 257 bytes long"),
        ({"dedup": "a", "dedup_ttl": 0}, "dedup_ttl must be more than zero"),
        ({"group": ""}, "group must be a text"),
        ({"group": "a\n"}, "group .* must hold no control characters"),
        ({"group": 7}, "group must be a text"),
    ],
)
def test_a_value_out_of_range_is_refused(arguments, message):
    with pytest.raises(InvalidInput, match=message):
        options_from(arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"delay": 1, "run_at": SOON}, "delay and run_at exclude each other"),
        ({"run_at": SOON, "expires_at": 1}, "expires_at 1 comes before run_at .* never start"),
        ({"dedup_ttl": 5}, "dedup_ttl needs dedup"),
        ({"repeat": 5, "job_id": "a"}, "repeat and job_id exclude each other"),
        ({"repeat": 5, "delay": "1s"}, "repeat and delay exclude each other"),
        ({"repeat": 5, "run_at": SOON}, "repeat and run_at exclude each other"),
        ({"repeat": 5, "dedup": "a"}, "repeat and dedup exclude each other"),
        ({"repeat": 5}, "repeat must be a Repeat: 5"),
        ({"repeat": "every minute"}, "repeat must be a Repeat"),
    ],
)
def test_options_that_exclude_each_other_are_refused(arguments, message):
    with pytest.raises(InvalidInput, match=message):
        options_from(arguments)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("atempts", "attempts"),
        ("prio", "priority"),
        ("time_out", "timeout"),
        ("jobId", "job_id"),
        ("tag", "tags"),
        ("runAt", "run_at"),
        ("removeOnFail", "remove_on_fail"),
    ],
)
def test_an_unknown_option_is_refused_with_the_nearest_known_one(name, hint):
    with pytest.raises(UnknownOption, match=f"option '{name}' is not known; did you mean '{hint}'"):
        options_from({name: 1})


def test_an_option_like_no_other_is_refused_with_all_known_ones():
    with pytest.raises(
        UnknownOption, match="known are: attempts, backoff, dedup, dedup_ttl, delay, expi"
    ):
        options_from({"xyzzy": 1})
