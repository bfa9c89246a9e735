"""The kit finds out what a handler is, chooses the cases for it, and leaves nothing behind."""

import os
import sys

import pytest

from sandq.conformance.cases import load_cases, read_cases
from sandq.conformance.kit import FAILED, NO_ECHO, PASSED, SKIPPED, probe, run_case, why_skipped
from sandq.conformance.saying import read_job
from sandq.conformance.subject import Subject, how_it_ended
from sandq.errors import HandlerInvalid
from tests.conformance.programs import command

CASES = {case.name: case for case in load_cases()}
SHORT = {"answer_s": 0.4, "ready_s": 0.4}


def outcome_of(steps, subject, **members):
    case = {"name": "one", "tier": "MUST", "level": "any", "title": "t", "why": "w", **members}
    [case] = read_cases({"number": 1, "title": "check", "cases": [{**case, "steps": steps}]})

    return run_case(case, subject)


@pytest.mark.parametrize("level", ["simple", "full"])
def test_a_probe_finds_the_level(tmp_path, level):
    subject = probe(Subject(command(tmp_path, level)))

    assert subject.level == level
    assert ("cancel" in subject.caps) == (level == "full")
    assert (subject.answer_s, subject.ready_s) == (10, 30)


def test_a_level_that_is_told_is_taken(tmp_path):
    subject = probe(Subject(command(tmp_path, "full")), "simple")

    assert subject.level == "simple"
    assert probe(Subject(command(tmp_path, "oneshot")), "oneshot").level == "oneshot"


@pytest.mark.parametrize("caps", ['"cancel"', "5", "None"])
def test_caps_that_are_none(tmp_path, caps):
    wrong = f'def start():\n    say("hello", caps={caps})\n'

    assert probe(Subject(command(tmp_path, "full", wrong))).caps == frozenset()


def test_who_is_silent_is_not_waited_for_long(tmp_path):
    silent = "def serve(job):\n    pass\n"
    subject = probe(Subject(command(tmp_path, "simple", silent), **SHORT))
    assert (subject.answer_s, subject.ready_s) == (0.4, 0.4)

    patient = probe(Subject(command(tmp_path, "simple", silent), answer_s=2.2, ready_s=0.1))
    assert (patient.answer_s, patient.ready_s) == (2.0, 0.1)


def test_who_dies_at_the_start_is_for_the_cases_to_tell():
    subject = probe(Subject((sys.executable, "-c", "import sys; sys.exit('no model')")))
    result = run_case(CASES["one-answer"], subject)

    assert (subject.level, result.outcome) == ("simple", FAILED)
    assert "exit code 1" in result.reason
    assert result.errors == ("no model",)


def test_a_program_that_is_not_there():
    with pytest.raises(HandlerInvalid, match="cannot be started"):
        probe(Subject(("/no/such/program",)))


def test_why_a_case_is_skipped():
    own = Subject(("x",), level="full", job={"data": "1"})
    full = Subject(("x",), level="full")

    assert why_skipped(CASES["one-answer"], own) is None
    assert why_skipped(CASES["values"], own) == NO_ECHO
    assert why_skipped(CASES["ping"], full) == "its hello does not name ping"
    assert (
        why_skipped(CASES["ping"], Subject(("x",), level="full", caps=frozenset(["ping"]))) is None
    )
    assert why_skipped(CASES["ends-oneshot"], full) == (
        "it is for the level oneshot, and the handler is full"
    )
    assert run_case(CASES["ping"], full).outcome == SKIPPED


def test_a_handler_with_a_job_of_its_own(tmp_path):
    """It knows nothing of the echo contract, but one job."""
    counts = 'def result(job):\n    return {"words": len(job["data"]["text"].split())}\n'
    words = Subject(
        command(tmp_path, "simple", counts), job=read_job(b'{"data":{"text":"one two"}}')
    )
    results = [run_case(case, words) for case in CASES.values() if case.number != 2]

    assert {r.outcome for r in results} == {PASSED, SKIPPED}
    passed = {r.case.number for r in results if r.outcome == PASSED}
    assert passed == {1, 3, 4, 5, 10, 12, 21}
    without_job = Subject(words.command, level="simple")
    assert run_case(CASES["one-answer"], without_job).outcome == FAILED


def test_a_handler_that_cannot_retry_later_is_not_asked_to(tmp_path):
    plain = "def result(job):\n    return job['data']\n"
    result = run_case(CASES["retry-later"], Subject(command(tmp_path, "full", plain), level="full"))

    assert result.outcome == SKIPPED
    assert "the data come back unchanged" in result.reason


ANY, RIGHT = {"send": {"job": "any"}}, {"expect": {"answer": "right"}}


def test_a_call_that_was_not_expected_gets_a_reply(tmp_path):
    subject = Subject(command(tmp_path, "full"), level="full")
    job = {"send": {"job": {"data": {"sandq_test": "call", "verb": "x", "args": {}}}}}
    refused = {"expect": {"answer": {"error": {"message": "the kit does not do this"}}}}

    assert outcome_of([job, refused], subject).outcome == PASSED


def test_text_and_bytes_are_sent_as_they_are(tmp_path):
    subject = Subject(command(tmp_path))
    text = {"send": {"text": '{"data": "$id"}', "id": "seven"}}
    hexadecimal = {"send": {"bytes": b'{"data":5}\n'.hex()}}
    steps = [text, {"expect": {"answer": {"result": "seven"}}}]

    assert outcome_of([*steps, hexadecimal, {"expect": {"answer": {"result": 5}}}], subject).outcome
    assert outcome_of(steps, subject).outcome == PASSED


def test_a_failure_tells_step_conversation_and_errors(tmp_path):
    dies = 'def result(job):\n    sys.exit("out of luck")\n'
    steps = [{"wait_ms": 1}, {"each": [1, 2], "steps": [ANY, RIGHT]}]
    result = outcome_of(steps, Subject(command(tmp_path, "simple", dies)))

    assert result.reason == (
        "step 2, turn 1, step 2: no answer came, and its output is over: it ended with exit code 1"
    )
    assert result.trace[0].startswith('>> {"sandq":1,"type":"job","id":"1"')
    assert result.errors == ("out of luck",)


def test_a_program_that_ends_after_each_job_is_told_of_the_level(tmp_path):
    once = "def serve(job):\n    put(text(answer(job)) + '\\n')\n    sys.exit(0)\n"
    result = outcome_of([ANY, RIGHT, {"wait_ms": 20_000}, ANY, RIGHT],
                        Subject(command(tmp_path, "simple", once)))  # fmt: skip

    assert "does not read its input any more: it ended with exit code 0" in result.reason
    assert "is for --level oneshot" in result.reason


def test_fatal_fails_whatever_is_expected(tmp_path):
    fatal = 'def start():\n    say("hello")\n    say("fatal", error="no model")\n'
    result = outcome_of([ANY, RIGHT], Subject(command(tmp_path, "full", fatal), level="full"))

    assert 'it says that it cannot serve: "no model"' in result.reason


ONESHOT = [
    ("", PASSED, ""),
    ("def once():\n    sys.exit(0)\n", FAILED, "result is null"),
    ("def once():\n    sys.exit(65)\n", FAILED, "exit code 65"),
    ("def once():\n    put('1\\n2\\n')\n", FAILED, "says more than was asked"),
    ("def once():\n    sys.stdin.read()\n    sys.exit(0)\n", FAILED, "result is null"),
]


@pytest.mark.parametrize(("wrong", "outcome", "words"), ONESHOT)
def test_the_end_of_a_oneshot_handler_counts(tmp_path, wrong, outcome, words):
    result = outcome_of([ANY, RIGHT], Subject(command(tmp_path, "oneshot", wrong), level="oneshot"))

    assert result.outcome == outcome
    assert words in result.reason


def test_a_oneshot_handler_may_end_badly_after_an_error(tmp_path):
    wrong = 'def once():\n    put(\'{"status":"error"}\\n\')\n    sys.exit(5)\n'
    subject = Subject(command(tmp_path, "oneshot", wrong), level="oneshot")

    error = {"expect": {"answer": {"status": "error"}}}
    assert outcome_of([ANY, error], subject).outcome == PASSED


def test_nothing_is_left_behind(tmp_path):
    subject = Subject(command(tmp_path))
    run_case(CASES["one-answer"], subject)
    before = os.listdir("/proc/self/fd")
    for _ in range(5):
        run_case(CASES["one-answer"], subject)

    assert len(os.listdir("/proc/self/fd")) == len(before)


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (None, "it has not ended"),
        (0, "it ended with exit code 0"),
        (-9, "it was ended by SIGKILL"),
        (-60, "it was ended by signal 60"),
    ],
)
def test_an_end_in_words(status, words):
    assert how_it_ended(status) == words
