"""The cases are read, found wherever they lie, and refused when they are not well formed."""

import json
import re

import pytest

from sandq.conformance import files
from sandq.conformance.cases import CaseInvalid, load_cases, read_cases
from sandq.errors import ConfigError

CASE = {
    "name": "one",
    "tier": "MUST",
    "level": "any",
    "title": "title",
    "why": "why",
    "steps": [{"send": {"job": "any"}}],
}


def a_file(**changes):
    return {"number": 1, "title": "check", "cases": [{**CASE, **changes}]}


def test_a_case_is_read():
    [case] = read_cases(a_file(needs=["echo"]))

    assert (case.name, case.number, case.check, case.needs) == ("one", 1, "check", ("echo",))
    assert case.steps == ({"send": {"job": "any"}},)


def with_step(**step):
    return a_file(steps=[step])


WRONG = [
    ([], "the file is no object"),
    ({"number": 1, "title": "check"}, "the file: member 'cases' is missing"),
    ({"number": 0, "title": "check", "cases": []}, "number 0 is none from 1 up"),
    ({"number": 1, "title": "check", "cases": [5]}, "a case is no object"),
    (a_file(tier="must"), "case 'one': tier 'must'"),
    (a_file(level="all"), "level 'all'"),
    (a_file(needs=["money"]), "needs ['money']"),
    (a_file(title=""), "title is no text"),
    (a_file(extra=1), "member 'extra' is not known"),
    (a_file(steps=[]), "steps is no list, or empty"),
    (a_file(steps=["send"]), "step 1: one of send"),
    (with_step(send={"job": "any"}, expect="end"), "step 1: one of send"),
    (with_step(send={"job": "any"}, within_ms=5), "member 'within_ms' is not known"),
    (with_step(send="any"), "what is sent is not clear"),
    (with_step(send={"job": "any", "text": "x"}), "what is sent is not clear"),
    (with_step(expect={"answers": {}}), "what is expected is not clear"),
    (with_step(expect="silence"), "expect cannot be 'silence'"),
    (with_step(close=True), "close cannot be True"),
    (with_step(exit="soon"), "exit cannot be 'soon'"),
    (with_step(repeat=5), "repeat needs steps"),
    (with_step(repeat=5, steps=[{"expect": {"answer": "$nobody"}}]), "step 1, step 1: $nobody"),
    (with_step(send={"job": {"data": {"$texts": 5}}}), "$texts is no word"),
    (with_step(send={"job": {"data": {"$text": 5, "more": 1}}}), "$text stands alone"),
]


@pytest.mark.parametrize(("content", "words"), WRONG)
def test_what_is_not_well_formed_is_refused(tmp_path, content, words):
    (tmp_path / "bad.json").write_text(json.dumps(content))

    with pytest.raises(CaseInvalid, match=re.escape(words)) as caught:
        load_cases(tmp_path)
    assert str(tmp_path / "bad.json") in str(caught.value)


def test_what_is_no_json_is_refused(tmp_path):
    (tmp_path / "bad.json").write_text("{")

    with pytest.raises(CaseInvalid, match=r"bad\.json: Expecting"):
        load_cases(tmp_path)


def test_a_name_is_there_once(tmp_path):
    for name in ("a", "b"):
        (tmp_path / f"{name}.json").write_text(json.dumps(a_file()))

    with pytest.raises(CaseInvalid, match="two cases are named 'one'"):
        load_cases(tmp_path)


def test_the_cases_are_found_in_a_package_first(tmp_path, monkeypatch):
    package, beside = tmp_path / "sandq", tmp_path / "spec/cases"
    monkeypatch.setattr(files, "_PACKAGE", package)
    with pytest.raises(ConfigError, match="spec/cases is missing"):
        files.spec_folder("cases")

    beside.mkdir(parents=True)
    assert files.spec_folder("cases") == beside
    (package / "spec/cases").mkdir(parents=True)
    assert files.spec_folder("cases") == package / "spec/cases"


def test_the_cases_of_the_repository_are_well_formed():
    cases = load_cases()

    assert [case.number for case in cases] == sorted(case.number for case in cases)
    assert {case.number for case in cases} == set(range(1, 22))
