"""What the kit says to a handler: job lines, other messages, and the environment; pure but for
the variables that are passed on."""

from collections.abc import Mapping
from typing import Any

from sandq.conformance.values import JsonLiteral, to_text
from sandq.errors import InvalidInput
from sandq.model.limits import DEFAULT_LINE_BYTES
from sandq.model.names import nearest
from sandq.model.payload import InvalidJson, decode, member_text
from sandq.protocol.messages import VERSION
from sandq.settings import passed_on_environment

QUEUE = "conformance"
NAME = "echo"

#: The members of a job line behind `sandq` and `type`, in their order, with what the kit says.
JOB: dict[str, Any] = {
    "id": "",
    "name": NAME,
    "queue": QUEUE,
    "data": None,
    "timestamp": 1_700_000_000_000,
    "delay": 0,
    "priority": 0,
    "attempt": 1,
    "max_attempts": 1,
    "stalls": 0,
    "timeout_ms": None,
    "heartbeat_ms": None,
    "opts": {},
}


# outside of strings, where they cannot stand, line breaks mean no more than spaces
_LINE_BREAKS_TO_SPACES = {0x0A: " ", 0x0D: " "}


def job_line(members: Mapping[str, Any], before: Mapping[str, Any]) -> bytes:
    """A job line. Members it does not have otherwise come last, those of `before` first."""
    line = {"sandq": VERSION, **before, "type": "job", **JOB, **members}

    return _line(line)


def message_line(members: Mapping[str, Any]) -> bytes:
    """A message to the handler."""
    return _line({"sandq": VERSION, **members})


def _line(members: Mapping[str, Any]) -> bytes:
    return to_text(dict(members)).encode("utf-8", "surrogatepass") + b"\n"


def environment(oneshot_id: str | None) -> dict[str, str]:
    """The variables of a handler, but for its mark; with the id of its job if it has one only."""
    variables = {
        **passed_on_environment(),
        "SANDQ": "1",
        "SANDQ_PROTOCOL": str(VERSION),
        "SANDQ_WORKER": "conformance",
        "SANDQ_MAX_LINE": str(DEFAULT_LINE_BYTES),
        "PYTHONUNBUFFERED": "1",
    }
    if oneshot_id is not None:
        variables |= {
            "SANDQ_QUEUE": QUEUE,
            # an environment cannot hold NUL
            "SANDQ_JOB_ID": oneshot_id.replace("\0", "?"),
            "SANDQ_JOB_NAME": NAME,
            "SANDQ_ATTEMPT": "1",
        }

    return variables


def read_job(text: bytes) -> dict[str, Any]:
    """The members of a job that a person gives: `data` and others of JOB, as JSON texts.

    Its id is left out: each job of the kit has one of its own. Raises InvalidInput.
    """
    try:
        job = decode(text)
    except InvalidJson as error:
        raise InvalidInput(f"the job is not JSON: {error}") from error
    if not isinstance(job, dict):
        raise InvalidInput('the job must be an object, such as {"data": {"path": "a.txt"}}')
    for name in job:
        if name not in JOB:
            raise InvalidInput(f"the job has a member {name!r}; {nearest(name, list(JOB))}")
    # as texts: what begins with a dollar means nothing here, and a large number keeps its digits
    texts = {name: JsonLiteral(to_text(value)) for name, value in job.items() if name != "id"}
    if (data := member_text(text, "data")) is not None:
        texts["data"] = JsonLiteral(data.decode().translate(_LINE_BREAKS_TO_SPACES))

    return texts
