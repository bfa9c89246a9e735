"""What the pool knows of the children of one handler and key: who is idle, busy, worn, waited for.

Each is starting, idle, held, leaving, busy, or on its way out:
held ones wait for their successor before they are lent their last job; leaving ones have it.
"""

import asyncio
from collections import deque
from dataclasses import dataclass

from sandq.child.child import Child
from sandq.child.health import Health
from sandq.child.plan import Line
from sandq.child.size import rss_of
from sandq.child.spawn import StartFailed
from sandq.child.wear import Wear, recycles, wear_of
from sandq.model.handler import Handler
from sandq.model.outcome import FailureKind

#: When no other child is idle, those before their last job wait for a successor no longer than
#: this, in seconds: another one that is being replaced may be busy with a long job.
HELD_MOST_S = 5.0


@dataclass(frozen=True, slots=True)
class Waiter:
    """Somebody with a job at hand who waits for a child; `env` is for a fresh one."""

    future: "asyncio.Future[Child]"
    env: dict[str, str]
    since_s: float


@dataclass(slots=True)
class Worn:
    """Why a child is to be replaced, since when that is so, and who comes after it."""

    reason: str
    since_s: float
    successor: Child | None = None


class Children:
    """The children of one handler for one key."""

    def __init__(self, handler: Handler, key: str, health: Health) -> None:
        self.handler = handler
        self.key = key
        self.warm = 0
        self.starting: set[Child] = set()
        #: The one used last is the last one; new ones come first.
        self.idle: list[Child] = []
        self.held: list[Child] = []
        self.leaving: list[Child] = []
        self.busy: set[Child] = set()
        self.worn: dict[Child, Worn] = {}
        #: They were started before something changed, and serve no further job.
        self.stale: set[Child] = set()
        self.waiters: deque[Waiter] = deque()
        #: Since when all that are idle are held, and none gets a successor; None: it is not so.
        self._stuck_since_s: float | None = None
        self._health = health
        self._recycles = recycles(handler) and not handler.single_use(key)

    @property
    def idle_count(self) -> int:
        """How many children could be lent now."""
        return len(self.idle) + len(self.leaving)

    @property
    def count(self) -> int:
        """How many there are."""
        return self.idle_count + len(self.held) + len(self.busy) + len(self.starting)

    @property
    def ready_count(self) -> int:
        """How many of them are ready, busy ones included."""
        return self.idle_count + len(self.held) + len(self.busy)

    @property
    def any_alive(self) -> bool:
        """Whether a child lives, or is being started."""
        return bool(self.starting or self.idle or self.held or self.leaving or self.busy)

    def row(self) -> Line:
        """The facts that the plan needs."""
        self.idle = [child for child in self.idle if child.usable]
        self.leaving = [child for child in self.leaving if child.usable]
        self.held = [child for child in self.held if child.usable]
        alone = [worn.since_s for worn in self.worn.values() if worn.successor is None]

        return Line(
            idle=self.idle_count,
            busy=len(self.busy),
            starting=len(self.starting),
            wanted=len(self.waiters),
            warm=self.warm,
            may_start=self._health.may_start,
            held=len(self.held),
            worn=len(alone),
            worn_since_s=min(alone, default=0.0),
            idle_since_s=min((child.idle_since_s for child in self.idle), default=0.0),
            fresh=self.handler.fresh,
            single_use=self.handler.single_use(self.key),
        )

    def take_idle(self) -> Child | None:
        """An idle child, now busy: one before its last job, else the one used last, which is the
        warmest."""
        while stack := self.leaving or self.idle:
            child = stack.pop()
            if child.usable:
                self.busy.add(child)
                return child

        return None

    def take_to_retire(self) -> Child | None:
        """An idle child to let go, if there is one: a worn one, else the one used longest ago."""
        oldest = sorted(self.idle, key=lambda child: child.idle_since_s)
        for child in (*self.leaving, *self.held, *oldest):
            self.forget(child)
            if child.usable:
                return child

        return None

    def put(self, child: Child, *, new: bool) -> str | None:
        """A child is idle now; the answer is why it is to be let go, or None."""
        if child in self.stale:
            return "watch"
        if not self._recycles:
            self.idle.insert(0 if new else len(self.idle), child)
            return None

        now_s = asyncio.get_running_loop().time()
        age_ms = (now_s - child.process.began_s) * 1000
        # one that is too large from the start is replaced after its first job, not again and again
        measured = self.handler.max_rss is not None and child.served > 0
        rss = rss_of(child.pid) if measured else 0
        wear, reason = wear_of(self.handler, child.served, age_ms, rss)
        if wear is Wear.SPENT:
            return reason
        if wear is not Wear.FIT:
            self.worn.setdefault(child, Worn(reason, now_s))
        elif child in self.worn:
            # it has become smaller, and its successor is on its way
            wear, reason = Wear.OLD, self.worn[child].reason
        if wear is Wear.OLD and self._has_successor(child):
            return reason
        if wear is Wear.LAST:
            (self.leaving if self._may_go(child) else self.held).append(child)
        else:
            self.idle.insert(0 if new else len(self.idle), child)

        return None

    def look_again(self) -> list[tuple[Child, str]]:
        """Who may have its last job now, has it; the answer is who is to be let go, and why."""
        if not self._recycles:
            return []

        if not self.held or self.idle_count:
            self._stuck_since_s = None
        elif self._stuck_since_s is None:
            self._stuck_since_s = asyncio.get_running_loop().time()
        children = [child for child in (*self.idle, *self.held) if child.usable]
        self.idle, self.held = [], []
        reasons = [(child, self.put(child, new=False)) for child in children]

        return [(child, reason) for child, reason in reasons if reason is not None]

    def succeed(self, successor: Child) -> Child:
        """The one worn longest gets a successor; the answer is the worn one."""
        old = min(
            (child for child, worn in self.worn.items() if worn.successor is None),
            key=lambda child: self.worn[child].since_s,
        )
        self.worn[old].successor = successor
        self._stuck_since_s = None

        return old

    def renew(self) -> list[Child]:
        """No child that there is now serves a further job; the answer is who is idle."""
        idle = [*self.idle, *self.held, *self.leaving]
        for child in idle:
            self.forget(child)
        self.stale |= self.starting | self.busy

        return idle

    def serve(self) -> None:
        """Give idle children to who waits, in turn."""
        while self.waiters:
            child = self.take_idle()
            if child is None:
                return
            waiter = self.next_waiter()
            if waiter is None:
                self.busy.discard(child)
                self.idle.append(child)
            else:
                waiter.future.set_result(child)

    def next_waiter(self) -> Waiter | None:
        """Who has waited longest and still does."""
        while self.waiters:
            waiter = self.waiters.popleft()
            if not waiter.future.done():
                return waiter

        return None

    def forget(self, child: Child) -> None:
        """A child has ended, or is let go."""
        self.starting.discard(child)
        self.busy.discard(child)
        self.stale.discard(child)
        self.worn.pop(child, None)
        for stack in (self.idle, self.held, self.leaving):
            if child in stack:
                stack.remove(child)
        if not child.ready:
            for worn in self.worn.values():
                if worn.successor is child:
                    worn.successor = None

    def refuse_waiters(self, reason: str, kind: FailureKind = FailureKind.START_FAILED) -> None:
        """Nobody will come to who waits."""
        while (waiter := self.next_waiter()) is not None:
            waiter.future.set_exception(StartFailed.again(reason, kind))

    def _has_successor(self, child: Child) -> bool:
        successor = self.worn[child].successor

        return successor is not None and successor.ready

    def _may_go(self, child: Child) -> bool:
        if self._has_successor(child) or self._health.failures > 0:
            return True

        since_s = self._stuck_since_s
        return since_s is not None and asyncio.get_running_loop().time() - since_s > HELD_MOST_S

    def __repr__(self) -> str:
        key = f" for {self.key!r}" if self.key else ""
        held = len(self.held) + len(self.leaving)
        worn = f", {held} before their last job" if held else ""
        return (
            f"{self.handler}{key}: {len(self.idle)} idle, {len(self.busy)} busy, "
            f"{len(self.starting)} starting, {self._health.failures} failed{worn}"
        )
