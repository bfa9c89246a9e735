"""What the two sides say to each other, one value type per message."""

from dataclasses import dataclass

import orjson

from sandq.model.job import Claim
from sandq.model.outcome import Failure

#: The version of the protocol that this supervisor speaks.
VERSION = 1


@dataclass(frozen=True, slots=True)
class Hello:
    """The child speaks the full level; `caps` are what it can do."""

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


Message = Hello | Answer | Progress | Log | Fatal | Noise | Ignored | Broken


# outside of strings, where they cannot stand, line breaks mean no more than spaces
_LINE_BREAKS_TO_SPACES = bytes.maketrans(b"\n\r", b"  ")


def job_line(claim: Claim, *, delay_ms: int, max_attempts: int, timeout_ms: int | None) -> bytes:
    """The line that lends a job to a child. It is the same at every level.

    `data` and `opts` are spliced in as the bytes they are stored as, but for line breaks between
    their tokens: the line must be one line, also to a reader that takes a bare return for one.
    """
    data, opts = claim.data, claim.opts or b"{}"
    if b"\n" in data or b"\r" in data:
        data = data.translate(_LINE_BREAKS_TO_SPACES)
    if b"\n" in opts or b"\r" in opts:
        opts = opts.translate(_LINE_BREAKS_TO_SPACES)
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
    rest = b',"stalls":%d,"timeout_ms":%b,"opts":%b}\n' % (
        claim.stalls,
        b"null" if timeout_ms is None else b"%d" % timeout_ms,
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
    return orjson.dumps({"sandq": VERSION, "type": "bye", "reason": reason}) + b"\n"


def result_prefix(job_id: str) -> bytes:
    """How the answer of a full child begins when its members stand in the SDKs' order."""
    return b'{"sandq":1,"type":"result","id":%b,"status":"ok","result":' % orjson.dumps(job_id)
