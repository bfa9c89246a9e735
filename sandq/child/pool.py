"""The pool: at most so many children, warm ones kept ready, each lent to one job at a time.

What to start and what to let go is decided by `plan`; this file only carries it out. A handler
whose children fail to start is tried again with growing pauses, and says so once.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType

import anyio
from anyio.abc import TaskGroup

from sandq import settings
from sandq.child.child import Child
from sandq.child.children import Children, Waiter
from sandq.child.command import find_program
from sandq.child.plan import Retire, plan, warm_shares
from sandq.child.spawn import Spawner, StartFailed
from sandq.child.watch import Watch
from sandq.errors import SupervisorError
from sandq.model.handler import Handler

log = logging.getLogger("sandq.child")


class Pool:
    """Children of several handlers, `size` at most; an async context manager.

    `worker` is told to the children; `on_change` is called when a child has become free or has
    ended. Raises HandlerInvalid when a handler names no program that can be run. Use:
    `child = pool.lend(handler) or await pool.obtain(handler)`, `await child.run(…)`,
    `pool.give_back(child)`.
    """

    def __init__(
        self,
        size: int,
        handlers: Iterable[Handler],
        *,
        kill_grace_ms: int = 5_000,
        worker: str = "",
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        self.size = size
        self._kill_grace_s = kill_grace_ms / 1000
        self._worker = worker
        self._on_change = on_change
        self._lines: dict[Handler, Children] = {}
        for handler in handlers:
            environment = self._environment(handler)
            program = find_program(handler, environment.get("PATH"))
            self._lines[handler] = Children(handler, program, environment)
        warm = [line for line in self._lines.values() if not line.handler.fresh]
        for line, share in zip(warm, warm_shares(size, len(warm)), strict=True):
            line.warm = share
        self._alive: set[Child] = set()
        self._spawner = Spawner(self._spawner_lost)
        self._watch = Watch()
        self._group: TaskGroup | None = None

    async def __aenter__(self) -> "Pool":
        self._group = anyio.create_task_group()
        await self._group.__aenter__()
        self._spawner.start()
        self._carry_out()

        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        group, self._group = self._group, None
        assert group is not None, "a pool is entered before it is left"
        group.cancel_scope.cancel()
        await group.__aexit__(None, None, None)
        self._watch.close()
        # the end of the spawner is the end of every child
        self._spawner.close()
        for child in list(self._alive):
            child.abandon()
        for line in self._lines.values():
            line.close()

    def places(self, handlers: Iterable[Handler]) -> int:
        """How many jobs of these handlers could start now.

        An idle child of another handler counts: it gives way. A handler whose children fail to
        start does not: no job is claimed for it.
        """
        lines = [self._lines[handler] for handler in handlers]
        places = 0
        if any(line.serves for line in lines if not line.handler.fresh):
            places = sum(line.idle_count for line in self._lines.values())
        if any(line.may_start for line in lines if line.handler.fresh):
            places += self.size - len(self._alive)

        return places

    def serves(self, handlers: Iterable[Handler]) -> bool:
        """Whether children of one of these handlers start, as far as is known."""
        return any(self._lines[handler].serves for handler in handlers)

    def lend(self, handler: Handler) -> Child | None:
        """An idle child, if there is one; it must be given back."""
        return self._lines[handler].take_idle()

    async def obtain(self, handler: Handler, env: Mapping[str, str] | None = None) -> Child:
        """A child, started if need be; `env` is for a fresh one. It must be given back.

        Raises StartFailed when the handler's children do not start.
        """
        line = self._lines[handler]
        child = line.take_idle()
        if child is not None:
            return child
        if not line.may_start and not line.any_alive:
            raise StartFailed(line.reason)

        waiter = Waiter(asyncio.get_running_loop().create_future(), dict(env or {}))
        line.waiters.append(waiter)
        self._carry_out()
        try:
            return await waiter.future
        except asyncio.CancelledError:
            if waiter in line.waiters:
                line.waiters.remove(waiter)
            elif waiter.future.done() and not waiter.future.cancelled():
                # it was given in the very moment that nobody wanted it any more
                self.give_back(waiter.future.result())
            raise

    def give_back(self, child: Child) -> None:
        """Return a lent child; it is lent again if it is fit for it."""
        line = self._lines[child.handler]
        line.busy.discard(child)
        if child.served:
            line.works()
        if child.usable and not child.handler.fresh:
            self._offer(line, child)
            # the usual end of a job: nobody waits, so there is nothing to plan
            if not any(other.waiters for other in self._lines.values()):
                return
        elif not child.pid:
            # a one-shot child whose process was never started
            self._alive.discard(child)
        elif child.handler.fresh:
            child.retire()
        self._carry_out()
        self._on_change()

    def pause_s(self, handler: Handler) -> float:
        """How long until a handler that failed to start is tried again, in seconds."""
        return self._lines[handler].pause_s

    def pids(self) -> list[int]:
        """The process ids of the children that are alive."""
        return sorted(child.pid for child in self._alive if child.pid)

    def __repr__(self) -> str:
        lines = "; ".join(map(repr, self._lines.values()))
        return f"<Pool {len(self._alive)} of {self.size} alive: {lines}>"

    # ---- carrying the plan out

    def _carry_out(self) -> None:
        if self._group is None:
            return

        lines = list(self._lines.values())
        rows = [line.row() for line in lines]
        known = sum(row.idle + row.busy + row.starting for row in rows)
        for step in plan(rows, self.size, len(self._alive) - known):
            line = lines[step.line]
            if isinstance(step, Retire):
                idle = line.take_idle()
                if idle is not None:
                    line.busy.discard(idle)
                    idle.retire()
            else:
                if not self._spawner.running:
                    self._renew_spawner()
                child = Child(
                    line.handler, self._spawner, self._watch, self._kill_grace_s, self._changed
                )
                # from now on it counts, though its process is not there yet
                self._alive.add(child)
                if line.handler.fresh:
                    self._promise(line, child)
                else:
                    line.starting.add(child)
                    self._group.start_soon(self._start, line, child, {})

    def _promise(self, line: Children, child: Child) -> None:
        """Give a one-shot child to who waits; its process is started with the job."""
        waiter = line.next_waiter()
        if waiter is None:
            self._alive.discard(child)
            return

        def launch() -> None:
            if self._group is not None:
                self._group.start_soon(self._start, line, child, waiter.env)

        child.launch, child.ready = launch, True
        line.busy.add(child)
        waiter.future.set_result(child)

    async def _start(self, line: Children, child: Child, extra: Mapping[str, str]) -> None:
        try:
            await child.start(line.program, {**line.environment, **extra})
        except StartFailed as error:
            self._alive.discard(child)
            line.forget(child)
            self._failed(line, str(error))
            child.not_started(str(error))
            self._carry_out_and_tell()

    def _changed(self, child: Child) -> None:
        """A child has become ready, or has ended."""
        line = self._lines[child.handler]
        if not child.gone:
            line.starting.discard(child)
            self._offer(line, child)
            self._on_change()
            return

        was_ready = child not in line.starting
        self._alive.discard(child)
        line.forget(child)
        if child.ended_itself and (child.never_read or child.served == 0):
            when = "before it read a job" if was_ready else "before it was ready"
            self._failed(line, f"handler {line.handler} ended {when}: {child.end_note}")
        self._carry_out()
        self._on_change()

    def _offer(self, line: Children, child: Child) -> None:
        waiter = line.next_waiter()
        if waiter is None:
            line.idle.append(child)
        else:
            line.busy.add(child)
            waiter.future.set_result(child)

    def _failed(self, line: Children, reason: str) -> None:
        if not line.fails(reason):
            return
        if line.announce:
            log.error(
                "%s; it is unhealthy after %d failed starts: no job is claimed for it, next try "
                "in %.1f s",
                reason,
                line.failures,
                line.pause_s,
            )
        else:
            log.warning("%s; next try in %.1f s", reason, line.pause_s)
        if self._group is not None:
            line.retry_later(self._carry_out_and_tell)

    def _carry_out_and_tell(self) -> None:
        self._carry_out()
        self._on_change()

    def _spawner_lost(self) -> None:
        """The spawner was killed, and all children with it: start again."""
        if self._group is not None:
            log.error("the spawner process died; starting another")
            self._renew_spawner()
            self._carry_out()

    def _renew_spawner(self) -> None:
        self._spawner = Spawner(self._spawner_lost)
        try:
            self._spawner.start()
        except SupervisorError as error:
            # no child can be started now; the next try comes after the pause that follows
            log.error("%s", error)

    def _environment(self, handler: Handler) -> dict[str, str]:
        return {
            **settings.passed_on_environment(),
            "SANDQ": "1",
            "SANDQ_PROTOCOL": "1",
            "SANDQ_WORKER": self._worker,
            "SANDQ_MAX_LINE": str(handler.limits.line),
            # a child that does not flush its answers looks as if it hung
            "PYTHONUNBUFFERED": "1",
            **dict(handler.env),
        }
