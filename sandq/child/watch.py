"""Deadlines of many children with one timer: jobs start and end far more often than they time out.

Each child has at most one live entry in the heap. A deadline that is moved on leaves its entry
where it is; when that comes up, it is put in again for the later time.
"""

import asyncio
import heapq
from collections.abc import Callable
from typing import Protocol


class Watched(Protocol):
    """What a watch needs of a child; times are seconds of the loop's clock."""

    deadline_s: float | None
    watched_s: float | None

    def time_out(self) -> None:
        """The deadline has passed."""


class Alarm:
    """One deadline of a child, and what to do when it has passed."""

    __slots__ = ("deadline_s", "time_out", "watched_s")

    def __init__(self, time_out: Callable[[], None]) -> None:
        self.deadline_s: float | None = None
        self.watched_s: float | None = None
        self.time_out = time_out


class Watch:
    """Calls `time_out` on each child whose `deadline_s` has passed."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Watched]] = []
        self._count = 0
        self._timer: asyncio.TimerHandle | None = None

    def set(self, child: Watched, deadline_s: float) -> None:
        """Watch over `child` until `deadline_s`; setting its `deadline_s` to None ends that."""
        child.deadline_s = deadline_s
        if child.watched_s is None or deadline_s < child.watched_s:
            self._push(child, deadline_s)
            self._arm()

    def close(self) -> None:
        """Stop the timer."""
        if self._timer is not None:
            self._timer.cancel()
        self._heap.clear()

    def _push(self, child: Watched, at_s: float) -> None:
        child.watched_s = at_s
        self._count += 1
        heapq.heappush(self._heap, (at_s, self._count, child))

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._heap:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_at(self._heap[0][0], self._fire)

    def _fire(self) -> None:
        # the loop may call a little early, by its clock's resolution
        now_s = asyncio.get_running_loop().time() + 0.001
        while self._heap and self._heap[0][0] <= now_s:
            at_s, _, child = heapq.heappop(self._heap)
            if child.watched_s != at_s:
                continue
            child.watched_s = None
            if child.deadline_s is None:
                continue
            if child.deadline_s <= now_s:
                child.deadline_s = None
                child.time_out()
            else:
                self._push(child, child.deadline_s)
        self._arm()
