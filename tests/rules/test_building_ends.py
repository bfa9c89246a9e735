"""What becomes of a job whose end is told though it is gone."""

import pytest

from sandq.errors import JobCancelled, JobFailed, JobMissing
from sandq.model.building import Told, ended_value
from sandq.model.events import Event, may_end_any, tells_of_end
from sandq.model.job import JobRecord


def event(kind, job_id="7", /, **fields):
    return Event("1-0", kind, job_id, fields)


@pytest.mark.parametrize("text", ["null", "0", '{"w":64}', '"ä"'])
def test_the_value_of_a_job_that_is_gone_is_in_its_event(text):
    told = Told.of(event("completed", value=text))

    assert told == Told("completed", text.encode())
    assert ended_value("7", None, told)[0] is True


def test_a_value_that_was_too_long_for_an_event_is_missing_and_the_error_says_why():
    with pytest.raises(JobMissing, match="and its value with it; keep some jobs"):
        ended_value("7", None, Told.of(event("completed")))


@pytest.mark.parametrize(
    ("told", "failure", "message"),
    [
        (
            event("failed", kind="error", failure='{"kind":"error","message":"no","code":7}'),
            {"kind": "error", "message": "no", "code": 7},
            "job '7' failed and was removed: error: no",
        ),
        (
            event("failed", kind="timed_out"),
            {"kind": "timed_out", "message": "not kept"},
            "job '7' failed and was removed: timed_out: not kept",
        ),
    ],
)
def test_a_failed_job_that_is_gone_raises_what_is_told_of_its_failure(told, failure, message):
    with pytest.raises(JobFailed) as caught:
        ended_value("7", None, Told.of(told))

    assert (str(caught.value), caught.value.failure) == (message, failure)


def test_a_cancelled_job_raises_its_reason_whether_it_is_gone_or_not():
    failure = {"kind": "cancelled", "message": "enough"}
    born = {b"name": b"a", b"data": b"1", b"created": b"1", b"state": b"cancelled"}
    record = JobRecord.from_hash(
        "7", {**born, b"failure": b'{"kind":"cancelled","message":"enough"}'}
    )
    with pytest.raises(JobCancelled, match="job '7' was cancelled: enough") as kept:
        ended_value("7", record)
    with pytest.raises(JobCancelled, match="job '7' was cancelled and removed: enough") as gone:
        ended_value("7", None, Told.of(event("cancelled", reason="enough")))

    assert kept.value.failure == gone.value.failure == failure


@pytest.mark.parametrize(
    ("told", "of_seven", "of_any"),
    [
        (event("completed"), True, False),
        (event("failed"), True, False),
        (event("cancelled"), True, False),
        (event("removed"), True, False),
        (event("active"), False, False),
        (event("completed", "8"), False, False),
        (event("cleaned", "", state="waiting"), True, True),
        (event("cleaned", "", state="parked"), True, True),
        (event("cleaned", "", state="delayed"), True, True),
        (event("cleaned", "", state="completed"), False, False),
        (event("cleaned", "", state="failed"), False, False),
        (event("paused", ""), False, False),
    ],
)
def test_these_events_tell_a_waiter_to_look(told, of_seven, of_any):
    assert tells_of_end(told, "7") is of_seven
    assert may_end_any(told) is of_any
