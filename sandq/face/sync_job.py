"""The synchronous Job."""

from collections.abc import Iterator
from typing import Any, Unpack

from sandq import clock
from sandq.errors import StoreUnreachable, WaitTimeout
from sandq.face import job
from sandq.face.job import LEASE_S
from sandq.face.sync_base import SyncFace, twin_of
from sandq.model.building import ended_value
from sandq.model.duration import Duration, to_ms
from sandq.model.events import Event, tells_of_end
from sandq.model.job import Claim
from sandq.model.moment import Moment
from sandq.model.options import OptionArgs
from sandq.model.states import JobState
from sandq.model.view import JobView
from sandq.steps import adding, follow, jobs, looking, manual
from sandq.store import reads
from sandq.store.endings import LOOK_AGAIN_S


@twin_of(job.Job)
class Job(JobView):
    """A job of a queue; the words are those of `sandq.Job`."""

    __slots__ = ("_claim", "_queue")

    def __init__(
        self, queue: SyncFace, job_id: str, *, claim: Claim | None = None, **source: Any
    ) -> None:
        super().__init__(job_id, **source)
        self._queue = queue
        self._claim = claim

    @classmethod
    def create(
        cls, queue: SyncFace, name: str, data: Any = None, **options: Unpack[OptionArgs]
    ) -> "Job":
        steps = adding.add(queue._producer, name, data, options)
        job_id, new = queue._do(steps)

        return cls(queue, job_id, new=new)

    @classmethod
    def create_bulk(cls, queue: SyncFace, entries: list[Any]) -> "list[Job]":
        added = queue._do(adding.add_bulk(queue._producer, entries))

        return [cls(queue, job_id, new=new) for job_id, new in added]

    @classmethod
    def from_id(cls, queue: SyncFace, job_id: str) -> "Job | None":
        record = queue._do(jobs.get_record(job_id))

        return None if record is None else cls(queue, job_id, record=record)

    @property
    def token(self) -> str | None:
        """What proves the claim on this job, if it was claimed by hand."""
        return None if self._claim is None else self._claim.token

    def refresh(self) -> "Job | None":
        record = self._queue._do(jobs.get_record(self.id))
        if record is None:
            return None

        self._record = record

        return self

    def get_state(self) -> JobState | None:
        job = self.refresh()

        return None if job is None else job.state

    def logs(self, start: int = 0, end: int = -1, asc: bool = True) -> list[dict[str, Any]]:
        return (self._queue._do(looking.get_logs(self.id, start, end, asc)))[1]

    def follow_logs(self, stream: str | None = None) -> Iterator[dict[str, Any]]:
        return self._follow(follow.LogReader(self.id, stream))

    def emitted(self, start: int = 0) -> list[Any]:
        return self._queue._do(looking.get_emitted(self.id, start))

    def follow_emitted(self) -> Iterator[Any]:
        return self._follow(follow.EmittedReader(self.id))

    def failures(self) -> list[dict[str, Any]]:
        return self._queue._store.run(reads.failures(self.id))

    def update(self, data: Any) -> None:
        self._queue._do(jobs.update(self.id, data))

    def update_progress(self, value: Any) -> None:
        self._queue._do(jobs.tell_progress(self.id, value))

    def log(self, message: str, level: str = "info", **fields: Any) -> None:
        self._queue._do(jobs.log(self.id, message, level, fields))

    def remove(self, force: bool = False) -> None:
        self._queue._do(jobs.remove(self.id, force))

    def retry(self, reset_attempts: bool = False) -> None:
        self._queue._do(jobs.retry(self.id, reset_attempts))

    def discard(self) -> None:
        self._queue._do(jobs.discard(self.id))

    def promote(self) -> None:
        self._queue._do(jobs.promote(self.id))

    def cancel(self, reason: str = "cancelled by request") -> JobState:
        return self._queue._do(jobs.cancel(self.id, reason))

    def finished(self, timeout: Duration | None = None) -> Any:
        timeout_s = float("inf") if timeout is None else to_ms(timeout, "timeout") / 1000
        until_s = clock.monotonic_s() + timeout_s
        after = self._queue._store.last_event_id()
        event: Event | None = None
        while True:
            record, told = self._queue._do(jobs.ended(self.id, event))
            self._record = record or self._record
            ended, value = ended_value(self.id, record, told)
            if ended:
                return value

            after, event = self._wait_for_event(after, until_s, timeout_s)

    def move_to_completed(
        self, value: Any = None, *, ignore_token: bool = False, fetch_next: bool = False
    ) -> "Job | None":
        claim = self._own_claim(ignore_token)
        lease_ms = LEASE_S * 1000
        steps = manual.complete(claim, value, self._queue._worker, lease_ms, fetch_next)
        _, following = self._queue._do(steps)

        return self._next(following)

    def move_to_failed(
        self,
        error: str | BaseException,
        *,
        retryable: bool = True,
        ignore_token: bool = False,
        fetch_next: bool = False,
    ) -> "tuple[JobState, Job | None]":
        claim = self._own_claim(ignore_token)
        queue = self._queue
        lease_ms = LEASE_S * 1000
        steps = manual.fail(
            claim, error, retryable, queue._backoffs, queue._worker, lease_ms, fetch_next
        )
        state, following = queue._do(steps)

        return state, self._next(following)

    def move_to_delayed(self, until: Moment, *, ignore_token: bool = False) -> None:
        claim = self._own_claim(ignore_token)
        self._queue._do(manual.delay(claim, until))

    def extend_lease(self, lease: Duration = LEASE_S) -> None:
        claim = self._own_claim(False)
        self._queue._do(manual.extend(claim, manual.check_lease(lease)))

    def _follow(self, reader: follow.Reader) -> Iterator[Any]:
        while not reader.ended:
            news: list[Any] = []
            try:
                news = self._queue._do(reader.news())
            except StoreUnreachable:
                if not reader.begun:
                    raise
            yield from news
            if not news and not reader.ended:
                clock.block_s(follow.FOLLOW_EVERY_S)

    def _next(self, claimed: manual.Claimed | None) -> "Job | None":
        if claimed is None:
            return None

        claim, record = claimed

        return Job(self._queue, claim.id, claim=claim, record=record)

    def _own_claim(self, ignore_token: bool) -> Claim:
        if ignore_token:
            return self._queue._do(manual.any_claim_of(self.id, self._queue.name))
        if self._claim is None:
            raise manual.refused(self.id)

        return self._claim

    def _wait_for_event(
        self, after: str, until_s: float, timeout_s: float
    ) -> tuple[str, Event | None]:
        """Read events until one tells of the end of this job, or it is time to look again: the id
        of the last one read, and the one that tells."""
        look_s = clock.monotonic_s() + LOOK_AGAIN_S
        while True:
            left_s = min(look_s, until_s) - clock.monotonic_s()
            if left_s <= 0:
                if clock.monotonic_s() < until_s:
                    return after, None
                raise WaitTimeout(f"job {self.id!r} has not ended after {timeout_s} s; it goes on")

            for event in self._queue._store.events_after(after, left_s):
                after = event.id
                if tells_of_end(event, self.id):
                    return after, event
