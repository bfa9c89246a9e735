"""The pool for code without an event loop: the names of `sandq.child.Pool`, from any thread."""

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine, Iterable, Mapping
from concurrent.futures import Future
from functools import partial
from types import TracebackType
from typing import Any, NamedTuple, TypeVar

from sandq.child import library
from sandq.child.tally import PoolMetrics
from sandq.errors import SandqError
from sandq.model.duration import Duration
from sandq.model.handler import Handler

T = TypeVar("T")

#: How long calls under way may take to fail when the pool is closed, in seconds.
_CLOSE_S = 1.0


class _Open(NamedTuple):
    """A pool at work: whose it is, its thread, its loop, and what ends it."""

    pid: int
    thread: threading.Thread
    loop: asyncio.AbstractEventLoop
    stop: asyncio.Event


class SyncPool:
    """Programs that are kept ready and lent to one job at a time; a context manager.

    Arguments and errors are those of `sandq.child.Pool`. Its event loop is in a thread of its own;
    any number of threads may call it at once. A process that forks opens it after that, not before.
    """

    def __init__(
        self,
        size: int,
        handlers: Iterable[Handler],
        *,
        least: int | None = None,
        kill_grace: Duration = 5,
        worker: str = "",
    ) -> None:
        self._make = partial(
            library.Pool, size, tuple(handlers), least=least, kill_grace=kill_grace, worker=worker
        )
        # what is wrong with the arguments is told at once
        self._pool = self._make()
        self._open: _Open | None = None
        self._lock = threading.Lock()

    def __enter__(self) -> "SyncPool":
        self.open()

        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def open(self) -> None:
        """Start the thread and the children; opening an open pool is harmless."""
        with self._lock:
            if self._open is not None and self._open.pid == os.getpid():
                return
            opened: Future[_Open] = Future()
            # it does not keep the process from ending, and its end is that of the children
            thread = threading.Thread(
                target=lambda: asyncio.run(self._serve(opened)), name="sandq pool", daemon=True
            )
            thread.start()
            self._open = opened.result()

    def close(self) -> None:
        """End the children and the thread; closing twice is harmless."""
        with self._lock:
            here, self._open = self._open, None
            if here is not None and here.pid == os.getpid():
                here.loop.call_soon_threadsafe(here.stop.set)
                here.thread.join()

    def call(
        self,
        handler: Handler,
        data: Any = None,
        *,
        name: str = "job",
        key: str = "",
        timeout: Duration | None = None,
        job_id: str | None = None,
        on_progress: Callable[[Any], None] | None = None,
        on_log: Callable[[dict[str, Any]], None] | None = None,
        on_emit: Callable[[Any], None] | None = None,
        calls: Mapping[str, library.Verb] | None = None,
    ) -> Any:
        """Run one job through a child of `handler`, and return its value: see `sandq.child.Pool`.

        The functions that are given are called in the pool's thread, and must return soon.
        """
        call = partial(
            self._pool.call,
            handler,
            data,
            name=name,
            key=key,
            timeout=timeout,
            job_id=job_id,
            on_progress=on_progress,
            on_log=on_log,
            on_emit=on_emit,
            calls=calls,
        )

        return self._wait_for(call())

    def renew_all(self, reason: str = "watch") -> None:
        """Replace all children, busy ones after their job: what they were made of has changed."""
        self._wait_for(self._soon(self._pool.renew_all, reason))

    def pids(self) -> list[int]:
        """The process ids of the children that are alive."""
        return self._wait_for(self._soon(self._pool.pids))

    @property
    def metrics(self) -> PoolMetrics:
        """What has happened so far, in numbers."""
        return self._wait_for(self._soon(lambda: self._pool.metrics))

    async def _serve(self, opened: "Future[_Open]") -> None:
        loop, stop = asyncio.get_running_loop(), asyncio.Event()
        try:
            self._pool = self._make()
            async with self._pool:
                opened.set_result(_Open(os.getpid(), threading.current_thread(), loop, stop))
                await stop.wait()
        except BaseException as error:
            if opened.done():
                raise
            opened.set_exception(error)
            return
        calls = asyncio.all_tasks() - {asyncio.current_task()}
        if calls:
            await asyncio.wait(calls, timeout=_CLOSE_S)

    async def _soon(self, function: Callable[..., T], *args: Any) -> T:
        return function(*args)

    def _wait_for(self, call: Coroutine[Any, Any, T]) -> T:
        """Have the pool's thread carry it out; it is cancelled when the wait is interrupted."""
        here = self._open
        if here is None or here.pid != os.getpid():
            call.close()
            raise SandqError("the pool is not open here; use it as a context manager, or open it")
        running = asyncio.run_coroutine_threadsafe(call, here.loop)
        try:
            return running.result()
        except BaseException:
            running.cancel()
            raise

    def __repr__(self) -> str:
        return repr(self._pool)
