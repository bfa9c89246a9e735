"""The pool as a library by itself: run this JSON through these programs, safely.

No Redis is needed, and none of its client is loaded. `sandq.sync.Pool` is the same for code without
an event loop.
"""

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from types import TracebackType
from typing import Any

import anyio
import orjson

from sandq import clock
from sandq.child import pool as pools
from sandq.child.asking import CallRefused
from sandq.child.child import Child
from sandq.child.spawn import StartFailed
from sandq.errors import HandlerFailed, InvalidInput, SandqError
from sandq.model.checks import check_integer
from sandq.model.duration import Duration, to_ms
from sandq.model.handler import Handler, attempt_timeout_ms
from sandq.model.job import Claim
from sandq.model.outcome import Failure, FailureKind, Outcome
from sandq.model.payload import decode, decode_stored, encode
from sandq.protocol.messages import (
    Captured,
    Emit,
    Log,
    Progress,
    Said,
    job_environment,
    job_line,
)

log = logging.getLogger("sandq.child")

#: What jobs that came by no queue are told of theirs.
QUEUE = "call"

#: The largest pool.
MOST = 100_000

#: A job that no child has read is lent again at most so often.
TRIES = 3

#: A function that carries out what a job asks for; it is given the members of `args`.
Verb = Callable[..., Any | Awaitable[Any]]


class Pool(pools.Pool):
    """Programs that are kept ready and lent to one job at a time; an async context manager.

    - `size`: most children at once, over all handlers. `least`: how many are kept while there is
      nothing to do; None: all of them.
    - `handlers`: what `call` may be given; their children are started when the pool is entered.
    - `kill_grace`: how long a child may take to end when it is told to; then it is killed.
    - `worker`: told to the children as SANDQ_WORKER.

    Leaving it ends every child, and calls that are under way fail. It is for one event loop. Raises
    HandlerInvalid when a handler names no program that can be run.
    """

    def __init__(
        self,
        size: int,
        handlers: Iterable[Handler],
        *,
        least: int | None = None,
        kill_grace: Duration = 5,
        worker: str = "",
    ) -> None:
        check_integer("size", size, 1, MOST)
        if least is not None:
            check_integer("least", least, 0, size)
        grace_ms = to_ms(kill_grace, "kill_grace")
        super().__init__(size, handlers, least=least, kill_grace_ms=grace_ms, worker=worker)
        self._turns = anyio.Semaphore(size)
        self._count = 0
        self._open = False

    async def __aenter__(self) -> "Pool":
        await super().__aenter__()
        self._open = True

        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._open = False
        await super().__aexit__(kind, error, traceback)

    async def call(
        self,
        handler: Handler,
        data: Any = None,
        *,
        name: str = "job",
        key: str = "",
        timeout: Duration | None = None,
        job_id: str | None = None,
        on_progress: Callable[[Any], None] | None = None,
        on_log: Callable[[dict[str, Any]], None] | None = None,
        on_emit: Callable[[Any], None] | None = None,
        calls: Mapping[str, Verb] | None = None,
    ) -> Any:
        """Run one job through a child of `handler`, and return its value.

        Calls wait their turn, first come, first served, when all children are busy. One that is
        cancelled stops its job. A job that no child has read is lent to another one.

        - `data`: any JSON value. `name`, `job_id`: what the child is told; ids are counted if you
          give none. `key`: children serve jobs of one key alone.
        - `timeout`: how long it may run, from when a child has it; else the handler's, and no
          longer than its sandbox's `wall`.
        - `on_progress`, `on_emit`: called with each value that the job reports; `on_log` with each
          row of its log, and each line that it wrote for people.
        - `calls`: verb -> function, sync or async, given the members of `args` as keyword
          arguments; the handler must allow the verb (`Handler.calls`).

        Raises HandlerFailed when the job fails in whatever way, InvalidInput for data that is no
        JSON, SandqError when the pool is not open.
        """
        claim = self._claim(name, encode(data), job_id)
        own_ms = None if timeout is None else to_ms(timeout, "timeout")
        timeout_ms = attempt_timeout_ms(handler, own_ms)
        heartbeat_ms = handler.heartbeat_timeout_ms
        line = job_line(
            claim,
            delay_ms=0,
            max_attempts=1,
            timeout_ms=timeout_ms,
            heartbeat_ms=heartbeat_ms,
        )
        if len(line) - 1 > handler.limits.line:
            raise _failed(_oversize(len(line) - 1, handler))

        say = partial(_tell, on_progress, on_log, on_emit)
        perform = partial(_perform, calls or {})
        env = job_environment(claim) if handler.fresh else None
        async with self._turns:
            tries = 0
            while True:
                tries += 1
                child = await self._child(handler, env, key)
                running = child.run(claim.id, line, timeout_ms, say, heartbeat_ms, perform)
                outcome = await self._outcome(child, running)
                if outcome.released is None or not child.never_read or tries >= TRIES:
                    return _value(outcome)
                await anyio.sleep(self.pause_s(handler))

    def _claim(self, name: str, data: bytes, job_id: str | None) -> Claim:
        if not self._open:
            raise SandqError("the pool is not open; use it as an async context manager")
        self._count += 1

        return Claim(
            queue=QUEUE,
            id=str(self._count) if job_id is None else job_id,
            token="",
            name=name,
            data=data,
            opts=b"",
            attempts=0,
            stalls=0,
            priority=0,
            created_ms=clock.wall_ms(),
        )

    async def _child(self, handler: Handler, env: Mapping[str, str] | None, key: str) -> Child:
        try:
            return self.lend(handler, key) or await self.obtain(handler, env, key)
        except KeyError:
            raise InvalidInput(f"handler {handler} is none of this pool's") from None
        except StartFailed as error:
            raise _failed(Failure(kind=error.kind, message=str(error))) from error

    async def _outcome(self, child: Child, running: "asyncio.Future[Outcome]") -> Outcome:
        try:
            outcome = await asyncio.shield(running)
        except asyncio.CancelledError:
            child.stop("cancel")
            # the child comes back when its job has really ended
            running.add_done_callback(lambda _: self.give_back(child))
            raise
        self.give_back(child)

        return outcome


def _value(outcome: Outcome) -> Any:
    if outcome.value is None:
        raise _failed(outcome.failure or _given_back(outcome))

    return decode_stored(outcome.value)


def _tell(
    on_progress: Callable[[Any], None] | None,
    on_log: Callable[[dict[str, Any]], None] | None,
    on_emit: Callable[[Any], None] | None,
    message: Said,
) -> None:
    """Pass on what a job says; what goes wrong with that is no affair of the job."""
    try:
        match message:
            case Progress(value=text) if on_progress is not None:
                on_progress(decode_stored(text))
            case Emit(chunk=text) if on_emit is not None:
                on_emit(decode_stored(text))
            case Log(text=text) if on_log is not None:
                on_log(decode_stored(text))
            case Captured(stream=stream, text=words) if on_log is not None:
                on_log({"stream": stream, "text": words})
            case _:
                pass
    except Exception:
        log.exception("what a job says was not taken")


async def _perform(calls: Mapping[str, Verb], verb: str, args: bytes) -> bytes:
    function = calls.get(verb)
    if function is None:
        raise CallRefused("sandq.unknown_verb", f"nobody here carries out {verb!r}")
    value = function(**decode(args))
    if inspect.isawaitable(value):
        value = await value

    return encode(value, f"the value of {verb}")


def _oversize(size: int, handler: Handler) -> Failure:
    return Failure(
        kind=FailureKind.OVERSIZE_PAYLOAD,
        message=f"the job's line is {size} bytes long; the handler takes {handler.limits.line}"
        " (limit line)",
        retryable=False,
    )


def _given_back(outcome: Outcome) -> Failure:
    return Failure(kind=FailureKind.CRASHED, message=f"the job was given up: {outcome.released}")


def _failed(failure: Failure) -> HandlerFailed:
    record = orjson.loads(failure.to_text())

    return HandlerFailed(f"{failure.kind}: {failure.message}", record, failure.retryable)
