"""The stored options of a job, read back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandq.errors import InvalidInput
from sandq.model import options
from sandq.model.backoff import Backoff
from sandq.model.duration import MAX_MS
from sandq.model.keep import MAX_KEPT, Keep, retain_text
from sandq.model.options import JobOptions
from sandq.model.stored_options import (
    MAX_ATTEMPTS,
    MAX_STACK_TRACES,
    StoredOptions,
    read_options,
)

MILLISECONDS = st.integers(1, MAX_MS)
BACKOFFS = st.builds(
    Backoff, st.sampled_from(["fixed", "exponential", "geometric"]), st.integers(0, MAX_MS)
) | st.builds(
    Backoff,
    st.just("list"),
    delays_ms=st.lists(st.integers(0, MAX_MS), min_size=1, max_size=3).map(tuple),
)
KEEPS = st.builds(
    lambda count, age_ms: Keep(count, None if age_ms is None else f"{age_ms}ms"),
    st.integers(0, MAX_KEPT),
    st.none() | MILLISECONDS,
)


def seconds(ms):
    return None if ms is None else f"{ms}ms"


def test_no_text_means_the_defaults():
    assert read_options(b"") == StoredOptions()
    assert read_options(b"{}") == StoredOptions()
    assert StoredOptions() == StoredOptions(1, None, None, 0, "", "")


@given(
    attempts=st.integers(1, MAX_ATTEMPTS),
    backoff=st.none() | BACKOFFS,
    timeout_ms=st.none() | MILLISECONDS,
    delay_ms=st.just(0) | MILLISECONDS,
    completed=st.none() | KEEPS,
    failed=st.none() | KEEPS,
    ttl_ms=st.none() | MILLISECONDS,
    history=st.none() | st.integers(0, MAX_STACK_TRACES),
    heartbeat_ms=st.none() | MILLISECONDS,
    pool_key=st.none() | st.sampled_from(["a", "two words", "ü"]),
)
def test_what_a_supervisor_needs_survives_the_stored_form(
    attempts, backoff, timeout_ms, delay_ms, completed, failed, ttl_ms, history, heartbeat_ms,
    pool_key,
):  # fmt: skip
    given_ = JobOptions(
        attempts=attempts,
        backoff=backoff,
        timeout=seconds(timeout_ms),
        heartbeat_timeout=seconds(heartbeat_ms),
        pool_key=pool_key,
        delay=f"{delay_ms}ms",
        remove_on_complete=completed or False,
        remove_on_fail=failed or False,
        result_ttl=seconds(ttl_ms),
        stack_trace_limit=history,
    )

    assert read_options(given_.to_text()) == StoredOptions(
        attempts,
        backoff,
        timeout_ms,
        delay_ms,
        retain_text(completed, ttl_ms=ttl_ms),
        retain_text(failed, history=history),
        heartbeat_ms,
        pool_key,
    )


@pytest.mark.parametrize(
    ("arguments", "completed", "failed"),
    [
        ({"remove_on_complete": True}, "0,,,", ""),
        ({"remove_on_fail": True}, "", "0,,,"),
        ({"remove_on_complete": 50, "remove_on_fail": Keep(9, 1)}, "50,,,", "9,1000,,"),
        ({"result_ttl": 300}, ",,300000,", ""),
        ({"remove_on_complete": 5, "result_ttl": 300}, "5,,300000,", ""),
        ({"stack_trace_limit": 0}, "", ",,,0"),
        ({"remove_on_fail": 1, "stack_trace_limit": 7}, "", "1,,,7"),
        ({"metadata": {"a": "b"}, "attempts": 2}, "", ""),
    ],
)
def test_what_is_kept_is_told_for_each_ending(arguments, completed, failed):
    stored = read_options(JobOptions(**arguments).to_text())

    assert (stored.retain_completed, stored.retain_failed) == (completed, failed)


def test_equal_texts_are_read_once():
    assert read_options(b'{"attempts":7}') is read_options(b'{"attempts"' + b":7}")


def test_members_of_a_newer_producer_are_ignored():
    text = b'{"attempts":2,"colour":"red","lifo":true,"metadata":5}'

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
        (b'{"heartbeat_timeout_ms":0}', "heartbeat_timeout_ms must be a whole number"),
        (b'{"pool_key":5}', "pool_key must be a text"),
        (b'{"pool_key":"a\\nb"}', "pool_key .* must hold no control characters"),
        (b'{"backoff":5}', "backoff must have the members"),
        (b'{"backoff":{"type":"jitter","delay_ms":5}}', "backoff type 'jitter' is not known"),
        (b'{"remove_on_complete":true}', "remove_on_complete must have the members"),
        (b'{"remove_on_fail":{"count":-1}}', "remove_on_fail count must be a whole number"),
        (b'{"result_ttl_ms":0}', "result_ttl_ms must be a whole number from 1"),
        (b'{"stack_trace_limit":1001}', "stack_trace_limit must be a whole number from 0 to 1000"),
    ],
)
def test_stored_options_nobody_could_have_meant_are_refused(text, message):
    with pytest.raises(InvalidInput, match=message):
        read_options(text)


@given(
    st.binary()
    | st.from_regex(
        rb'\{"(attempts|delay_ms|timeout_ms|backoff|remove_on_fail|result_ttl_ms)":.{0,9}\}'
    )
)
def test_any_stored_options_are_read_or_refused(text):
    try:
        stored = read_options(text)
    except InvalidInput:
        return

    assert stored.attempts >= 1
    assert stored.delay_ms >= 0


def test_who_writes_stored_options_finds_the_reader_beside():
    assert options.read_options is read_options
    assert options.StoredOptions is StoredOptions
