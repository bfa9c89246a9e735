"""What a queue tells of itself: metrics, statistics, supervisors, series. Times in seconds."""

from collections.abc import Mapping
from dataclasses import dataclass

from sandq.model.repeat import Repeat


@dataclass(frozen=True, slots=True)
class Metrics:
    """How many jobs ended so in each minute (seed 0, `get_metrics`).

    - `total`: since the queue began. `data`: the numbers of single minutes, newest first; the
      newest is the minute that is under way. `at`: when the newest minute began.
    """

    total: int
    data: tuple[int, ...]
    at: float

    @classmethod
    def of(
        cls, now_ms: int, total: int, points: Mapping[int, int], start: int, end: int
    ) -> "Metrics":
        """The `start`-th to the `end`-th minute back from now (-1: as far as anything is kept)."""
        newest = now_ms // 60_000
        span = newest - min(points, default=newest) + 1
        last = span - 1 if end < 0 else min(end, span - 1)
        data = tuple(points.get(newest - back, 0) for back in range(start, last + 1))

        return cls(total, data, (newest - start) * 60.0)


@dataclass(frozen=True, slots=True)
class Stats:
    """A queue at one moment (seeds 1, 2 and 4).

    - `counts`: jobs by state. `totals`: what has happened since the queue began, by name
      (spec/storage.md). `dead`: failed jobs that are kept, by the kind of their failure.
    - `groups`: active jobs by group. `stalled`: active jobs whose lease has ended.
    - `waiting_since`: when the job that is next was added; `overdue_since`: when the first delayed
      job was due, if it is. None where there is no such job.
    """

    counts: dict[str, int]
    totals: dict[str, int]
    dead: dict[str, int]
    groups: dict[str, int]
    stalled: int
    waiting_since: float | None
    overdue_since: float | None


@dataclass(frozen=True, slots=True)
class Worker:
    """A supervisor that serves the queue: `busy` of its `slots` run jobs, `jobs` are their ids."""

    id: str
    host: str
    pid: int
    slots: int
    busy: int
    jobs: tuple[str, ...]
    started_at: float
    seen_at: float


@dataclass(frozen=True, slots=True)
class Repeatable:
    """A series of jobs: `next_at` is its next occurrence, `made` how many were made so far."""

    key: str
    name: str
    repeat: Repeat
    next_at: float
    made: int
