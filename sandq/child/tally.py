"""What a pool counts of itself."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from sandq.model.outcome import Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolMetrics:
    """What has happened in a pool since it was made.

    - `started`: processes that were started; `failed_starts`: those that were never
      ready, or ended before they had read a job, and starts that the system refused.
    - `recycled`: children that were replaced or let go by rule -> how many, by `jobs`, `age`,
      `rss`, `idle` or `watch`.
    - `ended`: processes that have ended, by whom (spec/states.md, `death.by`).
    - `jobs`: jobs by what came of them: `completed`, `released`, or how they failed.
    - `noise_lines`: lines where answers were expected that are no JSON.
    """

    started: int
    failed_starts: int
    recycled: Mapping[str, int]
    ended: Mapping[str, int]
    jobs: Mapping[str, int]
    noise_lines: int


class Tally:
    """The counters behind it; each is changed where the thing happens."""

    __slots__ = ("completed", "ended", "failed_starts", "noise", "others", "recycled", "started")

    def __init__(self) -> None:
        self.started = 0
        self.failed_starts = 0
        self.recycled: Counter[str] = Counter()
        self.ended: Counter[str] = Counter()
        self.completed = 0
        self.others: Counter[str] = Counter()
        #: Of children that have ended.
        self.noise = 0

    def job(self, outcome: Outcome) -> None:
        """A job has ended."""
        if outcome.value is not None:
            self.completed += 1
        else:
            failure = outcome.failure
            self.others["released" if failure is None else failure.kind.value] += 1

    def metrics(self, noise: int) -> PoolMetrics:
        """A snapshot; `noise` is what the living children have written."""
        jobs = {"completed": self.completed, **self.others}

        return PoolMetrics(
            started=self.started,
            failed_starts=self.failed_starts,
            recycled=dict(self.recycled),
            ended=dict(self.ended),
            jobs={word: count for word, count in jobs.items() if count},
            noise_lines=self.noise + noise,
        )
