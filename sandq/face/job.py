"""The async Job."""

from collections.abc import AsyncIterator
from typing import Any, Unpack

import anyio

from sandq.errors import StoreUnreachable, WaitTimeout
from sandq.face.base import Face
from sandq.model.building import ended_value
from sandq.model.duration import Duration, to_ms
from sandq.model.events import Event
from sandq.model.job import Claim
from sandq.model.moment import Moment
from sandq.model.options import OptionArgs
from sandq.model.states import JobState
from sandq.model.view import JobView
from sandq.steps import adding, follow, jobs, looking, manual
from sandq.store import reads

#: How long a claim made by hand is good, in seconds, unless another time is asked for.
LEASE_S = 30


class Job(JobView):
    """A job of a queue, as it was when it was added, fetched or last refreshed.

    Methods may raise JobMissing when the job is gone, and StoreError. `token` is there if the job
    was claimed by hand (`Queue.get_next_job`).
    """

    __slots__ = ("_claim", "_queue")

    def __init__(
        self, queue: Face, job_id: str, *, claim: Claim | None = None, **source: Any
    ) -> None:
        super().__init__(job_id, **source)
        self._queue = queue
        self._claim = claim

    @classmethod
    async def create(
        cls, queue: Face, name: str, data: Any = None, **options: Unpack[OptionArgs]
    ) -> "Job":
        """Add a job to `queue`; see `Queue.add` (seed 0, `Job::create`)."""
        steps = adding.add(queue._producer, name, data, options)
        job_id, new = await queue._do(steps)

        return cls(queue, job_id, new=new)

    @classmethod
    async def create_bulk(cls, queue: Face, entries: list[Any]) -> "list[Job]":
        """Add many jobs to `queue`; see `Queue.add_bulk` (seed 0, `Job::create_bulk`)."""
        added = await queue._do(adding.add_bulk(queue._producer, entries))

        return [cls(queue, job_id, new=new) for job_id, new in added]

    @classmethod
    async def from_id(cls, queue: Face, job_id: str) -> "Job | None":
        """The job of this id; None if there is none (seed 0, `Job::from_id`)."""
        record = await queue._do(jobs.get_record(job_id))

        return None if record is None else cls(queue, job_id, record=record)

    @property
    def token(self) -> str | None:
        """What proves the claim on this job, if it was claimed by hand."""
        return None if self._claim is None else self._claim.token

    async def refresh(self) -> "Job | None":
        """Fetch the job anew into this object; None, and no change, when it is gone."""
        record = await self._queue._do(jobs.get_record(self.id))
        if record is None:
            return None

        self._record = record

        return self

    async def get_state(self) -> JobState | None:
        """Where the job is now; None when it is gone (seed 0)."""
        job = await self.refresh()

        return None if job is None else job.state

    async def logs(self, start: int = 0, end: int = -1, asc: bool = True) -> list[dict[str, Any]]:
        """Its log rows, oldest first; `at` is in seconds since 1970.

        A row has `level`, `message`, and `fields` if there are any; or, if its child wrote it,
        `stream` and `text`; or `cut`: so many rows were left out here.
        """
        return (await self._queue._do(looking.get_logs(self.id, start, end, asc)))[1]

    def follow_logs(self, stream: str | None = None) -> AsyncIterator[dict[str, Any]]:
        """Its log rows, those to come too, until it has ended; rows are as `logs` tells them.

        It goes on over all attempts, and waits for a connection that was lost. `stream`: only the
        lines that were written there, "stderr" or "stdout". Raises JobMissing, InvalidInput.
        """
        return self._follow(follow.LogReader(self.id, stream))

    async def emitted(self, start: int = 0) -> list[Any]:
        """The parts of its result that the newest attempt has told so far, from one on.

        There are at most 1,000, and 1 MiB of them.
        """
        return await self._queue._do(looking.get_emitted(self.id, start))

    def follow_emitted(self) -> AsyncIterator[Any]:
        """The same, and those to come, until it has ended. When another attempt begins, its parts
        follow; the last ones of the attempt that failed may be missed. Raises JobMissing."""
        return self._follow(follow.EmittedReader(self.id))

    async def failures(self) -> list[dict[str, Any]]:
        """The failure records of its attempts that are kept, oldest first (seed 0, stacktrace)."""
        return await self._queue._store.run(reads.failures(self.id))

    async def update(self, data: Any) -> None:
        """Replace its data; a running attempt goes on with what it was given (seed 0)."""
        await self._queue._do(jobs.update(self.id, data))

    async def update_progress(self, value: Any) -> None:
        """Set its progress, any JSON value (seed 0, `progress(value)`)."""
        await self._queue._do(jobs.tell_progress(self.id, value))

    async def log(self, message: str, level: str = "info", **fields: Any) -> None:
        """Add a row to its log, which holds the first 100 and the newest 900 or more (seed 0)."""
        await self._queue._do(jobs.log(self.id, message, level, fields))

    async def remove(self, force: bool = False) -> None:
        """Remove it with its logs and tags (seed 0).

        Raises JobActive while it is being run, unless `force`: then its child is ended.
        """
        await self._queue._do(jobs.remove(self.id, force))

    async def retry(self, reset_attempts: bool = False) -> None:
        """Run it again: it has completed, failed or been cancelled (seed 0).

        It goes to the back of its priority. Its attempts stay used up, so one more failure is
        final, unless `reset_attempts`. Raises IllegalState when it has not ended.
        """
        await self._queue._do(jobs.retry(self.id, reset_attempts))

    async def discard(self) -> None:
        """Do not try it again if it fails (seed 0)."""
        await self._queue._do(jobs.discard(self.id))

    async def promote(self) -> None:
        """Let it start now though it is delayed (seed 0). Raises IllegalState if it is not."""
        await self._queue._do(jobs.promote(self.id))

    async def cancel(self, reason: str = "cancelled by request") -> JobState:
        """Call it off (seeds 2 and 3): CANCELLED at once if it waits, is delayed or has failed.

        ACTIVE if it is being run: its supervisor stops it within a second, and it ends as
        cancelled, unless it completes first. Raises IllegalState when it has ended.
        """
        return await self._queue._do(jobs.cancel(self.id, reason))

    async def finished(self, timeout: Duration | None = None) -> Any:
        """Wait until the job has ended and return its value (seed 0).

        Raises JobFailed and JobCancelled with the failure record, also when the job was removed as
        it ended; JobMissing when nothing is known of it; WaitTimeout (a TimeoutError) after
        `timeout` (seconds; 0: a look at it), and the job goes on then.
        """
        timeout_s = None if timeout is None else to_ms(timeout, "timeout") / 1000
        endings = self._queue._endings
        waiter = await endings.enter(self.id)
        try:
            ended, value = await self._look_for_end(None)
            with anyio.move_on_after(timeout_s):
                while not ended:
                    await endings.changed(waiter)
                    ended, value = await self._look_for_end(waiter.take())
        finally:
            endings.leave(waiter)
        if not ended:
            raise WaitTimeout(f"job {self.id!r} has not ended after {timeout_s} s; it goes on")

        return value

    async def move_to_completed(
        self, value: Any = None, *, ignore_token: bool = False, fetch_next: bool = False
    ) -> "Job | None":
        """Say that it completed with `value` (seed 0); it was claimed by `Queue.get_next_job`.

        `ignore_token` settles it whoever holds it. With `fetch_next` the next job is claimed in
        the same call and returned. Raises TokenMismatch when the claim is another's by now,
        IllegalState when the job is not active.
        """
        claim = await self._own_claim(ignore_token)
        lease_ms = LEASE_S * 1000
        steps = manual.complete(claim, value, self._queue._worker, lease_ms, fetch_next)
        _, following = await self._queue._do(steps)

        return self._next(following)

    async def move_to_failed(
        self,
        error: str | BaseException,
        *,
        retryable: bool = True,
        ignore_token: bool = False,
        fetch_next: bool = False,
    ) -> "tuple[JobState, Job | None]":
        """Say that this attempt failed; otherwise as `move_to_completed` (seed 0).

        Where the job went: FAILED, or WAITING or DELAYED when there are attempts left and
        `retryable`; and the next job with `fetch_next`.
        """
        claim = await self._own_claim(ignore_token)
        queue = self._queue
        lease_ms = LEASE_S * 1000
        steps = manual.fail(
            claim, error, retryable, queue._backoffs, queue._worker, lease_ms, fetch_next
        )
        state, following = await queue._do(steps)

        return state, self._next(following)

    async def move_to_delayed(self, until: Moment, *, ignore_token: bool = False) -> None:
        """Give it back until a moment (an aware datetime, or seconds since 1970), no attempt spent
        (seed 0); errors as in `move_to_completed`."""
        claim = await self._own_claim(ignore_token)
        await self._queue._do(manual.delay(claim, until))

    async def extend_lease(self, lease: Duration = LEASE_S) -> None:
        """Hold the claim made by hand so much longer, from now. Raises TokenMismatch."""
        claim = await self._own_claim(False)
        await self._queue._do(manual.extend(claim, manual.check_lease(lease)))

    async def _follow(self, reader: follow.Reader) -> AsyncIterator[Any]:
        while not reader.ended:
            news: list[Any] = []
            try:
                news = await self._queue._do(reader.news())
            except StoreUnreachable:
                if not reader.begun:
                    raise
            for item in news:
                yield item
            if not news and not reader.ended:
                await anyio.sleep(follow.FOLLOW_EVERY_S)

    def _next(self, claimed: manual.Claimed | None) -> "Job | None":
        if claimed is None:
            return None

        claim, record = claimed

        return Job(self._queue, claim.id, claim=claim, record=record)

    async def _look_for_end(self, event: Event | None) -> tuple[bool, Any]:
        record, told = await self._queue._do(jobs.ended(self.id, event))
        self._record = record or self._record

        return ended_value(self.id, record, told)

    async def _own_claim(self, ignore_token: bool) -> Claim:
        if ignore_token:
            return await self._queue._do(manual.any_claim_of(self.id, self._queue.name))
        if self._claim is None:
            raise manual.refused(self.id)

        return self._claim
