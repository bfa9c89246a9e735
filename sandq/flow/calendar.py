"""The calendar: series of repeatable jobs are kept going.

Every series has one outstanding occurrence, a delayed job that becomes due by itself. When it is
due, some supervisor makes the next one. Who comes second is told so and does nothing.
"""

import asyncio
import logging

from sandq import clock
from sandq.errors import InvalidInput, StoreError
from sandq.flow.lane import Lane
from sandq.model.repeat import Repeat
from sandq.model.schedule import plan_firing
from sandq.store import reads, verbs
from sandq.store.reads import DueSeries

log = logging.getLogger("sandq.flow")

#: Most series looked at by one call.
AT_ONCE = 100

#: So much later than due a series is looked at, in seconds: the server tells whole milliseconds,
#: and a look that comes too early would find nothing.
LATE_S = 0.002

#: Pause after Redis could not be reached, in seconds.
PAUSE_S = 1.0

#: Pause between two looks that claims give reason to while a series cannot be read, in seconds:
#: such a series stays due, and claims tell of it and not of the others.
STUCK_EVERY_S = 0.1


class Calendar:
    """Keeps the series of one queue going."""

    def __init__(self, lane: Lane) -> None:
        self._lane = lane
        #: Series that cannot be read: key -> the rule that was complained of.
        self._unreadable: dict[str, bytes] = {}
        #: When the next one behind those is due, by the monotonic clock.
        self._next_s: float | None = None
        #: Not before then is looked because of what claims tell.
        self._not_before_s = 0.0

    async def run(self) -> None:
        """Fire what is due, when it is due; never returns."""
        while True:
            await self._until_due()
            try:
                await self.run_once()
            except StoreError as error:
                log.warning("queue %s: series wait: %s", self._lane.queue, error)
                await asyncio.sleep(PAUSE_S)
                self._next_s = clock.monotonic_s()

    async def run_once(self) -> int:
        """Fire all that is due now; the answer is how many series were moved on."""
        moved_on = 0
        while True:
            most = AT_ONCE + len(self._unreadable)
            now_ms, due = await self._lane.store.run(reads.due_series(most))
            stuck = [series for series in due if not await self._fire(series, now_ms)]
            moved_on += len(due) - len(stuck)
            if len(stuck) == len(due) or len(due) < most:
                self._unreadable = {series.key: series.rule for series in stuck}
                self._next_s = await self._behind(now_ms) if stuck else None
                self._not_before_s = clock.monotonic_s() + STUCK_EVERY_S if stuck else 0.0
                return moved_on

    async def _behind(self, now_ms: int) -> float | None:
        """When the first series is due behind those that stand still: claims do not tell it."""
        place = len(self._unreadable)
        _, following = await self._lane.store.run(reads.list_series(place, place, True))

        return clock.monotonic_s() + (following[0].next_ms - now_ms) / 1000 if following else None

    async def _until_due(self) -> None:
        lane = self._lane
        while True:
            times_s = [] if self._next_s is None else [self._next_s]
            if lane.next_fire_s is not None:
                times_s.append(max(lane.next_fire_s, self._not_before_s))
            wait_s = min(times_s) + LATE_S - clock.monotonic_s() if times_s else None
            if wait_s is not None and wait_s <= 0:
                lane.next_fire_s = self._next_s = None
                return
            try:
                await asyncio.wait_for(lane.fire_known.wait(), wait_s)
                lane.fire_known.clear()
            except TimeoutError:
                continue

    async def _fire(self, series: DueSeries, now_ms: int) -> bool:
        try:
            repeat = Repeat.from_text(series.rule)
        except InvalidInput as error:
            if self._unreadable.get(series.key) != series.rule:
                self._unreadable[series.key] = series.rule
                log.error(
                    "queue %s: series %r cannot be read, it stands still: %s; set it anew",
                    self._lane.queue,
                    series.key,
                    error,
                )
            return False

        plan = plan_firing(repeat, series.due_ms, now_ms, series.made, series.anchor_ms)
        call = verbs.fire(series.key, series.due_ms, plan.drop, plan.next_ms, plan.catch_up)
        made = await self._lane.store.run(call)
        if made is not None and (plan.drop or plan.catch_up):
            log.info(
                "queue %s: series %r was late: %d occurrences made up for",
                self._lane.queue,
                series.key,
                len(plan.catch_up),
            )

        return True
