"""One pure builder per verb: what to send, and how to read the reply.

A Call knows nothing of connections, so the async and the sync runner share every builder.
`now` is empty for the server's own clock; tests give milliseconds.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sandq.model.job import Claim, JobRecord, NewJob
from sandq.model.states import JobState
from sandq.model.verdict import Verdict
from sandq.store.keys import LAYOUT

T = TypeVar("T")

#: Log rows kept with a job; older ones go first (seed 3).
LOG_ROWS_KEPT = 1000


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One call of a script: its name, its ARGV, and the reader of its reply."""

    script: str
    args: Sequence[Any]
    read: Callable[[Any], T]


@dataclass(frozen=True, slots=True)
class Claimed:
    """The reply of a claim: `next_due_ms` is None when nothing is delayed."""

    now_ms: int
    lease_end_ms: int
    next_due_ms: int | None
    left: int
    claims: list[Claim]


@dataclass(frozen=True, slots=True)
class Settlement:
    """A verdict on the attempt that a claim gave the right to."""

    claim: Claim
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Report:
    """What a running attempt says: `kind` is "progress" or "log", `text` is JSON."""

    claim: Claim
    kind: str
    text: bytes


@dataclass(frozen=True, slots=True)
class Recovered:
    """A stalled job: where it went, and the worker that vanished with it."""

    id: str
    state: JobState
    worker: str


@dataclass(frozen=True, slots=True)
class LogRow:
    """One log row: when (ms since 1970, the server's clock) and what (JSON text)."""

    at_ms: int
    text: bytes


def open_queue() -> Call[int]:
    """Learn the layout of the queue's data; a queue without any gets ours."""
    return Call("open", (), lambda reply: LAYOUT if reply is None else int(reply))


def add(jobs: Sequence[NewJob], now: str = "") -> Call[list[str]]:
    """Put jobs into the queue, all or none; the answer is their ids, in order."""
    args: list[Any] = [now]
    for job in jobs:
        args += (job.job_id, job.name, job.data, job.opts, job.priority, job.delay_ms)
        args.append(1 if job.lifo else 0)

    return Call("add", args, _read_ids)


def claim(
    queue: str, n: int, token: str, worker: str, lease_ms: int, now: str = ""
) -> Call[Claimed]:
    """Take up to `n` waiting jobs under `token`."""
    return Call(
        "claim", (now, n, token, worker, lease_ms), lambda reply: _read_claimed(queue, token, reply)
    )


def settle_and_claim(
    queue: str,
    settlements: Sequence[Settlement],
    n: int,
    token: str,
    worker: str,
    lease_ms: int,
    now: str = "",
) -> Call[tuple[list[str], Claimed]]:
    """Write verdicts and take up to `n` jobs; the statuses are in the order of `settlements`.

    A status is "ok", "done" (settled before, by a call whose reply was lost), "lost" (the job
    is no longer this claim's) or "missing".
    """
    args: list[Any] = [now, n, token, worker, lease_ms]
    for item in settlements:
        verdict = item.verdict
        args += (
            item.claim.id,
            item.claim.token,
            verdict.action.value,
            verdict.delay_ms,
            verdict.kind,
            verdict.payload,
        )

    def read(reply: Any) -> tuple[list[str], Claimed]:
        return _read_ids(reply[0]), _read_claimed(queue, token, reply[1])

    return Call("settle_and_claim", args, read)


def disclaim(tokens: Sequence[str]) -> Call[list[str]]:
    """Give back what claims took whose replies were lost; the answer is the ids."""
    return Call("disclaim", tuple(tokens), _read_ids)


def ring() -> Call[None]:
    """Pass the bell on to another idle supervisor."""
    return Call("ring", (), lambda _: None)


def renew(claims: Sequence[Claim], lease_ms: int, now: str = "") -> Call[set[str]]:
    """Prolong leases; the answer is the ids of those that are lost."""
    args: list[Any] = [now, lease_ms]
    for item in claims:
        args += (item.id, item.token)

    return Call("renew", args, lambda reply: set(_read_ids(reply)))


def recover(most: int, max_stalls: int, now: str = "") -> Call[list[Recovered]]:
    """Give back, or fail, up to `most` jobs whose lease has ended."""

    def read(reply: Any) -> list[Recovered]:
        return [
            Recovered(_text(job_id), JobState(state.decode()), _text(worker))
            for job_id, state, worker in reply
        ]

    return Call("recover", (now, most, max_stalls), read)


def promote(most: int, now: str = "") -> Call[int]:
    """Move up to `most` due jobs to waiting; the answer is how many."""
    return Call("promote", (now, most), lambda reply: int(reply[0]))


def report(reports: Sequence[Report], now: str = "") -> Call[int]:
    """Keep progress and log rows; the answer is how many were kept."""
    args: list[Any] = [now, LOG_ROWS_KEPT]
    for item in reports:
        args += (item.claim.id, item.claim.token, item.kind, item.text)

    return Call("report", args, int)


def look(job_ids: Sequence[str]) -> Call[list[JobRecord | None]]:
    """The records of jobs, in order; None where there is no such job."""

    def read(reply: Any) -> list[JobRecord | None]:
        return [
            _read_record(job_id, flat) if flat else None
            for job_id, flat in zip(job_ids, reply, strict=True)
        ]

    return Call("look", tuple(job_ids), read)


def page(state: JobState, start: int, stop: int, newest_first: bool) -> Call[list[JobRecord]]:
    """The records from the `start`-th to the `stop`-th job of a state (both counted from 0)."""

    def read(reply: Any) -> list[JobRecord]:
        return [_read_record(_text(job_id), flat) for job_id, flat in reply]

    return Call("page", (state.value, start, stop, 1 if newest_first else 0), read)


def counts() -> Call[dict[str, int]]:
    """How many jobs are in each state; `paused` is those waiting in a paused queue."""

    def read(reply: Any) -> dict[str, int]:
        waiting, delayed, active, completed, failed, cancelled, paused = reply
        return {
            "waiting": 0 if paused else waiting,
            "paused": waiting if paused else 0,
            "delayed": delayed,
            "active": active,
            "completed": completed,
            "failed": failed,
            "cancelled": cancelled,
        }

    return Call("counts", (), read)


def logs(job_id: str, start: int, stop: int) -> Call[tuple[int, list[LogRow]]]:
    """How many log rows a job has, and those from `start` to `stop` (-1 is the last)."""

    def read(reply: Any) -> tuple[int, list[LogRow]]:
        rows = (row.split(b" ", 1) for row in reply[1])
        return reply[0], [LogRow(int(at_ms), text) for at_ms, text in rows]

    return Call("logs", (job_id, start, stop), read)


def _read_ids(reply: list[bytes]) -> list[str]:
    return [_text(item) for item in reply]


def _text(item: bytes) -> str:
    # whatever another producer may have written must not stop a supervisor
    return item.decode("utf-8", "backslashreplace")


def _read_record(job_id: str, flat: list[bytes]) -> JobRecord:
    return JobRecord.from_hash(job_id, dict(zip(flat[::2], flat[1::2], strict=True)))


def _read_claimed(queue: str, token: str, reply: list[Any]) -> Claimed:
    now_ms, lease_end_ms, next_due, left = int(reply[0]), int(reply[1]), int(reply[2]), reply[3]

    return Claimed(
        now_ms=now_ms,
        lease_end_ms=lease_end_ms,
        next_due_ms=None if next_due < 0 else next_due,
        left=left,
        claims=[
            Claim(
                queue,
                _text(job_id),
                token,
                _text(name),
                data,
                opts,
                int(attempts),
                int(stalls),
                int(priority),
                int(created),
            )
            for job_id, name, data, opts, attempts, stalls, priority, created in reply[4:]
        ],
    )
