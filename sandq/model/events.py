"""What a queue tells the outside: one entry of its event stream per change."""

from dataclasses import dataclass
from enum import StrEnum


class EventKind(StrEnum):
    """The words in field `e` of an entry. Source: seeds 0 and 3."""

    WAITING = "waiting"
    DELAYED = "delayed"
    DUPLICATED = "duplicated"
    ACTIVE = "active"
    PROGRESS = "progress"
    COMPLETED = "completed"
    FAILED = "failed"
    RETRYING = "retry-scheduled"
    RELEASED = "released"
    STALLED = "stalled"


#: Kinds after which a job has ended.
ENDINGS = frozenset({EventKind.COMPLETED.value.encode(), EventKind.FAILED.value.encode()})


@dataclass(frozen=True, slots=True)
class Event:
    """One entry of the stream: `id` is its place there, `job_id` the job it speaks of."""

    id: str
    kind: str
    job_id: str
