"""A slot runs one job at a time: take a claim, find its handler, run it, hand the outcome on."""

from functools import partial

from sandq.child.pool import Pool
from sandq.child.spawn import StartFailed
from sandq.flow.calling import perform
from sandq.flow.desk import Desk, Held
from sandq.flow.inprocess import run_function
from sandq.model.handler import Channel, Handler, HandlerFunction, attempt_timeout_ms
from sandq.model.outcome import Failure, FailureKind, Outcome
from sandq.protocol.messages import job_environment, job_line

#: Longest wait of a job for a handler that does not start, when other handlers of its queue do;
#: then it is looked at again, in milliseconds.
LONGEST_WAIT_MS = 5_000


async def run_slot(desk: Desk, pool: Pool) -> None:
    """Run jobs one after the other; never returns."""
    while True:
        held = await desk.take()
        outcome = await attempt(held, pool)
        desk.ended(held, outcome)


async def attempt(held: Held, pool: Pool) -> Outcome:
    """One attempt of one job, whatever becomes of it."""
    if held.given_up:
        return Outcome.give_back("lost before it began")
    if held.unreadable is not None:
        return Outcome(
            failure=Failure(
                kind=FailureKind.UNRECOVERABLE, message=held.unreadable, retryable=False
            )
        )

    claim = held.claim
    handler = held.lane.handler_for(claim.name)
    match handler:
        case Handler():
            return await _run_in_child(held, handler, pool)
        case HandlerFunction():
            return await run_function(held, handler)
        case None:
            return Outcome.failed(
                FailureKind.HANDLER_MISSING,
                f"queue {claim.queue!r} has no handler for jobs named {claim.name!r}; "
                "set one, or one for any name: '*'",
            )


async def _run_in_child(held: Held, handler: Handler, pool: Pool) -> Outcome:
    claim, options = held.claim, held.options
    timeout_ms = attempt_timeout_ms(handler, options.timeout_ms)
    heartbeat_ms = handler.heartbeat_timeout_ms
    if options.heartbeat_timeout_ms is not None:
        heartbeat_ms = options.heartbeat_timeout_ms
    if handler.channel is Channel.FILE:
        # it cannot send any
        heartbeat_ms = None
    line = job_line(
        claim,
        delay_ms=options.delay_ms,
        max_attempts=options.attempts,
        timeout_ms=timeout_ms,
        heartbeat_ms=heartbeat_ms,
    )
    # the newline is not counted, as it is not in the lines of a child
    if len(line) - 1 > handler.limits.line:
        return _oversize(len(line) - 1, handler)

    key = options.pool_key or ""
    child = pool.lend(handler, key)
    if child is None:
        env = job_environment(claim) if handler.fresh else None
        try:
            child = await pool.obtain(handler, env, key)
        except StartFailed as error:
            return _not_started(str(error), held, handler, pool)

    if held.given_up:
        pool.give_back(child)
        return Outcome.give_back("shutdown")

    held.child = child
    try:
        outcome = await child.run(
            claim.id, line, timeout_ms, held.say, heartbeat_ms, partial(perform, held)
        )
    finally:
        held.child = None
        pool.give_back(child)
    if outcome.released is not None and child.never_read:
        if not pool.believes_unread(handler, f"{claim.queue}:{claim.id}"):
            return Outcome.failed(FailureKind.CRASHED, outcome.released)
        return _not_started(outcome.released, held, handler, pool)

    return outcome


def _not_started(reason: str, held: Held, handler: Handler, pool: Pool) -> Outcome:
    """The job was not begun, for no fault of its own: it waits, but not for ever if told so."""
    kind = pool.broken(handler)
    if kind is not None:
        return Outcome.failed(kind, reason)

    return Outcome.give_back(reason, _wait_ms(held, handler, pool))


def _wait_ms(held: Held, handler: Handler, pool: Pool) -> int:
    """How long a job must wait so that it is not claimed again and again for a handler that is
    down, while the queue's other handlers go on. With one handler the claims stop instead, and
    another supervisor may take the job at once."""
    if not held.lane.several_handlers:
        return 0

    return min(int(pool.pause_s(handler) * 1000) + 1, LONGEST_WAIT_MS)


def _oversize(size: int, handler: Handler) -> Outcome:
    return Outcome(
        failure=Failure(
            kind=FailureKind.OVERSIZE_PAYLOAD,
            message=f"the job's line is {size} bytes long; the handler takes {handler.limits.line}"
            " (limit line)",
            retryable=False,
        )
    )
