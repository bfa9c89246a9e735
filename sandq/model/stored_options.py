"""The stored options of a job, read back: what a supervisor needs of them."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import orjson

from sandq.errors import InvalidInput
from sandq.model.backoff import Backoff
from sandq.model.checks import check_integer, check_label
from sandq.model.duration import MAX_MS
from sandq.model.keep import Keep, retain_text

#: More attempts than this are taken for a mistake.
MAX_ATTEMPTS = 1_000_000

#: Most failure records of earlier attempts that are kept with a job.
MAX_STACK_TRACES = 1000


@dataclass(frozen=True, slots=True)
class StoredOptions:
    """What a supervisor needs of a job's stored options.

    `retain_completed` and `retain_failed` go as they are to the script that settles the job when
    it completes or fails: see `retain_text`.
    """

    attempts: int = 1
    backoff: Backoff | None = None
    timeout_ms: int | None = None
    delay_ms: int = 0
    retain_completed: str = ""
    retain_failed: str = ""
    heartbeat_timeout_ms: int | None = None
    pool_key: str | None = None


@lru_cache(maxsize=1024)
def read_options(text: bytes) -> StoredOptions:
    """The reverse of `JobOptions.to_text`; jobs of one kind share one text, so it is cached.

    Members that are not known are ignored: a newer producer may have written them. Raises
    InvalidInput for options that nobody could have meant.
    """
    if text == b"":
        return StoredOptions()

    try:
        members = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise InvalidInput(f"stored options are not JSON: {error}") from error
    if not isinstance(members, dict):
        raise InvalidInput(f"stored options must be an object: {members!r}")

    backoff, pool_key = members.get("backoff"), members.get("pool_key")
    ttl_ms = _number(members, "result_ttl_ms", 1, MAX_MS)
    history = _number(members, "stack_trace_limit", 0, MAX_STACK_TRACES)

    return StoredOptions(
        attempts=check_integer("attempts", members.get("attempts", 1), 1, MAX_ATTEMPTS),
        backoff=None if backoff is None else Backoff.from_member(backoff),
        timeout_ms=_number(members, "timeout_ms", 1, MAX_MS),
        delay_ms=check_integer("delay_ms", members.get("delay_ms", 0), 0, MAX_MS),
        retain_completed=retain_text(_keep(members, "remove_on_complete"), ttl_ms=ttl_ms),
        retain_failed=retain_text(_keep(members, "remove_on_fail"), history=history),
        heartbeat_timeout_ms=_number(members, "heartbeat_timeout_ms", 1, MAX_MS),
        pool_key=None if pool_key is None else check_label("pool_key", pool_key),
    )


def _number(members: dict[str, Any], name: str, low: int, high: int) -> int | None:
    value = members.get(name)

    return None if value is None else check_integer(name, value, low, high)


def _keep(members: dict[str, Any], name: str) -> Keep | None:
    member = members.get(name)

    return None if member is None else Keep.from_member(name, member)
