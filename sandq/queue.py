"""The async face: Queue and Job. `sandq.sync` has the same names for synchronous code."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Unpack

import anyio

from sandq.errors import WaitTimeout
from sandq.flow.handle import QueueHandle
from sandq.flow.registry import HandlerRegistry, supervision_of
from sandq.flow.supervisor import Supervisor
from sandq.model.building import (
    JOBS_AT_ONCE,
    check_state_names,
    ended_value,
    new_job,
    new_jobs,
)
from sandq.model.duration import Duration, to_ms
from sandq.model.names import ANY_NAME
from sandq.model.options import OptionArgs, options_from
from sandq.model.payload import decode_stored
from sandq.model.states import JobState
from sandq.model.view import JobView
from sandq.store import calls
from sandq.store.endings import Endings
from sandq.store.keys import DEFAULT_PREFIX
from sandq.store.store import Store


class Queue(HandlerRegistry):
    """A queue of jobs in Redis (seed 0, `Queue::new`).

    - `name`: letters, digits, `_ . -`; the same name sees the same jobs.
    - `url`: a Redis URL. None: SANDQ_REDIS_URL, REDIS_URL, then the embedded server of this
      folder, which is started if need be.
    - `prefix`: first part of every key.

    Nothing is sent before the first call. Every method may raise StoreError (StoreUnreachable,
    StoreDenied). Close it, or use it as an async context manager.
    """

    def __init__(self, name: str, url: str | None = None, *, prefix: str = DEFAULT_PREFIX) -> None:
        super().__init__()
        self.name = name
        self._url = url
        self._prefix = prefix
        self._store = Store(name, url, prefix)
        self._endings = Endings(self._store)

    async def add(self, name: str, data: Any = None, **options: Unpack[OptionArgs]) -> "Job":
        """Add a job; `data` is any JSON value, or JsonText. Options: see JobOptions.

        A `job_id` that exists already adds nothing and answers that job (seeds 0 and 3).
        Raises InvalidInput (UnknownOption) before anything is written.
        """
        new = new_job(name, data, options_from(options))
        ids = await self._store.run(calls.add([new]))

        return Job(self, ids[0], new=new)

    async def add_bulk(self, jobs: Iterable[Any]) -> list["Job"]:
        """Add many jobs, in order: `(name, data)` or `(name, data, options)` each.

        All are checked before the first is written; 1,000 at a time are added as one.
        """
        news = new_jobs(jobs)
        ids: list[str] = []
        for start in range(0, len(news), JOBS_AT_ONCE):
            added = await self._store.run(calls.add(news[start : start + JOBS_AT_ONCE]))
            ids += added

        return [Job(self, job_id, new=new) for job_id, new in zip(ids, news, strict=True)]

    async def get_job(self, job_id: str) -> "Job | None":
        """The job of this id; None if there is none."""
        record = (await self._store.run(calls.look([job_id])))[0]

        return None if record is None else Job(self, job_id, record=record)

    async def get_jobs(
        self, states: Iterable[str], start: int = 0, end: int = -1, asc: bool = False
    ) -> list["Job"]:
        """Jobs of these states, the range applied to each (seed 0); -1 is the last.

        Raises InvalidInput for a state that is not known.
        """
        jobs: list[Job] = []
        for state in check_state_names(states):
            records = await self._store.run(calls.page(state, start, end, not asc))
            jobs += (Job(self, record.id, record=record) for record in records)

        return jobs

    async def get_job_counts(self) -> dict[str, int]:
        """How many jobs are waiting, paused, delayed, active, completed, failed, cancelled."""
        return await self._store.run(calls.counts())

    async def get_job_logs(
        self, job_id: str, start: int = 0, end: int = -1
    ) -> tuple[int, list[dict[str, Any]]]:
        """How many log rows a job has, and those of the range: `at` (seconds), `level`,
        `message`, and `fields` if there are any."""
        count, rows = await self._store.run(calls.logs(job_id, start, end))

        return count, [{"at": row.at_ms / 1000, **decode_stored(row.text)} for row in rows]

    @asynccontextmanager
    async def run(
        self,
        name: str = ANY_NAME,
        *,
        concurrency: int = 1,
        lease: Duration = 30,
        recover_every: Duration = 15,
        max_stalls: int = 1,
        drain_timeout: Duration = 25,
        kill_grace: Duration = 5,
    ) -> AsyncIterator[QueueHandle]:
        """Run jobs while the block is open: `async with queue.run(concurrency=4) as handle`.

        - `name`: whose handler serves jobs that have no handler of their own name.
        - `concurrency`: most jobs, and most children, at once.
        - `lease`: how long a claim is good without renewal. `recover_every`: how often jobs of
          vanished supervisors are looked for; `max_stalls`: how often a job may be recovered.
        - `drain_timeout`: how long running jobs may go on when the block ends; then they are
          killed and given back, no attempt spent. `kill_grace`: between SIGTERM and SIGKILL.

        Raises SupervisorError without a handler, StoreError when Redis cannot be reached now.
        """
        supervision = supervision_of(
            concurrency=concurrency,
            lease=lease,
            recover_every=recover_every,
            max_stalls=max_stalls,
            drain_timeout=drain_timeout,
            kill_grace=kill_grace,
        )
        store = Store(self.name, self._url, self._prefix)
        try:
            supervisor = Supervisor({self.name: (store, self._handlers)}, supervision, name)
            await store.run(calls.counts())
            failure: Exception | None = None
            async with anyio.create_task_group() as group:
                group.start_soon(supervisor.run)
                await supervisor.started.wait()
                handle = QueueHandle(supervisor)
                try:
                    yield handle
                except Exception as error:
                    # raised again outside the group, so that it comes out as itself
                    failure = error
                    supervisor.stop_now()
                finally:
                    with anyio.CancelScope(shield=True):
                        await handle.close()
            if failure is not None:
                raise failure
        finally:
            await store.close()

    async def close(self) -> None:
        """Close the connections; closing twice is harmless."""
        await self._store.close()

    async def __aenter__(self) -> "Queue":
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"<Queue {self.name!r}>"


class Job(JobView):
    """A job of a queue, as it was when it was added, fetched or last refreshed."""

    __slots__ = ("_queue",)

    def __init__(self, queue: Queue, job_id: str, **source: Any) -> None:
        super().__init__(job_id, **source)
        self._queue = queue

    async def refresh(self) -> "Job | None":
        """Fetch the job anew into this object; None, and no change, when it is gone."""
        record = (await self._queue._store.run(calls.look([self.id])))[0]
        if record is None:
            return None

        self._record = record

        return self

    async def get_state(self) -> JobState | None:
        """Where the job is now; None when it is gone."""
        job = await self.refresh()

        return None if job is None else job.state

    async def logs(self) -> list[dict[str, Any]]:
        """Its log rows, oldest first."""
        return (await self._queue.get_job_logs(self.id))[1]

    async def finished(self, timeout: Duration | None = None) -> Any:
        """Wait until the job has ended and return its value (seed 0).

        Raises JobFailed with the failure record, JobCancelled, JobMissing when the job is gone,
        and WaitTimeout (a TimeoutError) after `timeout` (seconds); the job goes on then.
        """
        timeout_s = None if timeout is None else to_ms(timeout, "timeout") / 1000
        endings = self._queue._endings
        with anyio.move_on_after(timeout_s):
            event = await endings.enter(self.id)
            try:
                while True:
                    record = (await self._queue._store.run(calls.look([self.id])))[0]
                    self._record = record or self._record
                    ended, value = ended_value(self.id, record)
                    if ended:
                        return value
                    await endings.changed(event)
            finally:
                endings.leave(self.id, event)

        raise WaitTimeout(f"job {self.id!r} has not ended after {timeout_s} s; it goes on")
