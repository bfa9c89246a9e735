"""Every error sandq raises.

One tree; each class carries a stable `code` that is never reused. The codes of the store's
errors are also the first word of the error replies of the Lua scripts.
The message of an error says what happened, to what, and what to do next.
"""

from typing import Any, ClassVar


class SandqError(Exception):
    """Base of all errors of sandq; never raised itself."""

    code: ClassVar[str] = "SANDQ_ERROR"


class InvalidInput(SandqError, ValueError):
    """A value given by the caller is not allowed; nothing was written."""

    code = "SANDQ_INVALID"


class UnknownOption(InvalidInput):
    """An option's name is not known; the message names the nearest known one."""

    code = "SANDQ_UNKNOWN_OPTION"


class ConfigError(SandqError):
    """A configuration file or an environment variable cannot be used."""

    code = "SANDQ_CONFIG"


class HandlerInvalid(SandqError):
    """A handler's command cannot be run: missing, not executable, or not understood."""

    code = "SANDQ_HANDLER"


class StoreError(SandqError):
    """Redis answered with an error that sandq does not expect."""

    code = "SANDQ_STORE"


class StoreUnreachable(StoreError):
    """Redis cannot be reached, or the connection broke.

    A call that was under way may or may not have been carried out.
    """

    code = "SANDQ_UNREACHABLE"


class StoreDenied(StoreError):
    """Redis refused the user name, the password or the command."""

    code = "SANDQ_DENIED"


class LayoutMismatch(StoreError):
    """The queue's data was written in a layout this version does not know."""

    code = "SANDQ_LAYOUT"


class StaleSettings(StoreError):
    """The queue's settings were changed since they were read; read them anew and try again.

    Internal: who adds a job meets it only if the settings never stop changing.
    """

    code = "SANDQ_STALE"


class EmbeddedServerError(StoreError):
    """The embedded server cannot be started, found or stopped."""

    code = "SANDQ_SERVER"


class SupervisorError(SandqError):
    """The supervisor cannot go on."""

    code = "SANDQ_SUPERVISOR"


class JobMissing(SandqError):
    """The job does not exist, or does not exist any more."""

    code = "SANDQ_MISSING"


class JobActive(SandqError):
    """The job is being run, so it was not touched."""

    code = "SANDQ_ACTIVE"


class IllegalState(SandqError):
    """The state the job is in does not allow this; nothing was changed."""

    code = "SANDQ_STATE"


class TokenMismatch(SandqError):
    """The claim on the job is another's by now, or over; nothing was changed."""

    code = "SANDQ_TOKEN"


class QueueFull(SandqError):
    """As many jobs wait as the queue's `max_size` allows; none was added."""

    code = "SANDQ_FULL"


class QueueBusy(SandqError):
    """Jobs of the queue are being run, so it was not obliterated."""

    code = "SANDQ_BUSY"


class JobFailed(SandqError):
    """The job ended as failed; `failure` is its failure record."""

    code = "SANDQ_FAILED"

    def __init__(self, message: str, failure: dict[str, Any]) -> None:
        super().__init__(message)
        self.failure = failure


class HandlerFailed(SandqError):
    """A job that was run by a pool has failed.

    - `failure`: its failure record: `kind` and `message`, and what else is known.
    - `kind`: one of the failure kinds (spec/states.md). `type`: that of the handler's own error.
    - `retryable`: whether another try may help.
    """

    code = "SANDQ_HANDLER_FAILED"

    def __init__(self, message: str, failure: dict[str, Any], retryable: bool = True) -> None:
        super().__init__(message)
        self.failure = failure
        self.kind: str = failure["kind"]
        self.type: str | None = failure.get("type")
        self.retryable = retryable

    def __reduce__(self) -> Any:
        # other queues pass errors on between processes
        return type(self), (str(self), self.failure, self.retryable)


class JobCancelled(SandqError):
    """The job ended as cancelled; `failure` is its failure record, which says why."""

    code = "SANDQ_CANCELLED"

    def __init__(self, message: str, failure: dict[str, Any]) -> None:
        super().__init__(message)
        self.failure = failure


class WaitTimeout(SandqError, TimeoutError):
    """What was waited for did not happen in time; the job itself goes on."""

    code = "SANDQ_WAIT_TIMEOUT"


def from_code(code: str) -> type[SandqError] | None:
    """The class whose stable code this is, the first word of a script's error reply, or None."""
    return _BY_CODE.get(code)


def _tree(root: type[SandqError]) -> dict[str, type[SandqError]]:
    found: dict[str, type[SandqError]] = {}
    for error in root.__subclasses__():
        found |= {error.code: error, **_tree(error)}

    return found


# the root is not in it: it is never raised
_BY_CODE = _tree(SandqError)
