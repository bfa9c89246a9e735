"""The lines that `sandq exec --jobs` is given: the settings, jobs, cancels."""

from collections.abc import Mapping
from typing import Any

from sandq.child.child import Child
from sandq.errors import InvalidInput
from sandq.model.handler import Handler
from sandq.model.job import Claim
from sandq.model.limits import Limits
from sandq.model.payload import InvalidJson, decode, member_text
from sandq.protocol.messages import Progress, Said

_OPTIONS = {
    "handler": dict,
    "kill_grace_ms": int,
    "pool": int,
}
_LIMITS = ("line", "memory", "cpu")
_HANDLER = (
    "command", "env", "fresh", "strict", "channel", "timeout_ms", "heartbeat_ms", "calls", *_LIMITS
)  # fmt: skip


class Job:
    """One job of the input, on its way."""

    def __init__(self, claim: Claim, timeout_ms: int | None) -> None:
        self.claim = claim
        self.timeout_ms = timeout_ms
        self.cancelled = False
        self.child: Child | None = None
        self.releases = 0
        self.progress = b"null"

    def heard(self, said: Said) -> None:
        """What it says while it runs."""
        if isinstance(said, Progress):
            self.progress = said.value

    def cancel(self) -> None:
        """End it, wherever it is."""
        self.cancelled = True
        if self.child is not None:
            self.child.stop("cancel")


def read_object(text: bytes, what: str) -> dict[str, Any]:
    """The object in a line; raises InvalidInput."""
    try:
        value = decode(text)
    except InvalidJson as error:
        raise InvalidInput(f"{what}: the line is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise InvalidInput(f"{what}: the line must be an object: {value!r}")

    return value


def read_settings(given: Mapping[str, Any]) -> tuple[Handler, int, int]:
    """The handler, its kill grace in ms and the size of the pool; raises InvalidInput."""
    handler = given.get("handler")
    if not isinstance(handler, dict) or not isinstance(handler.get("command"), list):
        raise InvalidInput('the settings need a handler with a command: {"handler": {…}}')
    unknown = [name for name in given if name not in _OPTIONS]
    unknown += [name for name in handler if name not in _HANDLER]
    if unknown:
        raise InvalidInput(f"the settings have a member that is not known: {unknown[0]!r}")

    limits = {name: handler[name] for name in _LIMITS if handler.get(name) is not None}
    return (
        Handler(
            command=tuple(handler["command"]),
            env=tuple((handler.get("env") or {}).items()),
            fresh=handler.get("fresh", False),
            strict=handler.get("strict", False),
            channel=handler.get("channel", "stdout"),
            timeout_ms=handler.get("timeout_ms"),
            heartbeat_timeout_ms=handler.get("heartbeat_ms"),
            calls=tuple(handler.get("calls", ())),
            limits=Limits(**limits),
        ),
        given.get("kill_grace_ms", 5_000),
        given.get("pool", 1),
    )


def read_job(given: Mapping[str, Any], text: bytes) -> Job:
    """The job in a line; raises InvalidInput."""
    if not isinstance(given.get("id"), str):
        raise InvalidInput(f"a job needs an id, which is a text: {given!r}")

    claim = Claim(
        queue="exec",
        id=given["id"],
        token="",
        name=str(given.get("name", "exec")),
        data=member_text(text, "data") or b"null",
        opts=b"",
        attempts=0,
        stalls=0,
        priority=0,
        created_ms=0,
    )

    return Job(claim, given.get("timeout_ms"))
