"""Handlers that are functions of this process: fast and not isolated from it at all."""

import inspect
import traceback
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
import orjson

from sandq.errors import InvalidInput
from sandq.model.handler import HandlerFunction
from sandq.model.outcome import Failure, FailureKind, Outcome
from sandq.model.payload import decode_stored, encode
from sandq.protocol.messages import Log, Progress

if TYPE_CHECKING:
    from sandq.flow.desk import Held

#: Longest stack trace kept, in characters from its end.
STACK_KEPT = 16_384


class RunningJob:
    """What a handler function is given: the same names as the Python SDK's job.

    `attempt` is 1 for the first try; `timestamp_ms` is when the job was added.
    """

    __slots__ = ("_held", "attempt", "data", "id", "max_attempts", "name", "queue", "timestamp_ms")

    def __init__(self, held: "Held") -> None:
        claim = held.claim
        self._held = held
        self.id = claim.id
        self.name = claim.name
        self.queue = claim.queue
        self.data = decode_stored(claim.data)
        self.attempt = claim.attempts + 1
        self.max_attempts = held.options.attempts
        self.timestamp_ms = claim.created_ms

    def progress(self, value: Any) -> None:
        """Tell how far the job is; any JSON value."""
        self._held.say(Progress(self.id, encode(value, "progress")))

    def log(self, message: str, level: str = "info", **fields: Any) -> None:
        """Add a row to the job's log."""
        row = {"level": level, "message": message, **({"fields": fields} if fields else {})}
        self._held.say(Log(self.id, encode(row, "log row")))


async def run_function(held: "Held", handler: HandlerFunction) -> Outcome:
    """One attempt by a function. A synchronous one runs in a thread.

    When the time is up an async function is cancelled; a thread cannot be stopped, so the job
    fails and the thread goes on until it returns.
    """
    job, options = RunningJob(held), held.options
    timeout_s = None if options.timeout_ms is None else options.timeout_ms / 1000
    try:
        with anyio.fail_after(timeout_s):
            if inspect.iscoroutinefunction(handler.function):
                value = await handler.function(job)
            else:
                value = await anyio.to_thread.run_sync(
                    handler.function, job, abandon_on_cancel=True
                )
        return Outcome.returned(encode(value, "the handler's value"))
    except InvalidInput as error:
        return Outcome.failed(FailureKind.ERROR, str(error))
    except TimeoutError as error:
        if options.timeout_ms is None:
            return _failed(error)
        return Outcome.failed(FailureKind.TIMED_OUT, f"no answer within {options.timeout_ms} ms")
    except Exception as error:
        # whatever a user's function raises is that job's failure, and nobody else's
        return _failed(error)


def _failed(error: Exception) -> Outcome:
    retryable = getattr(error, "retryable", True) is not False
    stack = "".join(traceback.format_exception(error))[-STACK_KEPT:]
    data = getattr(error, "data", None)
    try:
        orjson.dumps(data)
    except TypeError:
        data = repr(data)

    return Outcome(
        failure=Failure(
            kind=FailureKind.ERROR if retryable else FailureKind.UNRECOVERABLE,
            message=str(error).encode("utf-8", "backslashreplace").decode(),
            type=type(error).__name__,
            stack=stack.encode("utf-8", "backslashreplace").decode(),
            data=data,
            retryable=retryable,
        )
    )
