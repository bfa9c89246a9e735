"""Payloads: a job's data and a handler's value, kept as the bytes of their JSON text.

Rules:
1. The text goes through Redis and through the supervisor as it is; nobody re-encodes it.
2. What cannot survive every language is refused: NaN and infinity, duplicate member names,
   nesting deeper than 64, text that is not UTF-8.
3. A text read from outside is checked once, at the door where it enters.
"""

import json
import math
import re
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum
from json.decoder import scanstring  # type: ignore[attr-defined]
from typing import Any

import orjson

from sandq.errors import InvalidInput

#: Deepest nesting of arrays and objects.
MAX_DEPTH = 64

#: Longest data of a job, in bytes of JSON text. Below the default line limit of 1 MiB, so that
#: the line around the data always fits.
MAX_DATA_BYTES = 960 * 1024

#: How much of an offending text an error quotes, in bytes.
QUOTE_BYTES = 200

_scan = json.JSONDecoder().raw_decode

# A string is one match, so that brackets inside strings are passed over.
_STRINGS_AND_BRACKETS = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{}]')


class InvalidJson(ValueError):
    """The text is not the JSON that sandq takes; the message says why."""


@dataclass(frozen=True, slots=True)
class JsonText:
    """Ready-made JSON text to be stored byte for byte, where a Python value could be given.

    `text` is UTF-8 bytes (a str is encoded). It is checked when the job is added.
    """

    text: bytes | str


def encode(value: Any, what: str = "data") -> bytes:
    """The JSON text of `value`, which is any JSON value or a JsonText.

    Raises InvalidInput when it has no JSON text that every language reads back alike.
    """
    if isinstance(value, JsonText):
        try:
            text = value.text.encode() if isinstance(value.text, str) else bytes(value.text)
            decode(text)
        except (InvalidJson, UnicodeEncodeError, TypeError) as error:
            raise InvalidInput(f"{what} is not JSON: {error}") from error
        return text

    try:
        text = orjson.dumps(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidInput(f"{what} cannot be written as JSON: {error}") from error

    # orjson writes NaN and infinity as null: only a text with a null can hide one.
    if b"null" in text and _has_non_finite(value):
        raise InvalidInput(f"{what} holds NaN or infinity, which JSON does not have")
    if deeper_than(text, MAX_DEPTH):
        raise InvalidInput(f"{what} is nested deeper than {MAX_DEPTH} levels")

    return text


def decode(text: bytes, max_depth: int = MAX_DEPTH) -> Any:
    """The value of a JSON text from outside; raises InvalidJson by the rules above."""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise InvalidJson(f"{error}: {quote(text)}") from error

    if deeper_than(text, max_depth):
        raise InvalidJson(f"nested deeper than {max_depth} levels: {quote(text)}")
    # Only a text with an object in it can repeat a name; the strict reader is slower.
    if b"{" in text and text.count(b'"') > 2:
        _refuse_duplicate_names(text)

    return value


def decode_stored(text: bytes | str) -> Any:
    """The value of a JSON text that sandq itself has stored, and so has checked before."""
    return orjson.loads(text)


def member_text(text: bytes, name: str) -> bytes | None:
    """The bytes of one member's value, as the child wrote them; `text` is a valid object."""
    source = text.decode()
    at = source.index("{") + 1
    while True:
        at = _skip(source, at)
        if source[at] == "}":
            return None
        if source[at] == ",":
            at = _skip(source, at + 1)
        key, at = scanstring(source, at + 1)
        start = _skip(source, _skip(source, at) + 1)
        _, at = _scan(source, start)
        if key == name:
            return source[start:at].encode()


def _skip(source: str, at: int) -> int:
    while source[at] in " \t\r\n":
        at += 1

    return at


def quote(text: bytes) -> str:
    """The first bytes of `text`, printable on one line, for an error message."""
    shown = text[:QUOTE_BYTES].decode("utf-8", "backslashreplace")
    rest = len(text) - QUOTE_BYTES

    return repr(shown) + (f" and {rest} more bytes" if rest > 0 else "")


def _refuse_duplicate_names(text: bytes) -> None:
    def unique(pairs: list[tuple[str, Any]]) -> None:
        if len({name for name, _ in pairs}) != len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for name in names if names.count(name) > 1)
            raise InvalidJson(f"member {twice!r} appears twice: {quote(text)}")

    json.loads(text, object_pairs_hook=unique)


def deeper_than(text: bytes, levels: int) -> bool:
    """Whether arrays and objects nest deeper than so many levels; `text` is valid JSON."""
    if text.count(b"[") + text.count(b"{") <= levels:
        return False

    depth = 0
    for match in _STRINGS_AND_BRACKETS.finditer(text):
        first = text[match.start()]
        if first in b"[{":
            depth += 1
            if depth > levels:
                return True
        elif first in b"]}":
            depth -= 1

    return False


def _has_non_finite(value: Any) -> bool:
    match value:
        case float():
            return not math.isfinite(value)
        case dict():
            return any(_has_non_finite(item) for item in value.values())
        case list() | tuple():
            return any(_has_non_finite(item) for item in value)
        case Enum():
            return _has_non_finite(value.value)
        case _ if is_dataclass(value):
            return any(_has_non_finite(getattr(value, field.name)) for field in fields(value))
        case _:
            return False
