"""Builders of the calls that change jobs, series and queues from outside a job's straight way."""

from collections.abc import Mapping, Sequence
from typing import Any

from sandq.model.bounds import LOG_ROWS_FIRST, LOG_ROWS_NEWEST
from sandq.model.job import NewJob
from sandq.model.states import JobState
from sandq.store.calls import Call, read_ids, text_of

#: Most jobs moved or removed by one call: Redis serves nobody else meanwhile.
AT_ONCE = 1000

#: Most jobs looked at by one call of `clean`.
LOOKED_AT = 5000


def configure(text: bytes, obeyed: Mapping[str, str], now: str = "") -> Call[str]:
    """Give the queue new settings; the answer is their version."""
    args: list[Any] = [now, text]
    for field, value in obeyed.items():
        args += (field, value)

    return Call("configure", args, text_of)


def call_back(begin: int) -> Call[tuple[int, int]]:
    """Let jobs wait again that a rate limit put off: where to go on (-1: at the end), and how
    many there were."""
    return Call("call_back", (begin, LOOKED_AT), lambda reply: (int(reply[0]), int(reply[1])))


def pause(on: bool) -> Call[bool]:
    """Pause or resume the queue; whether that changed anything."""
    return Call("pause", (1 if on else 0,), bool)


def update(job_id: str, data: bytes, token: str = "") -> Call[bool]:
    """Give a job other data; False if there is no such job, or `token` does not hold it."""
    return Call("update", (job_id, data, token), bool)


def discard(job_id: str) -> Call[bool]:
    """Do not try a job again if it fails; False if there is no such job."""
    return Call("discard", (job_id,), bool)


def note(job_id: str, kind: str, text: bytes, now: str = "") -> Call[bool]:
    """Keep "progress" or a "log" row of a job; False if there is no such job."""
    return Call("note", (now, LOG_ROWS_FIRST, LOG_ROWS_NEWEST, job_id, kind, text), bool)


def remove(job_ids: Sequence[str], force: bool, now: str = "") -> Call[list[str]]:
    """Remove jobs: "removed", "missing" or "active" for each."""
    return Call("remove", (now, 1 if force else 0, *job_ids), read_ids)


def cancel(job_ids: Sequence[str], reason: str, now: str = "") -> Call[list[str]]:
    """Call jobs off: "cancelled", "cancelling", "missing" or the state it ended in for each."""
    return Call("cancel", (now, reason, *job_ids), read_ids)


def retry(job_ids: Sequence[str], reset: bool, now: str = "") -> Call[list[str]]:
    """Run ended jobs again: "restarted", "missing" or the state that has not ended for each."""
    return Call("retry", (now, 1 if reset else 0, *job_ids), read_ids)


def retry_many(
    state: JobState, reset: bool, most: int, before: str = "", kind: str = "", now: str = ""
) -> Call[tuple[list[str], str]]:
    """Run the oldest ended jobs of a state again: their ids, and `before` for the next call.

    Only jobs that ended at `before` (ms) or earlier are taken, so that one which fails again
    meanwhile is not taken twice.
    """

    def read(reply: Any) -> tuple[list[str], str]:
        *ids, at = read_ids(reply)
        return ids, at

    args = (now, state.value, 1 if reset else 0, before, most, kind)

    return Call("retry_many", args, read)


def promote(job_ids: Sequence[str]) -> Call[list[str]]:
    """Let delayed jobs start now: "promoted", "missing" or the other state for each."""
    return Call("promote", tuple(job_ids), read_ids)


def clean(
    state: str, grace_ms: int, begin: int, removals: int, now: str = ""
) -> Call[tuple[int, list[str]]]:
    """Remove jobs of a state ("parked" too) older than the grace: where to go on (-1: at the
    end), and the ids."""

    def read(reply: Any) -> tuple[int, list[str]]:
        return int(reply[0]), read_ids(reply[1:])

    return Call("clean", (now, state, grace_ms, begin, LOOKED_AT, removals), read)


def empty(states: Sequence[JobState]) -> Call[tuple[int, int]]:
    """Remove jobs of these states, `AT_ONCE` of them: how many went, how many are left."""
    args = (AT_ONCE, *(state.value for state in states))

    return Call("empty", args, lambda reply: (int(reply[0]), int(reply[1])))


def obliterate(names: Sequence[str]) -> Call[int]:
    """Remove the last jobs, and with them the keys of these names; how many jobs are left: if any,
    no key was removed."""
    return Call("obliterate", (AT_ONCE, *names), int)


def upsert_series(
    key: str, first_ms: int, anchor_ms: int, rule: bytes, job: NewJob, now: str = ""
) -> Call[tuple[str, bool]]:
    """Make or replace a series: the id of its outstanding job, and whether it is new."""
    args = (now, key, first_ms, anchor_ms, rule, job.name, job.data, job.opts, job.priority)

    return Call(
        "upsert_series", (*args, job.extras), lambda reply: (text_of(reply[0]), bool(reply[1]))
    )


def fire(
    key: str, due_ms: int, drop: bool, next_ms: int | None, catch_up: Sequence[int], now: str = ""
) -> Call[list[str] | None]:
    """Make the next occurrence of a series: the ids made, None when somebody else was first."""

    def read(reply: Any) -> list[str] | None:
        status, *ids = read_ids([item for item in reply if item is not None])
        return ids if status == "fired" else None

    following = "" if next_ms is None else next_ms

    return Call("fire", (now, key, due_ms, 1 if drop else 0, following, *catch_up), read)


def remove_series(keys: Sequence[str]) -> Call[int]:
    """End series; the answer is how many there were."""
    return Call("remove_series", tuple(keys), int)


def beat(worker: str, says: bytes, kept_ms: int, now: str = "") -> Call[int]:
    """Say that a supervisor is there (`kept_ms` 0: that it leaves); how many there are."""
    return Call("beat", (now, worker, kept_ms, says), int)
