"""The verdict, as a full table of what can have happened."""

from itertools import product

import orjson
import pytest

from sandq.model.backoff import Backoff
from sandq.model.outcome import Failure, FailureKind, Outcome
from sandq.model.stored_options import StoredOptions
from sandq.model.verdict import Action, Verdict, decide

FIXED = Backoff.fixed(2)
CURVE = Backoff.exponential(1)
LIST = Backoff.delays([1, 5])
SPREAD = Backoff.geometric(1, jitter=0.5)
NAMED = Backoff.named("mine", base=2)

# attempts, failures before, retryable -> action
ACTIONS = [
    (1, 0, True, Action.FAIL),
    (1, 0, False, Action.FAIL),
    (2, 0, True, Action.RETRY),
    (2, 0, False, Action.FAIL),
    (2, 1, True, Action.FAIL),
    (2, 1, False, Action.FAIL),
    (3, 0, True, Action.RETRY),
    (3, 1, True, Action.RETRY),
    (3, 1, False, Action.FAIL),
    (3, 2, True, Action.FAIL),
    (3, 9, True, Action.FAIL),
]

# backoff, retry_after_ms, failures before -> delay_ms of the retry
DELAYS = [
    (None, None, 0, 0),
    (None, 700, 0, 700),
    (FIXED, None, 0, 2_000),
    (FIXED, None, 7, 2_000),
    (FIXED, 700, 0, 700),
    (FIXED, 0, 0, 0),
    (CURVE, None, 0, 1_000),
    (CURVE, None, 1, 3_000),
    (CURVE, None, 2, 7_000),
    (CURVE, 700, 2, 700),
    (CURVE, 0, 2, 0),
    (LIST, None, 0, 1_000),
    (LIST, None, 9, 5_000),
    (SPREAD, None, 1, 2_000),
    (SPREAD, 700, 1, 700),
    # no function is asked, so none has to be there
    (NAMED, 700, 1, 700),
]

# attempts, failures before, backoff: what decides nothing where nothing failed
CIRCUMSTANCES = list(product([1, 3], [0, 2, 9], [None, FIXED]))


def test_the_words_for_what_is_to_be_done_are_these():
    assert [action.value for action in Action] == ["complete", "retry", "fail", "release"]


def failed(kind=FailureKind.ERROR, *, retryable=True, retry_after_ms=None):
    return Outcome(
        failure=Failure(kind=kind, message="no", retryable=retryable, retry_after_ms=retry_after_ms)
    )


@pytest.mark.parametrize(("attempts", "before", "retryable", "action"), ACTIONS)
@pytest.mark.parametrize("kind", FailureKind)
def test_a_failure_is_tried_again_while_attempts_are_left(
    attempts, before, retryable, action, kind
):
    outcome = failed(kind, retryable=retryable)
    verdict = decide(outcome, StoredOptions(attempts=attempts), before)

    assert verdict == Verdict(action, 0, kind.value, outcome.failure.to_text())


@pytest.mark.parametrize(("backoff", "retry_after_ms", "before", "delay_ms"), DELAYS)
def test_a_retry_waits_as_the_handler_says_else_as_the_backoff_says(
    backoff, retry_after_ms, before, delay_ms
):
    outcome = failed(retry_after_ms=retry_after_ms)
    verdict = decide(outcome, StoredOptions(attempts=99, backoff=backoff), before)

    assert verdict == Verdict(Action.RETRY, delay_ms, "error", outcome.failure.to_text())


@pytest.mark.parametrize(("attempts", "before", "backoff"), CIRCUMSTANCES)
@pytest.mark.parametrize("value", [b"null", b'{"a": 1}', b"0", b'""'])
def test_a_value_completes_the_job_and_is_kept_byte_for_byte(value, attempts, before, backoff):
    verdict = decide(Outcome.returned(value), StoredOptions(attempts, backoff), before)

    assert verdict == Verdict(Action.COMPLETE, payload=value)


@pytest.mark.parametrize(("attempts", "before", "backoff"), CIRCUMSTANCES)
@pytest.mark.parametrize("delay_ms", [0, 500])
def test_a_released_job_goes_back_whatever_its_attempts(delay_ms, attempts, before, backoff):
    verdict = decide(
        Outcome.give_back("shutdown", delay_ms), StoredOptions(attempts, backoff), before
    )

    assert verdict == Verdict(Action.RELEASE, delay_ms=delay_ms)


def test_a_failure_without_attempts_left_does_not_wait():
    verdict = decide(failed(retry_after_ms=700), StoredOptions(attempts=2, backoff=FIXED), 1)

    assert (verdict.action, verdict.delay_ms) == (Action.FAIL, 0)


@pytest.mark.parametrize(("drawn", "delay_ms"), [(-1.0, 500), (0.0, 1_000), (0.5, 1_250)])
def test_the_jitter_of_a_backoff_is_drawn_by_the_caller(drawn, delay_ms):
    verdict = decide(failed(), StoredOptions(9, SPREAD), 0, spread=lambda: drawn)

    assert (verdict.action, verdict.delay_ms) == (Action.RETRY, delay_ms)


@pytest.mark.parametrize(
    ("answer", "action", "delay_ms"),
    [
        (0, Action.RETRY, 0),
        (1.5, Action.RETRY, 1_500),
        (-1, Action.FAIL, 0),
    ],
)
@pytest.mark.parametrize("kind", FailureKind)
def test_a_named_backoff_is_its_functions_to_say(answer, action, delay_ms, kind):
    outcome = failed(kind)
    verdict = decide(outcome, StoredOptions(9, NAMED), 0, {"mine": lambda *_: answer})

    assert verdict == Verdict(action, delay_ms, kind.value, outcome.failure.to_text())


def test_a_named_backoff_is_asked_with_the_failures_the_record_and_its_options():
    seen = []
    failure = Failure(kind=FailureKind.ERROR, message="no", code=7, data={"a": [1]})

    decide(
        Outcome(failure=failure),
        StoredOptions(9, NAMED),
        2,
        {"mine": lambda *given: seen.append(given) or 0},
    )

    assert seen == [
        (3, {"kind": "error", "message": "no", "code": 7, "data": {"a": [1]}}, {"base": 2})
    ]


def test_a_named_backoff_cannot_change_the_failure_record():
    def spoil(failures, record, options):
        record["message"] = "changed"
        return -1

    outcome = failed()

    assert decide(outcome, StoredOptions(9, NAMED), 0, {"mine": spoil}).payload == (
        outcome.failure.to_text()
    )


def raising(failures, record, options):
    raise KeyError("base")


@pytest.mark.parametrize(
    ("known", "reason"),
    [
        ({}, "backoff 'mine' is not registered with this supervisor; it has none"),
        ({"mind": max}, "backoff 'mine' is not registered with this supervisor; did you mean 'mi"),
        ({"mine": raising}, "backoff 'mine' raised KeyError: 'base'"),
        ({"mine": lambda *_: "soon"}, "backoff 'mine' answered 'soon'; it must answer seconds"),
        ({"mine": lambda *_: float("nan")}, "backoff 'mine' answered nan; it must answer"),
        ({"mine": lambda: 1}, "backoff 'mine' raised TypeError"),
    ],
)
def test_a_named_backoff_that_cannot_be_asked_fails_the_job_and_says_why(known, reason):
    failure = Failure(kind=FailureKind.TIMED_OUT, message="late", code=7)
    verdict = decide(Outcome(failure=failure), StoredOptions(9, NAMED), 0, known)
    record = orjson.loads(verdict.payload)

    assert (verdict.action, verdict.kind, verdict.delay_ms) == (Action.FAIL, "timed_out", 0)
    assert record["message"].startswith(f"late; not tried again: {reason}")
    assert {**record, "message": "late"} == orjson.loads(failure.to_text())


def test_a_named_backoff_is_not_asked_when_no_attempt_is_left():
    outcome = failed()
    verdict = decide(outcome, StoredOptions(1, NAMED), 0, {"mine": raising})

    assert verdict == Verdict(Action.FAIL, 0, "error", outcome.failure.to_text())
