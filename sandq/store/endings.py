"""Who waits for the end of which job: many waiters, one reader of the event stream.

There is no task in the background. One of the waiters reads for all; when its own wait is over,
another one takes the reading on. So nothing is left running when nobody waits.
"""

import asyncio

from sandq import clock
from sandq.model.events import ENDINGS
from sandq.store.store import Store

#: Longest blocking read, in seconds, and how often a waiter looks at its job all the same: an
#: event may have been trimmed away before it was read.
LOOK_AGAIN_S = 5.0


class Endings:
    """Waiting for jobs of one queue to end, for asyncio code."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._waiters: dict[str, list[asyncio.Event]] = {}
        self._after = ""
        self._reading = False

    async def enter(self, job_id: str) -> asyncio.Event:
        """Begin to wait; `leave` must follow. Events from now on are noticed, so the job is
        to be looked at after this and before `changed`."""
        if not self._waiters:
            newest = await self._store.last_event_id()
            # somebody may have begun meanwhile, from an earlier event
            if not self._waiters:
                self._after = newest
        event = asyncio.Event()
        self._waiters.setdefault(job_id, []).append(event)

        return event

    def leave(self, job_id: str, event: asyncio.Event) -> None:
        """Wait no more."""
        waiters = self._waiters[job_id]
        waiters.remove(event)
        if not waiters:
            del self._waiters[job_id]
        if not self._reading:
            self._wake_another()

    async def changed(self, event: asyncio.Event) -> None:
        """Return when the job may have ended."""
        until_s = clock.monotonic_s() + LOOK_AGAIN_S
        while not event.is_set() and (left_s := until_s - clock.monotonic_s()) > 0:
            if self._reading:
                try:
                    await asyncio.wait_for(event.wait(), left_s)
                except TimeoutError:
                    return
            else:
                await self._read(left_s)
        event.clear()

    async def _read(self, timeout_s: float) -> None:
        self._reading = True
        try:
            for entry in await self._store.events_after(self._after, timeout_s):
                self._after = entry.id
                if entry.kind.encode() in ENDINGS:
                    for event in self._waiters.get(entry.job_id, ()):
                        event.set()
        finally:
            self._reading = False

    def _wake_another(self) -> None:
        # whoever is woken for nothing looks at its job, sees that nobody reads, and reads
        for waiters in self._waiters.values():
            for event in waiters:
                if not event.is_set():
                    event.set()
                    return
