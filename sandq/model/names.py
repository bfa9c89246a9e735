"""What queues, jobs and workers may be called."""

import difflib
import re
from collections.abc import Iterable

from sandq.errors import InvalidInput

#: The handler that serves every name without one of its own (seed 0).
ANY_NAME = "*"

#: Longest job name, in bytes of UTF-8 (seed 3).
MAX_NAME_BYTES = 256

#: Longest job id, in bytes of UTF-8.
MAX_ID_BYTES = 256

#: How the ids of a repeatable job's occurrences begin.
REPEAT_PREFIX = "repeat:"

_QUEUE = re.compile(r"[A-Za-z0-9_.-]{1,128}")
_PREFIX = re.compile(r"[A-Za-z0-9_.:-]{1,128}")
_CONTROL_IN_NAME = re.compile(r"[\x00-\x1f\x7f]")
_CONTROL = re.compile(r"[\x00-\x20\x7f]|\s")


def is_queue_name(name: str) -> bool:
    """Whether a queue may bear this name."""
    return _QUEUE.fullmatch(name) is not None


def check_queue_name(name: str) -> str:
    """`name`, if a queue may bear it (seed 2's alphabet: it stands inside a Redis hash tag)."""
    if not isinstance(name, str) or not is_queue_name(name):
        raise InvalidInput(
            f"queue name {name!r} is not allowed; use 1 to 128 letters, digits, '_', '.' or '-'"
        )

    return name


def check_prefix(prefix: str) -> str:
    """`prefix`, if the keys of a queue may begin with it."""
    if not isinstance(prefix, str) or _PREFIX.fullmatch(prefix) is None:
        raise InvalidInput(
            f"key prefix {prefix!r} is not allowed; use letters, digits, '_', '.', ':' or '-'"
        )

    return prefix


def check_job_name(name: str) -> str:
    """`name`, if a job may bear it."""
    if not isinstance(name, str) or name == "":
        raise InvalidInput(f"job name must be a text that is not empty: {name!r}")

    if _CONTROL_IN_NAME.search(name):
        raise InvalidInput(f"job name {name!r} must hold no control characters")

    size = len(_utf8(name, "job name"))
    if size > MAX_NAME_BYTES:
        raise InvalidInput(f"job name is {size} bytes long; at most {MAX_NAME_BYTES} are allowed")

    return name


def check_job_id(job_id: str) -> str:
    """`job_id`, if a caller may choose it.

    Reserved are ids of digits alone, which the queue's own counter makes, and those that begin
    with "repeat:", which the occurrences of repeatable jobs have (seed 0).
    """
    if not isinstance(job_id, str) or job_id == "":
        raise InvalidInput(f"job id must be a text that is not empty: {job_id!r}")
    if job_id.isascii() and job_id.isdigit():
        raise InvalidInput(
            f"job id {job_id!r} is reserved: ids of digits alone come from the queue's counter; "
            "add a letter"
        )
    if job_id.startswith(REPEAT_PREFIX):
        raise InvalidInput(
            f"job id {job_id!r} is reserved: ids that begin with {REPEAT_PREFIX!r} belong to "
            "repeatable jobs; choose another beginning"
        )
    if _CONTROL.search(job_id):
        raise InvalidInput(f"job id {job_id!r} must hold no spaces and no control characters")

    size = len(_utf8(job_id, "job id"))
    if size > MAX_ID_BYTES:
        raise InvalidInput(f"job id is {size} bytes long; at most {MAX_ID_BYTES} are allowed")

    return job_id


def nearest(name: object, known: Iterable[str]) -> str:
    """A hint that names the known word closest to `name`, or lists them all."""
    names = sorted(known)
    close = difflib.get_close_matches(str(name), names, n=1, cutoff=0.6)

    return f"did you mean {close[0]!r}?" if close else f"known are: {', '.join(names)}"


def _utf8(text: str, what: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise InvalidInput(f"{what} {text!r} holds a lone surrogate; it is not UTF-8") from error
