"""Handlers that are functions of this process: fast and not isolated from it at all."""

import asyncio
import inspect
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
import orjson

from sandq.model.handler import HandlerFunction
from sandq.model.outcome import Failure, FailureKind, Outcome
from sandq.model.payload import decode_stored, encode
from sandq.protocol.messages import Emit, Log, Progress
from sandq.protocol.reading import error_code, is_delay

if TYPE_CHECKING:
    from sandq.flow.desk import Held

#: Longest stack trace kept, in characters from its end.
STACK_KEPT = 16_384


class RunningJob:
    """What a handler function is given: the same names as the Python SDK's job.

    `attempt` is 1 for the first try; `timestamp_ms` is when the job was added; `discarded` tells
    whether `discard` was called.
    """

    __slots__ = (
        "_held", "_loop", "attempt", "data", "discarded", "id", "max_attempts", "name", "queue",
        "silence", "timestamp_ms",
    )  # fmt: skip

    def __init__(self, held: "Held") -> None:
        claim = held.claim
        self._held = held
        self._loop = asyncio.get_running_loop()
        self.id = claim.id
        self.name = claim.name
        self.queue = claim.queue
        self.data = decode_stored(claim.data)
        self.attempt = claim.attempts + 1
        self.max_attempts = held.options.attempts
        self.timestamp_ms = claim.created_ms
        self.discarded = False
        #: Cancelled when nothing has been said for too long.
        self.silence = anyio.CancelScope()
        self._hear(None)

    def progress(self, value: Any) -> None:
        """Tell how far the job is; any JSON value."""
        self._say(Progress(self.id, encode(value, "progress")))

    def log(self, message: str, level: str = "info", **fields: Any) -> None:
        """Add a row to the job's log."""
        row = {"level": level, "message": message, **({"fields": fields} if fields else {})}
        self._say(Log(self.id, encode(row, "log row")))

    def emit(self, chunk: Any) -> None:
        """Tell a part of the result, any JSON value, ahead of the end (`Job.emitted`)."""
        self._say(Emit(self.id, encode(chunk, "chunk")))

    def heartbeat(self) -> None:
        """Tell that the job is alive; whatever else it tells says so as well."""
        self._say(None)

    def discard(self) -> None:
        """Do not try it again if this attempt fails, whatever its attempts (seed 0)."""
        self.discarded = True

    def _say(self, message: Progress | Log | Emit | None) -> None:
        try:
            here = asyncio.get_running_loop() is self._loop
        except RuntimeError:
            here = False
        if here:
            self._hear(message)
            return
        # a synchronous function runs in a thread; one that was left behind may outlive the loop
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._hear, message)

    def _hear(self, message: Progress | Log | Emit | None) -> None:
        heartbeat_ms = self._held.options.heartbeat_timeout_ms
        if heartbeat_ms is not None:
            self.silence.deadline = anyio.current_time() + heartbeat_ms / 1000
        if message is not None:
            self._held.say(message)


async def run_function(held: "Held", handler: HandlerFunction) -> Outcome:
    """One attempt by a function. A synchronous one runs in a thread.

    When its time is up, or it has said nothing for too long, an async function is cancelled; a
    thread cannot be stopped, so the job fails and the thread goes on until it returns.
    """
    job = RunningJob(held)
    outcome = await _attempt(held, job, handler.function)
    if job.discarded and outcome.failure is not None:
        return replace(outcome, failure=replace(outcome.failure, retryable=False))

    return outcome


async def _attempt(held: "Held", job: RunningJob, function: Callable[[Any], Any]) -> Outcome:
    timeout_ms = held.options.timeout_ms
    timeout_s = None if timeout_ms is None else timeout_ms / 1000
    try:
        with (
            anyio.CancelScope() as held.scope,
            anyio.move_on_after(timeout_s) as timer,
            job.silence as silence,
        ):
            if is_async(function):
                value = await function(job)
            else:
                # as many threads as there are slots, and those that were left behind beside them
                value = await anyio.to_thread.run_sync(
                    function, job, abandon_on_cancel=True, limiter=anyio.CapacityLimiter(1)
                )
            return Outcome.returned(encode(value, "the handler's value"))
        if timer.cancelled_caught:
            return Outcome.failed(FailureKind.TIMED_OUT, f"no answer within {timeout_ms} ms")
        if silence.cancelled_caught:
            silent_ms = held.options.heartbeat_timeout_ms
            words = f"the job said nothing for {silent_ms} ms"
            return Outcome.failed(FailureKind.HEARTBEAT_LOST, words)
        return Outcome.give_back("cancel")
    except asyncio.CancelledError as error:
        if asyncio.current_task().cancelling():  # type: ignore[union-attr]
            raise
        # nobody cancels this task: what the function waited for was cancelled
        return _failed(error)
    except Exception as error:
        # whatever a user's function raises is that job's failure, and nobody else's
        return _failed(error)
    finally:
        held.scope = None


def is_async(function: Callable[[Any], Any]) -> bool:
    """Whether what a call returns is to be awaited; objects may be called like functions."""
    called = type(function).__call__

    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(called)


def _failed(error: BaseException) -> Outcome:
    retryable = _said(error, "retryable") is not False
    stack = "".join(traceback.format_exception(error))[-STACK_KEPT:]
    code, retry_after_ms = _said(error, "code"), _said(error, "retry_after_ms")
    data = _said(error, "data")
    try:
        orjson.dumps(data)
    except TypeError:
        data = _text(data, repr)

    return Outcome(
        failure=Failure(
            kind=FailureKind.ERROR if retryable else FailureKind.UNRECOVERABLE,
            message=_text(error),
            type=type(error).__name__,
            stack=_utf8(stack),
            code=error_code(code),
            data=data,
            retryable=retryable,
            retry_after_ms=retry_after_ms if is_delay(retry_after_ms) else None,
        )
    )


def _said(error: BaseException, name: str) -> Any:
    """An attribute of a user's error, which may be computed, and fail at it."""
    try:
        return getattr(error, name, None)
    except Exception:
        return None


def _text(value: object, words: Callable[[object], str] = str) -> str:
    try:
        return _utf8(words(value))
    except Exception:
        return f"a {type(value).__name__} that cannot be shown"


def _utf8(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()
