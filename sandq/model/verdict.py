"""What is to be done with a job after an attempt: a pure decision from the facts.

| outcome                                     | verdict  | attempt spent |
|---------------------------------------------|----------|---------------|
| a value                                     | complete | no            |
| a failure, attempts left, retryable         | retry    | yes           |
| a failure, no attempts left or not retryable | fail     | yes           |
| released                                    | release  | no            |
"""

from dataclasses import dataclass
from enum import StrEnum

from sandq.model.options import StoredOptions
from sandq.model.outcome import Outcome


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
    - `kind`: for retry and fail: the failure's kind.
    - `payload`: the value, or the failure record, as JSON text.
    """

    action: Action
    delay_ms: int = 0
    kind: str = ""
    payload: bytes = b""


def decide(outcome: Outcome, options: StoredOptions, failures_before: int) -> Verdict:
    """The verdict on an attempt of a job that had failed `failures_before` times already."""
    if outcome.value is not None:
        return Verdict(Action.COMPLETE, payload=outcome.value)

    failure = outcome.failure
    if failure is None:
        return Verdict(Action.RELEASE, delay_ms=outcome.delay_ms)

    failures = failures_before + 1
    text = failure.to_text()
    if not failure.retryable or failures >= options.attempts:
        return Verdict(Action.FAIL, kind=failure.kind.value, payload=text)

    delay_ms = failure.retry_after_ms
    if delay_ms is None:
        delay_ms = options.backoff.after(failures) if options.backoff is not None else 0

    return Verdict(Action.RETRY, delay_ms=delay_ms, kind=failure.kind.value, payload=text)
