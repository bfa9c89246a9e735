"""The synchronous face: the names and signatures of `sandq.queue`, without async.

Both faces carry out the same steps. Only `run` uses a thread: the supervisor's event loop is in
it.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Unpack, cast

from anyio.from_thread import BlockingPortal, start_blocking_portal

from sandq import chance, queue
from sandq.child.sync_pool import SyncPool as Pool
from sandq.face.sync_base import twin_of
from sandq.face.sync_job import Job
from sandq.face.sync_management import Management
from sandq.face.sync_reading import Reading
from sandq.flow.handle import QueueHandle as AsyncQueueHandle
from sandq.flow.registry import HandlerRegistry
from sandq.model.ceilings import Ceilings
from sandq.model.duration import Duration
from sandq.model.job import NewJob
from sandq.model.names import ANY_NAME
from sandq.model.options import OptionArgs, options_from
from sandq.steps import adding
from sandq.store import reads, verbs
from sandq.store.connect import shared_url
from sandq.store.keys import DEFAULT_PREFIX
from sandq.store.store import SyncStore

__all__ = ["Job", "Pool", "Queue", "QueueHandle"]


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

    def pause(self) -> None:
        """Take no new jobs until `resume`; those that run go on."""
        self._portal.call(self._handle.pause)

    def resume(self) -> None:
        """Take jobs again."""
        self._portal.call(self._handle.resume)

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


@twin_of(queue.Queue)
class Queue(HandlerRegistry, Management, Reading):
    """A queue of jobs in Redis; see `sandq.Queue`, of which this is the synchronous twin."""

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
        self._store = SyncStore(name, self._url, prefix, None if share is None else share._store)
        self._worker = chance.new_worker_id()
        self._workers: set[str] = set()
        #: The async queues that run in threads, and the ways there.
        self._running: dict[queue.Queue, BlockingPortal] = {}
        self._paused_here = False

    def add(self, name: str, data: Any = None, **options: Unpack[OptionArgs]) -> Job:
        if options.get("repeat") is not None:
            return self._add_series(name, data, dict(options))
        job_id, new = self._do(adding.add(self._producer, name, data, options))

        return Job(self, job_id, new=new)

    def add_bulk(self, jobs: Iterable[Any]) -> list[Job]:
        added = self._do(adding.add_bulk(self._producer, jobs))

        return [Job(self, job_id, new=new) for job_id, new in added]

    def pause(self, local: bool = False, *, wait: bool = True) -> None:
        if not local:
            self._store.run(verbs.pause(True))
            return

        self._paused_here = True
        for running, portal in list(self._running.items()):
            portal.call(partial(running.pause, True, wait=wait))

    def resume(self, local: bool = False) -> None:
        if not local:
            self._store.run(verbs.pause(False))
            return

        self._paused_here = False
        for running, portal in list(self._running.items()):
            portal.call(running.resume, True)

    def is_paused(self, local: bool = False) -> bool:
        return self._paused_here if local else self._store.run(reads.is_paused())

    def when_current_jobs_finished(self) -> None:
        for running, portal in list(self._running.items()):
            portal.call(running.when_current_jobs_finished)

    @contextmanager
    def run(
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
    ) -> Iterator[QueueHandle]:
        """Run jobs in a thread while the block is open: `with queue.run(concurrency=4) as handle`.

        The arguments and errors are those of `sandq.Queue.run`. `handle.wait()` blocks until it is
        stopped.
        """
        with start_blocking_portal() as portal:
            running = queue.Queue(self.name, self._url, prefix=self._prefix)
            running._handlers, running._backoffs = self._handlers, self._backoffs
            running._workers, running._paused_here = self._workers, self._paused_here
            run = running.run(
                name,
                concurrency=concurrency,
                least=least,
                lease=lease,
                recover_every=recover_every,
                max_stalls=max_stalls,
                drain_timeout=drain_timeout,
                kill_grace=kill_grace,
                broken_after=broken_after,
                ceilings=ceilings,
            )
            with portal.wrap_async_context_manager(run) as handle:
                self._running[running] = portal
                try:
                    yield QueueHandle(handle, portal)
                finally:
                    del self._running[running]

    @contextmanager
    def process(
        self, function: Callable[[Any], Any], *, concurrency: int = 1
    ) -> Iterator[QueueHandle]:
        self.set_handler(ANY_NAME, function)
        with self.run(concurrency=concurrency) as handle:
            yield handle

    @contextmanager
    def process_file(
        self, handler: str | Path, *, concurrency: int = 1, **settings: Any
    ) -> Iterator[QueueHandle]:
        self.set_handler_file(ANY_NAME, handler, **settings)
        with self.run(concurrency=concurrency) as handle:
            yield handle

    def close(self) -> None:
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

    def _add_series(self, name: str, data: Any, options: dict[str, Any]) -> Job:
        # what a series cannot have is told by the options themselves
        options_from(cast("OptionArgs", options))
        repeat = options.pop("repeat")
        _, job_id, record = self._upsert(None, repeat, name, data, options)
        if record is not None:
            return Job(self, job_id, record=record)

        # somebody else has replaced the series at this very moment
        return Job(self, job_id, new=NewJob(job_id, name, b"null", b"", 0, 0, b""))
