"""What is to be done with a job after an attempt: a decision from the facts.

| outcome                                     | verdict  | attempt spent |
|---------------------------------------------|----------|---------------|
| a value                                     | complete | no            |
| a failure, attempts left, retryable         | retry    | yes           |
| a failure, no attempts left or not retryable | fail     | yes           |
| a failure whose named backoff gives up, or cannot be asked | fail | yes |
| released                                    | release  | no            |

The wait before a retry is what the handler asked for, else what the backoff says, else none.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType

from sandq.model.backoff_function import BackoffFunction, ask_backoff
from sandq.model.outcome import Failure, Outcome
from sandq.model.payload import decode_stored
from sandq.model.stored_options import StoredOptions


class Action(StrEnum):
    """What to do; the words are those of `sandq/lua/include/settle.lua`."""

    COMPLETE = "complete"
    RETRY = "retry"
    FAIL = "fail"
    RELEASE = "release"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to do with the job.

    - `delay_ms`: for retry and release: how long it stays delayed; 0: waiting at once.
    - `kind`: for retry and fail: the failure's kind; for complete: the mechanisms that the job
      ran under, if it had any.
    - `payload`: the value, or the failure record, as JSON text.
    """

    action: Action
    delay_ms: int = 0
    kind: str = ""
    payload: bytes = b""


_NO_BACKOFFS: Mapping[str, BackoffFunction] = MappingProxyType({})


def _no_spread() -> float:
    return 0.0


def decide(
    outcome: Outcome,
    options: StoredOptions,
    failures_before: int,
    backoffs: Mapping[str, BackoffFunction] = _NO_BACKOFFS,
    spread: Callable[[], float] = _no_spread,
) -> Verdict:
    """The verdict on an attempt of a job that had failed `failures_before` times already.

    - `backoffs`: the functions of named backoffs; nothing that one of them does is an error here.
    - `spread`: draws the part of a backoff's jitter that counts, from -1 to 1.

    Pure but for calling these two.
    """
    if outcome.value is not None:
        return Verdict(Action.COMPLETE, kind=outcome.sandbox, payload=outcome.value)

    failure = outcome.failure
    if failure is None:
        return Verdict(Action.RELEASE, delay_ms=outcome.delay_ms)

    failures = failures_before + 1
    if not failure.retryable or failures >= options.attempts:
        return _fail(failure)
    if failure.retry_after_ms is not None:
        return _retry(failure, failure.retry_after_ms)
    if options.backoff is None:
        return _retry(failure, 0)
    if options.backoff.kind != "named":
        return _retry(failure, options.backoff.after(failures, spread()))

    # decoded anew, so that the function cannot change what is stored
    record = decode_stored(failure.to_text())
    answer = ask_backoff(options.backoff, failures, record, backoffs)
    if answer.delay_ms is not None:
        return _retry(failure, answer.delay_ms)
    if answer.problem:
        message = f"{failure.message}; not tried again: {answer.problem}"
        return _fail(replace(failure, message=message))

    return _fail(failure)


def _retry(failure: Failure, delay_ms: int) -> Verdict:
    return Verdict(
        Action.RETRY, delay_ms=delay_ms, kind=failure.kind.value, payload=failure.to_text()
    )


def _fail(failure: Failure) -> Verdict:
    return Verdict(Action.FAIL, kind=failure.kind.value, payload=failure.to_text())
