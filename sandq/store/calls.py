"""One pure builder per verb of a job's straight way: what to send, and how to read the reply.

The builders of all other verbs are in `sandq.store.verbs` and `sandq.store.reads`. A Call knows
nothing of connections, so the async and the sync runner share every builder.
`now` is empty for the server's own clock; tests give milliseconds.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sandq.model.bounds import LOG_ROWS_FIRST, LOG_ROWS_NEWEST
from sandq.model.job import Claim, NewJob
from sandq.model.states import JobState
from sandq.model.verdict import Verdict
from sandq.store.keys import LAYOUT

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One call of a script: its name, its ARGV, and the reader of its reply."""

    script: str
    args: Sequence[Any]
    read: Callable[[Any], T]


@dataclass(frozen=True, slots=True)
class Claimed:
    """The reply of a claim.

    `next_due_ms` is when a claim may find more, None if time alone brings nothing;
    `next_fire_ms` is when a series has to make its next occurrence, None without series.
    """

    now_ms: int
    lease_end_ms: int
    next_due_ms: int | None
    left: int
    next_fire_ms: int | None
    claims: list[Claim]


@dataclass(frozen=True, slots=True)
class Settlement:
    """A verdict on the attempt that a claim gave the right to.

    `retain` says what is kept of the job if it ends: see `sandq.model.keep`.
    """

    claim: Claim
    verdict: Verdict
    retain: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """What a running attempt says: `kind` is "progress", "log" or "emit", `text` is JSON.

    The text of "emit" has its number in the attempt before it, from 0, and a space.
    """

    claim: Claim
    kind: str
    text: bytes


@dataclass(frozen=True, slots=True)
class Recovered:
    """A stalled job: where it went, and the worker that vanished with it."""

    id: str
    state: JobState
    worker: str


def open_queue() -> Call[tuple[int, str, bytes]]:
    """Learn the layout of the queue's data, and its settings: their version and their text.

    A queue without any data gets our layout.
    """

    def read(reply: Any) -> tuple[int, str, bytes]:
        layout, version, settings = reply
        return LAYOUT if layout is None else int(layout), text_of(version), settings or b""

    return Call("open", (), read)


def add(jobs: Sequence[NewJob], version: str = "", now: str = "") -> Call[list[str]]:
    """Put jobs into the queue, all or none; the answer is their ids, in order.

    `version` is that of the queue's settings they were made by; empty: any. StaleSettings is
    raised when it is another one by now, QueueFull when the queue takes no more.
    """
    args: list[Any] = [now, version]
    for job in jobs:
        args += (job.job_id, job.name, job.data, job.opts, job.priority, job.delay_ms, job.extras)

    return Call("add", args, read_ids)


def claim(
    queue: str, n: int, token: str, worker: str, lease_ms: int, now: str = ""
) -> Call[Claimed]:
    """Take up to `n` waiting jobs under `token`."""
    return Call(
        "claim", (now, n, token, worker, lease_ms), lambda reply: _read_claimed(queue, token, reply)
    )


def settle_and_claim(
    queue: str,
    settlements: Sequence[Settlement],
    n: int,
    token: str,
    worker: str,
    lease_ms: int,
    now: str = "",
) -> Call[tuple[list[str], Claimed]]:
    """Write verdicts and take up to `n` jobs; the statuses are in the order of `settlements`.

    A status is "ok", "done" (settled before, by a call whose reply was lost), "lost" (the job
    is no longer this claim's) or "missing".
    """
    args: list[Any] = [now, n, token, worker, lease_ms]
    for item in settlements:
        verdict = item.verdict
        args += (
            item.claim.id,
            item.claim.token,
            verdict.action.value,
            verdict.delay_ms,
            verdict.kind,
            verdict.payload,
            item.retain,
        )

    def read(reply: Any) -> tuple[list[str], Claimed]:
        return read_ids(reply[0]), _read_claimed(queue, token, reply[1])

    return Call("settle_and_claim", args, read)


def disclaim(tokens: Sequence[str], now: str = "") -> Call[list[str]]:
    """Give back what claims took whose replies were lost; the answer is the ids."""
    return Call("disclaim", (now, *tokens), read_ids)


def ring() -> Call[None]:
    """Pass the bell on to another idle supervisor."""
    return Call("ring", (), lambda _: None)


def renew(claims: Sequence[Claim], lease_ms: int, now: str = "") -> Call[set[str]]:
    """Prolong leases; the answer is the ids of those that are lost."""
    args: list[Any] = [now, lease_ms]
    for item in claims:
        args += (item.id, item.token)

    return Call("renew", args, lambda reply: set(read_ids(reply)))


def recover(most: int, max_stalls: int, now: str = "") -> Call[list[Recovered]]:
    """Give back, or fail, up to `most` jobs whose lease has ended."""

    def read(reply: Any) -> list[Recovered]:
        return [
            Recovered(text_of(job_id), JobState(state.decode()), text_of(worker))
            for job_id, state, worker in reply
        ]

    return Call("recover", (now, most, max_stalls), read)


def tend(now: str = "") -> Call[tuple[int, bool]]:
    """Do what time alone brings: how many due jobs became waiting, and whether there is more."""
    return Call("tend", (now,), lambda reply: (int(reply[0]), bool(reply[2])))


def heed() -> Call[dict[str, str]]:
    """The jobs that are to be stopped, and why."""

    def read(reply: list[bytes]) -> dict[str, str]:
        return {
            text_of(job_id): text_of(reason).partition(" ")[2]
            for job_id, reason in zip(reply[::2], reply[1::2], strict=True)
        }

    return Call("heed", (), read)


def report(reports: Sequence[Report], now: str = "") -> Call[int]:
    """Keep progress, log rows and parts of results; the answer is how many were kept."""
    args: list[Any] = [now, LOG_ROWS_FIRST, LOG_ROWS_NEWEST]
    for item in reports:
        args += (item.claim.id, item.claim.token, item.kind, item.text)

    return Call("report", args, int)


def read_ids(reply: list[bytes]) -> list[str]:
    """The texts of a reply."""
    return [text_of(item) for item in reply]


def text_of(item: bytes) -> str:
    """A text of a reply."""
    # whatever another producer may have written must not stop a supervisor
    return item.decode("utf-8", "backslashreplace")


def _read_claimed(queue: str, token: str, reply: list[Any]) -> Claimed:
    now_ms, lease_end_ms, next_due, left = int(reply[0]), int(reply[1]), int(reply[2]), reply[3]
    next_fire = int(reply[4])

    return Claimed(
        now_ms=now_ms,
        lease_end_ms=lease_end_ms,
        next_due_ms=None if next_due < 0 else next_due,
        left=left,
        next_fire_ms=None if next_fire < 0 else next_fire,
        claims=[
            Claim(
                queue,
                text_of(job_id),
                token,
                text_of(name),
                data,
                opts,
                int(attempts),
                int(stalls),
                int(priority),
                int(created),
            )
            for job_id, name, data, opts, attempts, stalls, priority, created in reply[5:]
        ],
    )
