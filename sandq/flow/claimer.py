"""The claimer: one call to Redis at a time tells all that has ended and asks for new jobs.

While a call is under way outcomes gather for the next one, so the busier the queue, the larger
the batches: nobody waits for a batch to fill.
"""

import asyncio
import logging

from sandq import chance, clock
from sandq.errors import StoreError
from sandq.flow.desk import Desk, Held
from sandq.flow.lane import Lane
from sandq.flow.settler import in_batches
from sandq.store import calls
from sandq.store.calls import Claimed, Settlement

log = logging.getLogger("sandq.flow")

#: Longest wait for the bell of an idle queue, in seconds.
IDLE_WAIT_S = 5.0

#: After so many waits in vain the queue is asked all the same: a bell can be lost with the
#: supervisor that heard it.
ASK_AFTER_WAITS = 4

#: Pauses after a failed call: first and longest, in seconds.
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.05, 2.0


class Claimer:
    """Keeps one queue's jobs coming and its outcomes going."""

    def __init__(self, lane: Lane, desk: Desk, worker: str, lease_ms: int) -> None:
        self._lane = lane
        self._desk = desk
        self._worker = worker
        self._lease_ms = lease_ms
        #: Set while the queue had nothing more to give: then the bell is waited for.
        self._dry = asyncio.Event()
        #: Rings when time alone brings something. Redis would end the wait for the bell up to 0.1 s
        #: late: it looks for waits that are over only so often.
        self._due: asyncio.TimerHandle | None = None
        self._lost_tokens: list[str] = []
        self._reachable = True

    async def run(self) -> None:
        """Exchange with Redis whenever there is a reason to; never returns."""
        pause_s = FIRST_PAUSE_S
        while True:
            await self._lane.nudged.wait()
            self._lane.nudged.clear()
            try:
                while await self._exchange():
                    pass
            except StoreError as error:
                if self._reachable:
                    log.error("queue %s: %s; trying again until it works", self._lane.queue, error)
                self._reachable = False
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 2, LONGEST_PAUSE_S)
                self._lane.nudged.set()
            else:
                if not self._reachable:
                    log.warning("queue %s: Redis answers again", self._lane.queue)
                self._reachable = True
                pause_s = FIRST_PAUSE_S

    async def listen(self) -> None:
        """Wait for the bell while the queue is dry; never returns."""
        waits = 0
        while True:
            await self._dry.wait()
            try:
                rung = await self._lane.store.wait_for_wake(IDLE_WAIT_S)
                if rung and not self._may_ask():
                    await self._lane.store.run(calls.ring())
            except StoreError:
                # the claimer finds out by itself, and says so
                rung = True
                await asyncio.sleep(FIRST_PAUSE_S)

            waits += 1
            if rung or waits >= ASK_AFTER_WAITS:
                waits = 0
                self._ask()

    def _may_ask(self) -> bool:
        reserved = self._desk.reserve(self._lane, self._lane.places)
        self._desk.cancel(reserved)

        return reserved > 0

    def _ask(self) -> None:
        self._dry.clear()
        self._lane.nudged.set()

    async def _exchange(self) -> bool:
        """One call; whether there is reason for another at once."""
        lane, settler = self._lane, self._lane.settler
        # taken first: what these jobs have said is told before their end, after which their claims
        # hold nothing any more
        batch = settler.take()
        try:
            if settler.has_reports:
                await self._report()
            if self._lost_tokens:
                await self._disclaim()
        except BaseException:
            settler.put_back(batch)
            raise

        if self._dry.is_set() and not batch:
            self._desk.is_fed(lane)
            return False
        wanted = self._desk.reserve(lane, lane.places)
        if not batch and not wanted:
            return False

        token = chance.new_token()
        settlements = [settlement for _, settlement in batch]
        call = calls.settle_and_claim(
            lane.queue, settlements, wanted, token, self._worker, self._lease_ms
        )
        try:
            statuses, claimed = await lane.store.run(call)
        except BaseException:
            # whether it was carried out is not known: settling again is harmless, and what was
            # claimed is given back as soon as Redis answers
            self._desk.cancel(wanted)
            settler.put_back(batch)
            if wanted:
                self._lost_tokens.append(token)
            raise

        self._settled(batch, statuses)
        lane.told.set()
        self._desk.deliver(lane, wanted, claimed.claims)
        self._note(wanted, claimed)

        return bool(settler) or settler.has_reports or len(claimed.claims) == wanted > 0

    async def _report(self) -> None:
        lane, settler = self._lane, self._lane.settler
        reports, told = settler.take_reports(), 0
        settler.forget_all_but(lane.in_hand)
        try:
            for batch in in_batches(reports):
                await lane.store.run(calls.report(batch))
                told += len(batch)
        except BaseException:
            settler.put_back_reports(reports[told:])
            raise

    def _settled(self, batch: list[tuple[Held, Settlement]], statuses: list[str]) -> None:
        in_hand = self._lane.in_hand
        for (held, settlement), status in zip(batch, statuses, strict=True):
            job_id = held.claim.id
            # a job that was lost may be in hand again, under another claim
            if in_hand.get(job_id) is held:
                del in_hand[job_id]
            if status in ("lost", "missing"):
                log.warning(
                    "job %s: its %s came too late, the claim was %s; the result is dropped",
                    job_id,
                    settlement.verdict.action.value,
                    status,
                )

    def _note(self, wanted: int, claimed: Claimed) -> None:
        if wanted and self._lane.pool.elastic:
            more = len(claimed.claims) == wanted
            self._lane.note_waits(claimed.claims, claimed.now_ms, more=more)
        self._lane.next_fire_s = _until(claimed.next_fire_ms, claimed.now_ms)
        if self._lane.next_fire_s is not None:
            self._lane.fire_known.set()
        if len(claimed.claims) < wanted:
            self._desk.is_fed(self._lane)
            self._dry.set()
        elif wanted:
            self._dry.clear()
        if self._due is not None:
            self._due.cancel()
            self._due = None
        if self._dry.is_set() and claimed.next_due_ms is not None:
            left_s = (claimed.next_due_ms - claimed.now_ms) / 1000
            self._due = asyncio.get_running_loop().call_later(left_s, self._ask)

    async def _disclaim(self) -> None:
        ids = await self._lane.store.run(calls.disclaim(self._lost_tokens))
        self._lost_tokens = []
        if ids:
            log.warning(
                "queue %s: gave back %d jobs whose claim was lost on the way",
                self._lane.queue,
                len(ids),
            )


def _until(at_ms: int | None, now_ms: int) -> float | None:
    """A moment of the server's clock by our monotonic one; what has passed is now."""
    return None if at_ms is None else clock.monotonic_s() + max(0.0, (at_ms - now_ms) / 1000)
