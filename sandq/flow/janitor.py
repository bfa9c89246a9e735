"""The janitor: jobs of vanished supervisors are recovered, and what time brings is done."""

import asyncio
import logging
from collections.abc import Sequence

from sandq import chance
from sandq.errors import StoreError
from sandq.flow.lane import Lane
from sandq.model.states import JobState
from sandq.model.supervision import Supervision
from sandq.store import calls

log = logging.getLogger("sandq.flow")

#: Most jobs moved by one call; more are moved by the calls that follow at once.
BATCH = 500


class Janitor:
    """Looks after every lane in turn, at an interval that is spread so that several supervisors
    do not come at once."""

    def __init__(self, lanes: Sequence[Lane], supervision: Supervision) -> None:
        self._lanes = lanes
        self._every_s = supervision.recover_ms / 1000
        self._max_stalls = supervision.max_stalls

    async def run(self) -> None:
        """Look after the lanes for ever, at once the first time."""
        while True:
            for lane in self._lanes:
                try:
                    await self.run_once(lane)
                except StoreError as error:
                    log.warning("queue %s: stalled jobs were not looked for: %s", lane.queue, error)
            await asyncio.sleep(self._every_s * chance.spread(0.8, 1.0))

    async def run_once(self, lane: Lane) -> int:
        """Recover and tend now; the answer is how many jobs were moved."""
        moved = 0
        while True:
            recovered = await lane.store.run(calls.recover(BATCH, self._max_stalls))
            for job in recovered:
                fate = "goes back" if job.state is JobState.WAITING else f"is {job.state.value} now"
                log.warning("job %s %s: its supervisor %s vanished", job.id, fate, job.worker)
            promoted, more = await lane.store.run(calls.tend())
            moved += len(recovered) + promoted
            if len(recovered) < BATCH and not more:
                break
        if moved:
            lane.nudged.set()

        return moved
