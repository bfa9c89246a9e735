"""The door to time: the only module that reads a clock.

Deadlines inside a process are seconds of the monotonic clock; times stored in Redis are
milliseconds since 1970 by the server's own clock, so that skew between hosts is harmless.
"""

import time

#: What every queue of this process takes for the time in Redis, in milliseconds since 1970; None:
#: the server's own clock. Only `sandq.testing` sets it, and `sandq.store` alone reads it.
told_ms: int | None = None


def monotonic_s() -> float:
    """Seconds on a clock that never goes back; only differences mean anything."""
    return time.monotonic()


def wall_ms() -> int:
    """Milliseconds since 1970 by this host's clock; for display, never for decisions."""
    return time.time_ns() // 1_000_000


def block_s(seconds: float) -> None:
    """Block the calling thread; for synchronous code that waits for another process."""
    time.sleep(seconds)
