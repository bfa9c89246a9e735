"""From what a caller gives to a job that can be stored, and back to what a caller awaits."""

from collections.abc import Iterable, Mapping
from typing import Any, cast

from sandq.errors import InvalidInput, JobCancelled, JobFailed, JobMissing
from sandq.model.job import JobRecord, NewJob
from sandq.model.names import check_job_name
from sandq.model.options import JobOptions, OptionArgs, options_from
from sandq.model.payload import MAX_DATA_BYTES, decode_stored, encode
from sandq.model.states import FINAL, JobState

#: Most jobs in one call to Redis, which serves nobody else meanwhile.
JOBS_AT_ONCE = 1000


def new_job(name: str, data: Any, options: JobOptions) -> NewJob:
    """A job ready to be stored; raises InvalidInput for what no job may have."""
    text = encode(data)
    if len(text) > MAX_DATA_BYTES:
        raise InvalidInput(
            f"data is {len(text)} bytes of JSON; at most {MAX_DATA_BYTES} are allowed. Store it "
            "elsewhere and give the job a reference"
        )

    return NewJob(
        job_id=options.job_id or "",
        name=check_job_name(name),
        data=text,
        opts=options.to_text(),
        priority=int(options.priority),
        delay_ms=options.delay_ms,
        lifo=options.lifo,
    )


def new_jobs(entries: Iterable[Any]) -> list[NewJob]:
    """Many jobs, all of them checked before any is stored.

    An entry is `(name, data)` or `(name, data, options)`, the options being a mapping or a
    JobOptions. Raises InvalidInput, which says which entry is wrong.
    """
    jobs = []
    for number, entry in enumerate(entries):
        try:
            jobs.append(_from_entry(entry))
        except InvalidInput as error:
            raise type(error)(f"job {number} of the list: {error}") from error

    return jobs


def _from_entry(entry: Any) -> NewJob:
    if not isinstance(entry, tuple | list) or len(entry) not in (2, 3):
        raise InvalidInput(f"must be (name, data) or (name, data, options): {entry!r}")

    name, data, options = entry if len(entry) == 3 else (*entry, None)
    match options:
        case None:
            return new_job(name, data, options_from(OptionArgs()))
        case JobOptions():
            return new_job(name, data, options)
        case Mapping():
            return new_job(name, data, options_from(cast("OptionArgs", dict(options))))
        case _:
            raise InvalidInput(f"options must be a mapping or JobOptions: {options!r}")


def ended_value(job_id: str, record: JobRecord | None) -> tuple[bool, Any]:
    """Whether a job has ended, and the value it returned.

    Raises JobFailed, JobCancelled, or JobMissing when there is no such job.
    """
    if record is None:
        raise JobMissing(f"job {job_id!r} does not exist, or was removed")
    if record.state not in FINAL:
        return False, None
    if record.state is JobState.CANCELLED:
        raise JobCancelled(f"job {job_id!r} was cancelled")
    if record.state is JobState.FAILED:
        failure = record.failure or {}
        kind, message = failure.get("kind", "error"), failure.get("message", "")
        raise JobFailed(f"job {job_id!r} failed: {kind}: {message}", failure)

    return True, None if record.value is None else decode_stored(record.value)


def check_state_names(states: Iterable[str]) -> list[JobState]:
    """The states of these names; raises InvalidInput, which lists the known ones."""
    known = {state.value: state for state in JobState}
    for name in states:
        if name not in known:
            raise InvalidInput(f"state {name!r} is not known; known are: {', '.join(known)}")

    return [known[name] for name in states]
