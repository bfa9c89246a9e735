"""Who is to be stopped: jobs that somebody cancelled or removed while they ran here.

The list is in Redis and is asked for while jobs run, so a cancellation cannot be missed: there is
no message that could get lost, and no connection that waits for one.
"""

import asyncio
import logging
from collections.abc import Sequence

from sandq import clock
from sandq.errors import StoreError
from sandq.flow.desk import Desk
from sandq.flow.lane import Lane
from sandq.store import calls

log = logging.getLogger("sandq.flow")

#: How often the list is asked for while jobs run, in seconds. One that is younger than half of it
#: at one look is seen at the next.
HEED_EVERY_S = 0.4


class Heed:
    """Stops the jobs of its lanes that are to be stopped, also while the supervisor drains."""

    def __init__(self, lanes: Sequence[Lane], desk: Desk) -> None:
        self._lanes = lanes
        self._desk = desk

    async def run(self) -> None:
        """Look for ever; what fails once is tried again."""
        while True:
            await asyncio.sleep(HEED_EVERY_S)
            for lane in self._lanes:
                try:
                    if self._has_long_ones(lane):
                        await self.run_once(lane)
                except StoreError as error:
                    log.warning("queue %s: nobody could be cancelled: %s", lane.queue, error)

    async def run_once(self, lane: Lane) -> int:
        """Stop what is to be stopped now; the answer is how many jobs that were."""
        asked = await lane.store.run(calls.heed())
        stopped = 0
        for job_id, reason in asked.items():
            held = lane.in_hand.get(job_id)
            if held is not None and not held.given_up:
                log.info("job %s is stopped: %s", job_id, reason)
                stopped += 1
                if not held.ask_to_end("cancel"):
                    self._desk.give_up(held, "cancel")

        return stopped

    def _has_long_ones(self, lane: Lane) -> bool:
        # the oldest is the first; jobs that are over before they can be stopped cost no call
        oldest = next(iter(lane.in_hand.values()), None)

        return oldest is not None and clock.monotonic_s() - oldest.since_s >= HEED_EVERY_S / 2
