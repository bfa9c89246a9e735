"""The synchronous face: the names and signatures of `sandq.queue`, without async.

Both faces send the same calls. Only `run` uses a thread: the supervisor's event loop is in it.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Unpack

from anyio.from_thread import BlockingPortal, start_blocking_portal

from sandq import clock, queue
from sandq.errors import WaitTimeout
from sandq.flow.handle import QueueHandle as AsyncQueueHandle
from sandq.flow.registry import HandlerRegistry
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
from sandq.store.endings import LOOK_AGAIN_S
from sandq.store.keys import DEFAULT_PREFIX
from sandq.store.store import SyncStore


class QueueHandle:
    """A supervisor that is running in a thread; see `sandq.flow.handle.QueueHandle`."""

    def __init__(self, handle: AsyncQueueHandle, portal: BlockingPortal) -> None:
        self._handle = handle
        self._portal = portal

    @property
    def worker(self) -> str:
        """The supervisor's name, as jobs record it."""
        return self._handle.worker

    @property
    def busy(self) -> int:
        """How many jobs run now."""
        return self._handle.busy

    def pids(self) -> list[int]:
        """The process ids of the children that are alive."""
        return self._handle.pids()

    def wait(self) -> None:
        """Wait until it has stopped."""
        self._portal.call(self._handle.wait)

    def close(self) -> None:
        """Take no more jobs, wait for those that run (up to the drain timeout), and stop."""
        self._portal.call(self._handle.close)

    def stop(self, timeout: Duration) -> None:
        """Like `close`, but wait at most `timeout`; then running jobs are killed and given back.

        Raises WaitTimeout when that was needed; the supervisor has stopped all the same.
        """
        self._portal.call(self._handle.stop, timeout)


class Queue(HandlerRegistry):
    """A queue of jobs in Redis; see `sandq.queue.Queue`, of which this is the synchronous twin."""

    def __init__(self, name: str, url: str | None = None, *, prefix: str = DEFAULT_PREFIX) -> None:
        super().__init__()
        self.name = name
        self._url = url
        self._prefix = prefix
        self._store = SyncStore(name, url, prefix)

    def add(self, name: str, data: Any = None, **options: Unpack[OptionArgs]) -> "Job":
        """Add a job; `data` is any JSON value, or JsonText. Options: see JobOptions.

        A `job_id` that exists already adds nothing and answers that job (seeds 0 and 3).
        Raises InvalidInput (UnknownOption) before anything is written.
        """
        new = new_job(name, data, options_from(options))

        return Job(self, self._store.run(calls.add([new]))[0], new=new)

    def add_bulk(self, jobs: Iterable[Any]) -> list["Job"]:
        """Add many jobs, in order: `(name, data)` or `(name, data, options)` each.

        All are checked before the first is written; 1,000 at a time are added as one.
        """
        news = new_jobs(jobs)
        ids: list[str] = []
        for start in range(0, len(news), JOBS_AT_ONCE):
            added = self._store.run(calls.add(news[start : start + JOBS_AT_ONCE]))
            ids += added

        return [Job(self, job_id, new=new) for job_id, new in zip(ids, news, strict=True)]

    def get_job(self, job_id: str) -> "Job | None":
        """The job of this id; None if there is none."""
        record = self._store.run(calls.look([job_id]))[0]

        return None if record is None else Job(self, job_id, record=record)

    def get_jobs(
        self, states: Iterable[str], start: int = 0, end: int = -1, asc: bool = False
    ) -> list["Job"]:
        """Jobs of these states, the range applied to each (seed 0); -1 is the last.

        Raises InvalidInput for a state that is not known.
        """
        jobs: list[Job] = []
        for state in check_state_names(states):
            records = self._store.run(calls.page(state, start, end, not asc))
            jobs += (Job(self, record.id, record=record) for record in records)

        return jobs

    def get_job_counts(self) -> dict[str, int]:
        """How many jobs are waiting, paused, delayed, active, completed, failed, cancelled."""
        return self._store.run(calls.counts())

    def get_job_logs(
        self, job_id: str, start: int = 0, end: int = -1
    ) -> tuple[int, list[dict[str, Any]]]:
        """How many log rows a job has, and those of the range: `at` (seconds), `level`,
        `message`, and `fields` if there are any."""
        count, rows = self._store.run(calls.logs(job_id, start, end))

        return count, [{"at": row.at_ms / 1000, **decode_stored(row.text)} for row in rows]

    @contextmanager
    def run(
        self,
        name: str = ANY_NAME,
        *,
        concurrency: int = 1,
        lease: Duration = 30,
        recover_every: Duration = 15,
        max_stalls: int = 1,
        drain_timeout: Duration = 25,
        kill_grace: Duration = 5,
    ) -> Iterator[QueueHandle]:
        """Run jobs in a thread while the block is open: `with queue.run(concurrency=4) as handle`.

        The arguments and errors are those of `sandq.queue.Queue.run`. `handle.wait()` blocks
        until it is stopped.
        """
        with start_blocking_portal() as portal:
            running = queue.Queue(self.name, self._url, prefix=self._prefix)
            running._handlers = self._handlers
            run = running.run(
                name,
                concurrency=concurrency,
                lease=lease,
                recover_every=recover_every,
                max_stalls=max_stalls,
                drain_timeout=drain_timeout,
                kill_grace=kill_grace,
            )
            with portal.wrap_async_context_manager(run) as handle:
                yield QueueHandle(handle, portal)

    def close(self) -> None:
        """Close the connections; closing twice is harmless."""
        self._store.close()

    def __enter__(self) -> "Queue":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Queue {self.name!r}>"


class Job(JobView):
    """A job of a queue; see `sandq.queue.Job`, of which this is the synchronous twin."""

    __slots__ = ("_queue",)

    def __init__(self, queue: Queue, job_id: str, **source: Any) -> None:
        super().__init__(job_id, **source)
        self._queue = queue

    def refresh(self) -> "Job | None":
        """Fetch the job anew into this object; None, and no change, when it is gone."""
        record = self._queue._store.run(calls.look([self.id]))[0]
        if record is None:
            return None

        self._record = record

        return self

    def get_state(self) -> JobState | None:
        """Where the job is now; None when it is gone."""
        job = self.refresh()

        return None if job is None else job.state

    def logs(self) -> list[dict[str, Any]]:
        """Its log rows, oldest first."""
        return self._queue.get_job_logs(self.id)[1]

    def finished(self, timeout: Duration | None = None) -> Any:
        """Wait until the job has ended and return its value (seed 0).

        Raises JobFailed with the failure record, JobCancelled, JobMissing when the job is gone,
        and WaitTimeout (a TimeoutError) after `timeout` (seconds); the job goes on then.
        """
        timeout_s = float("inf") if timeout is None else to_ms(timeout, "timeout") / 1000
        until_s = clock.monotonic_s() + timeout_s
        store = self._queue._store
        after = store.last_event_id()
        while True:
            record = store.run(calls.look([self.id]))[0]
            self._record = record or self._record
            ended, value = ended_value(self.id, record)
            if ended:
                return value

            after = self._wait_for_event(after, until_s, timeout_s)

    def _wait_for_event(self, after: str, until_s: float, timeout_s: float) -> str:
        """Read events until one is of this job, or it is time to look again."""
        look_s = clock.monotonic_s() + LOOK_AGAIN_S
        while True:
            left_s = min(look_s, until_s) - clock.monotonic_s()
            if left_s <= 0:
                if clock.monotonic_s() < until_s:
                    return after
                raise WaitTimeout(f"job {self.id!r} has not ended after {timeout_s} s; it goes on")

            for event in self._queue._store.events_after(after, left_s):
                after = event.id
                if event.job_id == self.id:
                    return after
