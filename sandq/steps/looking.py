"""Verbs that only look: records, results, figures, series, supervisors."""

from collections.abc import Iterable, Sequence
from typing import Any

from sandq.errors import InvalidInput
from sandq.model.building import JobResult, check_names, check_state_names
from sandq.model.checks import MAX_POSITION, check_integer, check_label, check_range, check_text
from sandq.model.job import JobRecord
from sandq.model.options import MAX_PRIORITY
from sandq.model.payload import decode_stored
from sandq.model.repeat import Repeat
from sandq.model.shown import Metrics, Repeatable, Stats, Worker
from sandq.model.states import JobState
from sandq.steps.adding import get_settings
from sandq.steps.follow import show
from sandq.steps.runner import Steps
from sandq.store import reads, said, verbs

#: Most records fetched by one call.
RECORDS_AT_ONCE = 1000


def get_records(states: Iterable[str], start: int, end: int, asc: bool) -> Steps[list[JobRecord]]:
    """The records of these states, the range applied to each (seed 0)."""
    check_range(start, end)
    records: list[JobRecord] = []
    for state in check_state_names(states):
        if start < 0 or end < -1:
            records += yield reads.page(state, start, end, not asc)
        else:
            records += yield from _pages(state, start, end, asc)

    return records


def _pages(state: JobState, start: int, end: int, asc: bool) -> Steps[list[JobRecord]]:
    """A range that may be long: in several calls, none of which is."""
    records: list[JobRecord] = []
    while end == -1 or start <= end:
        stop = start + RECORDS_AT_ONCE - 1
        page = yield reads.page(state, start, stop if end == -1 else min(stop, end), not asc)
        records += page
        if not page:
            break
        start += RECORDS_AT_ONCE

    return records


def peek_dead(limit: int) -> Steps[list[JobRecord]]:
    """The records of the oldest failed jobs."""
    if check_integer("limit", limit, 0, MAX_POSITION) == 0:
        return []

    return (yield from get_records([JobState.FAILED], 0, limit - 1, True))


def get_counts(states: Iterable[str] | None) -> Steps[dict[str, int]]:
    """How many jobs are in each state, `paused` being those that wait in a paused queue."""
    counts: dict[str, int] = yield reads.counts()
    if states is None:
        return counts

    return {state: counts[state] for state in check_names(states, counts)}


def count_of(state: JobState) -> Steps[int]:
    """How many jobs are in a state; those that wait in a paused queue are waiting."""
    counts = yield reads.counts()
    number: int = counts[state.value]

    return number + (counts["paused"] if state is JobState.WAITING else 0)


def count() -> Steps[int]:
    """How many jobs wait or are delayed."""
    counts = yield reads.counts()
    number: int = counts["waiting"] + counts["paused"] + counts["delayed"]

    return number


def counts_per_priority(priorities: Sequence[int]) -> Steps[dict[int, int]]:
    """How many jobs wait at each of these priorities."""
    if not isinstance(priorities, Sequence):
        raise InvalidInput(f"priorities must be a list of numbers: {priorities!r}")
    # a Priority is a number that the client does not know how to send
    ranks = [int(check_integer("priority", number, 0, MAX_PRIORITY)) for number in priorities]
    numbers = yield reads.ranks(ranks)

    return dict(zip(ranks, numbers, strict=True))


def get_logs(job_id: str, start: int, end: int, asc: bool) -> Steps[tuple[int, list[Any]]]:
    """How many log rows a job has, and those of the range, counted from the newest if not asc."""
    check_text("job id", job_id)
    check_range(start, end)
    first, last = (start, end) if asc else (-end - 1, -start - 1)
    total, rows = yield reads.logs(job_id, first, last)
    shown = [show(row) for row in rows]

    return total, shown if asc else shown[::-1]


def get_emitted(job_id: str, start: int) -> Steps[list[Any]]:
    """The parts of the result that the newest attempt of a job has told, from one on."""
    check_integer("start", start, 0, MAX_POSITION)
    told = yield said.emitted(check_text("job id", job_id), start)

    return [decode_stored(chunk) for chunk in told.chunks]


def get_results(job_ids: Sequence[str]) -> Steps[list[JobResult]]:
    """What has come of jobs, in order."""
    if isinstance(job_ids, str) or not isinstance(job_ids, Sequence):
        raise InvalidInput(f"job ids must be a list of texts: {job_ids!r}")
    for job_id in job_ids:
        check_text("job id", job_id)

    results: list[JobResult] = []
    for start in range(0, len(job_ids), RECORDS_AT_ONCE):
        chunk = job_ids[start : start + RECORDS_AT_ONCE]
        records = yield reads.look(chunk)
        results += (
            JobResult.of(job_id, record) for job_id, record in zip(chunk, records, strict=True)
        )

    return results


def jobs_by_tag(tag: str) -> Steps[list[str]]:
    """The ids of the jobs that bear a tag, sorted."""
    ids: list[str] = yield reads.tagged(check_label("tag", tag))

    return ids


def get_metrics(state: str, start: int, end: int) -> Steps[Metrics]:
    """How many jobs completed or failed in each minute."""
    if state not in (JobState.COMPLETED, JobState.FAILED):
        raise InvalidInput(f"metrics are kept of completed and failed jobs: {state!r}")
    check_integer("start", start, 0, MAX_POSITION)
    check_integer("end", end, -1, MAX_POSITION)
    settings = yield from get_settings()
    now_ms, total, points = yield reads.metrics(JobState(state))
    # of a queue that was idle for long older minutes may be there still
    oldest = settings.metrics_points - 1
    last = oldest if end == -1 else min(end, oldest)
    if last < start:
        return Metrics(total, (), (now_ms // 60_000 - start) * 60.0)

    return Metrics.of(now_ms, total, points, start, last)


def get_stats() -> Steps[Stats]:
    """The queue at one moment."""
    figures = yield reads.figures()
    due_ms, now_ms = figures.first_due_ms, figures.now_ms

    return Stats(
        counts=figures.counts,
        totals=figures.totals,
        dead=figures.kinds,
        groups=figures.groups,
        stalled=figures.stalled,
        waiting_since=_seconds(figures.first_waiting_ms),
        overdue_since=_seconds(due_ms) if due_ms is not None and due_ms <= now_ms else None,
    )


def get_workers() -> Steps[list[Worker]]:
    """The supervisors that serve the queue."""
    rows = yield reads.list_workers()

    return [
        Worker(
            id=row.worker,
            host=row.says.get("host", ""),
            pid=row.says.get("pid", 0),
            slots=row.says.get("slots", 0),
            busy=row.says.get("busy", 0),
            jobs=tuple(row.says.get("jobs", ())),
            started_at=row.says.get("started_ms", 0) / 1000,
            seen_at=row.seen_ms / 1000,
        )
        for row in rows
    ]


def get_repeatables(start: int, end: int, asc: bool) -> Steps[list[Repeatable]]:
    """Series by their next occurrence."""
    check_range(start, end)
    _, rows = yield reads.list_series(start, end, asc)

    return [
        Repeatable(row.key, row.name, Repeat.from_text(row.rule), row.next_ms / 1000, row.made)
        for row in rows
    ]


def count_repeatables() -> Steps[int]:
    """How many series there are."""
    total, _ = yield reads.list_series(0, 0, True)
    number: int = total

    return number


def remove_series(key: str) -> Steps[bool]:
    """End a series; whether there was one."""
    removed = yield verbs.remove_series([check_text("key", key)])

    return bool(removed)


def _seconds(ms: int | None) -> float | None:
    return None if ms is None else ms / 1000
