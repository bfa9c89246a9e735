"""What the pool knows of one handler: its children, who waits for one, and whether they start."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from sandq.child.child import Child
from sandq.child.plan import Line
from sandq.child.spawn import StartFailed
from sandq.model.handler import Handler

log = logging.getLogger("sandq.child")

#: Pause before a handler that failed to start is tried again; doubled each time, in seconds.
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 30.0

#: After so many failures in a row the handler is said to be unhealthy, in one line.
UNHEALTHY_AFTER = 3


@dataclass(frozen=True, slots=True)
class Waiter:
    """Somebody with a job at hand who waits for a child; `env` is for a fresh one."""

    future: "asyncio.Future[Child]"
    env: dict[str, str]


class Children:
    """The children of one handler. Each is starting, idle, busy, or on its way out."""

    def __init__(self, handler: Handler, program: str, environment: dict[str, str]) -> None:
        self.handler = handler
        self.program = program
        self.environment = environment
        self.warm = 0
        self.starting: set[Child] = set()
        self.idle: list[Child] = []
        self.busy: set[Child] = set()
        self.waiters: deque[Waiter] = deque()
        #: Failures to start in a row, and what the last one was.
        self.failures = 0
        self.reason = ""
        self._next_try_s = 0.0
        self._retry: asyncio.TimerHandle | None = None

    @property
    def idle_count(self) -> int:
        """How many children could be lent now."""
        return len(self.idle)

    @property
    def any_alive(self) -> bool:
        """Whether a child lives, or is being started."""
        return bool(self.starting or self.idle or self.busy)

    @property
    def may_start(self) -> bool:
        """Whether no pause after a failed start is on."""
        return self.pause_s == 0.0

    @property
    def serves(self) -> bool:
        """Whether its children start, as far as is known."""
        return self.failures == 0 or bool(self.idle)

    @property
    def pause_s(self) -> float:
        """How long until the next try, in seconds."""
        if self.failures == 0:
            return 0.0

        return max(0.0, self._next_try_s - asyncio.get_running_loop().time())

    @property
    def announce(self) -> bool:
        """Whether the last failure is the one that makes the handler unhealthy."""
        return self.failures == UNHEALTHY_AFTER

    def row(self) -> Line:
        """The facts that the plan needs."""
        self.idle = [child for child in self.idle if child.usable]

        return Line(
            idle=len(self.idle),
            busy=len(self.busy),
            starting=len(self.starting),
            wanted=len(self.waiters),
            warm=self.warm,
            may_start=self.may_start,
        )

    def take_idle(self) -> Child | None:
        """An idle child, now busy; the one used last is the warmest."""
        while self.idle:
            child = self.idle.pop()
            if child.usable:
                self.busy.add(child)
                return child

        return None

    def next_waiter(self) -> Waiter | None:
        """Who has waited longest and still does."""
        while self.waiters:
            waiter = self.waiters.popleft()
            if not waiter.future.done():
                return waiter

        return None

    def forget(self, child: Child) -> None:
        """A child has ended."""
        self.starting.discard(child)
        self.busy.discard(child)
        if child in self.idle:
            self.idle.remove(child)

    def works(self) -> None:
        """A child has served a job: whatever was wrong is over."""
        if self.failures:
            log.info("handler %s serves again", self.handler)
            self.failures = 0

    def fails(self, reason: str) -> bool:
        """A child failed to start; who waits is told if no other child can come.

        The answer is whether a pause begins: children that were started together fail together,
        and that is one failure.
        """
        self.reason = reason
        begins = self.pause_s == 0.0
        if begins:
            self.failures += 1
            pause_s = min(FIRST_PAUSE_S * 2 ** min(self.failures - 1, 20), LONGEST_PAUSE_S)
            self._next_try_s = asyncio.get_running_loop().time() + pause_s
        if not self.any_alive:
            while (waiter := self.next_waiter()) is not None:
                waiter.future.set_exception(StartFailed(reason))

        return begins

    def retry_later(self, retry: Callable[[], None]) -> None:
        """Call `retry` when the pause is over."""
        if self._retry is not None:
            self._retry.cancel()
        loop = asyncio.get_running_loop()
        self._retry = loop.call_later(self.pause_s + 0.001, retry)

    def close(self) -> None:
        """Nothing will be started any more."""
        if self._retry is not None:
            self._retry.cancel()
        while (waiter := self.next_waiter()) is not None:
            waiter.future.set_exception(StartFailed("the pool is closed"))

    def __repr__(self) -> str:
        return (
            f"{self.handler}: {len(self.idle)} idle, {len(self.busy)} busy, "
            f"{len(self.starting)} starting, {self.failures} failed"
        )
