"""One queue of a supervisor: its store, its handlers, and what is in hand of it."""

import asyncio
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from sandq.child.pool import Pool
from sandq.flow.desk import Held
from sandq.flow.settler import Settler
from sandq.model.backoff_function import BackoffFunction
from sandq.model.handler import Handler, HandlerFunction
from sandq.model.job import Claim
from sandq.model.names import ANY_NAME
from sandq.model.outcome import Outcome
from sandq.protocol.messages import Said
from sandq.store.store import Store

#: How long progress and log rows may wait for more of them, in seconds.
REPORT_EVERY_S = 0.1


class Served(NamedTuple):
    """A queue that is served: its store, its handlers by job name, its named backoffs."""

    store: Store
    handlers: Mapping[str, Handler | HandlerFunction]
    backoffs: Mapping[str, BackoffFunction] = MappingProxyType({})


class Lane:
    """What claimer, slots, lease and janitor share about one queue.

    `first` is the name whose handler serves jobs that have no handler of their own name.
    """

    def __init__(
        self,
        queue: str,
        served: Served,
        pool: Pool,
        slots: int,
        first: str = ANY_NAME,
    ) -> None:
        self.queue = queue
        self.store = served.store
        self.pool = pool
        self.settler = Settler(served.backoffs)
        #: When the next occurrence of a series is due, by the monotonic clock; None: no series.
        self.next_fire_s: float | None = None
        #: Set when `next_fire_s` was learned.
        self.fire_known = asyncio.Event()
        #: Job id -> claim, from the reply that brought it to the reply that settles it.
        self.in_hand: dict[str, Held] = {}
        #: Set when there is something to tell Redis, or something to ask for.
        self.nudged = asyncio.Event()
        #: Set each time Redis has been told of outcomes.
        self.told = asyncio.Event()
        #: How long the jobs of the newest claim had waited, if there may be more where they came
        #: from, in milliseconds.
        self.waited_ms = 0.0
        self._slots = slots
        handlers = served.handlers
        self._by_name = dict(handlers)
        self._otherwise = self._by_name.get(first) or self._by_name.get(ANY_NAME)
        self._children = [h for h in handlers.values() if isinstance(h, Handler)]
        self._functions = len(self._children) < len(self._by_name)
        self._report_timer: asyncio.TimerHandle | None = None

    def handler_for(self, name: str) -> Handler | HandlerFunction | None:
        """Who serves jobs of this name: its own handler, the first one, or that of any name."""
        return self._by_name.get(name) or self._otherwise

    @property
    def several_handlers(self) -> bool:
        """Whether jobs of this queue go to different programs."""
        return len(self._by_name) > 1

    @property
    def places(self) -> int:
        """How many jobs of this queue could start now."""
        return self._slots if self._functions else self.pool.places(self._children)

    def note_waits(self, claims: list[Claim], now_ms: int, *, more: bool) -> None:
        """Claims have come; `now_ms` is the server's time, `more`: others may wait.

        Jobs that were delayed, or tried before, are left out: they have not waited all the time.
        """
        waits = [now_ms - claim.created_ms for claim in claims if more and self._is_new(claim)]
        self.waited_ms = max(waits, default=0.0)

    def grow(self, waiting: int, waited_ms: float) -> None:
        """So many jobs have waited for so long while all children were busy."""
        self.pool.grow(self._children, waiting, waited_ms)

    def _is_new(self, claim: Claim) -> bool:
        held = self.in_hand.get(claim.id)

        return (
            held is not None
            and claim.attempts == 0
            and claim.stalls == 0
            and held.options.delay_ms == 0
        )

    @property
    def serves(self) -> bool:
        """Whether some handler of this queue starts, as far as is known."""
        return self._functions or self.pool.serves(self._children)

    def settle(self, held: Held, outcome: Outcome) -> None:
        """An attempt has ended."""
        self.settler.add(held, outcome)
        self.nudged.set()

    def say(self, claim: Claim, message: Said) -> None:
        """A running attempt says something."""
        self.settler.say(claim, message)
        if self._report_timer is None:
            loop = asyncio.get_running_loop()
            self._report_timer = loop.call_later(REPORT_EVERY_S, self._report_now)

    def lose(self, held: Held) -> None:
        """A claim is another's now: what comes of it is not wanted, and its child is ended."""
        held.given_up = True
        del self.in_hand[held.claim.id]
        self.told.set()
        held.end_now("lease_lost")

    async def wait_until_settled(self) -> None:
        """Wait until Redis has been told of every claim in hand."""
        while self.in_hand:
            self.told.clear()
            await self.told.wait()

    def _report_now(self) -> None:
        self._report_timer = None
        self.nudged.set()
