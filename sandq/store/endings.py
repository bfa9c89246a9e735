"""Who waits for the end of which job: many waiters, one reader of the event stream.

There is no task in the background. One of the waiters reads for all; when its own wait is over,
another one takes the reading on. So nothing is left running when nobody waits.
"""

import asyncio

from sandq import clock
from sandq.model.events import ENDINGS, Event, may_end_any
from sandq.store.store import Store

#: Longest blocking read, in seconds, and how often a waiter looks at its job all the same: an
#: event may have been trimmed away before it was read.
LOOK_AGAIN_S = 5.0


class Waiter:
    """One who waits for a job to end."""

    __slots__ = ("_told", "changed", "job_id")

    def __init__(self, job_id: str) -> None:
        self.job_id = job_id
        #: Set when the job is to be looked at.
        self.changed = asyncio.Event()
        self._told: Event | None = None

    def tell(self, event: Event) -> None:
        """An event says that the job has ended; the first counts until it is taken."""
        self._told = self._told or event
        self.changed.set()

    def take(self) -> Event | None:
        """The event that told of an end since this was asked last."""
        told, self._told = self._told, None

        return told


class Endings:
    """Waiting for jobs of one queue to end, for asyncio code."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._waiters: dict[str, list[Waiter]] = {}
        self._after = ""
        self._reading = False

    async def enter(self, job_id: str) -> Waiter:
        """Begin to wait; `leave` must follow. Events from now on are noticed, so the job is
        to be looked at after this and before `changed`."""
        if not self._waiters:
            newest = await self._store.last_event_id()
            # somebody may have begun meanwhile, from an earlier event
            if not self._waiters:
                self._after = newest
        waiter = Waiter(job_id)
        self._waiters.setdefault(job_id, []).append(waiter)

        return waiter

    def leave(self, waiter: Waiter) -> None:
        """Wait no more."""
        waiters = self._waiters[waiter.job_id]
        waiters.remove(waiter)
        if not waiters:
            del self._waiters[waiter.job_id]
        if not self._reading:
            self._wake_another()

    async def changed(self, waiter: Waiter) -> None:
        """Return when the job may have ended."""
        until_s = clock.monotonic_s() + LOOK_AGAIN_S
        while not waiter.changed.is_set() and (left_s := until_s - clock.monotonic_s()) > 0:
            if self._reading:
                try:
                    await asyncio.wait_for(waiter.changed.wait(), left_s)
                except TimeoutError:
                    return
            else:
                await self._read(left_s)
        waiter.changed.clear()

    async def _read(self, timeout_s: float) -> None:
        self._reading = True
        try:
            for entry in await self._store.events_after(self._after, timeout_s):
                self._after = entry.id
                if entry.kind in ENDINGS:
                    for waiter in self._waiters.get(entry.job_id, ()):
                        waiter.tell(entry)
                elif may_end_any(entry):
                    self._wake_all()
        finally:
            self._reading = False

    def _wake_all(self) -> None:
        for waiters in self._waiters.values():
            for waiter in waiters:
                waiter.changed.set()

    def _wake_another(self) -> None:
        # whoever is woken for nothing looks at its job, sees that nobody reads, and reads
        for waiters in self._waiters.values():
            for waiter in waiters:
                if not waiter.changed.is_set():
                    waiter.changed.set()
                    return
