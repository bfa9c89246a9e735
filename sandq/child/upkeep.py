"""One timer for all children of a pool: it looks after those that are idle, once a second."""

import asyncio
from collections.abc import Callable
from weakref import WeakKeyDictionary

from sandq.child.child import Child

#: How often it looks, in seconds.
LOOK_EVERY_S = 1.0

#: An idle child is asked whether it is alive so often, in seconds, if it can say so.
PING_EVERY_S = 30.0


class Upkeep:
    """Calls `look` once a second, until it answers that there is nothing to look after."""

    def __init__(self, look: Callable[[], bool]) -> None:
        self._look = look
        self._timer: asyncio.TimerHandle | None = None
        self._pinged_s: WeakKeyDictionary[Child, float] = WeakKeyDictionary()

    def wake(self) -> None:
        """There may be something to look after now."""
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(LOOK_EVERY_S, self._fire)

    def ping(self, child: Child, now_s: float) -> None:
        """Ask an idle child whether it is alive, when it is time to."""
        since_s = max(child.idle_since_s, self._pinged_s.get(child, 0.0))
        if now_s - since_s >= PING_EVERY_S:
            self._pinged_s[child] = now_s
            child.ping()

    def close(self) -> None:
        """Stop the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _fire(self) -> None:
        self._timer = None
        if self._look():
            self.wake()
