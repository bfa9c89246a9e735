"""The lease keeper: claims in hand are renewed until they are settled; a lost one is dropped.

A claim is renewed only while its child may work on it: once the child should have been gone for
some time, by its deadline and its grace, another supervisor may have the job.
"""

import asyncio
import logging
from collections.abc import Sequence

from sandq.errors import StoreError
from sandq.flow.lane import Lane
from sandq.store import calls

log = logging.getLogger("sandq.flow")

#: Most leases renewed by one call.
BATCH = 1000


class Lease:
    """Renews every claim of every lane, three times as often as it would end."""

    def __init__(self, lanes: Sequence[Lane], lease_ms: int) -> None:
        self._lanes = lanes
        self._lease_ms = lease_ms

    async def run(self) -> None:
        """Renew for ever; a failed round is tried again sooner."""
        while True:
            await asyncio.sleep(self._lease_ms / 3000)
            for lane in self._lanes:
                try:
                    await self.run_once(lane)
                except StoreError as error:
                    log.warning("queue %s: leases were not renewed: %s", lane.queue, error)

    async def run_once(self, lane: Lane) -> int:
        """Renew one lane's claims now; the answer is how many were lost."""
        lost_count = 0
        for one in [one for one in lane.in_hand.values() if one.overrun]:
            # its child cannot be ended: the job is not kept from others for that
            log.error("job %s: its child did not end in time; its claim is let go", one.claim.id)
            lost_count += 1
            lane.lose(one)
        held = list(lane.in_hand.values())
        for start in range(0, len(held), BATCH):
            batch = held[start : start + BATCH]
            lost = await lane.store.run(calls.renew([h.claim for h in batch], self._lease_ms))
            for one in batch:
                # settled meanwhile is not lost
                if one.claim.id in lost and lane.in_hand.get(one.claim.id) is one:
                    lost_count += 1
                    log.warning("job %s: its claim was lost; its child is ended", one.claim.id)
                    lane.lose(one)

        return lost_count
