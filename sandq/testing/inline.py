"""The inline runner: runs what there is to run, one job after the other, and returns."""

from collections.abc import Coroutine, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, overload

from anyio.from_thread import start_blocking_portal

from sandq import chance, clock, sync
from sandq import queue as asynchronous
from sandq.child.pool import Pool
from sandq.errors import HandlerInvalid, JobFailed, SupervisorError, WaitTimeout
from sandq.flow.calendar import Calendar
from sandq.flow.desk import Held
from sandq.flow.inprocess import is_async
from sandq.flow.janitor import Janitor
from sandq.flow.lane import Lane, Served
from sandq.flow.settler import in_batches
from sandq.flow.slot import attempt
from sandq.model.handler import Handler, HandlerFunction
from sandq.model.job import Claim
from sandq.model.outcome import Outcome
from sandq.model.payload import decode_stored
from sandq.model.states import JobState
from sandq.model.supervision import Supervision
from sandq.store import calls, reads

#: How long a claim is good, in milliseconds; nobody renews it, and no handler of a test runs a day.
_LEASE_MS = 24 * 3600 * 1000


@dataclass(frozen=True, slots=True)
class Ran:
    """One attempt that `run_inline` has made.

    - `id`, `name`, `data`: those of the job. `attempt`: 1 is its first.
    - `state`: where the job is now: completed, failed or cancelled; waiting or delayed when there
      will be another attempt.
    - `value`: what the handler returned.
    - `failure`: the failure record, None if the attempt did not fail.
    """

    id: str
    name: str
    data: Any
    attempt: int
    state: JobState
    value: Any = None
    failure: Mapping[str, Any] | None = None


@overload
def run_inline(
    queue: asynchronous.Queue, *, raise_failures: bool = False, limit: int = 1000
) -> Coroutine[Any, Any, list[Ran]]: ...


@overload
def run_inline(
    queue: sync.Queue, *, raise_failures: bool = False, limit: int = 1000
) -> list[Ran]: ...


def run_inline(
    queue: asynchronous.Queue | sync.Queue, *, raise_failures: bool = False, limit: int = 1000
) -> Coroutine[Any, Any, list[Ran]] | list[Ran]:
    """Run jobs with the handlers of `queue`, one after the other, until none may start now.

    What is due is run as well: delayed jobs, further attempts, occurrences of series, jobs whose
    lease has ended. Those that jobs add meanwhile are run too. Functions run in this process as
    they always do, programs in children of their own. The answer is one `Ran` for each attempt.

    - `raise_failures`: raise what a function raised, once that is recorded as its failure; of
      other failures a JobFailed. Jobs after that one are not run.
    - `limit`: most attempts; WaitTimeout is raised if then more could be run.

    Raises SupervisorError without a handler, HandlerInvalid when a program does not start.
    """
    if isinstance(queue, asynchronous.Queue):
        return _run(queue, raise_failures, limit)

    with start_blocking_portal() as portal:
        return portal.call(_run_twin, queue, raise_failures, limit)


async def _run_twin(queue: sync.Queue, raise_failures: bool, limit: int) -> list[Ran]:
    async with asynchronous.Queue(queue.name, queue._url, prefix=queue._prefix) as twin:
        twin._handlers, twin._backoffs = queue._handlers, queue._backoffs

        return await _run(twin, raise_failures, limit)


async def _run(queue: asynchronous.Queue, raise_failures: bool, limit: int) -> list[Ran]:
    if not queue._handlers:
        raise SupervisorError("no handler is set; set one before running the queue")

    raised: list[Exception] = []
    handlers = {
        name: _noting(handler, raised) if raise_failures else handler
        for name, handler in queue._handlers.items()
    }
    programs = dict.fromkeys(one for one in handlers.values() if isinstance(one, Handler))
    # a child for each: jobs that alternate between programs do not start one each time
    pool = Pool(max(1, len(programs)), programs)
    lane = Lane(queue.name, Served(queue._store, handlers, queue._backoffs), pool, 1)
    runner = _Runner(lane, queue._worker)
    attempts: list[Ran] = []
    async with AsyncExitStack() as stack:
        if programs:
            await stack.enter_async_context(pool)
        while (claim := await runner.claim()) is not None:
            if len(attempts) >= limit:
                await runner.give_back(claim, "limit of the inline runner")
                names = ", ".join(sorted({one.name for one in attempts[-10:]}))
                raise WaitTimeout(
                    f"queue {queue.name!r} is not done after {limit} attempts, the last ones at "
                    f"jobs named {names or claim.name}; if they do not add each other without end, "
                    "give a higher limit"
                )
            ran = await runner.run(claim)
            attempts.append(ran)
            if raise_failures and ran.failure is not None:
                raise raised[0] if raised else _failed(ran, ran.failure)

    return attempts


class _Runner:
    """Claims, runs and settles, one job after the other."""

    def __init__(self, lane: Lane, worker: str) -> None:
        self._lane = lane
        self._worker = worker
        self._calendar = Calendar(lane)
        self._janitor = Janitor([lane], Supervision())

    async def claim(self) -> Claim | None:
        """The next job that may start now; None if there is none."""
        # in the order in which a supervisor does it: occurrences that were missed may be dropped
        await self._calendar.run_once()
        await self._janitor.run_once(self._lane)
        token = chance.new_token()
        claimed = await self._lane.store.run(
            calls.claim(self._lane.queue, 1, token, self._worker, _LEASE_MS)
        )

        return claimed.claims[0] if claimed.claims else None

    async def run(self, claim: Claim) -> Ran:
        """One attempt, recorded as any other. Raises HandlerInvalid if it cannot be begun."""
        held = Held(self._lane, claim, clock.monotonic_s())
        self._lane.in_hand[claim.id] = held
        outcome = await attempt(held, self._lane.pool)
        await self._settle(held, outcome)
        if outcome.released is not None:
            raise HandlerInvalid(f"job {claim.id!r} was given back: {outcome.released}")

        (record,) = await self._lane.store.run(reads.look([claim.id]))
        ended = JobState.FAILED if outcome.value is None else JobState.COMPLETED
        failure = outcome.failure

        return Ran(
            claim.id,
            claim.name,
            decode_stored(claim.data),
            claim.attempts + 1,
            # a job may be set to be removed at its end
            ended if record is None else record.state,
            None if outcome.value is None else decode_stored(outcome.value),
            None if failure is None else decode_stored(failure.to_text()),
        )

    async def give_back(self, claim: Claim, why: str) -> None:
        """Do not run a job that was claimed."""
        await self._settle(Held(self._lane, claim, 0), Outcome.give_back(why))

    async def _settle(self, held: Held, outcome: Outcome) -> None:
        """What the attempt said, and what came of it, is written before this returns."""
        lane = self._lane
        lane.settle(held, outcome)
        for reports in in_batches(lane.settler.take_reports()):
            await lane.store.run(calls.report(reports))
        settlements = [settlement for _, settlement in lane.settler.take()]
        await lane.store.run(
            calls.settle_and_claim(
                lane.queue, settlements, 0, chance.new_token(), self._worker, _LEASE_MS
            )
        )
        lane.in_hand.pop(held.claim.id, None)


def _noting(
    handler: Handler | HandlerFunction, raised: list[Exception]
) -> Handler | HandlerFunction:
    """The handler; what it raises, if it is a function, is noted in `raised` on its way."""
    if isinstance(handler, Handler):
        return handler
    function = handler.function

    def call(job: Any) -> Any:
        try:
            return function(job)
        except Exception as error:
            raised.append(error)
            raise

    async def call_async(job: Any) -> Any:
        try:
            return await function(job)
        except Exception as error:
            raised.append(error)
            raise

    return HandlerFunction(call_async if is_async(function) else call)


def _failed(ran: Ran, failure: Mapping[str, Any]) -> JobFailed:
    """The error for a failure that is no exception of this process."""
    words = f"{failure['kind']}: {failure['message']}"
    error = JobFailed(f"job {ran.id!r} failed: {words}", dict(failure))
    if "stack" in failure:
        # pytest shows it below the message
        error.add_note(failure["stack"])

    return error
