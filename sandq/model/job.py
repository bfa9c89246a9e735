"""A job as it is stored, and a claim on one."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sandq.model.payload import decode_stored
from sandq.model.states import JobState


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job on its way into the queue: everything checked, everything bytes.

    `job_id` is empty when the queue's counter is to give one; `opts` is empty for the defaults.
    """

    job_id: str
    name: str
    data: bytes
    opts: bytes
    priority: int
    delay_ms: int
    lifo: bool


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to run one job once, proved by `token`, until the lease ends.

    `attempts` counts the failures so far; `stalls` the supervisors that vanished with the job.
    """

    queue: str
    id: str
    token: str
    name: str
    data: bytes
    opts: bytes
    attempts: int
    stalls: int
    priority: int
    created_ms: int


@dataclass(frozen=True, slots=True)
class JobRecord:
    """A job as Redis holds it; times are milliseconds since 1970 by the server's clock.

    `data`, `value` and `progress` are JSON text, byte for byte; None where there is none yet.
    `attempts` counts failures, `claims` starts, `stalls` supervisors that vanished with it.
    """

    id: str
    name: str
    data: bytes
    opts: bytes
    state: JobState
    priority: int
    attempts: int
    claims: int
    stalls: int
    created_ms: int
    due_ms: int | None
    started_ms: int | None
    finished_ms: int | None
    worker: str | None
    progress: bytes | None
    value: bytes | None
    failure: dict[str, Any] | None

    @classmethod
    def from_hash(cls, job_id: str, fields: Mapping[bytes, bytes]) -> "JobRecord":
        """The record in the fields of a job's hash (spec/storage.md)."""

        def number(name: bytes) -> int | None:
            text = fields.get(name)
            return None if text is None else int(text)

        state = JobState(fields.get(b"state", b"waiting").decode())
        failure = fields.get(b"failure")
        worker = fields.get(b"worker")

        return cls(
            id=job_id,
            name=fields[b"name"].decode("utf-8", "backslashreplace"),
            data=fields[b"data"],
            opts=fields.get(b"opts", b""),
            state=state,
            priority=number(b"priority") or 0,
            attempts=number(b"attempts") or 0,
            claims=number(b"claims") or 0,
            stalls=number(b"stalls") or 0,
            created_ms=int(fields[b"created"]),
            due_ms=number(b"due") if state is JobState.DELAYED else None,
            started_ms=number(b"started"),
            finished_ms=number(b"finished"),
            worker=None if worker is None else worker.decode(),
            progress=fields.get(b"progress"),
            value=fields.get(b"value"),
            failure=None if failure is None else decode_stored(failure),
        )
