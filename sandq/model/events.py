"""What a queue tells the outside: one entry of its event stream per change."""

import re
from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from enum import StrEnum

from sandq.errors import InvalidInput
from sandq.model.states import FINAL

_EVENT_ID = re.compile(r"[0-9]{1,20}(-[0-9]{1,20})?")


class EventKind(StrEnum):
    """The words in field `e` of an entry. Source: seeds 0 and 3 (spec/storage.md)."""

    WAITING = "waiting"
    DELAYED = "delayed"
    DUPLICATED = "duplicated"
    ACTIVE = "active"
    PROGRESS = "progress"
    EMITTED = "emitted"
    UPDATED = "updated"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"
    RETRYING = "retry-scheduled"
    RELEASED = "released"
    STALLED = "stalled"
    RATE_LIMITED = "rate-limited"
    REMOVED = "removed"
    CLEANED = "cleaned"
    DRAINED = "drained"
    PAUSED = "paused"
    RESUMED = "resumed"
    CONFIGURED = "configured"


#: Kinds after which a waiter has to look at its job.
ENDINGS = frozenset(
    kind.value
    for kind in (EventKind.COMPLETED, EventKind.FAILED, EventKind.CANCELLED, EventKind.REMOVED)
)


@dataclass(frozen=True, slots=True)
class Event:
    """One entry of the stream.

    - `id`: its place in the stream: ms since 1970 by the server's clock, and a number.
    - `kind`: the word of an EventKind, or of one that a newer version has made.
    - `job_id`: the job it speaks of; empty when it speaks of the queue.
    - `fields`: what else it says, by name (spec/storage.md).
    """

    id: str
    kind: str
    job_id: str
    fields: Mapping[str, str] = field(default_factory=dict)

    @property
    def at(self) -> float:
        """When it happened, in seconds since 1970."""
        return int(self.id.partition("-")[0]) / 1000


def tells_of_end(event: Event, job_id: str) -> bool:
    """Whether who waits for this job is told by the event that it has ended or may be gone."""
    if event.job_id == job_id:
        return event.kind in ENDINGS

    return may_end_any(event)


def may_end_any(event: Event) -> bool:
    """Whether jobs that had not ended were removed by the event, which does not say which."""
    return event.kind == EventKind.CLEANED and event.fields.get("state") not in FINAL


class LocalEvents:
    """Tells the events of jobs that certain supervisors run from those of others (seed 0).

    A job is theirs from the moment one of them claims it until another one does.
    """

    def __init__(self, workers: Set[str]) -> None:
        self._workers = workers
        self._jobs: set[str] = set()

    def add(self, job_id: str, worker: str | None) -> None:
        """A job that was being run already when the reading began, and by whom."""
        if worker in self._workers:
            self._jobs.add(job_id)

    def is_mine(self, event: Event) -> bool:
        """Whether the event, the next of the stream, is about one of their jobs."""
        if event.kind == EventKind.ACTIVE:
            if event.fields.get("worker") in self._workers:
                self._jobs.add(event.job_id)
            else:
                self._jobs.discard(event.job_id)
        mine = event.job_id in self._jobs
        if event.kind in _LEAVES:
            self._jobs.discard(event.job_id)

        return mine


#: After these a job is nobody's until it is claimed again.
_LEAVES = ENDINGS | {EventKind.RETRYING.value, EventKind.RELEASED.value, EventKind.STALLED.value}


def check_from_id(event_id: str) -> str:
    """`event_id`, if it is the id of an event; raises InvalidInput."""
    if not isinstance(event_id, str) or _EVENT_ID.fullmatch(event_id) is None:
        raise InvalidInput(
            f"from_id must be the id of an event, such as '1700000000000-0', or '0': {event_id!r}"
        )

    return event_id
