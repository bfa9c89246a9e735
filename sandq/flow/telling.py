"""What one attempt has said and Redis has not been told: it is bounded, whatever the child does."""

from collections import deque

import orjson

from sandq.model.bounds import (
    EMITTED_BYTES,
    EMITTED_KEPT,
    FIRST_BYTES_WAITING,
    LOG_ROWS_FIRST,
    LOG_ROWS_NEWEST,
    NEWEST_BYTES_WAITING,
)
from sandq.model.job import Claim
from sandq.protocol.messages import Captured
from sandq.store.calls import Report

#: A log row that waits: its JSON text, a line that is made one when it is told, or how many rows
#: were left out at this place.
Row = bytes | Captured | int

# What a row costs beside its text, about.
_OVERHEAD_BYTES = 64

_CUT = b'{"cut":'


class Telling:
    """Progress, log rows and parts of a result of one claim.

    Of rows that come faster than Redis is told of them the first and the newest stay; the others
    are counted where they were.
    """

    __slots__ = (
        "_first", "_first_bytes", "_left_out", "_newest", "_newest_bytes", "claim", "parts",
        "progress",
    )  # fmt: skip

    def __init__(self, claim: Claim) -> None:
        self.claim = claim
        self.progress: bytes | None = None
        #: JSON text, in front of each its number in the attempt and a space.
        self.parts: list[bytes] = []
        self._first: list[Row] = []
        self._first_bytes = 0
        self._left_out = 0
        self._newest: deque[tuple[Row, int]] = deque()
        self._newest_bytes = 0

    def add_row(self, row: Row) -> None:
        """A log row, after the others."""
        size = _size(row)
        is_first = (
            len(self._first) < LOG_ROWS_FIRST
            and self._first_bytes + size <= FIRST_BYTES_WAITING
            and not self._newest
            and not self._left_out
        )
        if is_first:
            self._first.append(row)
            self._first_bytes += size
            return

        self._newest.append((row, size))
        self._newest_bytes += size
        while len(self._newest) > LOG_ROWS_NEWEST or (
            self._newest_bytes > NEWEST_BYTES_WAITING and len(self._newest) > 1
        ):
            dropped, size = self._newest.popleft()
            self._newest_bytes -= size
            self._left_out += dropped if isinstance(dropped, int) else 1

    def add(self, report: Report) -> None:
        """Something that could not be told before comes back."""
        if report.kind == "progress":
            self.progress = report.text
        elif report.kind == "emit":
            self.parts.append(report.text)
        elif report.text.startswith(_CUT):
            self.add_row(orjson.loads(report.text)["cut"])
        else:
            self.add_row(report.text)

    def reports(self) -> list[Report]:
        """All of it, rows in their order."""
        rows = [*self._first, *((self._left_out,) if self._left_out else ())]
        rows += (row for row, _ in self._newest)
        reports = [Report(self.claim, "log", _text(row)) for row in rows]
        reports += (Report(self.claim, "emit", part) for part in self.parts)
        if self.progress is not None:
            reports.append(Report(self.claim, "progress", self.progress))

        return reports


class Emitting:
    """How much of its result an attempt has told; `full` when no more is taken."""

    __slots__ = ("_bytes", "_count", "full")

    def __init__(self) -> None:
        self.full = False
        self._count = 0
        self._bytes = 0

    def take(self, chunk: bytes) -> bytes | None:
        """The part with its number; None when it is one too many: then no other is taken."""
        if self._count == EMITTED_KEPT or self._bytes + len(chunk) > EMITTED_BYTES:
            self.full = True
            return None

        part = b"%d %b" % (self._count, chunk)
        self._count += 1
        self._bytes += len(chunk)

        return part


#: What the log says when parts are dropped.
TOO_MUCH = orjson.dumps(
    {
        "level": "warning",
        "message": f"more was emitted than is kept ({EMITTED_KEPT:,} parts or "
        f"{EMITTED_BYTES // 1024**2} MiB of an attempt): what follows is dropped",
    }
)


def _size(row: Row) -> int:
    if isinstance(row, Captured):
        # a character that is not ASCII takes up to four bytes
        length = len(row.text) if row.text.isascii() else 4 * len(row.text)
    else:
        length = 0 if isinstance(row, int) else len(row)

    return length + _OVERHEAD_BYTES


def _text(row: Row) -> bytes:
    if isinstance(row, Captured):
        return orjson.dumps({"stream": row.stream, "text": row.text})

    return b"%b%d}" % (_CUT, row) if isinstance(row, int) else row
