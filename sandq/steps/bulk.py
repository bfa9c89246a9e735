"""Verbs of many jobs: in batches, so that Redis is never held up by one of them."""

import re
from collections.abc import Sequence

from sandq.errors import InvalidInput, QueueBusy
from sandq.model.checks import MAX_POSITION, check_flag, check_integer, check_text
from sandq.model.duration import Duration, to_ms
from sandq.model.outcome import FailureKind
from sandq.model.states import FINAL, JobState
from sandq.steps.runner import Steps
from sandq.store import calls, reads, verbs
from sandq.store.calls import text_of
from sandq.store.keys import SINGLE
from sandq.store.verbs import AT_ONCE

#: More stalls than this are no limit.
MAX_STALLS = 1_000_000

#: What `obliterate` empties, in this order: what runs first, so that nothing comes back of it.
ALL_STATES = (
    JobState.ACTIVE,
    JobState.WAITING,
    JobState.DELAYED,
    JobState.COMPLETED,
    JobState.FAILED,
    JobState.CANCELLED,
)


def retry_many(
    state: str, count: int | None, reset: bool, kind: str | None = None
) -> Steps[list[str]]:
    """Run ended jobs of a state again, oldest first; their ids.

    Those that end once more meanwhile are not taken a second time.
    """
    ended = check_ended(state)
    _check_count("count", count)
    check_flag("reset_attempts", reset)
    if kind is not None and kind not in list(FailureKind):
        known = ", ".join(sorted(FailureKind))
        raise InvalidInput(f"failure kind {kind!r} is not known; known are: {known}")

    ids: list[str] = []
    before = ""
    while count is None or len(ids) < count:
        most = AT_ONCE if count is None else min(AT_ONCE, count - len(ids))
        batch, before = yield verbs.retry_many(ended, reset, most, before, kind or "")
        ids += batch
        if len(batch) < most:
            break

    return ids


def replay_dead(limit: int, kind: str | None) -> Steps[list[str]]:
    """Run the oldest failed jobs, or those of a kind, again with all their attempts; their ids."""
    check_integer("limit", limit, 0, MAX_POSITION)

    return (yield from retry_many(JobState.FAILED, limit, True, kind))


def clean(grace: Duration, state: str, limit: int) -> Steps[list[str]]:
    """Remove jobs of a state that are older than the grace; their ids. A limit of 0 is none."""
    grace_ms = to_ms(grace, "grace")
    _check_count("limit", limit)
    if state not in list(JobState):
        raise InvalidInput(f"state {state!r} is not known; known are: {', '.join(JobState)}")

    ids: list[str] = []
    for part in ("waiting", "parked") if state == "waiting" else (state,):
        begin = 0
        while begin >= 0 and not (limit and len(ids) >= limit):
            most = min(AT_ONCE, limit - len(ids)) if limit else AT_ONCE
            begin, gone = yield verbs.clean(part, grace_ms, begin, most)
            ids += gone

    return ids


def empty(states: Sequence[JobState]) -> Steps[int]:
    """Remove all jobs of these states; how many there were."""
    gone: int = 0
    while True:
        now_gone, left = yield verbs.empty(states)
        gone += now_gone
        if left == 0 or now_gone == 0:
            return gone


def begin_obliterate(force: bool) -> Steps[None]:
    """Pause the queue and remove all its jobs; raises QueueBusy while some run, unless forced."""
    if not force:
        yield from _refuse_busy()
    check_flag("force", force)
    changed = yield verbs.pause(True)
    try:
        # some may have been claimed just before
        if not force:
            yield from _refuse_busy()
    except QueueBusy:
        if changed:
            yield verbs.pause(False)
        raise
    yield from empty(ALL_STATES)


def obliterate_found(base: str, keys: Sequence[bytes]) -> Steps[list[bytes]]:
    """Remove the jobs among the keys of a queue; the other keys that may be deleted as they are.

    What the queue has one of goes in the end, all at once.
    """
    ids = ids_of(base, [key for key in keys if key.startswith(f"{base}job:".encode())])
    yield from remove_many(ids, force=True)
    single = {(base + name).encode() for name in SINGLE}

    return [key for key in keys if key not in single]


def end_obliterate() -> Steps[None]:
    """Remove what is left of the queue, and what was added meanwhile."""
    while (yield verbs.obliterate(SINGLE)):
        yield from empty(ALL_STATES)


def _refuse_busy() -> Steps[None]:
    counts = yield reads.counts()
    if counts["active"]:
        raise QueueBusy(
            f"{counts['active']} jobs are being run, so nothing was removed; wait for them, cancel "
            "them, or give force=True"
        )


def remove_many(job_ids: Sequence[str], force: bool = False) -> Steps[list[str]]:
    """Remove jobs; the ids of those that are gone now. Those that run are left, unless forced."""
    check_flag("force", force)
    gone: list[str] = []
    for start in range(0, len(job_ids), AT_ONCE):
        chunk = job_ids[start : start + AT_ONCE]
        statuses = yield verbs.remove(chunk, force)
        gone += (job_id for job_id, s in zip(chunk, statuses, strict=True) if s == "removed")

    return gone


def reclaim(max_stalls: int) -> Steps[list[str]]:
    """Recover the jobs of vanished supervisors now; their ids."""
    check_integer("max_stalls", max_stalls, 0, MAX_STALLS)
    ids: list[str] = []
    while True:
        recovered = yield calls.recover(AT_ONCE, max_stalls)
        ids += (job.id for job in recovered)
        if len(recovered) < AT_ONCE:
            return ids


def check_glob(glob: str) -> str:
    """`glob`, unless it would match every job."""
    check_text("pattern", glob)
    if glob.strip("*?") == "":
        raise InvalidInput(
            f"pattern {glob!r} matches all jobs; call empty() or obliterate() if you mean that"
        )

    return glob


def check_ended(state: str) -> JobState:
    """The state of this name, if it is one in which a job has ended."""
    for ended in FINAL:
        if ended.value == state:
            return ended

    known = ", ".join(sorted(FINAL))
    raise InvalidInput(f"state {state!r} is not one in which a job has ended; those are: {known}")


def _check_count(what: str, count: int | None) -> None:
    if count is not None and (isinstance(count, bool) or not isinstance(count, int) or count < 0):
        raise InvalidInput(f"{what} must be a number of at least 0: {count!r}")


def every_key(base: str) -> str:
    """The pattern of all keys of a queue."""
    return _literal(base) + "*"


def job_keys(base: str, pattern: str) -> str:
    """The pattern of the keys of jobs whose ids match a glob."""
    return f"{_literal(base)}job:{check_glob(pattern)}"


def ids_of(base: str, keys: Sequence[bytes]) -> list[str]:
    """The ids in the keys of jobs, each once."""
    start = len(f"{base}job:".encode())

    return list(dict.fromkeys(text_of(key[start:]) for key in keys))


def _literal(text: str) -> str:
    """`text` as a glob that matches itself alone."""
    return re.sub(r"([\\*?\[\]^-])", r"\\\1", text)
