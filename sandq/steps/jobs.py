"""Verbs of single jobs, and how their refusals become errors."""

from typing import Any

from sandq.errors import IllegalState, InvalidInput, JobActive, JobMissing
from sandq.model.building import TOLD, Told
from sandq.model.checks import check_flag, check_text
from sandq.model.events import Event
from sandq.model.job import JobRecord
from sandq.model.payload import encode
from sandq.model.states import JobState
from sandq.steps.runner import Steps
from sandq.store import reads, verbs


def get_record(job_id: str) -> Steps[JobRecord | None]:
    """The record of a job; None if there is no such job."""
    records = yield reads.look([check_text("job id", job_id)])
    record: JobRecord | None = records[0]

    return record


def remove(job_id: str, force: bool) -> Steps[None]:
    """Remove a job."""
    check_flag("force", force)
    statuses = yield verbs.remove([job_id], force)
    if statuses[0] == "active":
        raise JobActive(
            f"job {job_id!r} is being run, so it was not removed; cancel it, or give force=True"
        )
    if statuses[0] == "missing":
        raise missing(job_id)


def update(job_id: str, data: Any) -> Steps[None]:
    """Give a job other data."""
    _found(job_id, (yield verbs.update(job_id, encode(data))))


def discard(job_id: str) -> Steps[None]:
    """Do not try a job again if it fails."""
    _found(job_id, (yield verbs.discard(job_id)))


def tell_progress(job_id: str, value: Any) -> Steps[None]:
    """Set a job's progress."""
    _found(job_id, (yield verbs.note(job_id, "progress", encode(value, "progress"))))


def log(job_id: str, message: str, level: str, fields: dict[str, Any]) -> Steps[None]:
    """Add a row to a job's log."""
    check_text("level", level)
    if not isinstance(message, str):
        raise InvalidInput(f"message must be a text: {message!r}")
    row = {"level": level, "message": message, **({"fields": fields} if fields else {})}
    _found(job_id, (yield verbs.note(job_id, "log", encode(row, "log row"))))


def promote(job_id: str) -> Steps[None]:
    """Let a delayed job start now."""
    (status,) = yield verbs.promote([job_id])
    _became(job_id, status, "promoted", "only a delayed job can be promoted")


def retry(job_id: str, reset_attempts: bool) -> Steps[None]:
    """Run an ended job again."""
    check_flag("reset_attempts", reset_attempts)
    (status,) = yield verbs.retry([job_id], reset_attempts)
    _became(job_id, status, "restarted", "only a job that has ended can be retried")


def cancel(job_id: str, reason: str) -> Steps[JobState]:
    """Call a job off: CANCELLED, or ACTIVE while its supervisor is stopping it."""
    check_text("job id", job_id)
    check_text("reason", reason)
    (status,) = yield verbs.cancel([job_id], reason)
    if status == "cancelling":
        return JobState.ACTIVE
    _became(job_id, status, "cancelled", "it has ended already")

    return JobState.CANCELLED


def ended(job_id: str, event: Event | None = None) -> Steps[tuple[JobRecord | None, Told | None]]:
    """What is known of a job's end: its record, or what is told of a job that is gone.

    That is looked for in the event stream; `event` is the one of its end, if the caller has read
    it there. Both are None when nothing tells of it.
    """
    record: JobRecord | None = yield from get_record(job_id)
    if record is not None:
        return record, None
    if event is not None and event.kind in TOLD:
        return None, Told.of(event)

    before = "+"
    while before:
        told, before = yield reads.ending(job_id, before)
        if told is not None:
            return None, told

    return None, None


def last_state(job_id: str) -> Steps[JobState]:
    """Where a job is, or how it ended that is gone by now; raises JobMissing if nothing tells."""
    record, told = yield from ended(job_id)
    if record is not None:
        return record.state
    if told is None:
        raise missing(job_id)

    return JobState(told.ending)


def missing(job_id: str) -> JobMissing:
    """The error for a job that is not there."""
    return JobMissing(f"job {job_id!r} does not exist, or was removed")


def _found(job_id: str, found: bool) -> None:
    if not found:
        raise missing(job_id)


def _became(job_id: str, status: str, wanted: str, rule: str) -> None:
    if status == "missing":
        raise missing(job_id)
    if status != wanted:
        raise IllegalState(f"job {job_id!r} is {status}: {rule}")
