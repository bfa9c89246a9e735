"""The facts of one attempt, and the failure record that is stored of them."""

import orjson
import pytest

from sandq.model.outcome import Death, Failure, FailureKind, LimitHit, Outcome

KILLED = Death("signal", None, "SIGKILL", "timeout", 1.23456, 2048, ("one", "two"))
EXITED = Death("exit", 3, None, "itself", 0.0, 512)

# the stored words, for ever
KINDS = {
    "error",
    "unrecoverable",
    "crashed",
    "timed_out",
    "heartbeat_lost",
    "cpu_limit",
    "out_of_memory",
    "output_limit",
    "protocol_error",
    "handler_missing",
    "stalled",
    "expired",
    "oversize_payload",
    "start_failed",
    "pids_limit",
    "disk_limit",
    "sandbox_unavailable",
}


def test_the_words_for_failures_are_these():
    assert {kind.value for kind in FailureKind} == KINDS


@pytest.mark.parametrize(
    ("outcome", "field"),
    [
        (Outcome.returned(b"1"), "value"),
        (Outcome.returned(b"null"), "value"),
        (Outcome.failed(FailureKind.CRASHED, "gone"), "failure"),
        (Outcome.failed(FailureKind.CRASHED, "gone", death=KILLED), "failure"),
        (Outcome.give_back("shutdown"), "released"),
        (Outcome.give_back("no child", 500), "released"),
    ],
)
def test_every_outcome_is_exactly_one_of_three(outcome, field):
    said = {name for name in ("value", "failure", "released") if getattr(outcome, name) is not None}

    assert said == {field}


def test_an_outcome_keeps_what_it_was_made_of():
    failure = Outcome.failed(FailureKind.TIMED_OUT, "late", death=KILLED).failure

    assert Outcome.returned(b'{"a": 1}').value == b'{"a": 1}'
    assert Outcome.returned(b"1").delay_ms == 0
    assert failure == Failure(kind=FailureKind.TIMED_OUT, message="late", death=KILLED)
    assert Outcome.give_back("no child", 500).delay_ms == 500
    assert Outcome.give_back("shutdown").delay_ms == 0


def test_a_failure_is_worth_another_try_unless_it_says_no():
    assert Failure(kind=FailureKind.ERROR, message="").retryable is True


def test_a_record_names_the_limit_that_was_passed_and_what_the_child_ran_under():
    limit = LimitHit("memory", 1000, 1234)
    death = Death("signal", None, "SIGKILL", "limit", 0.0, 1, (), limit, "bwrap+watchdog")
    failure = Failure(kind=FailureKind.OUT_OF_MEMORY, message="", death=death, limit=limit)
    record = orjson.loads(failure.to_text())

    assert record["limit"] == {"name": "memory", "value": 1000, "peak": 1234}
    assert record["death"]["sandbox"] == "bwrap+watchdog"
    assert LimitHit("wall", 5).to_member() == {"name": "wall", "value": 5}


def test_a_record_has_no_members_that_say_nothing():
    failure = Failure(kind=FailureKind.ERROR, message="no")

    assert failure.to_text() == b'{"kind":"error","message":"no"}'


def test_a_record_holds_the_words_of_the_handler_and_the_death():
    failure = Failure(
        kind=FailureKind.UNRECOVERABLE,
        message="no",
        type="ValueError",
        stack="at x",
        code=0,
        data=[],
        cause={"type": "KeyError", "message": "x"},
        retryable=False,
        retry_after_ms=5,
        death=KILLED,
    )

    assert orjson.loads(failure.to_text()) == {
        "kind": "unrecoverable",
        "message": "no",
        "type": "ValueError",
        "stack": "at x",
        "code": 0,
        "data": [],
        "cause": {"type": "KeyError", "message": "x"},
        "death": KILLED.to_member(),
    }


@pytest.mark.parametrize(
    ("death", "member"),
    [
        (
            KILLED,
            {
                "how": "signal",
                "signal": "SIGKILL",
                "by": "timeout",
                "cpu_s": 1.235,
                "max_rss_kb": 2048,
                "stderr_tail": ["one", "two"],
            },
        ),
        (
            EXITED,
            {
                "how": "exit",
                "exit_code": 3,
                "by": "itself",
                "cpu_s": 0.0,
                "max_rss_kb": 512,
                "stderr_tail": [],
            },
        ),
    ],
)
def test_a_death_is_told_by_code_or_by_signal(death, member):
    assert death.to_member() == member


@pytest.mark.parametrize(
    ("death", "clause"),
    [
        (KILLED, "signal SIGKILL; last error output: 'two'"),
        (EXITED, "exit code 3"),
        (Death("exit", 0, None, "itself", 0.0, 0, ("",)), "exit code 0; last error output: ''"),
    ],
)
def test_a_death_is_one_clause_of_a_message(death, clause):
    assert death.describe() == clause
