"""Every case fails on a handler that is wrong in the way it is about, and passes on a right one."""

from dataclasses import replace

import pytest

from sandq.conformance.cases import LEVELS, load_cases
from sandq.conformance.kit import FAILED, PASSED, SKIPPED, probe, run_case
from sandq.conformance.subject import Subject
from tests.conformance.programs import SOURCES, command
from tests.conformance.wrongs import WRONGS

CASES = {case.name: case for case in load_cases()}


@pytest.mark.parametrize("wrong", WRONGS, ids=lambda wrong: f"{wrong.case}-{wrong.level}")
def test_a_wrong_handler_fails(tmp_path, wrong):
    case = replace(CASES[wrong.case], steps=wrong.steps(CASES[wrong.case].steps))
    subject = Subject(
        command(tmp_path, wrong.level, wrong.code),
        level=wrong.level,
        caps=frozenset(case.needs),
        answer_s=wrong.answer_s,
        ready_s=wrong.ready_s,
    )
    result = run_case(case, subject)

    assert result.outcome == FAILED
    assert wrong.words in result.reason, result


def test_there_is_a_wrong_handler_for_every_case():
    assert {wrong.case for wrong in WRONGS} == set(CASES)


@pytest.mark.parametrize("level", SOURCES)
def test_a_right_handler_passes(tmp_path, level):
    subject = probe(Subject(command(tmp_path, level)), "oneshot" if level == "oneshot" else None)
    results = [run_case(case, subject) for case in CASES.values()]
    failed = [(r.case.name, r.reason) for r in results if r.outcome == FAILED]
    skipped = {r.case.name for r in results if r.outcome == SKIPPED}

    assert subject.level == level
    # json of Python takes what the protocol does not, which is no breach: sandq sends none of it
    assert [name for name, _ in failed] == ["nested-300", "half-surrogate"]
    assert skipped == {c.name for c in CASES.values() if level not in LEVELS[c.level]}
    assert {r.outcome for r in results if r.case.number == 20} <= {PASSED, SKIPPED}
