"""Following a job while it runs: what it says comes once, in its order, whatever was left out."""

from typing import Any

from sandq.errors import InvalidInput
from sandq.model.bounds import LOG_ROWS_FIRST
from sandq.model.checks import check_text
from sandq.model.payload import decode_stored
from sandq.model.states import FINAL, JobState
from sandq.steps.jobs import missing
from sandq.steps.runner import Steps
from sandq.store import said
from sandq.store.reads import LogRow

#: How often a job that is followed is asked for news while there are none, in seconds.
FOLLOW_EVERY_S = 0.2

#: The streams of a child whose lines are log rows.
STREAMS = ("stderr", "stdout")


class Reader:
    """Where somebody is who follows a job. `ended`: nothing more will come."""

    def __init__(self, job_id: str) -> None:
        self.job_id = check_text("job id", job_id)
        #: Whether the job was there once.
        self.begun = False
        self.ended = False

    def news(self) -> Steps[list[Any]]:
        """What was said since this was asked last. Raises JobMissing if there never was a job."""
        raise NotImplementedError

    def _note(self, state: JobState | None, is_all: bool) -> None:
        if state is None and not self.begun:
            raise missing(self.job_id)
        self.begun = True
        self.ended = is_all and (state is None or state in FINAL)


class LogReader(Reader):
    """Follows the log; of one `stream` only the lines written there, and what was left out."""

    def __init__(self, job_id: str, stream: str | None = None) -> None:
        super().__init__(job_id)
        self._stream = check_stream(stream)
        #: Rows of the list that were read, and the one after the first ones at that time.
        self._index = 0
        self._mark = b""
        #: How many rows were said up to there, those that were left out counted as well; the same
        #: of the first ones; and of what the caller has been told.
        self._position = 0
        self._first_position = 0
        self._told = 0

    def news(self) -> Steps[list[Any]]:
        page: said.LogPage = yield said.follow(self.job_id, self._index)
        if page.count < self._index and page.mark in (b"", self._mark):
            # another log: the job was removed, and may have been added anew
            self._index = self._position = self._told = 0
            page = yield said.follow(self.job_id, 0)
        while self._index > LOG_ROWS_FIRST and page.mark != self._mark:
            # rows before the newest were left out since: they are counted from the first on
            self._index, self._position = LOG_ROWS_FIRST, self._first_position
            self._mark = page.mark
            page = yield said.follow(self.job_id, self._index)

        self._mark = page.mark
        fresh = [row for row in map(self._next, page.rows) if row is not None]
        is_all = self._index >= page.count
        self._note(page.state, is_all)

        # what was counted anew has been told
        return fresh if fresh or is_all else (yield from self.news())

    def _next(self, row: LogRow) -> dict[str, Any] | None:
        """The row as it is shown; None if it has been told, or is not wanted."""
        if self._index == LOG_ROWS_FIRST:
            self._first_position = self._position
        shown = show(row)
        self._index += 1
        self._position += shown.get("cut", 1)
        untold = self._position - self._told
        if untold <= 0:
            return None

        self._told = self._position
        if "cut" in shown:
            return {**shown, "cut": min(shown["cut"], untold)}

        return shown if self._stream in (None, shown.get("stream")) else None


class EmittedReader(Reader):
    """Follows the parts of the result; those of another attempt come from the first on."""

    def __init__(self, job_id: str) -> None:
        super().__init__(job_id)
        self._index = 0
        self._claims = 0

    def news(self) -> Steps[list[Any]]:
        told: said.Emitted = yield said.emitted(self.job_id, self._index)
        if told.claims != self._claims and self._index:
            self._index = 0
            told = yield said.emitted(self.job_id, 0)
        self._claims = told.claims
        self._index += len(told.chunks)
        self._note(told.state, True)

        return [decode_stored(chunk) for chunk in told.chunks]


def show(row: LogRow) -> dict[str, Any]:
    """A log row as callers see it; `at` is in seconds since 1970."""
    return {"at": row.at_ms / 1000, **decode_stored(row.text)}


def check_stream(stream: str | None) -> str | None:
    """`stream`, if it is one that lines are taken from, or None for everything."""
    if stream is not None and stream not in STREAMS:
        raise InvalidInput(f"stream must be one of {', '.join(STREAMS)}: {stream!r}")

    return stream
