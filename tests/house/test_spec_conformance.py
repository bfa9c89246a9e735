"""spec/conformance.md says what the kit does: its tables are the code's, its matrix is true."""

import inspect
import json
import os
import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from sandq.cli import conformance_handler
from sandq.conformance import cases, report, running, values
from sandq.conformance.kit import FAILED, Result, run_case
from sandq.conformance.subject import Subject
from tests.conformance import matrix
from tests.conformance.programs import command
from tests.house.pages import blocks, column, plain, table, words

TEXT = matrix.PAGE.read_text()
CASES = cases.load_cases()
ROWS = {line.split("](")[0][3:]: line for line in matrix.part(TEXT, "matrix").splitlines()[2:]}
SAMPLES = matrix.samples()

AT_ONCE = 4

#: A program that is missing here is no fault of the page, but it is where everything is installed.
STRICT = bool(os.environ.get("SANDQ_CI"))


def test_the_checks_are_those_of_the_cases():
    assert matrix.part(TEXT, "checks") == matrix.checks(), "make matrix"


def test_the_matrix_has_the_samples():
    told = matrix.part(TEXT, "matrix").splitlines()[:2]

    assert told == matrix.matrix([]).splitlines()
    assert list(ROWS) == [sample.name for sample in SAMPLES], "make matrix"
    for sample in SAMPLES:
        assert ROWS[sample.name].startswith(f"| {matrix.head(sample)} |"), "make matrix"


@pytest.fixture(scope="module")
def rows():
    """The rows as they are now; a handler under test waits a lot, so some are tested at once."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return dict(zip((s.name for s in SAMPLES), pool.map(matrix.row, SAMPLES), strict=True))


# 1,000 jobs take a while where each needs some processes, as in a shell
@pytest.mark.timeout(300)
@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)
def test_a_row_of_the_matrix_is_true(sample, rows):
    told = ROWS[sample.name]
    if not STRICT and not sample.is_here():
        pytest.skip(f"{sample.needs} is not installed: apt-get install {sample.package or '…'}")
    if not STRICT and matrix.UNTESTED in told:
        pytest.skip("the matrix was written where it is not installed")

    assert rows[sample.name] == told, "make matrix"


def test_a_row_tells_what_fails():
    [must, *_] = [case for case in CASES if case.tier == "MUST"]
    [should, *_] = [case for case in CASES if case.tier == "SHOULD"]
    [may, *_] = [case for case in CASES if case.tier == "MAY"]

    assert matrix.cell([Result(must, "passed"), Result(should, FAILED)]) == "should"
    assert matrix.cell([Result(must, FAILED), Result(should, FAILED)]) == "**fails**"
    assert matrix.cell([Result(must, "passed"), Result(may, FAILED)]) == "ok"
    assert matrix.cell([Result(must, "skipped")]) == "-"


def test_all_checks_are_there():
    assert matrix.numbers() == list(range(1, 22))


def test_tables_are_those_of_the_code():
    levels = {
        plain(row["level of a case"]): row for row in table("conformance", "Levels and tiers")
    }
    assert {
        level: [name.replace("-", "") for name in row["levels of handlers"].split(", ")]
        for level, row in levels.items()
    } == {level: list(names) for level, names in cases.LEVELS.items()}
    tiers = [row["tier"] for row in table("conformance", "Levels and tiers", 1)]
    assert tuple(tiers) == cases.TIERS
    assert set(column("conformance", "The case language", "member")) == cases._CASE
    names = [f"${name}" for name in values.NAMES]
    assert column("conformance", "Values", "name") == names
    generators = [json.loads(word) for word in column("conformance", "Values", "generator", 1)]
    assert [next(iter(word)) for word in generators] == list(values.GENERATORS)
    matchers = column("conformance", "Values", "matcher", 2)
    assert [re.search(r"\$\w+", word)[0] for word in matchers] == list(values.MATCHERS)
    types = next(row for row in table("conformance", "Values", 2) if "$type" in row["matcher"])
    assert words(types["what it matches"]) == list(values._TYPES)


def test_steps_are_told():
    rows = table("conformance", "Steps")
    assert {re.match(r'\{"(\w+)"', plain(row["step"]))[1] for row in rows} == set(cases.STEPS)
    for kind, heads in (("send", cases._SENDS), ("expect", cases._EXPECTS)):
        told = {re.match(rf'\{{"{kind}": \{{"(\w+)"', plain(row["step"])) for row in rows}
        assert {found[1] for found in told if found} == set(heads)
    members = table("conformance", "Steps", 1)
    told = {plain(row["member"]): words(row["of"]) for row in members}
    assert told["within_ms"] == [w for w, beside in cases.STEPS.items() if "within_ms" in beside]
    assert told["skip_if"] == ["expect"]


def test_a_result_has_these_members():
    result = json.dumps(report.json_result(Result(CASES[0], FAILED)))
    told = [
        name for row in table("conformance", "What it says") for name in words(row["of each case"])
    ]
    assert sorted(told) == sorted(json.loads(result))
    summary = report.json_summary(Subject(("x",)), [])
    told = [
        name for row in table("conformance", "What it says", 1) for name in words(row["at the end"])
    ]
    assert sorted(told) == sorted(summary)


def test_the_echo_contract_is_what_the_cases_ask_for():
    asked = {
        word for case in CASES for word in re.findall(r"'sandq_test': '(\w+)'", str(case.steps))
    }
    told = {
        json.loads(plain(row["data"])).get("sandq_test")
        for row in table("conformance", "The echo contract")
        if row["data"].startswith("`")
    }

    assert told - {None} == asked


def test_the_job_of_the_example_is_one(tmp_path, monkeypatch):
    [example] = blocks("conformance", "Handlers that do real work", "sh")
    (tmp_path / "job.json").write_text(re.search(r"echo '(.*)' >", example)[1])

    assert conformance_handler._job(str(tmp_path / "job.json"))
    assert "sh handlers/wordcount.sh" in example


def test_numbers_in_the_text_are_those_of_the_code():
    assert f"for {running._READY_S * 1000:.0f} ms after the start" in TEXT
    assert inspect.signature(Subject).parameters["answer_s"].default == 10


def test_noise_is_allowed_up_to_the_number(tmp_path):
    noisy = "def start():\n    put('hello there\\n')\n"
    subject = Subject(command(tmp_path, "simple", noisy))
    steps = [{"send": {"job": "any"}}, {"expect": {"answer": "right"}}, {"noise": 1}]
    case = cases.Case("one", 1, "check", "MUST", "any", "title", "why", (), tuple(steps))

    assert run_case(case, subject).outcome == "passed"
