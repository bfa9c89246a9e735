"""The manual clock: what time it is in Redis is what the test says."""

from datetime import UTC, datetime, timedelta
from types import TracebackType

from sandq import clock
from sandq.model.duration import Duration, to_ms
from sandq.model.moment import Moment, to_moment_ms
from sandq.model.names import is_queue_name
from sandq.store import calls
from sandq.store.store import SyncStore
from sandq.testing.private_server import Server

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Clock:
    """The time of all queues of this process, as a context manager: it stands still until moved.

    Delays, expiries, waits between attempts, series, rate limits, dedup keys and leases go by it;
    so do the times that jobs tell. What does not: timeouts of handlers and of waits, which are
    measured here, and the times of events, which the server writes itself.

    It begins with the present, rounded up to a second. Queues of other processes, such as a
    supervisor that was started as a command, do not know of it.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self._before: int | None = None
        self._now_ms = -(-clock.wall_ms() // 1000) * 1000

    @property
    def now(self) -> datetime:
        """What time it is, in UTC."""
        return _EPOCH + timedelta(milliseconds=self._now_ms)

    def advance(self, duration: Duration) -> datetime:
        """Let time pass (seconds, a timedelta, or a text such as "5m"); what time it is then.

        Nothing is run by that alone: `run_inline` does what has become due. Supervisors of this
        process are woken. Raises InvalidInput.
        """
        self._pass(to_ms(duration, "duration"))

        return self.now

    def set(self, moment: Moment) -> None:
        """Make it this moment (an aware datetime, or seconds since 1970); to go back is only of
        use before anything has been added. Raises InvalidInput."""
        self._pass(to_moment_ms(moment, "moment") - self._now_ms)

    def __enter__(self) -> "Clock":
        self._before, clock.told_ms = clock.told_ms, self._now_ms

        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        clock.told_ms = self._before

    def __repr__(self) -> str:
        return f"<Clock {self.now.isoformat()}>"

    def _pass(self, ms: int) -> None:
        self._now_ms += ms
        clock.told_ms = self._now_ms
        store = SyncStore("none", self._server.url)
        try:
            _shorten(store, ms)
            _wake(store)
        finally:
            store.close()


def _shorten(store: SyncStore, ms: int) -> None:
    """Dedup keys go by the server's own clock: what has passed is taken from what they have."""
    for keys in store.scan("*}:dedup:*"):
        for key in keys:
            left_ms = store._command("PTTL", key)
            if left_ms >= 0:
                store._command("PEXPIRE", key, left_ms - ms)


def _wake(store: SyncStore) -> None:
    """Supervisors that wait for what is due are to ask anew."""
    for keys in store.scan("*}:meta"):
        for key in keys:
            text = key.decode("utf-8", "backslashreplace")
            prefix, _, name = text.removesuffix("}:meta").partition(":{")
            # the key of a job can end in the same way
            if is_queue_name(name):
                SyncStore(name, None, prefix, store).run(calls.ring())
