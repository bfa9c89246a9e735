"""Who follows the events of a queue: many readers, of whom one blocks a connection for all.

As with `Endings` there is no task in the background: one of the readers waits for the news, and
when its own wait is over another one takes that on.
"""

import asyncio

from sandq import clock
from sandq.model.events import Event
from sandq.store.store import Store


class Following:
    """Reading the event stream of one queue from many places at once, for asyncio code."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._reading = False
        #: How often there may have been news.
        self._times = 0
        self._others: set[asyncio.Future[None]] = set()

    async def events_after(self, event_id: str, timeout_s: float) -> list[Event]:
        """The events after `event_id`; waits up to `timeout_s` until there is one."""
        until_s = clock.monotonic_s() + timeout_s
        while (left_s := until_s - clock.monotonic_s()) > 0:
            if not self._reading:
                return await self._read(event_id, left_s)

            times = self._times
            events = await self._store.events_after(event_id, 0)
            if events:
                return events
            # what came while the answer was on its way is looked for anew
            if self._reading and self._times == times:
                await self._news(until_s - clock.monotonic_s())

        return []

    async def _read(self, event_id: str, timeout_s: float) -> list[Event]:
        self._reading = True
        try:
            return await self._store.events_after(event_id, timeout_s)
        finally:
            self._reading = False
            self._times += 1
            for waiting in self._others:
                if not waiting.done():
                    waiting.set_result(None)

    async def _news(self, timeout_s: float) -> None:
        """Wait until the one who reads has read, or cannot go on."""
        waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._others.add(waiting)
        try:
            await asyncio.wait_for(waiting, timeout_s)
        except TimeoutError:
            pass
        finally:
            self._others.discard(waiting)
