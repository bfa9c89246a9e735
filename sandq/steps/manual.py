"""Working jobs by hand: claim one, and say what became of it (seed 0, `moveTo…`).

The right to do so is the token of the claim; a job of another's claim is refused.
"""

from collections.abc import Callable, Mapping
from typing import Any

from sandq import chance
from sandq.errors import IllegalState, InvalidInput, TokenMismatch
from sandq.model.backoff_function import BackoffFunction
from sandq.model.duration import Duration, to_ms
from sandq.model.job import Claim, JobRecord
from sandq.model.moment import Moment, to_moment_ms
from sandq.model.outcome import Failure, FailureKind, Outcome
from sandq.model.payload import encode
from sandq.model.states import JobState
from sandq.model.stored_options import read_options
from sandq.model.verdict import Action, Verdict, decide
from sandq.steps.jobs import get_record, missing
from sandq.steps.runner import Steps
from sandq.store import calls, reads
from sandq.store.calls import Settlement

#: The token that holds any claim: for whoever settles a job without having claimed it.
ANY_TOKEN = "*"

#: A job that was claimed, and its record.
Claimed = tuple[Claim, JobRecord | None]

#: Where a job went, and the next one.
Settled = tuple[JobState, Claimed | None]


def get_next(queue: str, worker: str, lease_ms: int) -> Steps[Claimed | None]:
    """Claim the next waiting job."""
    claimed = yield calls.claim(queue, 1, chance.new_token(), worker, lease_ms)

    return (yield from _with_record(claimed.claims))


def check_lease(lease: Duration) -> int:
    """The milliseconds of a lease; one of zero would be over before anybody could use it."""
    lease_ms = to_ms(lease, "lease")
    if lease_ms == 0:
        raise InvalidInput("lease must be more than zero")

    return lease_ms


def complete(
    claim: Claim, value: Any, worker: str, lease_ms: int, fetch_next: bool
) -> Steps[Settled]:
    """Active -> completed."""
    outcome = Outcome.returned(encode(value, "value"))

    return (yield from _settle(claim, outcome, worker, lease_ms, fetch_next))


def fail(
    claim: Claim,
    error: str | BaseException,
    retryable: bool,
    backoffs: Mapping[str, BackoffFunction],
    worker: str,
    lease_ms: int,
    fetch_next: bool,
) -> Steps[Settled]:
    """Active -> failed, or waiting or delayed when there are attempts left."""
    failure = Failure(
        kind=FailureKind.ERROR if retryable else FailureKind.UNRECOVERABLE,
        message=str(error),
        type=type(error).__name__ if isinstance(error, BaseException) else None,
        retryable=retryable,
    )
    outcome = Outcome(failure=failure)

    return (yield from _settle(claim, outcome, worker, lease_ms, fetch_next, backoffs))


def delay(claim: Claim, until: Moment) -> Steps[None]:
    """Active -> delayed, no attempt spent."""
    until_ms = to_moment_ms(until, "until")
    now_ms, _ = yield reads.due_series(0)
    outcome = Outcome.give_back("moved to delayed", max(1, until_ms - now_ms))
    yield from _settle(claim, outcome, "", 0, False)


def extend(claim: Claim, lease_ms: int) -> Steps[None]:
    """Prolong the lease."""
    lost = yield calls.renew([claim], lease_ms)
    if lost:
        raise refused(claim.id)


def any_claim_of(job_id: str, queue: str) -> Steps[Claim]:
    """The claim on a job as it is now, whoever holds it."""
    record: JobRecord | None = yield from get_record(job_id)
    if record is None:
        raise missing(job_id)

    return Claim(
        queue,
        job_id,
        ANY_TOKEN,
        record.name,
        record.data,
        record.opts,
        record.attempts,
        record.stalls,
        record.priority,
        record.created_ms,
    )


def _settle(
    claim: Claim,
    outcome: Outcome,
    worker: str,
    lease_ms: int,
    fetch_next: bool,
    backoffs: Mapping[str, BackoffFunction] | None = None,
    spread: Callable[[], float] = chance.jitter,
) -> Steps[Settled]:
    options = read_options(claim.opts)
    verdict = decide(outcome, options, claim.attempts, backoffs or {}, spread)
    completes = verdict.action is Action.COMPLETE
    retain = options.retain_completed if completes else options.retain_failed
    call = calls.settle_and_claim(
        claim.queue,
        [Settlement(claim, verdict, retain)],
        1 if fetch_next else 0,
        chance.new_token(),
        worker,
        lease_ms,
    )
    (status,), claimed = yield call
    if status == "missing":
        raise missing(claim.id)
    if status == "lost":
        raise refused(claim.id)
    if status == "done":
        raise IllegalState(f"job {claim.id!r} is not active, so there is nothing to be settled")

    return (yield from _became(claim.id, verdict)), (yield from _with_record(claimed.claims))


def _with_record(claims: list[Claim]) -> Steps[Claimed | None]:
    if not claims:
        return None
    record: JobRecord | None = yield from get_record(claims[0].id)

    return claims[0], record


def _became(job_id: str, verdict: Verdict) -> Steps[JobState]:
    """Where the job went: one that was cancelled or discarded meanwhile is not tried again."""
    if verdict.action is Action.COMPLETE:
        return JobState.COMPLETED

    record: JobRecord | None = yield from get_record(job_id)
    if record is not None and record.cancel is not None:
        return JobState.CANCELLED
    # one that is gone has failed, and is not kept
    final = record is None or (record.discarded and verdict.action is Action.RETRY)
    if final or verdict.action is Action.FAIL:
        return JobState.FAILED

    return JobState.DELAYED if verdict.delay_ms else JobState.WAITING


def refused(job_id: str) -> TokenMismatch:
    return TokenMismatch(
        f"job {job_id!r} is not held by this claim: its lease ended and it is another's, or it was "
        "settled, or it was not claimed by get_next_job; nothing was written"
    )
