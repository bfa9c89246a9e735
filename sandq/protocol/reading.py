"""One line of a child to one Message.

A line is read in this order (spec/protocol.md):
1. not JSON: noise;
2. an object with the integer member `sandq`: a protocol message;
3. an object with `"status":"ok"` and `result` or no other member, or with `"status":"error"`:
   the envelope;
4. any other JSON value is the result itself.
JSON that not every language reads alike (NaN, a repeated member, nesting over 64) breaks the
protocol: it must not be taken for noise, or the job would wait for ever.
"""

import json
from typing import Any

import orjson

from sandq.model.duration import MAX_MS
from sandq.model.outcome import Failure, FailureKind
from sandq.model.payload import (
    MAX_DEPTH,
    InvalidJson,
    decode,
    deeper_than,
    member_text,
    quote,
)
from sandq.protocol.messages import (
    VERSION,
    Answer,
    Ask,
    Broken,
    Emit,
    Fatal,
    Heartbeat,
    Hello,
    Ignored,
    Log,
    Message,
    Noise,
    Pong,
    Progress,
)

#: Longest message and stack kept of a handler's error, in characters.
MESSAGE_KEPT = 4_096
STACK_KEPT = 16_384

#: Longest word kept of a child's own (the type of an error, of a message), in characters.
TYPE_KEPT = 256

#: Largest `data` of an error that is kept, in bytes of JSON text.
ERROR_DATA_KEPT = 65_536

#: Most errors behind an error that are kept, one behind the other.
MAX_CAUSES = 4

#: Words of ours: an error type of a child that begins so is renamed.
RESERVED_PREFIX = "sandq."

_WHITE = b" \t\r"
_BOM = b"\xef\xbb\xbf"

# How a JSON text ends that begins so, and what may stand alone.
_LAST_OF = {b"{": b"}", b"[": b"]", b'"': b'"'}
_SHORT_BYTES = 256  # what is longer may be open so deep that readers die of it
_JSON_WORDS = (b"true", b"false", b"null", b"NaN", b"Infinity")


def read_line(line: bytes) -> Message:
    """The message in `line`, which has no newline. Never raises."""
    text = line.strip(_WHITE)
    if not text:
        return Ignored()
    if not _may_be_json(text):
        return Noise(line)

    try:
        # the envelope is one level more than the value in it
        value = decode(text, MAX_DEPTH + 1)
    except InvalidJson as error:
        return Broken(f"refused JSON: {error}") if _is_lenient_json(text) else Noise(line)

    if isinstance(value, dict):
        version = value.get("sandq")
        if isinstance(version, int) and not isinstance(version, bool):
            return _protocol_message(version, value, text)

        status = value.get("status")
        if status == "ok" and ("result" in value or len(value) == 1):
            return Answer(None, value=member_text(text, "result") or b"null")
        if status == "error":
            return Answer(None, failure=read_error(value.get("error")))

    if deeper_than(text, MAX_DEPTH):
        return Broken(f"refused JSON: nested deeper than {MAX_DEPTH} levels: {quote(text)}")

    return Answer(None, value=text)


def read_error(error: Any) -> Failure:
    """The failure a handler reports: a text, or an object with known members; never raises."""
    if isinstance(error, str):
        return Failure(kind=FailureKind.ERROR, message=_cut(error, MESSAGE_KEPT))
    if not isinstance(error, dict):
        said = "without saying which" if error is None else orjson.dumps(error).decode()
        words = _cut(f"the handler reported an error {said}", MESSAGE_KEPT)
        return Failure(kind=FailureKind.ERROR, message=words)

    message, kind, stack = error.get("message"), error.get("type"), error.get("stack")
    code, data, retry_after = error.get("code"), error.get("data"), error.get("retry_after_ms")
    retryable = error.get("retryable") is not False
    if data is not None and len(orjson.dumps(data)) > ERROR_DATA_KEPT:
        data = f"(more than {ERROR_DATA_KEPT} bytes, not kept)"

    return Failure(
        kind=FailureKind.ERROR if retryable else FailureKind.UNRECOVERABLE,
        message=_cut(message, MESSAGE_KEPT) if isinstance(message, str) else "(no message)",
        type=_user_type(kind) if isinstance(kind, str) else None,
        stack=_cut(stack, STACK_KEPT) if isinstance(stack, str) else None,
        code=error_code(code),
        data=data,
        retryable=retryable,
        retry_after_ms=retry_after if is_delay(retry_after) else None,
        cause=_read_cause(error.get("cause"), MAX_CAUSES),
    )


def _read_cause(cause: Any, most: int) -> dict[str, Any] | None:
    """What is kept of the error behind an error, and of those behind it."""
    if isinstance(cause, str):
        return {"message": _cut(cause, MESSAGE_KEPT)}
    if not isinstance(cause, dict) or most == 0:
        return None

    kind, message, code = cause.get("type"), cause.get("message"), error_code(cause.get("code"))
    behind = _read_cause(cause.get("cause"), most - 1)

    return {
        **({"type": _user_type(kind)} if isinstance(kind, str) else {}),
        "message": _cut(message, MESSAGE_KEPT) if isinstance(message, str) else "(no message)",
        **({} if code is None else {"code": code}),
        **({} if behind is None else {"cause": behind}),
    }


def _protocol_message(version: int, value: dict[str, Any], text: bytes) -> Message:
    if version != VERSION:
        return Broken(f"speaks protocol {str(version)[:20]}; this supervisor speaks {VERSION}")

    job_id = value.get("id")
    match value.get("type"):
        case "hello":
            caps = value.get("caps")
            names = caps if isinstance(caps, list) else []
            return Hello(frozenset(name for name in names if isinstance(name, str)))
        case "result" if isinstance(job_id, str):
            if value.get("status") == "ok":
                return Answer(job_id, value=member_text(text, "result") or b"null")
            if value.get("status") == "error":
                return Answer(job_id, failure=read_error(value.get("error")))
            return Broken(f"result has no status ok or error: {quote(text)}")
        case "progress" if isinstance(job_id, str):
            return Progress(job_id, member_text(text, "value") or b"null")
        case "log" if isinstance(job_id, str):
            return Log(job_id, _log_text(value))
        case "heartbeat" if isinstance(job_id, str):
            return Heartbeat(job_id)
        case "emit" if isinstance(job_id, str):
            return Emit(job_id, member_text(text, "chunk") or b"null")
        case "call" if isinstance(job_id, str):
            return _ask(job_id, value, text)
        case "pong":
            n = value.get("n")
            return Pong(n) if isinstance(n, int) and not isinstance(n, bool) else Ignored()
        case "fatal":
            return Fatal(read_error(value.get("error")).message)
        case "result" | "progress" | "log" | "heartbeat" | "emit" | "call" as kind:
            return Broken(f"{kind} has no id: {quote(text)}")
        case kind if value.get("must") is True:
            shown = _cut(repr(kind), TYPE_KEPT)
            return Broken(f"demands message type {shown}, which this supervisor does not know")
        case _:
            return Ignored()


def _ask(job_id: str, value: dict[str, Any], text: bytes) -> Message:
    number, verb, args = value.get("re"), value.get("verb"), value.get("args")
    if not isinstance(number, int | str) or isinstance(number, bool):
        return Broken(f"call has no number to reply to in its member re: {quote(text)}")
    # it comes back in the reply: a long one would make that too long for a line
    if isinstance(number, str) and len(number) > TYPE_KEPT:
        return Broken(f"call has a member re of more than {TYPE_KEPT} characters: {quote(text)}")

    return Ask(
        job_id,
        re=member_text(text, "re") or b"null",
        verb=_cut(verb, TYPE_KEPT) if isinstance(verb, str) else "",
        args=(member_text(text, "args") or b"{}") if isinstance(args, dict) else b"{}",
    )


def _log_text(value: dict[str, Any]) -> bytes:
    message = value.get("message")
    row = {
        "level": value["level"] if isinstance(value.get("level"), str) else "info",
        "message": _cut(message if isinstance(message, str) else "", MESSAGE_KEPT),
    }
    fields = value.get("fields")
    if isinstance(fields, dict) and fields:
        row["fields"] = fields

    return orjson.dumps(row)


def _may_be_json(text: bytes) -> bool:
    """Whether a text begins and ends like JSON, strict or not: a flood of noise must be cheap."""
    first, last = text[:1], text[-1:]
    if first in _LAST_OF:
        return last == _LAST_OF[first] or len(text) > _SHORT_BYTES
    if first.isalpha():
        return text in _JSON_WORDS

    return last.isdigit() or text == b"-Infinity" or first == _BOM[:1]


def _is_lenient_json(text: bytes) -> bool:
    """Whether a reader that is not strict takes the text for JSON."""
    try:
        # an integer too long for Python is one all the same
        json.loads(text.decode("utf-8-sig", "replace"), strict=False, parse_int=float)
    except RecursionError:
        return True
    except ValueError:
        return False

    return True


def is_delay(value: Any) -> bool:
    """Whether a handler may ask for this delay, in milliseconds."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_MS


def error_code(code: Any) -> str | int | None:
    """A handler's code of its error as it is kept: a text or an integer, or None."""
    if isinstance(code, str):
        return _cut(code, TYPE_KEPT)
    if isinstance(code, bool) or not isinstance(code, int) or abs(code) >= 2**63:
        return None

    return int(code)


def _user_type(kind: str) -> str:
    kind = _cut(kind, TYPE_KEPT)
    return (
        "user." + kind.removeprefix(RESERVED_PREFIX) if kind.startswith(RESERVED_PREFIX) else kind
    )


def _cut(text: str, most: int) -> str:
    # a lone surrogate cannot be stored; the child's other words can
    text = text.encode("utf-8", "backslashreplace").decode()
    return text if len(text) <= most else f"{text[:most]}… ({len(text) - most} more characters)"
