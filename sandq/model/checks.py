"""Checks that several inputs share: numbers, words, labels, tags, metadata.

| what     | form                                                          | source |
|----------|---------------------------------------------------------------|--------|
| text     | UTF-8, not empty                                              | –      |
| label    | 1 to 256 bytes of UTF-8, no control characters, or no spaces either | –  |
| tags     | at most 100 labels, each once, in the order given             | seed 2 |
| metadata | at most 64 texts by name, at most 16 KiB of JSON text         | seed 4 |

All raise InvalidInput, which says what was wrong with what.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from sandq.errors import InvalidInput

#: Longest label (a tag, a group, a dedup key), in bytes of UTF-8: it may be part of a Redis key.
MAX_LABEL_BYTES = 256

#: Most tags of one job: each is a set of Redis that the job is a member of.
MAX_TAGS = 100

#: Most entries of a job's metadata, and their size in bytes of JSON text: every claim carries it.
MAX_METADATA = 64
MAX_METADATA_BYTES = 16 * 1024

#: The last position a range may name: no queue holds so many jobs.
MAX_POSITION = 2**53

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_CONTROL_OR_SPACE = re.compile(r"[\x00-\x20\x7f]|\s")


def check_integer(what: str, value: Any, low: int, high: int) -> int:
    """`value`, if it is a whole number from `low` to `high`."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise InvalidInput(f"{what} must be a whole number from {low} to {high}: {value!r}")

    return value


def check_flag(what: str, value: Any) -> bool:
    """`value`, if it is True or False: a number or a word in its place is a mistake."""
    if not isinstance(value, bool):
        raise InvalidInput(f"{what} must be True or False: {value!r}")

    return value


def check_text(what: str, value: Any) -> str:
    """`value`, if it is a text that is not empty and can be written as UTF-8."""
    if not isinstance(value, str) or value == "":
        raise InvalidInput(f"{what} must be a text that is not empty: {value!r}")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise InvalidInput(f"{what} {value!r} holds a lone surrogate; it is not UTF-8") from error

    return value


def check_range(start: Any, end: Any) -> None:
    """Refuse what is no range of positions; negative ones count from the end."""
    check_integer("start", start, -MAX_POSITION, MAX_POSITION)
    check_integer("end", end, -MAX_POSITION, MAX_POSITION)


def check_label(what: str, value: Any, *, spaces: bool = True) -> str:
    """`value`, if it is a label; without `spaces` it must hold none."""
    text = check_text(what, value)
    if (_CONTROL if spaces else _CONTROL_OR_SPACE).search(text):
        refused = "control characters" if spaces else "spaces and no control characters"
        raise InvalidInput(f"{what} {text!r} must hold no {refused}")

    size = len(text.encode())
    if size > MAX_LABEL_BYTES:
        raise InvalidInput(f"{what} is {size} bytes long; at most {MAX_LABEL_BYTES} are allowed")

    return text


def check_tags(tags: Any) -> tuple[str, ...]:
    """The tags of a job, each once, in the order given."""
    if isinstance(tags, str):
        raise InvalidInput(f"tags must be a list of texts, not one text; write [{tags!r}]")
    if not isinstance(tags, Sequence) or isinstance(tags, bytes | bytearray):
        raise InvalidInput(f"tags must be a list of texts: {tags!r}")

    once = tuple(dict.fromkeys(check_label("tag", tag) for tag in tags))
    if len(once) > MAX_TAGS:
        raise InvalidInput(f"tags are {len(once)}; at most {MAX_TAGS} are allowed")

    return once


def check_metadata(metadata: Any) -> dict[str, str]:
    """A copy of a job's metadata."""
    if not isinstance(metadata, Mapping):
        raise InvalidInput(f"metadata must be a mapping of text to text: {metadata!r}")
    for name, value in metadata.items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise InvalidInput(f"metadata must map text to text, not {name!r} to {value!r}")
    if len(metadata) > MAX_METADATA:
        raise InvalidInput(
            f"metadata has {len(metadata)} entries; at most {MAX_METADATA} are allowed"
        )

    copy = dict(metadata)
    try:
        size = len(orjson.dumps(copy))
    except TypeError as error:
        # of a mapping of texts nothing else can be wrong
        raise InvalidInput(f"metadata holds a lone surrogate; it is not UTF-8: {copy!r}") from error
    if size > MAX_METADATA_BYTES:
        raise InvalidInput(
            f"metadata is {size} bytes of JSON; at most {MAX_METADATA_BYTES} are allowed. Put "
            "what is large into the job's data"
        )

    return copy
