"""What the kit says of results."""

import json
from dataclasses import replace

import pytest

from sandq.conformance import report
from sandq.conformance.cases import Case
from sandq.conformance.kit import FAILED, PASSED, SKIPPED, Result
from sandq.conformance.subject import Subject

CASE = Case("one", 6, "check", "MUST", "any", 'the #1 \\ "title"', "why", (), ())
SUBJECT = Subject(("x",))
SHOULD, MAY = replace(CASE, tier="SHOULD"), replace(CASE, tier="MAY")
ABOUT = '6 one: the \\#1 \\\\ "title"'


def test_the_head_is_a_plan():
    subject = Subject(("x",), level="full", caps=frozenset(["ping", "log"]))

    assert report.tap_head(subject, 3) == [
        "TAP version 14",
        "1..3",
        "# level full, it can log ping",
    ]
    assert report.tap_head(Subject(("x",)), 0)[2] == "# level simple"


@pytest.mark.parametrize(
    ("result", "line"),
    [
        (Result(CASE, PASSED), f"ok 2 - {ABOUT}"),
        (Result(CASE, SKIPPED, "no #2"), f"ok 2 - {ABOUT} # SKIP no \\#2"),
        (Result(CASE, FAILED), f"not ok 2 - {ABOUT}"),
        (Result(SHOULD, FAILED), f"not ok 2 - {ABOUT} # TODO SHOULD, and no MUST"),
        (Result(MAY, FAILED), f"not ok 2 - {ABOUT} # TODO MAY, and no MUST"),
    ],
)
def test_a_test_point(result, line):
    lines = report.tap_lines(2, result)

    assert lines[0] == line
    assert (len(lines) > 1) == (result.outcome == FAILED)


def test_a_diagnosis_is_yaml():
    lines = report.tap_lines(1, Result(CASE, FAILED, 'a "b": c', (">> 1", "<< 2"), ("oh\tno",)))

    assert lines[1:] == [
        "  ---",
        r'  message: "a \"b\": c"',
        "  severity: fail",
        "  tier: MUST",
        '  why: "why"',
        "  conversation:",
        '    - ">> 1"',
        '    - "<< 2"',
        "  stderr:",
        r'    - "oh\tno"',
        "  ...",
    ]
    assert "  severity: todo" in report.tap_lines(1, Result(SHOULD, FAILED, "x"))


@pytest.mark.parametrize(
    ("results", "conforms", "words"),
    [
        ([], True, "0 passed, 0 failed, 0 skipped: it conforms"),
        ([Result(CASE, PASSED), Result(CASE, SKIPPED)], True, "1 passed, 0 failed, 1 skipped: it"),
        ([Result(MAY, FAILED)], True, "1 failed, 0 skipped: it conforms"),
        ([Result(SHOULD, FAILED)], True, "it conforms, and misses 1 of what it SHOULD do"),
        ([Result(SHOULD, FAILED), Result(CASE, FAILED)], False, "it does not conform"),
    ],
)
def test_the_end_of_the_story(results, conforms, words):
    assert report.conforms(results) == conforms
    assert words in report.tap_tail(SUBJECT, results)[0]
    assert len(report.tap_tail(SUBJECT, results)) == 1
    assert report.json_summary(Subject(("x",)), results)["conforms"] == conforms


def test_a_handler_that_knows_no_contract_is_told_of_jobs_of_its_own():
    results = [Result(CASE, FAILED, "step 2: result is 5; 1 was expected")]

    assert "--job FILE" in report.tap_tail(SUBJECT, results)[1]
    assert len(report.tap_tail(replace(SUBJECT, job={}), results)) == 1


def test_a_result_as_an_object():
    told = report.json_result(Result(CASE, FAILED, "x", ("<< 1",), ("e",)))

    assert json.loads(json.dumps(told)) == told
    assert (told["case"], told["number"], told["outcome"], told["reason"]) == (
        "one",
        6,
        FAILED,
        "x",
    )
    assert (told["conversation"], told["stderr"]) == (["<< 1"], ["e"])
    assert report.json_result(Result(CASE, PASSED))["reason"] is None
