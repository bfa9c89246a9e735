"""The desk between claimers and slots: claims wait here for a slot, slots for a claim."""

import asyncio
from collections import deque
from typing import TYPE_CHECKING

import anyio

from sandq import clock
from sandq.child.child import Child
from sandq.errors import InvalidInput
from sandq.flow.pace import Pace
from sandq.model.job import Claim
from sandq.model.options import StoredOptions, read_options
from sandq.model.outcome import Outcome
from sandq.model.supervision import Supervision
from sandq.protocol.messages import Said

if TYPE_CHECKING:
    from sandq.flow.lane import Lane

#: A claim held ahead that has not started after this long is given back, in seconds: the
#: children have become slow, and another supervisor may be free.
HELD_MOST_S = 0.05


class Held:
    """A claim in our hands, from the reply that brought it to the reply that settles it."""

    __slots__ = ("child", "claim", "given_up", "lane", "options", "scope", "since_s", "unreadable")

    def __init__(self, lane: "Lane", claim: Claim, since_s: float) -> None:
        self.lane = lane
        self.claim = claim
        self.since_s = since_s
        #: Why the job cannot be run as it is stored; None if it can.
        self.unreadable: str | None = None
        try:
            self.options = read_options(claim.opts)
        except InvalidInput as error:
            self.options, self.unreadable = StoredOptions(), str(error)
        self.child: Child | None = None
        #: What a function of this process runs in; cancelled to end it.
        self.scope: anyio.CancelScope | None = None
        #: It is given back or lost though its slot has not ended: what comes of it is not wanted.
        self.given_up = False

    def say(self, message: Said) -> None:
        """What the running job says goes to Redis with the next batch."""
        self.lane.say(self.claim, message)

    def end(self, outcome: Outcome) -> None:
        """The outcome goes to be settled."""
        self.lane.settle(self, outcome)

    @property
    def overrun(self) -> bool:
        """Whether its child should have been gone for some time."""
        return self.child is not None and self.child.overrun

    def ask_to_end(self, by: str) -> bool:
        """End what runs, politely first; False if nothing runs yet. `by`: see `Child.stop`."""
        if self.child is not None:
            self.child.stop(by)
        elif self.scope is not None:
            self.scope.cancel()

        return self.child is not None or self.scope is not None

    def end_now(self, by: str) -> bool:
        """End what runs at once; False if nothing runs yet."""
        if self.child is not None:
            self.child.kill(by)
            return True

        return self.ask_to_end(by)


class Desk:
    """Claims that wait, slots that wait, and how many claims may be asked for."""

    def __init__(self, supervision: Supervision) -> None:
        self.pace = Pace(supervision)
        self._size = supervision.pool
        self.closed = False
        #: No claims are asked for while it is set: this supervisor alone is paused.
        self.paused = False
        #: Set when the desk is closed and nothing runs any more.
        self.drained = asyncio.Event()
        self.running: set[Held] = set()
        #: Set whenever the last running job has ended.
        self.idle = asyncio.Event()
        self._waiting: deque[Held] = deque()
        self._slots: deque[asyncio.Future[Held]] = deque()
        self._reserved = 0
        #: Lanes that have work and got no place, in the order they asked: each gets one in turn.
        #: Since when, by the monotonic clock.
        self._hungry: dict[Lane, float] = {}
        #: Set whenever there is such a lane; who has looked after it clears it.
        self.hunger = asyncio.Event()
        #: Claims given to a slot that has not woken up to lend a child to them.
        self._handed_over = 0
        self._overdue: asyncio.TimerHandle | None = None

    def reserve(self, lane: "Lane", places: int) -> int:
        """How many claims a lane may ask for now; they count until `deliver` or `cancel`.

        `places` is how many of its jobs could start at once if nothing else was asked for.
        """
        if self.closed or self.paused:
            return 0

        now_s = clock.monotonic_s()
        free = self._size - len(self.running)
        room = min(free, places - self._handed_over) - self._reserved - len(self._waiting)
        if lane.serves:
            room += self.pace.ahead(now_s)
        room -= self._turns_before(lane)
        if room <= 0:
            if lane.serves:
                self._hungry.setdefault(lane, now_s)
                self.hunger.set()
            return 0

        self._hungry.pop(lane, None)
        self._reserved += room

        return room

    def hungry_ms(self, lane: "Lane") -> float:
        """For how long a lane has had work and got no place."""
        since_s = self._hungry.get(lane)

        return 0.0 if since_s is None else (clock.monotonic_s() - since_s) * 1000

    def is_fed(self, lane: "Lane") -> None:
        """A lane has no work for now."""
        self._hungry.pop(lane, None)

    def deliver(self, lane: "Lane", reserved: int, claims: list[Claim]) -> None:
        """The claims that were asked for, or fewer, have come."""
        self._reserved -= reserved
        if len(claims) < reserved:
            self._call_the_hungry()
        now_s = clock.monotonic_s()
        for claim in claims:
            held = Held(lane, claim, now_s)
            if claim.id in lane.in_hand:
                # an earlier claim on it was lost before anybody noticed, and may still run
                lane.lose(lane.in_hand[claim.id])
            lane.in_hand[claim.id] = held
            if self.closed or self.paused:
                held.end(Outcome.give_back("shutdown" if self.closed else "paused"))
            else:
                self._hand_over(held)

    def cancel(self, reserved: int) -> None:
        """The claims that were asked for will not come: others may ask for theirs."""
        self._reserved -= reserved
        self._call_the_hungry()

    async def take(self) -> Held:
        """The next claim for a slot; never one that has waited so long that it may be lost."""
        self._drop_overdue()
        if self._waiting:
            held = self._waiting.popleft()
            self.running.add(held)
            return held

        future: asyncio.Future[Held] = asyncio.get_running_loop().create_future()
        self._slots.append(future)
        held = await future
        self._handed_over -= 1

        return held

    def ended(self, held: Held, outcome: Outcome) -> None:
        """A slot is done with a claim."""
        self.pace.ended(clock.monotonic_s())
        self.running.discard(held)
        if not held.given_up:
            held.end(outcome)
        self._call_the_hungry()
        if not self.running:
            self.idle.set()
            self.idle.clear()
            if self.closed:
                self.drained.set()

    def give_up(self, held: Held, why: str = "shutdown") -> None:
        """Give a claim back that waits for a slot, or while its slot still works on it."""
        held.given_up = True
        if held in self._waiting:
            self._waiting.remove(held)
        self.running.discard(held)
        held.end(Outcome.give_back(why))

    def pause(self) -> None:
        """Take no more claims until `resume`, and give back those that wait."""
        self.paused = True
        while self._waiting:
            self._waiting.popleft().end(Outcome.give_back("paused"))

    def resume(self) -> None:
        """Take claims again."""
        self.paused = False

    def close(self) -> None:
        """Take no more claims, and give back those that wait."""
        self.closed = True
        while self._waiting:
            self._waiting.popleft().end(Outcome.give_back("shutdown"))
        if self._overdue is not None:
            self._overdue.cancel()
            self._overdue = None
        if not self.running:
            self.drained.set()

    def _turns_before(self, lane: "Lane") -> int:
        turns = 0
        for other in self._hungry:
            if other is lane:
                break
            turns += other.serves

        return turns

    def _call_the_hungry(self) -> None:
        for lane in self._hungry:
            lane.nudged.set()

    def _hand_over(self, held: Held) -> None:
        while self._slots:
            slot = self._slots.popleft()
            if not slot.done():
                self.running.add(held)
                self._handed_over += 1
                slot.set_result(held)
                return

        self._waiting.append(held)
        if self._overdue is None:
            self._look_later(HELD_MOST_S)

    def _look_later(self, delay_s: float) -> None:
        loop = asyncio.get_running_loop()
        self._overdue = loop.call_later(delay_s, self._release_overdue)

    def _release_overdue(self) -> None:
        """Give back the claims that have waited too long for a slot."""
        self._overdue = None
        self._drop_overdue()
        if self._waiting:
            waited_s = clock.monotonic_s() - self._waiting[0].since_s
            self._look_later(max(0.0, HELD_MOST_S - waited_s))

    def _drop_overdue(self) -> None:
        before_s = clock.monotonic_s() - HELD_MOST_S
        while self._waiting and self._waiting[0].since_s <= before_s:
            self._waiting.popleft().end(Outcome.give_back("held too long"))
