"""A job as it is stored, and a claim on one."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sandq.model.payload import decode_stored
from sandq.model.states import JobState


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job on its way into the queue: everything checked, everything bytes.

    `job_id` is empty when the queue's counter is to give one; `opts` is empty for the defaults.
    `extras` is empty for most jobs; else a JSON object of what the script that adds the job needs
    beside the rest, each member only if it was given:

    | member         | form                | meaning                                          |
    |----------------|---------------------|--------------------------------------------------|
    | `lifo`         | `true`              | before the other jobs of its rank                |
    | `run_at`       | ms since 1970       | when it may start; what has passed means now     |
    | `expires_at`   | ms since 1970       | it must not be started after this moment         |
    | `group`        | text                | the tenant it counts for                         |
    | `dedup`        | text                | the key under which it is added once             |
    | `dedup_ttl_ms` | integer from 1      | how long after it may start that key holds       |
    | `tags`         | array of texts      | words to find it by                              |
    """

    job_id: str
    name: str
    data: bytes
    opts: bytes
    priority: int
    delay_ms: int
    extras: bytes


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to run one job once, proved by `token`, until the lease ends.

    `attempts` counts the failures so far; `stalls` the supervisors that vanished with the job.
    """

    queue: str
    id: str
    token: str
    name: str
    data: bytes
    opts: bytes
    attempts: int
    stalls: int
    priority: int
    created_ms: int


@dataclass(frozen=True, slots=True)
class JobRecord:
    """A job as Redis holds it; times are milliseconds since 1970 by the server's clock.

    `data`, `value` and `progress` are JSON text, byte for byte; None where there is none yet.
    `attempts` counts failures, `claims` starts, `stalls` supervisors that vanished with it.

    - `expires_ms`: it must not be started after this; `retried_ms`: when it was last retried by
      hand.
    - `cancel`: why it is to be cancelled while it runs, or was cancelled; None if neither.
    - `discarded`: a failure of the attempt that runs is final.
    - `repeat`: the key of the series it is an occurrence of; `dedup`: the key it was added under.
    - `token`: proves the newest claim; None if there is none, or it was taken away. A secret: who
      has it may end the job.
    """

    id: str
    name: str
    data: bytes
    opts: bytes
    state: JobState
    priority: int
    attempts: int
    claims: int
    stalls: int
    created_ms: int
    due_ms: int | None
    started_ms: int | None
    finished_ms: int | None
    worker: str | None
    progress: bytes | None
    value: bytes | None
    failure: dict[str, Any] | None
    sandbox: str | None = None
    group: str | None = None
    tags: tuple[str, ...] = ()
    expires_ms: int | None = None
    retried_ms: int | None = None
    cancel: str | None = None
    discarded: bool = False
    repeat: str | None = None
    dedup: str | None = None
    token: str | None = field(default=None, repr=False)

    @classmethod
    def from_hash(cls, job_id: str, fields: Mapping[bytes, bytes]) -> "JobRecord":
        """The record in the fields of a job's hash (spec/storage.md)."""

        def number(name: bytes) -> int | None:
            text = fields.get(name)
            return None if text is None else int(text)

        def words(name: bytes) -> str | None:
            # whatever another producer may have written must not stop a supervisor
            text = fields.get(name)
            return None if text is None else text.decode("utf-8", "backslashreplace")

        state = JobState(fields.get(b"state", b"waiting").decode())
        failure = fields.get(b"failure")
        tags = fields.get(b"tags")

        return cls(
            id=job_id,
            name=fields[b"name"].decode("utf-8", "backslashreplace"),
            data=_whole_data(fields),
            opts=fields.get(b"opts", b""),
            state=state,
            priority=number(b"priority") or 0,
            attempts=number(b"attempts") or 0,
            claims=number(b"claims") or 0,
            stalls=number(b"stalls") or 0,
            created_ms=int(fields[b"created"]),
            due_ms=number(b"due") if state is JobState.DELAYED else None,
            started_ms=number(b"started"),
            finished_ms=number(b"finished"),
            worker=words(b"worker"),
            progress=fields.get(b"progress"),
            value=fields.get(b"value"),
            failure=None if failure is None else decode_stored(failure),
            sandbox=words(b"sandbox"),
            group=words(b"group"),
            tags=() if tags is None else tuple(decode_stored(tags)),
            expires_ms=number(b"expires"),
            retried_ms=number(b"retried"),
            cancel=words(b"cancel"),
            discarded=fields.get(b"discard") == b"1",
            repeat=words(b"repeat"),
            dedup=words(b"dedup"),
            token=words(b"token") or None,
        )


#: Data is kept in pieces of so many bytes, so that the hash of a small job stays small.
_PIECE_BYTES = 64
_PIECES = tuple(b"data%d" % number for number in range(1, 8))


def _whole_data(fields: Mapping[bytes, bytes]) -> bytes:
    first = fields[b"data"]
    if len(first) != _PIECE_BYTES:
        return first

    return first + b"".join(fields.get(name, b"") for name in _PIECES)
