"""The pool: at most so many children, warm ones kept ready, each lent to one job at a time.

What to start and what to let go is decided by `plan`, which child is worn by `wear`, and carried
out by the keeper.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType

import anyio
from anyio.abc import TaskGroup

from sandq.child.around import Trace
from sandq.child.child import Child
from sandq.child.children import Waiter
from sandq.child.crew import Crew
from sandq.child.family import Family
from sandq.child.keeper import Keeper
from sandq.child.spawn import StartFailed
from sandq.child.tally import PoolMetrics
from sandq.child.upkeep import Upkeep
from sandq.child.wear import GROW_AFTER_MS
from sandq.model.handler import Handler
from sandq.model.outcome import FailureKind

#: So many jobs that seem not to have been read are remembered.
UNREAD_KEPT = 1_000


class Pool:
    """Children of several handlers, `size` at most; an async context manager.

    `least` are kept, all of them if it is not given; jobs that wait add more, up to `size`, which
    are let go when they have been idle. `broken_ms` is how long a handler may be down before its
    jobs are to fail. `worker` is told to the children; `on_change` is called when a child has
    become free or has ended, `trace` with what goes to and from the children. Raises
    HandlerInvalid when a handler names no program that can be run.
    Use: `child = pool.lend(handler) or await pool.obtain(handler)`, `await child.run(…)`,
    `pool.give_back(child)`.
    """

    def __init__(
        self,
        size: int,
        handlers: Iterable[Handler],
        *,
        least: int | None = None,
        kill_grace_ms: int = 5_000,
        broken_ms: int | None = None,
        worker: str = "",
        on_change: Callable[[], None] = lambda: None,
        trace: Trace | None = None,
    ) -> None:
        self.size = size
        #: Whether it grows and shrinks at all.
        self.elastic = least is not None and least < size
        broken_s = None if broken_ms is None else broken_ms / 1000
        families = [
            Family(handler, worker, broken_s, self._tried) for handler in dict.fromkeys(handlers)
        ]
        self._crew = Crew(families, size, size if least is None else min(least, size))
        self._upkeep = Upkeep(self._look_after)
        self._keeper = Keeper(
            self._crew, size, kill_grace_ms / 1000, on_change, self._upkeep.wake, trace
        )
        self._growing: asyncio.TimerHandle | None = None
        #: Jobs that children behind walls have left unread, as it seemed.
        self._unread: deque[str] = deque(maxlen=UNREAD_KEPT)
        self._group: TaskGroup | None = None

    async def __aenter__(self) -> "Pool":
        self._group = anyio.create_task_group()
        await self._group.__aenter__()
        self._keeper.open(self._group)

        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        group, self._group = self._group, None
        assert group is not None, "a pool is entered before it is left"
        self._keeper.rest()
        group.cancel_scope.cancel()
        await group.__aexit__(None, None, None)
        self._upkeep.close()
        if self._growing is not None:
            self._growing.cancel()
        self._keeper.close()
        self._crew.close()

    def places(self, handlers: Iterable[Handler]) -> int:
        """How many jobs of these handlers could start now.

        An idle child of another handler or key counts: it gives way. A handler whose children fail
        to start does not: no job is claimed for it, unless its jobs are to fail by now.
        """
        families = [self._crew.family(handler) for handler in handlers]
        # what its sandbox needs may be missing
        known = [family for family in families if self._keeper.confined(family)]
        places = 0
        if any(family.serves for family in known if not family.handler.fresh):
            places = sum(line.idle_count for line in self._crew.lines())
        if any(family.health.may_start for family in known if family.handler.fresh):
            places += self.size - len(self._keeper.alive)
        if places <= 0 and any(family.health.broken for family in families):
            return 1

        return places

    def serves(self, handlers: Iterable[Handler]) -> bool:
        """Whether children of one of these handlers start, as far as is known."""
        return any(self._crew.family(handler).serves for handler in handlers)

    def broken(self, handler: Handler) -> FailureKind | None:
        """How its jobs fail, for it has been down for longer than they are to wait; else None."""
        health = self._crew.family(handler).health

        return health.kind if health.broken else None

    def lend(self, handler: Handler, key: str = "") -> Child | None:
        """An idle child for jobs of this key, if there is one; it must be given back."""
        return self._crew.family(handler).line(key).take_idle()

    async def obtain(
        self, handler: Handler, env: Mapping[str, str] | None = None, key: str = ""
    ) -> Child:
        """A child, started if need be; `env` is for a fresh one. It must be given back.

        Raises StartFailed when the handler's children do not start.
        """
        family = self._crew.family(handler)
        line = family.line(key)
        child = line.take_idle()
        if child is not None:
            return child
        if self._group is None:
            raise StartFailed("the pool is closed")
        if not family.health.may_start and not line.any_alive:
            raise StartFailed.again(family.health.reason, family.health.kind)

        loop = asyncio.get_running_loop()
        extra = {**(env or {}), **(family.key_variable(key) if handler.fresh else {})}
        waiter = Waiter(loop.create_future(), extra, loop.time())
        line.waiters.append(waiter)
        self._keeper.carry_out()
        if not waiter.future.done():
            self._grow_later()
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
        family = self._crew.family(child.handler)
        line = family.line(child.key)
        line.busy.discard(child)
        if child.served:
            family.health.works()
        if child.usable and not child.handler.fresh:
            # the usual end of a job: nobody waits, so there is nothing to plan
            if not self._keeper.put(line, child, new=False) and not self._crew.anybody_waits:
                return
        elif not child.pid:
            # a one-shot child whose process was never started
            self._keeper.alive.discard(child)
        elif child.handler.fresh:
            child.retire()
        self._keeper.carry_out_and_tell()

    @property
    def grows(self) -> bool:
        """Whether there may be more warm children than now."""
        return self._crew.may_grow

    def grow(self, handlers: Iterable[Handler], waiting: int, waited_ms: float) -> None:
        """Jobs of these handlers have waited for so long while all children were busy."""
        if self._crew.grow([self._crew.family(one) for one in handlers], waiting, waited_ms):
            self._keeper.carry_out()

    def renew_all(self, reason: str) -> None:
        """Replace all children, busy ones after their job: what they were made of has changed."""
        for family in self._crew.families:
            family.health.try_now()
            for line in family.lines():
                for child in line.renew():
                    self._keeper.let_go(line, child, reason)
        self._keeper.carry_out_and_tell()

    def pause_s(self, handler: Handler) -> float:
        """How long until a handler that failed to start is tried again, in seconds."""
        return self._crew.family(handler).health.pause_s

    def believes_unread(self, handler: Handler, job: str) -> bool:
        """Whether a child that ended and seems not to have read this job is to be believed.

        A hostile one can put what it has read back into its pipe: behind walls once a job.
        """
        believed = not handler.sandbox.walled or job not in self._unread
        if believed and handler.sandbox.walled:
            self._unread.append(job)

        return believed

    def pids(self) -> list[int]:
        """The process ids of the children that are alive."""
        return sorted(child.pid for child in self._keeper.alive if child.pid)

    @property
    def ready(self) -> int:
        """How many warm children are ready, busy ones included."""
        return sum(line.ready_count for line in self._crew.lines())

    @property
    def metrics(self) -> PoolMetrics:
        """What has happened so far, in numbers."""
        return self._keeper.tally.metrics(
            sum(child.process.capture.added for child in self._keeper.alive)
        )

    def __repr__(self) -> str:
        lines = "; ".join(map(repr, self._crew.lines()))
        return f"<Pool {len(self._keeper.alive)} of {self.size} alive: {lines}>"

    def _look_after(self) -> bool:
        """What time alone brings to idle children; whether there is more to come."""
        now_s = asyncio.get_running_loop().time()
        idle = self._crew.too_long_idle(now_s)
        for line, child in idle:
            self._keeper.let_go(line, child, "idle")
        changed = bool(idle)
        for line in list(self._crew.lines()):
            changed |= self._keeper.look_again(line)
            for child in line.idle:
                self._upkeep.ping(child, now_s)
        if changed:
            self._keeper.carry_out_and_tell()

        return self._crew.any_warm

    def _grow_later(self) -> None:
        if self._growing is None and self._crew.may_grow:
            loop = asyncio.get_running_loop()
            self._growing = loop.call_later(GROW_AFTER_MS / 1000 + 0.001, self._grow_for_waiters)

    def _grow_for_waiters(self) -> None:
        self._growing = None
        if self._crew.grow_for_waiters(asyncio.get_running_loop().time()):
            self._keeper.carry_out()
        if self._crew.anybody_waits:
            self._grow_later()

    def _tried(self) -> None:
        """The pause of a handler that failed to start is over, or its jobs are to fail now."""
        self._keeper.carry_out_and_tell()
