"""Builders of the calls that follow what a job says while it runs: log rows, parts of results."""

from dataclasses import dataclass
from typing import Any

from sandq.model.bounds import LOG_ROWS_FIRST
from sandq.model.states import JobState
from sandq.store.calls import Call
from sandq.store.reads import LogRow, read_rows

#: Most log rows read at once by who follows them.
ROWS_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class LogPage:
    """Log rows of a job from one on, as they are at one moment.

    - `state`: that of the job; None if there is no such job.
    - `count`: how many rows there are.
    - `mark`: the row after the first ones, empty if there is none; it is another one when rows
      were left out since.
    """

    state: JobState | None
    count: int
    mark: bytes
    rows: list[LogRow]


@dataclass(frozen=True, slots=True)
class Emitted:
    """Parts of its result, JSON text each, that the newest attempt of a job has told so far.

    - `state`: that of the job; None if there is no such job.
    - `claims`: how often the job was claimed: another attempt begins anew.
    """

    state: JobState | None
    claims: int
    chunks: list[bytes]


def follow(job_id: str, start: int) -> Call[LogPage]:
    """The log rows of a job from the `start`-th on, up to `ROWS_AT_ONCE`."""

    def read(reply: Any) -> LogPage:
        state, count, mark, rows = reply
        return LogPage(_state(state), count, mark or b"", read_rows(rows))

    return Call("follow", (job_id, start, ROWS_AT_ONCE, LOG_ROWS_FIRST), read)


def emitted(job_id: str, start: int) -> Call[Emitted]:
    """What the newest attempt of a job has told of its result, from the `start`-th part on."""

    def read(reply: Any) -> Emitted:
        state, claims, chunks = reply
        return Emitted(_state(state), int(claims), chunks)

    return Call("emitted", (job_id, start), read)


def _state(word: bytes) -> JobState | None:
    return JobState(word.decode()) if word else None
