"""A job as Redis holds it: the fields of its hash to a record."""

import pytest

from sandq.model.job import JobRecord
from sandq.model.states import JobState

# what every job has from birth; most jobs store nothing else
BORN = {b"name": b"resize", b"data": b'{"a": 1}', b"created": b"1700000000000", b"place": b"1"}

FULL = {
    **BORN,
    b"opts": b'{"attempts":3}',
    b"state": b"failed",
    b"priority": b"2",
    b"attempts": b"3",
    b"claims": b"4",
    b"stalls": b"1",
    b"due": b"1700000000500",
    b"started": b"1700000001000",
    b"finished": b"1700000002000",
    b"worker": b"host:1:ab",
    b"progress": b"0.50",
    b"value": b" null",
    b"failure": b'{"kind":"error","message":"no"}',
    b"group": "größe".encode(),
    b"tags": b'["red","blue"]',
    b"expires": b"1700000009000",
    b"retried": b"1700000003000",
    b"cancel": b"too slow",
    b"discard": b"1",
    b"repeat": b"resize:every:5",
    b"dedup": b"once",
    b"token": b"0123456789abcdef",
}


def test_a_job_that_was_only_added_is_waiting_and_has_no_history():
    record = JobRecord.from_hash("7", BORN)

    assert record == JobRecord(
        id="7",
        name="resize",
        data=b'{"a": 1}',
        opts=b"",
        state=JobState.WAITING,
        priority=0,
        attempts=0,
        claims=0,
        stalls=0,
        created_ms=1_700_000_000_000,
        due_ms=None,
        started_ms=None,
        finished_ms=None,
        worker=None,
        progress=None,
        value=None,
        failure=None,
        group=None,
        tags=(),
        expires_ms=None,
        retried_ms=None,
        cancel=None,
        discarded=False,
        repeat=None,
        dedup=None,
        token=None,
    )


def test_every_field_of_the_hash_has_its_place():
    record = JobRecord.from_hash("a", FULL)

    assert record == JobRecord(
        id="a",
        name="resize",
        data=b'{"a": 1}',
        opts=b'{"attempts":3}',
        state=JobState.FAILED,
        priority=2,
        attempts=3,
        claims=4,
        stalls=1,
        created_ms=1_700_000_000_000,
        due_ms=None,
        started_ms=1_700_000_001_000,
        finished_ms=1_700_000_002_000,
        worker="host:1:ab",
        progress=b"0.50",
        value=b" null",
        failure={"kind": "error", "message": "no"},
        group="größe",
        tags=("red", "blue"),
        expires_ms=1_700_000_009_000,
        retried_ms=1_700_000_003_000,
        cancel="too slow",
        discarded=True,
        repeat="resize:every:5",
        dedup="once",
        token="0123456789abcdef",
    )


@pytest.mark.parametrize("state", JobState)
def test_only_a_delayed_job_is_due(state):
    record = JobRecord.from_hash("a", {**FULL, b"state": state.value.encode()})

    assert record.state is state
    assert record.due_ms == (1_700_000_000_500 if state is JobState.DELAYED else None)


@pytest.mark.parametrize(("token", "known"), [(b"", None), (b"ab", "ab")])
def test_a_token_that_was_taken_away_is_none(token, known):
    record = JobRecord.from_hash("a", {**BORN, b"token": token})

    assert record.token == known


def test_a_token_is_not_printed():
    assert "0123456789abcdef" not in repr(JobRecord.from_hash("a", FULL))


@pytest.mark.parametrize("field", [b"name", b"worker", b"group", b"cancel", b"repeat", b"dedup"])
def test_what_is_not_utf_8_is_read_all_the_same(field):
    record = JobRecord.from_hash("a", {**BORN, field: b"a\xff"})

    assert getattr(record, field.decode()) == "a\\xff"


def test_fields_of_a_newer_version_are_passed_over():
    record = JobRecord.from_hash("7", {**BORN, b"colour": b"red"})

    assert record == JobRecord.from_hash("7", BORN)


@pytest.mark.parametrize("missing", [b"name", b"data", b"created"])
def test_a_hash_without_a_field_from_birth_is_no_job(missing):
    fields = {name: value for name, value in FULL.items() if name != missing}

    with pytest.raises(KeyError):
        JobRecord.from_hash("7", fields)
