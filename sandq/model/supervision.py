"""How a supervisor works: its numbers, each with unit and reason."""

from dataclasses import dataclass

from sandq.errors import InvalidInput


@dataclass(frozen=True, slots=True, kw_only=True)
class Supervision:
    """The settings of one supervisor; durations in milliseconds.

    - `pool`: most children alive at once, over all handlers.
    - `pool_least`: how many are kept though there is no work; None: as many as `pool`.
    - `lease_ms`: how long a claim is good without renewal; renewed three times as often.
    - `recover_ms`: how often stalled jobs are looked for. With the lease it bounds how long the
      jobs of a killed supervisor wait: 45 s by default.
    - `max_stalls`: how often a job may be recovered; the next stall fails it (Bull's default).
    - `drain_ms`: how long running jobs may go on after a stop signal; under Kubernetes' 30 s.
    - `kill_grace_ms`: between SIGTERM and SIGKILL of a child.
    - `broken_ms`: a handler that has not started for so long fails its jobs, instead of letting
      them wait; None: they wait.
    - `ahead_ms`: how much work may be held ahead of the children, as the time they need for it.
    - `ahead_most`: most claims held ahead.
    """

    pool: int = 1
    pool_least: int | None = None
    lease_ms: int = 30_000
    recover_ms: int = 15_000
    max_stalls: int = 1
    drain_ms: int = 25_000
    kill_grace_ms: int = 5_000
    broken_ms: int | None = None
    ahead_ms: int = 5
    ahead_most: int = 64

    def __post_init__(self) -> None:
        low = {"pool": 1, "lease_ms": 100, "recover_ms": 10}
        for name in self.__slots__:
            value = getattr(self, name)
            if value is None and name in ("pool_least", "broken_ms"):
                continue
            if isinstance(value, bool) or not isinstance(value, int) or value < low.get(name, 0):
                raise InvalidInput(
                    f"{name} must be a number of at least {low.get(name, 0)}: {value}"
                )
        if self.pool_least is not None and self.pool_least > self.pool:
            raise InvalidInput(
                f"pool_least must not be more than pool: {self.pool_least} > {self.pool}"
            )
