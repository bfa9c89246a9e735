"""What a line of the handler is, read as the supervisor reads it; pure.

The reading of one line is the supervisor's own (sandq.protocol.reading). What is added here is
what depends on the lines before: the level, and that `hello` comes first.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from sandq.model.payload import MAX_DEPTH, decode, quote
from sandq.protocol.messages import Broken, Ignored, Noise
from sandq.protocol.reading import read_line

_BOM = b"\xef\xbb\xbf"


class Kind(StrEnum):
    """What a line is."""

    NOISE = "noise"
    ANSWER = "answer"
    MESSAGE = "message"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class Heard:
    """A line of the handler.

    `members`: of a message its own; of an answer `status` and `result` or `error` whatever form
    it came in, and `id` at the full level. `reason`: how the line breaks the protocol.
    """

    kind: Kind
    line: bytes
    members: dict[str, Any] = field(default_factory=dict)
    reason: str = ""


class Hearing:
    """Reads the lines of one process in their order. `full`: its first line was a hello."""

    __slots__ = ("_first", "full")

    def __init__(self) -> None:
        self.full = False
        self._first = True

    def hear(self, line: bytes) -> Heard | None:
        """The next line, without its newline; None when it says nothing."""
        first, self._first = self._first, False
        text = (line.removeprefix(_BOM) if first else line).strip(b" \t\r")
        if not text:
            self._first = first
            return None

        message = read_line(text)
        if isinstance(message, Broken):
            # the full level has no answers that are no messages: JSON of others is noise there
            is_noise = self.full and b'"sandq"' not in text
            return Heard(Kind.NOISE if is_noise else Kind.BROKEN, line, reason=message.reason)
        if isinstance(message, Noise):
            return Heard(Kind.NOISE, line)

        value = decode(text, MAX_DEPTH + 1)
        if isinstance(message, Ignored) or _is_message(value):
            return self._message(line, value, first=first)
        if self.full:
            return Heard(Kind.NOISE, line)

        return Heard(Kind.ANSWER, line, answer_members(value))

    def _message(self, line: bytes, value: dict[str, Any], *, first: bool) -> Heard:
        kind = value.get("type")
        if kind == "hello":
            if not first:
                reason = f"hello is not its first line: {quote(line)}"
                return Heard(Kind.BROKEN, line, reason=reason)
            self.full = True
        if kind == "result":
            return Heard(Kind.ANSWER, line, {**answer_members(value), "id": value["id"]})

        return Heard(Kind.MESSAGE, line, value)


def _is_message(value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    version = value.get("sandq")

    return isinstance(version, int) and not isinstance(version, bool)


def answer_members(value: Any) -> dict[str, Any]:
    """`status` and `result` or `error` of an answer, in whatever form it came."""
    if isinstance(value, dict):
        status = value.get("status")
        if status == "error":
            return {"status": "error", "error": error_members(value.get("error"))}
        if status == "ok" and ("result" in value or len(value) == 1 or _is_message(value)):
            return {"status": "ok", "result": value.get("result")}

    return {"status": "ok", "result": value}


def error_members(error: Any) -> dict[str, Any]:
    """An error as an object: a text stands for one with that message."""
    if isinstance(error, str):
        return {"message": error}

    return dict(error) if isinstance(error, dict) else {}
