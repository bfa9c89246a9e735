"""The async Queue: verbs that only look."""

from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any

import anyio

from sandq.errors import StoreUnreachable
from sandq.face.base import Face
from sandq.face.job import Job
from sandq.model.building import JobResult
from sandq.model.events import Event, LocalEvents, check_from_id
from sandq.model.queue_settings import QueueSettings
from sandq.model.shown import Metrics, Repeatable, Stats, Worker
from sandq.model.states import JobState
from sandq.steps import adding, jobs, looking

#: Longest blocking read of the event stream, and the pause when Redis is away, in seconds.
READ_S, AWAY_S = 5.0, 0.5


class Reading(Face):
    """What a queue tells. Every method may raise StoreError."""

    #: The supervisors that this object has run, by name.
    _workers: set[str]

    async def get_job(self, job_id: str) -> Job | None:
        """The job of this id; None if there is none (seed 0)."""
        record = await self._do(jobs.get_record(job_id))

        return None if record is None else Job(self, job_id, record=record)

    async def get_jobs(
        self, states: Iterable[str], start: int = 0, end: int = -1, asc: bool = False
    ) -> list[Job]:
        """Jobs of these states, the range applied to each; -1 is the last (seed 0).

        Ordered as they would run, or by when they ended; `asc` False: from the end. Raises
        InvalidInput for a state that is not known.
        """
        records = await self._do(looking.get_records(states, start, end, asc))

        return [Job(self, record.id, record=record) for record in records]

    async def get_waiting(self, start: int = 0, end: int = -1) -> list[Job]:
        """Waiting jobs, the next one first, those of a paused queue too (seed 0)."""
        return await self.get_jobs([JobState.WAITING], start, end, True)

    async def get_active(self, start: int = 0, end: int = -1) -> list[Job]:
        """Jobs that are being run, the one whose lease ends first before the others (seed 0)."""
        return await self.get_jobs([JobState.ACTIVE], start, end, True)

    async def get_delayed(self, start: int = 0, end: int = -1) -> list[Job]:
        """Delayed jobs, the one that is due first before the others (seed 0)."""
        return await self.get_jobs([JobState.DELAYED], start, end, True)

    async def get_completed(self, start: int = 0, end: int = -1) -> list[Job]:
        """Completed jobs, newest first (seed 0)."""
        return await self.get_jobs([JobState.COMPLETED], start, end)

    async def get_failed(self, start: int = 0, end: int = -1) -> list[Job]:
        """Failed jobs, newest first (seed 0)."""
        return await self.get_jobs([JobState.FAILED], start, end)

    async def get_cancelled(self, start: int = 0, end: int = -1) -> list[Job]:
        """Cancelled jobs, newest first."""
        return await self.get_jobs([JobState.CANCELLED], start, end)

    async def get_job_counts(self, states: Iterable[str] | None = None) -> dict[str, int]:
        """How many jobs are waiting, paused, delayed, active, completed, failed, cancelled.

        `paused` are those that wait in a paused queue. Raises InvalidInput (seed 0).
        """
        return await self._do(looking.get_counts(states))

    async def count(self) -> int:
        """How many jobs wait, paused ones too, or are delayed (seed 0)."""
        return await self._do(looking.count())

    async def get_waiting_count(self) -> int:
        """How many jobs wait, those of a paused queue too (seed 0)."""
        return await self._do(looking.count_of(JobState.WAITING))

    async def get_paused_count(self) -> int:
        """How many jobs wait in a paused queue; 0 if it is not paused (seed 0)."""
        return (await self._do(looking.get_counts(None)))["paused"]

    async def get_delayed_count(self) -> int:
        """How many jobs are delayed (seed 0)."""
        return await self._do(looking.count_of(JobState.DELAYED))

    async def get_active_count(self) -> int:
        """How many jobs are being run (seed 0)."""
        return await self._do(looking.count_of(JobState.ACTIVE))

    async def get_completed_count(self) -> int:
        """How many completed jobs are kept (seed 0)."""
        return await self._do(looking.count_of(JobState.COMPLETED))

    async def get_failed_count(self) -> int:
        """How many failed jobs are kept (seed 0)."""
        return await self._do(looking.count_of(JobState.FAILED))

    async def get_cancelled_count(self) -> int:
        """How many cancelled jobs are kept."""
        return await self._do(looking.count_of(JobState.CANCELLED))

    async def get_stalled_count(self) -> int:
        """How many active jobs have outlived their lease and wait to be recovered (seed 0)."""
        return (await self._do(looking.get_stats())).stalled

    async def get_counts_per_priority(self, priorities: Sequence[int]) -> dict[int, int]:
        """How many jobs wait at each of these priorities; 0 is none (Bull)."""
        return await self._do(looking.counts_per_priority(priorities))

    async def get_job_logs(
        self, job_id: str, start: int = 0, end: int = -1, asc: bool = True
    ) -> tuple[int, list[dict[str, Any]]]:
        """How many log rows a job has, and those of the range; `asc` False: newest first (seed 0).

        What a row has: see `Job.logs`.
        """
        return await self._do(looking.get_logs(job_id, start, end, asc))

    async def get_emitted(self, job_id: str, start: int = 0) -> list[Any]:
        """What the newest attempt of a job has told of its result: see `Job.emitted`."""
        return await self._do(looking.get_emitted(job_id, start))

    async def get_result(self, job_id: str) -> JobResult:
        """What has come of a job: "not yet", a value (None is one), a failure, or no such job
        (seed 3)."""
        return (await self._do(looking.get_results([job_id])))[0]

    async def get_results(self, job_ids: Sequence[str]) -> list[JobResult]:
        """The same of many jobs, in order (seed 3)."""
        return await self._do(looking.get_results(job_ids))

    async def jobs_by_tag(self, tag: str) -> list[str]:
        """The ids of the jobs that bear a tag, sorted (seed 2)."""
        return await self._do(looking.jobs_by_tag(tag))

    async def get_metrics(self, state: str = "completed", start: int = 0, end: int = -1) -> Metrics:
        """How many jobs completed, or failed, in each minute, newest first (seed 0).

        `start` and `end` are minutes back from now; -1: as far as anything is kept.
        """
        return await self._do(looking.get_metrics(state, start, end))

    async def stats(self) -> Stats:
        """Counts, totals, failed jobs by kind, and who waits longest (seeds 1, 2 and 4)."""
        return await self._do(looking.get_stats())

    async def get_workers(self) -> list[Worker]:
        """The supervisors that serve the queue, those seen within 35 s (seed 0)."""
        return await self._do(looking.get_workers())

    async def get_repeatable_jobs(
        self, start: int = 0, end: int = -1, asc: bool = True
    ) -> list[Repeatable]:
        """The series of the queue, by their next occurrence (seed 0)."""
        return await self._do(looking.get_repeatables(start, end, asc))

    async def get_repeatable_count(self) -> int:
        """How many series there are (seed 0)."""
        return await self._do(looking.count_repeatables())

    async def get_settings(self) -> QueueSettings:
        """The settings stored with the queue (seed 2)."""
        return await self._do(adding.get_settings())

    def subscribe(self, from_id: str | None = None, *, local: bool = False) -> AsyncIterator[Event]:
        """The events of the queue, as they come (seed 0, `subscribe`; seed 3, the stream).

        - `from_id`: go on after the event of this id; "0": from the oldest that is kept; None:
          from when the iteration begins. The stream holds about 10,000 events.
        - `local`: only what happens to jobs that supervisors of this object run.

        A lost connection is waited for, and nothing is missed that the stream still holds. Raises
        InvalidInput, StoreDenied.
        """
        if from_id is not None:
            check_from_id(from_id)

        return self._events(from_id, local)

    async def _events(self, from_id: str | None, local: bool) -> AsyncIterator[Event]:
        after, mine = from_id, LocalEvents(self._workers)
        while True:
            try:
                if after is None:
                    after = await self._begin(mine if local else None)
                events = await self._following.events_after(after, READ_S)
            except StoreUnreachable:
                await anyio.sleep(AWAY_S)
                continue
            for event in events:
                after = event.id
                if not local or mine.is_mine(event):
                    yield event

    async def _begin(self, mine: LocalEvents | None) -> str:
        """The newest event; whoever asks for local ones is told what runs already."""
        newest = await self._store.last_event_id()
        if mine is not None and self._workers:
            for record in await self._do(looking.get_records([JobState.ACTIVE], 0, -1, True)):
                mine.add(record.id, record.worker)

        return newest
