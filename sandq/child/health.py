"""Whether the children of a handler start: pauses that grow, and who is told."""

import asyncio
import logging
from collections.abc import Callable

from sandq.model.handler import Handler
from sandq.model.outcome import FailureKind

log = logging.getLogger("sandq.child")

#: Pause before a handler that failed to start is tried again; doubled each time, in seconds.
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 30.0

#: After so many failures in a row the handler is said to be unhealthy, in one line.
UNHEALTHY_AFTER = 3


class Health:
    """Failures to start of one handler, whatever the keys of its children.

    It is `broken` when its children have failed to start for `broken_s`; None: never. `on_change`
    is called when a pause is over, and when it has become broken.
    """

    def __init__(
        self, handler: Handler, broken_s: float | None, on_change: Callable[[], None]
    ) -> None:
        #: Failures in a row, and what the last one was.
        self.failures = 0
        self.reason = ""
        self.kind = FailureKind.START_FAILED
        self._handler = handler
        self._broken_s = broken_s
        self._on_change = on_change
        self._since_s = self._next_try_s = 0.0
        self._retry: asyncio.TimerHandle | None = None
        self._breaks: asyncio.TimerHandle | None = None

    @property
    def may_start(self) -> bool:
        """Whether no pause after a failed start is on."""
        return self.failures == 0 or self.pause_s == 0.0

    @property
    def pause_s(self) -> float:
        """How long until the next try, in seconds."""
        if self.failures == 0:
            return 0.0

        return max(0.0, self._next_try_s - asyncio.get_running_loop().time())

    @property
    def broken(self) -> bool:
        """Whether it has been down for longer than its jobs are to wait."""
        if self.failures == 0 or self._broken_s is None:
            return False

        return asyncio.get_running_loop().time() - self._since_s >= self._broken_s

    def works(self) -> None:
        """A child has served a job: whatever was wrong is over."""
        if self.failures:
            log.info("handler %s serves again", self._handler)
            self.try_now()

    def try_now(self) -> None:
        """Forget what has failed: there is reason to believe that it is mended."""
        self.failures = 0
        self.close()

    def fails(self, reason: str, kind: FailureKind) -> None:
        """A child failed to start. Those that were started together fail together: one failure.

        `kind` is how jobs fail that have waited for it for too long.
        """
        self.reason, self.kind = reason, kind
        if self.pause_s > 0.0:
            return

        loop = asyncio.get_running_loop()
        self.failures += 1
        pause_s = min(FIRST_PAUSE_S * 2 ** min(self.failures - 1, 20), LONGEST_PAUSE_S)
        self._next_try_s = loop.time() + pause_s
        if self._retry is not None:
            self._retry.cancel()
        self._retry = loop.call_later(pause_s + 0.001, self._on_change)
        if self.failures == 1:
            self._since_s = loop.time()
            if self._broken_s is not None:
                self._breaks = loop.call_later(self._broken_s + 0.001, self._break)
        self._tell(pause_s)

    def close(self) -> None:
        """Nothing will be started any more, or it is tried at once."""
        for timer in (self._retry, self._breaks):
            if timer is not None:
                timer.cancel()
        self._retry = self._breaks = None

    def _tell(self, pause_s: float) -> None:
        if self.failures == UNHEALTHY_AFTER:
            log.error(
                "%s; it is unhealthy after %d failed starts: no job is claimed for it, next try "
                "in %.1f s",
                self.reason,
                self.failures,
                pause_s,
            )
        else:
            log.warning("%s; next try in %.1f s", self.reason, pause_s)

    def _break(self) -> None:
        log.error(
            "handler %s has not started for %g s: its jobs fail until it does; %s",
            self._handler,
            self._broken_s,
            self.reason,
        )
        self._on_change()
