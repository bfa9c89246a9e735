"""Builders of the calls that only look: records, counts, logs, figures, series, workers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sandq.model.building import Told
from sandq.model.job import JobRecord
from sandq.model.payload import decode_stored
from sandq.model.states import JobState
from sandq.store.calls import Call, read_ids, text_of

#: Most entries of the event stream looked at by one call.
EVENTS_AT_ONCE = 1000

#: What jobs without a priority are ordered by: after all that have one.
NO_PRIORITY_RANK = 2**32


@dataclass(frozen=True, slots=True)
class LogRow:
    """One log row: when (ms since 1970, the server's clock) and what (JSON text)."""

    at_ms: int
    text: bytes


@dataclass(frozen=True, slots=True)
class DueSeries:
    """A series whose outstanding occurrence is due: the next is to be made. Times in ms."""

    key: str
    due_ms: int
    anchor_ms: int
    made: int
    rule: bytes


@dataclass(frozen=True, slots=True)
class SeriesRow:
    """A series as it is listed."""

    key: str
    next_ms: int
    name: str
    rule: bytes
    made: int


@dataclass(frozen=True, slots=True)
class WorkerRow:
    """A supervisor as it last spoke of itself (JSON text)."""

    worker: str
    seen_ms: int
    says: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Figures:
    """The numbers of a queue at one moment; times in ms, None where there is no such job."""

    now_ms: int
    counts: dict[str, int]
    totals: dict[str, int]
    kinds: dict[str, int]
    first_waiting_ms: int | None
    first_due_ms: int | None
    groups: dict[str, int]
    stalled: int


def look(job_ids: Sequence[str]) -> Call[list[JobRecord | None]]:
    """The records of jobs, in order; None where there is no such job."""

    def read(reply: Any) -> list[JobRecord | None]:
        return [
            read_record(job_id, flat) if flat else None
            for job_id, flat in zip(job_ids, reply, strict=True)
        ]

    return Call("look", tuple(job_ids), read)


def page(state: JobState, start: int, stop: int, newest_first: bool) -> Call[list[JobRecord]]:
    """The records from the `start`-th to the `stop`-th job of a state (both counted from 0)."""

    def read(reply: Any) -> list[JobRecord]:
        return [read_record(text_of(job_id), flat) for job_id, flat in reply]

    return Call("page", (state.value, start, stop, 1 if newest_first else 0), read)


def counts() -> Call[dict[str, int]]:
    """How many jobs are in each state; `paused` is those waiting in a paused queue."""
    return Call("counts", (), _read_counts)


def _read_counts(reply: Any) -> dict[str, int]:
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


def is_paused() -> Call[bool]:
    """Whether the queue is paused."""
    return Call("counts", (), lambda reply: bool(reply[6]))


def figures(now: str = "") -> Call[Figures]:
    """Counts, totals, failed jobs by kind, active jobs by group, and who waits longest."""

    def read(reply: Any) -> Figures:
        at, numbers, totals, kinds, waiting, due, groups, stalled = reply
        return Figures(
            now_ms=int(at),
            counts=_read_counts(numbers),
            totals=_read_numbers(totals),
            kinds=_read_numbers(kinds),
            first_waiting_ms=_moment(waiting),
            first_due_ms=_moment(due),
            groups=_read_numbers(groups),
            stalled=stalled,
        )

    return Call("figures", (now,), read)


def metrics(state: JobState, now: str = "") -> Call[tuple[int, int, dict[int, int]]]:
    """The time (ms), how many jobs ended so in all, and how many in each minute since 1970."""

    def read(reply: Any) -> tuple[int, int, dict[int, int]]:
        points = _read_numbers(reply[2])
        return int(reply[0]), int(reply[1]), {int(minute): n for minute, n in points.items()}

    return Call("metrics", (now, state.value), read)


def ending(job_id: str, before: str = "+") -> Call[tuple[Told | None, str]]:
    """How a job that is gone ended, if this page of the event stream tells; then where to go on
    looking, empty at the end."""

    def read(reply: Any) -> tuple[Told | None, str]:
        kind, text, failure_kind, go_on = reply
        told = Told(text_of(kind), text, text_of(failure_kind)) if kind else None
        return told, text_of(go_on)

    return Call("ending", (job_id, before, EVENTS_AT_ONCE), read)


def failures(job_id: str) -> Call[list[dict[str, Any]]]:
    """The failure records of a job's attempts, oldest first."""
    return Call("failures", (job_id,), lambda reply: [decode_stored(text) for text in reply])


def tagged(tag: str) -> Call[list[str]]:
    """The ids of the jobs that bear a tag, sorted."""
    return Call("tagged", (tag,), lambda reply: sorted(read_ids(reply)))


def ranks(priorities: Sequence[int]) -> Call[list[int]]:
    """How many jobs wait at each of these priorities (0: none)."""
    args = tuple(priority or NO_PRIORITY_RANK for priority in priorities)

    return Call("ranks", args, list)


def due_series(most: int, now: str = "") -> Call[tuple[int, list[DueSeries]]]:
    """The time (ms), and up to `most` series whose outstanding occurrence is due."""

    def read(reply: Any) -> tuple[int, list[DueSeries]]:
        rows = [
            DueSeries(text_of(key), int(due), int(anchor), int(made), rule)
            for key, due, anchor, made, rule in reply[1:]
        ]
        return int(reply[0]), rows

    return Call("due_series", (now, most), read)


def list_series(start: int, stop: int, asc: bool) -> Call[tuple[int, list[SeriesRow]]]:
    """How many series there are, and those from `start` to `stop` by their next occurrence."""

    def read(reply: Any) -> tuple[int, list[SeriesRow]]:
        rows = [
            SeriesRow(text_of(key), int(due), text_of(name), rule, int(made))
            for key, due, name, rule, made in reply[1:]
        ]
        return int(reply[0]), rows

    return Call("list_series", (start, stop, 0 if asc else 1), read)


def list_workers() -> Call[list[WorkerRow]]:
    """The supervisors that are there."""

    def read(reply: Any) -> list[WorkerRow]:
        return [
            WorkerRow(text_of(worker), int(seen), decode_stored(says))
            for worker, seen, says in reply
        ]

    return Call("list_workers", (), read)


def logs(job_id: str, start: int, stop: int) -> Call[tuple[int, list[LogRow]]]:
    """How many log rows a job has, and those from `start` to `stop` (-1 is the last)."""

    def read(reply: Any) -> tuple[int, list[LogRow]]:
        return reply[0], read_rows(reply[1])

    return Call("logs", (job_id, start, stop), read)


def read_rows(rows: list[bytes]) -> list[LogRow]:
    """The log rows of a reply."""
    parts = (row.split(b" ", 1) for row in rows)

    return [LogRow(int(at_ms), text) for at_ms, text in parts]


def read_record(job_id: str, flat: list[bytes]) -> JobRecord:
    """The record in a flat list of fields and values."""
    return JobRecord.from_hash(job_id, dict(zip(flat[::2], flat[1::2], strict=True)))


def _read_numbers(flat: list[bytes]) -> dict[str, int]:
    return {text_of(name): int(number) for name, number in zip(flat[::2], flat[1::2], strict=True)}


def _moment(text: bytes) -> int | None:
    return None if int(text) < 0 else int(text)
