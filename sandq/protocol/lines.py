"""Bytes to lines, with a bound: what a child writes can be endless and must not be kept."""

from typing import NoReturn


class LineTooLong(Exception):
    """A line is longer than the limit; `head` is how it begins, `before` the lines before it."""

    def __init__(self, limit: int, head: bytes, before: list[bytes]) -> None:
        super().__init__(f"a line is longer than {limit} bytes")
        self.limit = limit
        self.head = head
        self.before = before


#: How much of a line that is too long is kept for the error message, in bytes.
_HEAD_BYTES = 200


class LineReader:
    """Splits a stream into lines of at most `limit` bytes, the newline not counted.

    After LineTooLong the reader is of no more use: the place of the next line is unknown.
    """

    __slots__ = ("_limit", "_rest")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._rest = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """The lines completed by `data`, without their newlines. Raises LineTooLong."""
        end = data.rfind(b"\n")
        if end < 0:
            self._rest += data
            if len(self._rest) > self._limit:
                self._refuse(self._rest, [])
            return []

        # the common case: one whole line, nothing left over from before
        if end == len(data) - 1 and not self._rest and data.find(b"\n") == end:
            lines = [data[:end]]
        else:
            lines = (bytes(self._rest) + data[:end]).split(b"\n")
            self._rest = bytearray(data[end + 1 :])
        for number, line in enumerate(lines):
            if len(line) > self._limit:
                self._refuse(line, lines[:number])
        if len(self._rest) > self._limit:
            self._refuse(self._rest, lines)

        return lines

    def take_rest(self) -> bytes:
        """The last line of a stream that ended without a newline; empty if there is none."""
        rest, self._rest = bytes(self._rest), bytearray()

        return rest

    def _refuse(self, line: bytes | bytearray, before: list[bytes]) -> NoReturn:
        head = bytes(line[:_HEAD_BYTES])
        # who holds the reader would hold all that was written as well
        self._rest = bytearray()
        raise LineTooLong(self._limit, head, before)
