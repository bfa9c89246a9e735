"""The supervisor: claimers, slots, lease and janitor of one process, and how it stops.

Stopping, in this order:
1. No new claims; claims that wait for a slot are given back.
2. Running jobs go on, their leases renewed, until they end or `drain_ms` have passed.
3. Children that still run are told to end, and killed a moment later; their jobs are given back
   with no attempt spent, unless they finish in that moment.
4. What all this came to is told to Redis; then the children and the connections are closed.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

import anyio

from sandq import chance
from sandq.child.pool import Pool
from sandq.errors import SupervisorError
from sandq.flow.calendar import Calendar
from sandq.flow.claimer import Claimer
from sandq.flow.desk import Desk
from sandq.flow.file_watch import FileWatch
from sandq.flow.growth import Growth
from sandq.flow.heed import Heed
from sandq.flow.janitor import Janitor
from sandq.flow.lane import Lane, Served
from sandq.flow.lease import Lease
from sandq.flow.presence import Presence
from sandq.flow.slot import run_slot
from sandq.model.handler import Handler
from sandq.model.names import ANY_NAME
from sandq.model.supervision import Supervision

log = logging.getLogger("sandq.flow")

#: How long a child that has outlived the drain may take to end, in seconds, if its grace is longer.
LAST_GRACE_S = 1.0

#: How long the last outcomes may take to reach Redis when stopping, in seconds.
SETTLE_WITHIN_S = 3.0


class Supervisor:
    """Runs the jobs of one or more queues with one pool of children.

    `queues` maps a queue's name to what serves it. `first` is the name whose handler serves jobs
    without one of their own. When a file below one of the folders `watched` changes, all children
    are replaced.
    """

    def __init__(
        self,
        queues: Mapping[str, Served],
        supervision: Supervision,
        first: str = ANY_NAME,
        watched: Sequence[Path] = (),
    ) -> None:
        if not any(served.handlers for served in queues.values()):
            raise SupervisorError("no handler is set; set one before running the queue")

        self.worker = chance.new_worker_id()
        self._supervision = supervision
        self._watched = watched
        self._desk = Desk(supervision)
        # in the order they were set, each once: equal handlers share their children
        children = dict.fromkeys(
            handler
            for served in queues.values()
            for handler in served.handlers.values()
            if isinstance(handler, Handler)
        )
        self.pool = Pool(
            supervision.pool,
            children,
            least=supervision.pool_least,
            kill_grace_ms=supervision.kill_grace_ms,
            broken_ms=supervision.broken_ms,
            worker=self.worker,
            on_change=self._nudge,
        )
        self._lanes = [
            Lane(name, served, self.pool, supervision.pool, first)
            for name, served in queues.items()
        ]
        self._presence = Presence(self._lanes, self._desk, self.worker, supervision.pool)
        self._stop = anyio.Event()
        self._stop_now = anyio.Event()
        self.started = anyio.Event()
        self.stopped = anyio.Event()

    async def run(self) -> None:
        """Run until `stop` is called and everything is settled.

        Raises StoreError when Redis cannot be reached at the start; later outages are waited out.
        """
        try:
            calendars = [Calendar(lane) for lane in self._lanes]
            for calendar in calendars:
                # before the first claim: occurrences that were missed may have to be dropped
                await calendar.run_once()
            await self._presence.arrive()
            async with self.pool, anyio.create_task_group() as group:
                for lane in self._lanes:
                    claimer = Claimer(lane, self._desk, self.worker, self._supervision.lease_ms)
                    group.start_soon(claimer.run)
                    group.start_soon(claimer.listen)
                for _ in range(self._supervision.pool):
                    group.start_soon(run_slot, self._desk, self.pool)
                group.start_soon(Lease(self._lanes, self._supervision.lease_ms).run)
                group.start_soon(Janitor(self._lanes, self._supervision).run)
                group.start_soon(Heed(self._lanes, self._desk).run)
                if self.pool.elastic:
                    group.start_soon(Growth(self._lanes, self._desk).run)
                group.start_soon(FileWatch(self._watched, self.pool).run)
                group.start_soon(self._presence.run)
                for calendar in calendars:
                    group.start_soon(calendar.run)
                self._nudge()
                self.started.set()
                await self._stop.wait()
                await self._drain()
                await self._presence.leave()
                group.cancel_scope.cancel()
        finally:
            self.stopped.set()

    def stop(self) -> None:
        """Drain and stop; returns at once. Calling it again changes nothing."""
        self._stop.set()

    def stop_now(self) -> None:
        """Stop without waiting for running jobs: they are given back."""
        self._stop_now.set()
        self._stop.set()

    def pause(self) -> None:
        """Take no new jobs until `resume`; those that run go on."""
        self._desk.pause()

    def resume(self) -> None:
        """Take jobs again."""
        self._desk.resume()
        self._nudge()

    async def idle(self) -> None:
        """Wait until no job runs here."""
        while self._desk.running:
            await self._desk.idle.wait()

    @property
    def busy(self) -> int:
        """How many jobs are running now."""
        return len(self._desk.running)

    def _nudge(self) -> None:
        for lane in self._lanes:
            lane.nudged.set()

    async def _drain(self) -> None:
        log.info("stopping: %d jobs are running", self.busy)
        self._desk.close()
        with anyio.move_on_after(self._supervision.drain_ms / 1000):
            await self._first_of(self._desk.drained.wait, self._stop_now.wait)

        if self._desk.running:
            log.warning("%d jobs are still running: they are given back", self.busy)
        for held in list(self._desk.running):
            if held.child is not None and self._stop_now.is_set():
                held.child.kill("stop")
            elif held.child is not None:
                held.child.stop("stop", min(self._supervision.kill_grace_ms / 1000, LAST_GRACE_S))
            else:
                # a function of this process, or a job that still waits for its child
                self._desk.give_up(held)
                held.end_now("stop")
        with anyio.move_on_after(SETTLE_WITHIN_S) as scope:
            for lane in self._lanes:
                await lane.wait_until_settled()
        if scope.cancelled_caught:
            log.error("Redis was not told of the last outcomes: those jobs will be recovered")

    async def _first_of(self, *waits: Callable[[], Awaitable[object]]) -> None:
        async def wait_and_end(wait: Callable[[], Awaitable[object]]) -> None:
            await wait()
            group.cancel_scope.cancel()

        async with anyio.create_task_group() as group:
            for wait in waits:
                group.start_soon(wait_and_end, wait)
