"""Payload bytes in are payload bytes out, through every script that carries one."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sandq.model.building import new_job
from sandq.model.options import JobOptions
from sandq.model.payload import JsonText, encode
from sandq.model.verdict import Action, Verdict
from sandq.store import calls, reads, verbs
from sandq.store.calls import Report, Settlement
from sandq.store.store import SyncStore

SPECIAL = [
    b"[]", b"{}", b'{"a":[]}', b"9223372036854775808", b"18446744073709551615", b"1e308", b"-0.0",
    b"0.1", b"1.0", b'"\\u0000"', '"😀"'.encode(), b'"\\ud83d\\ude00"', b"null", b"false", b'""',
    b' {"b" : 1 ,\n "a":[ ] } ', b'"' + b"x" * (900 * 1024) + b'"',
]  # fmt: skip

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=4)
    ),
    max_leaves=12,
)
TEXTS = st.one_of(
    st.sampled_from(SPECIAL),
    VALUES.map(encode),
    # the same values as another writer puts them: spaces, escapes
    VALUES.map(lambda value: json.dumps(value, indent=1).encode()),
)


@pytest.fixture
def store(each_server):
    store = SyncStore("q", each_server.url)
    yield store
    store.close()


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow,
                           HealthCheck.large_base_example, HealthCheck.data_too_large],
)  # fmt: skip
@given(data=TEXTS, value=TEXTS, failure=VALUES)
def test_payloads_are_the_same_bytes_at_the_other_end(store, data, value, failure):
    failure_text = encode({"kind": "error", "message": "", "data": failure})
    job = new_job("work", JsonText(data), JobOptions(attempts=2))

    (job_id,) = store.run(calls.add([job]))
    (first,) = store.run(calls.claim("q", 1, "a", "w", 1000)).claims
    retry = Settlement(first, Verdict(Action.RETRY, kind="error", payload=failure_text))
    _, claimed = store.run(calls.settle_and_claim("q", [retry], 1, "b", "w", 1000))
    (second,) = claimed.claims
    after_retry = store.run(reads.look([job_id]))[0]
    store.run(calls.report([Report(second, "progress", value), Report(second, "log", value)]))
    done = Settlement(second, Verdict(Action.COMPLETE, payload=value))
    store.run(calls.settle_and_claim("q", [done], 0, "c", "w", 1000))
    (record,) = store.run(reads.look([job_id]))
    (shown, *_) = store.run(reads.page(record.state, 0, 0, True))
    _, rows = store.run(reads.logs(job_id, 0, -1))

    assert first.data == second.data == record.data == shown.data == data
    assert record.value == record.progress == rows[0].text == value
    assert after_retry.failure == json.loads(failure_text)
    assert record.failure is None


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=TEXTS)
def test_payloads_survive_a_stall_a_release_and_a_delay(store, data):
    job = new_job("work", JsonText(data), JobOptions(delay=1))
    now = 1_700_000_000_000

    (job_id,) = store.run(calls.add([job], now=str(now)))
    store.run(calls.tend(str(now + 1000)))
    (first,) = store.run(calls.claim("q", 1, "a", "w", 1000, str(now + 1000))).claims
    store.run(calls.recover(10, 5, str(now + 2000)))
    (second,) = store.run(calls.claim("q", 1, "b", "w", 1000, str(now + 2000))).claims
    release = Settlement(second, Verdict(Action.RELEASE))
    _, claimed = store.run(calls.settle_and_claim("q", [release], 1, "c", "w", 1000, str(now)))
    (third,) = claimed.claims
    end = Settlement(third, Verdict(Action.COMPLETE, payload=b"1"))
    store.run(calls.settle_and_claim("q", [end], 0, "d", "w", 1000, str(now)))

    assert first.id == second.id == third.id == job_id
    assert first.data == second.data == third.data == data
    assert store.run(reads.look([job_id]))[0].data == data


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=TEXTS, value=TEXTS)
def test_payloads_survive_an_update_a_note_and_a_retry_by_hand(store, data, value):
    (job_id,) = store.run(calls.add([new_job("work", None, JobOptions())]))

    store.run(verbs.update(job_id, data))
    store.run(verbs.note(job_id, "progress", value))
    store.run(verbs.note(job_id, "log", value))
    noted = store.run(reads.look([job_id]))[0]
    (first,) = store.run(calls.claim("q", 1, "a", "w", 1000)).claims
    done = Settlement(first, Verdict(Action.COMPLETE, payload=value))
    store.run(calls.settle_and_claim("q", [done], 0, "b", "w", 1000))
    store.run(verbs.retry([job_id], True))
    (second,) = store.run(calls.claim("q", 1, "c", "w", 1000)).claims
    # what goes with its job is told in the event
    done = Settlement(second, Verdict(Action.COMPLETE, payload=value), "0,,,")
    store.run(calls.settle_and_claim("q", [done], 0, "d", "w", 1000))
    told, _ = store.run(reads.ending(job_id))

    assert first.data == second.data == data
    assert noted.progress == value
    assert store.run(reads.logs(job_id, 0, -1)) == (0, []), "it went with the job"
    assert told.ending == "completed"
    assert told.text == (value if len(value) <= 65536 else b"")


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=TEXTS)
def test_the_data_of_a_series_is_the_same_bytes_in_every_occurrence(each_server, store, data):
    each_server.client.flushall()
    job = new_job("work", JsonText(data), JobOptions(tags=["a/b", "é"]))
    store.run(verbs.upsert_series("s", 1000, 0, b"{}", job, "500"))

    (outstanding, _) = store.run(verbs.upsert_series("s", 2000, 0, b"{}", job, "1500"))
    (made,) = store.run(verbs.fire("s", 2000, False, 3000, [], "2000"))
    first, second = store.run(reads.look([outstanding, made]))

    assert first.data == second.data == data
    assert first.tags == second.tags == ("a/b", "é")
