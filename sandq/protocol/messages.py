"""What the two sides say to each other, one value type per message."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from sandq.model.bounds import EMITTED_KEPT, LOG_ROWS_KEPT
from sandq.model.job import Claim
from sandq.model.outcome import Failure

#: The version of the protocol that this supervisor speaks.
VERSION = 1


@dataclass(frozen=True, slots=True)
class Hello:
    """The child speaks the full level; `caps` are what it can do.

    A child is sent no message, beside `job` and `bye`, whose name is not among them.
    """

    caps: frozenset[str]


@dataclass(frozen=True, slots=True)
class Answer:
    """The end of a job: `value` is JSON text, or `failure` says what went wrong.

    `job_id` is None at the levels that do not name the job.
    """

    job_id: str | None
    value: bytes | None = None
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a job is; `value` is JSON text."""

    job_id: str
    value: bytes


@dataclass(frozen=True, slots=True)
class Log:
    """A row for the job's log; `text` is a JSON object with level, message and fields."""

    job_id: str
    text: bytes


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """The job is alive; every message that names it says so as well."""

    job_id: str


@dataclass(frozen=True, slots=True)
class Emit:
    """A part of the result, ahead of the end; `chunk` is JSON text."""

    job_id: str
    chunk: bytes


@dataclass(frozen=True, slots=True)
class Ask:
    """The job wants something done by the supervisor; the reply names `re`.

    `re` is JSON text: the child's own number. `args` is the JSON text of an object.
    """

    job_id: str
    re: bytes
    verb: str
    args: bytes


@dataclass(frozen=True, slots=True)
class Pong:
    """An idle child is alive: the answer to ping `n`."""

    n: int


@dataclass(frozen=True, slots=True)
class Captured:
    """A line that the job wrote for people; `stream` is stderr or stdout.

    `left_out` lines before it came too fast to be taken.
    """

    stream: str
    text: str
    left_out: int = 0


@dataclass(frozen=True, slots=True)
class Fatal:
    """The child says that it cannot serve jobs."""

    reason: str


@dataclass(frozen=True, slots=True)
class Noise:
    """A line that is no message."""

    line: bytes


@dataclass(frozen=True, slots=True)
class Ignored:
    """A message this version does not know and may pass over."""


@dataclass(frozen=True, slots=True)
class Broken:
    """A line that breaks the protocol; `reason` says how, with the offending bytes."""

    reason: str


Message = (
    Hello
    | Answer
    | Progress
    | Log
    | Heartbeat
    | Emit
    | Ask
    | Pong
    | Fatal
    | Noise
    | Ignored
    | Broken
)

#: What a job says while it runs, for those who want to know.
Said = Progress | Log | Emit | Captured

#: What `hello` may name: types of messages that the child sends, or takes.
CAPABILITIES = ("call", "cancel", "emit", "heartbeat", "log", "ping", "progress", "welcome")


# outside of strings, where they cannot stand, line breaks mean no more than spaces
_LINE_BREAKS_TO_SPACES = bytes.maketrans(b"\n\r", b"  ")


def one_line(text: bytes) -> bytes:
    """The same JSON text without line breaks between its tokens."""
    if b"\n" in text or b"\r" in text:
        return text.translate(_LINE_BREAKS_TO_SPACES)

    return text


def job_line(
    claim: Claim,
    *,
    delay_ms: int,
    max_attempts: int,
    timeout_ms: int | None,
    heartbeat_ms: int | None = None,
) -> bytes:
    """The line that lends a job to a child. It is the same at every level.

    `data` and `opts` are spliced in as the bytes they are stored as, but for line breaks between
    their tokens: the line must be one line, also to a reader that takes a bare return for one.
    """
    data, opts = one_line(claim.data), one_line(claim.opts or b"{}")
    job_id = orjson.dumps(claim.id)
    head = b'{"sandq":1,"type":"job","id":%b,"name":%b,"queue":%b,"data":' % (
        job_id,
        orjson.dumps(claim.name),
        orjson.dumps(claim.queue),
    )
    tail = b',"timestamp":%d,"delay":%d,"priority":%d,"attempt":%d,"max_attempts":%d' % (
        claim.created_ms,
        delay_ms,
        claim.priority,
        claim.attempts + 1,
        max_attempts,
    )
    rest = b',"stalls":%d,"timeout_ms":%b,"heartbeat_ms":%b,"opts":%b}\n' % (
        claim.stalls,
        b"null" if timeout_ms is None else b"%d" % timeout_ms,
        b"null" if heartbeat_ms is None else b"%d" % heartbeat_ms,
        opts,
    )

    return head + data + tail + rest


def job_environment(claim: Claim) -> dict[str, str]:
    """What a one-shot child is told of its job beside the line."""
    variables = {
        "SANDQ_QUEUE": claim.queue,
        "SANDQ_JOB_ID": claim.id,
        "SANDQ_JOB_NAME": claim.name,
        "SANDQ_ATTEMPT": str(claim.attempts + 1),
    }
    # an environment cannot hold NUL, which another producer may have put into a name
    return {name: value.replace("\0", "?") for name, value in variables.items()}


def bye_line(reason: str) -> bytes:
    """The line that tells a full child that nothing more will come."""
    return _line({"type": "bye", "reason": reason})


def cancel_line(job_id: str, reason: str, grace_ms: int) -> bytes:
    """The line that asks a child to end its job; `reason`: timeout, cancel or shutdown."""
    return _line({"type": "cancel", "id": job_id, "reason": reason, "grace_ms": grace_ms})


def ping_line(n: int) -> bytes:
    """The line that asks an idle child whether it is alive."""
    return _line({"type": "ping", "n": n})


def welcome_line(line_limit: int, calls: Sequence[str]) -> bytes:
    """The line that tells a child what it may do."""
    limits = {"line": line_limit, "emitted": EMITTED_KEPT, "log_rows": LOG_ROWS_KEPT}

    return _line({"type": "welcome", "version": VERSION, "limits": limits, "calls": list(calls)})


def reply_line(ask: Ask, value: bytes) -> bytes:
    """The answer to a call; `value` is JSON text, spliced in as it is."""
    return b'{"sandq":1,"type":"reply","id":%b,"re":%b,"ok":true,"value":%b}\n' % (
        orjson.dumps(ask.job_id),
        ask.re,
        one_line(value),
    )


def refusal_line(ask: Ask, kind: str, message: str) -> bytes:
    """The answer to a call that was not carried out; `kind` begins with `sandq.`."""
    error = {"type": kind, "message": message}
    return b'{"sandq":1,"type":"reply","id":%b,"re":%b,"ok":false,"error":%b}\n' % (
        orjson.dumps(ask.job_id),
        ask.re,
        orjson.dumps(error),
    )


def _line(members: dict[str, Any]) -> bytes:
    return orjson.dumps({"sandq": VERSION, **members}) + b"\n"


def result_prefix(job_id: str) -> bytes:
    """How the answer of a full child begins when its members stand in the SDKs' order."""
    return b'{"sandq":1,"type":"result","id":%b,"status":"ok","result":' % orjson.dumps(job_id)
