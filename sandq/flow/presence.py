"""A supervisor says that it is there, so that people can see who works on a queue."""

import asyncio
import logging
import os
import socket
from collections.abc import Sequence

import orjson

from sandq import clock
from sandq.errors import StoreError
from sandq.flow.desk import Desk
from sandq.flow.lane import Lane
from sandq.store import verbs

log = logging.getLogger("sandq.flow")

#: How often it says so, in seconds, and for how long that is good, in milliseconds.
BEAT_EVERY_S = 10.0
KEPT_MS = 35_000

#: How often it looks whether it has something new to say, in seconds: an idle supervisor has not.
LOOK_EVERY_S = 1.0

#: Most ids of running jobs that are told.
JOBS_TOLD = 100


class Presence:
    """Tells each queue of the supervisor: host, process, slots and what it runs."""

    def __init__(self, lanes: Sequence[Lane], desk: Desk, worker: str, slots: int) -> None:
        self._lanes = lanes
        self._desk = desk
        self._worker = worker
        self._says = {
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "slots": slots,
            "started_ms": clock.wall_ms(),
        }
        #: What each queue was told last, and when, by the monotonic clock.
        self._said: dict[str, tuple[list[str], float]] = {}

    async def arrive(self) -> None:
        """Say so for the first time."""
        for lane in self._lanes:
            await self._beat(lane, KEPT_MS)

    async def run(self) -> None:
        """Say so for ever, soon after anything has changed."""
        while True:
            for lane in self._lanes:
                said, at_s = self._said.get(lane.queue, ([], float("-inf")))
                if said != self._jobs(lane) or clock.monotonic_s() - at_s >= BEAT_EVERY_S:
                    await self._beat(lane, KEPT_MS)
            await asyncio.sleep(LOOK_EVERY_S)

    async def leave(self) -> None:
        """Say good-bye."""
        for lane in self._lanes:
            await self._beat(lane, 0)

    async def _beat(self, lane: Lane, kept_ms: int) -> None:
        jobs = self._jobs(lane)
        says = {**self._says, "busy": len(jobs), "jobs": jobs[:JOBS_TOLD]}
        try:
            await lane.store.run(verbs.beat(self._worker, orjson.dumps(says), kept_ms))
            self._said[lane.queue] = jobs, clock.monotonic_s()
        except StoreError as error:
            # nobody's job depends on it
            log.debug("queue %s: %s", lane.queue, error)

    def _jobs(self, lane: Lane) -> list[str]:
        return sorted(held.claim.id for held in self._desk.running if held.lane is lane)
