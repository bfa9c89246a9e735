"""The async face: Queue and Job. `sandq.sync` has the same names for synchronous code."""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Unpack, cast

import anyio

from sandq import chance
from sandq.face.job import Job
from sandq.face.management import Management
from sandq.face.reading import Reading
from sandq.flow.handle import QueueHandle
from sandq.flow.lane import Served
from sandq.flow.registry import HandlerRegistry, supervision_of
from sandq.flow.supervisor import Supervisor
from sandq.model.ceilings import Ceilings
from sandq.model.duration import Duration
from sandq.model.job import NewJob
from sandq.model.names import ANY_NAME, check_job_name
from sandq.model.options import OptionArgs, options_from
from sandq.steps import adding
from sandq.store import reads, verbs
from sandq.store.connect import shared_url
from sandq.store.endings import Endings
from sandq.store.following import Following
from sandq.store.keys import DEFAULT_PREFIX
from sandq.store.store import Store

__all__ = ["Job", "Queue"]


class Queue(HandlerRegistry, Management, Reading):
    """A queue of jobs in Redis (seed 0, `Queue::new`).

    - `name`: letters, digits, `_ . -`; the same name sees the same jobs.
    - `url`: a Redis URL. None: SANDQ_REDIS_URL, REDIS_URL, then the embedded server of this
      folder, which is started if need be.
    - `prefix`: first part of every key.
    - `share`: another Queue, of the same server, whose connections are used; it closes them, and
      `run` has connections of its own all the same. Not with a cluster (seeds 0 and 1).
    - `default_job_options`: options of jobs that do not name them; those of the queue's settings
      come after them.
    - `id_factory`: makes the ids of jobs that are added without one; None: the queue counts.

    Nothing is sent before the first call. Every method may raise StoreError (StoreUnreachable,
    StoreDenied). Close it, or use it as an async context manager; used again, it opens again. It is
    for one event loop at a time: `asyncio.run` may be called again and again, and what a run has
    opened ends with it. Threads share a `sandq.sync.Queue` instead.
    """

    def __init__(
        self,
        name: str,
        url: str | None = None,
        *,
        prefix: str = DEFAULT_PREFIX,
        share: "Queue | None" = None,
        default_job_options: Mapping[str, Any] | None = None,
        id_factory: Callable[[], str] | None = None,
    ) -> None:
        super().__init__()
        self.name = name
        self._url: str | None = url if share is None else shared_url(url, share._url)
        self._prefix = prefix
        self._producer = adding.producer(default_job_options, id_factory)
        self._store = Store(name, self._url, prefix, None if share is None else share._store)
        self._endings = Endings(self._store)
        self._following = Following(self._store)
        self._worker = chance.new_worker_id()
        self._workers: set[str] = set()
        self._supervisors: list[Supervisor] = []
        self._paused_here = False

    async def add(self, name: str, data: Any = None, **options: Unpack[OptionArgs]) -> Job:
        """Add a job; `data` is any JSON value, or JsonText. Options: see JobOptions.

        A `job_id` that exists, or a `dedup` key that is taken, adds nothing and answers that job
        (seeds 0 and 3). `repeat` makes a series and answers its next job. Raises InvalidInput
        (UnknownOption) and QueueFull before anything is written.
        """
        if options.get("repeat") is not None:
            return await self._add_series(name, data, dict(options))
        job_id, new = await self._do(adding.add(self._producer, name, data, options))

        return Job(self, job_id, new=new)

    async def add_bulk(self, jobs: Iterable[Any]) -> list[Job]:
        """Add many jobs, in order: `(name, data)` or `(name, data, options)` each.

        All are checked before the first is written; 1,000 at a time are added as one, fewer if
        their data is large. Raises InvalidInput, QueueFull.
        """
        added = await self._do(adding.add_bulk(self._producer, jobs))

        return [Job(self, job_id, new=new) for job_id, new in added]

    async def pause(self, local: bool = False, *, wait: bool = True) -> None:
        """Claim no more jobs; those that run go on (seed 0).

        Everywhere, until `resume`; or, with `local`, only by the supervisors of this object, and
        then, unless `wait` is False, it returns when none of their jobs runs any more.
        """
        if not local:
            await self._store.run(verbs.pause(True))
            return

        self._paused_here = True
        for supervisor in list(self._supervisors):
            supervisor.pause()
        if wait:
            await self.when_current_jobs_finished()

    async def resume(self, local: bool = False) -> None:
        """Claim jobs again. A local pause is only lifted by a local resume (seed 0)."""
        if not local:
            await self._store.run(verbs.pause(False))
            return

        self._paused_here = False
        for supervisor in list(self._supervisors):
            supervisor.resume()

    async def is_paused(self, local: bool = False) -> bool:
        """Whether the queue is paused, or, with `local`, this object's supervisors (seed 0)."""
        return self._paused_here if local else await self._store.run(reads.is_paused())

    async def when_current_jobs_finished(self) -> None:
        """Wait until no supervisor of this object runs a job (Bull)."""
        for supervisor in list(self._supervisors):
            await supervisor.idle()

    @asynccontextmanager
    async def run(
        self,
        name: str = ANY_NAME,
        *,
        concurrency: int = 1,
        least: int | None = None,
        lease: Duration = 30,
        recover_every: Duration = 15,
        max_stalls: int = 1,
        drain_timeout: Duration = 25,
        kill_grace: Duration = 5,
        broken_after: Duration | None = None,
        ceilings: Ceilings | Mapping[str, Any] | None = None,
    ) -> AsyncIterator[QueueHandle]:
        """Run jobs while the block is open: `async with queue.run(concurrency=4) as handle`.

        - `name`: whose handler serves jobs that have no handler of their own name.
        - `concurrency`: most jobs, and most children, at once. `least`: how many children are kept
          while there is no work; None: all of them.
        - `lease`: how long a claim is good without renewal. `recover_every`: how often jobs of
          vanished supervisors are looked for; `max_stalls`: how often a job may be recovered.
        - `drain_timeout`: how long running jobs may go on when the block ends; then they are
          killed and given back, no attempt spent. `kill_grace`: between SIGTERM and SIGKILL.
        - `broken_after`: jobs of a handler that has not started for so long fail; None: they wait.
        - `ceilings`: the most that the sandbox of any handler may allow; one that allows more, or
          says nothing of it, is refused (docs/isolation.md).

        Raises SupervisorError without a handler, InvalidInput for one above the ceilings,
        StoreError when Redis cannot be reached now.
        """
        if name != ANY_NAME:
            check_job_name(name)
        self._check_ceilings(ceilings)
        supervision = supervision_of(
            concurrency=concurrency,
            least=least,
            lease=lease,
            recover_every=recover_every,
            max_stalls=max_stalls,
            drain_timeout=drain_timeout,
            kill_grace=kill_grace,
            broken_after=broken_after,
        )
        store = Store(self.name, self._url, self._prefix)
        try:
            served = Served(store, self._handlers, self._backoffs)
            supervisor = Supervisor({self.name: served}, supervision, name)
            await store.run(reads.counts())
            failure: Exception | None = None
            async with anyio.create_task_group() as group:
                self._count_in(supervisor)
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
                    self._supervisors.remove(supervisor)
            if failure is not None:
                raise failure
        finally:
            await store.close()

    @asynccontextmanager
    async def process(
        self, function: Callable[[Any], Any], *, concurrency: int = 1
    ) -> AsyncIterator[QueueHandle]:
        """Serve jobs of any name with a function and run them: `set_handler` and `run` in one
        (seed 0)."""
        self.set_handler(ANY_NAME, function)
        async with self.run(concurrency=concurrency) as handle:
            yield handle

    @asynccontextmanager
    async def process_file(
        self, handler: str | Path, *, concurrency: int = 1, **settings: Any
    ) -> AsyncIterator[QueueHandle]:
        """Serve jobs of any name with a program and run them: `set_handler_file`, whose settings
        it takes, and `run` in one (seed 0)."""
        self.set_handler_file(ANY_NAME, handler, **settings)
        async with self.run(concurrency=concurrency) as handle:
            yield handle

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

    def _count_in(self, supervisor: Supervisor) -> None:
        self._supervisors.append(supervisor)
        self._workers.add(supervisor.worker)
        if self._paused_here:
            supervisor.pause()

    async def _add_series(self, name: str, data: Any, options: dict[str, Any]) -> Job:
        # what a series cannot have is told by the options themselves
        options_from(cast("OptionArgs", options))
        repeat = options.pop("repeat")
        _, job_id, record = await self._upsert(None, repeat, name, data, options)
        if record is not None:
            return Job(self, job_id, record=record)

        # somebody else has replaced the series at this very moment
        return Job(self, job_id, new=NewJob(job_id, name, b"null", b"", 0, 0, b""))
