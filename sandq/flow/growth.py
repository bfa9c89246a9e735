"""More children when jobs have to wait: looked at while a lane is hungry, and there may be more."""

import asyncio
import logging
from collections.abc import Sequence

from sandq.child.wear import GROW_AFTER_MS
from sandq.errors import StoreError
from sandq.flow.desk import Desk
from sandq.flow.lane import Lane
from sandq.store import reads

log = logging.getLogger("sandq.flow")

#: How often it is looked whether more children are needed, in seconds.
LOOK_EVERY_S = 0.05


class Growth:
    """Has the pool grow for lanes whose jobs wait while all children are busy."""

    def __init__(self, lanes: Sequence[Lane], desk: Desk) -> None:
        self._lanes = lanes
        self._desk = desk

    async def run(self) -> None:
        """Look for ever, while somebody is hungry."""
        while True:
            await self._desk.hunger.wait()
            self._desk.hunger.clear()
            await asyncio.sleep(LOOK_EVERY_S)
            for lane in self._lanes:
                try:
                    if await self.look(lane):
                        self._desk.hunger.set()
                except StoreError as error:
                    log.info("queue %s: its jobs were not counted: %s", lane.queue, error)

    async def look(self, lane: Lane) -> bool:
        """Look at one lane; whether it is worth looking again soon."""
        if not lane.pool.grows or lane.places > 0:
            return False

        hungry_ms = self._desk.hungry_ms(lane)
        waited_ms = max(hungry_ms, lane.waited_ms)
        if waited_ms >= GROW_AFTER_MS:
            waiting = (await lane.store.run(reads.counts()))["waiting"]
            lane.grow(waiting, waited_ms)

        return hungry_ms > 0
