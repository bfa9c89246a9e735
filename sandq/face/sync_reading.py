"""The synchronous Queue: verbs that only look."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from sandq import clock
from sandq.errors import StoreUnreachable
from sandq.face import reading
from sandq.face.reading import AWAY_S, READ_S
from sandq.face.sync_base import SyncFace, twin_of
from sandq.face.sync_job import Job
from sandq.model.building import JobResult
from sandq.model.events import Event, LocalEvents, check_from_id
from sandq.model.queue_settings import QueueSettings
from sandq.model.shown import Metrics, Repeatable, Stats, Worker
from sandq.model.states import JobState
from sandq.steps import adding, jobs, looking


@twin_of(reading.Reading)
class Reading(SyncFace):
    """What a queue tells; the words are those of `sandq.face.reading`."""

    #: The supervisors that this object has run, by name.
    _workers: set[str]

    def get_job(self, job_id: str) -> Job | None:
        record = self._do(jobs.get_record(job_id))

        return None if record is None else Job(self, job_id, record=record)

    def get_jobs(
        self, states: Iterable[str], start: int = 0, end: int = -1, asc: bool = False
    ) -> list[Job]:
        records = self._do(looking.get_records(states, start, end, asc))

        return [Job(self, record.id, record=record) for record in records]

    def get_waiting(self, start: int = 0, end: int = -1) -> list[Job]:
        return self.get_jobs([JobState.WAITING], start, end, True)

    def get_active(self, start: int = 0, end: int = -1) -> list[Job]:
        return self.get_jobs([JobState.ACTIVE], start, end, True)

    def get_delayed(self, start: int = 0, end: int = -1) -> list[Job]:
        return self.get_jobs([JobState.DELAYED], start, end, True)

    def get_completed(self, start: int = 0, end: int = -1) -> list[Job]:
        return self.get_jobs([JobState.COMPLETED], start, end)

    def get_failed(self, start: int = 0, end: int = -1) -> list[Job]:
        return self.get_jobs([JobState.FAILED], start, end)

    def get_cancelled(self, start: int = 0, end: int = -1) -> list[Job]:
        return self.get_jobs([JobState.CANCELLED], start, end)

    def get_job_counts(self, states: Iterable[str] | None = None) -> dict[str, int]:
        return self._do(looking.get_counts(states))

    def count(self) -> int:
        return self._do(looking.count())

    def get_waiting_count(self) -> int:
        return self._do(looking.count_of(JobState.WAITING))

    def get_paused_count(self) -> int:
        return (self._do(looking.get_counts(None)))["paused"]

    def get_delayed_count(self) -> int:
        return self._do(looking.count_of(JobState.DELAYED))

    def get_active_count(self) -> int:
        return self._do(looking.count_of(JobState.ACTIVE))

    def get_completed_count(self) -> int:
        return self._do(looking.count_of(JobState.COMPLETED))

    def get_failed_count(self) -> int:
        return self._do(looking.count_of(JobState.FAILED))

    def get_cancelled_count(self) -> int:
        return self._do(looking.count_of(JobState.CANCELLED))

    def get_stalled_count(self) -> int:
        return (self._do(looking.get_stats())).stalled

    def get_counts_per_priority(self, priorities: Sequence[int]) -> dict[int, int]:
        return self._do(looking.counts_per_priority(priorities))

    def get_job_logs(
        self, job_id: str, start: int = 0, end: int = -1, asc: bool = True
    ) -> tuple[int, list[dict[str, Any]]]:
        return self._do(looking.get_logs(job_id, start, end, asc))

    def get_emitted(self, job_id: str, start: int = 0) -> list[Any]:
        return self._do(looking.get_emitted(job_id, start))

    def get_result(self, job_id: str) -> JobResult:
        return (self._do(looking.get_results([job_id])))[0]

    def get_results(self, job_ids: Sequence[str]) -> list[JobResult]:
        return self._do(looking.get_results(job_ids))

    def jobs_by_tag(self, tag: str) -> list[str]:
        return self._do(looking.jobs_by_tag(tag))

    def get_metrics(self, state: str = "completed", start: int = 0, end: int = -1) -> Metrics:
        return self._do(looking.get_metrics(state, start, end))

    def stats(self) -> Stats:
        return self._do(looking.get_stats())

    def get_workers(self) -> list[Worker]:
        return self._do(looking.get_workers())

    def get_repeatable_jobs(
        self, start: int = 0, end: int = -1, asc: bool = True
    ) -> list[Repeatable]:
        return self._do(looking.get_repeatables(start, end, asc))

    def get_repeatable_count(self) -> int:
        return self._do(looking.count_repeatables())

    def get_settings(self) -> QueueSettings:
        return self._do(adding.get_settings())

    def subscribe(self, from_id: str | None = None, *, local: bool = False) -> Iterator[Event]:
        if from_id is not None:
            check_from_id(from_id)

        return self._events(from_id, local)

    def _events(self, from_id: str | None, local: bool) -> Iterator[Event]:
        after, mine = from_id, LocalEvents(self._workers)
        while True:
            try:
                if after is None:
                    after = self._begin(mine if local else None)
                events = self._store.events_after(after, READ_S)
            except StoreUnreachable:
                clock.block_s(AWAY_S)
                continue
            for event in events:
                after = event.id
                if not local or mine.is_mine(event):
                    yield event

    def _begin(self, mine: LocalEvents | None) -> str:
        newest = self._store.last_event_id()
        if mine is not None and self._workers:
            for record in self._do(looking.get_records([JobState.ACTIVE], 0, -1, True)):
                mine.add(record.id, record.worker)

        return newest
