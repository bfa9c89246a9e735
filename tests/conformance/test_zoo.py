"""The zoo against sandq itself: every case of every group, and the table behind them."""

import json
import sys

import pytest

from sandq.cli.conformance_supervisor import play_all
from sandq.conformance.zoo.catalogue import ZooInvalid, load_cases, read_case
from sandq.conformance.zoo.events import JOBS, LEVELS, SLOTS, STATES, load_rows
from sandq.model.outcome import FailureKind
from tests.house.pages import SPEC, table

# all cases are played before the first test
pytestmark = pytest.mark.timeout(600)

SUPERVISOR = (sys.executable, "-m", "sandq", "exec", "--jobs")

CASES = load_cases()

#: Granted beside every bound: the machine may have other things to do.
SLACK_S = 3.0


@pytest.fixture(scope="module")
def verdicts():
    return {
        verdict.case.name: verdict for verdict in play_all(CASES, SUPERVISOR, SLACK_S, at_once=4)
    }


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.group} {case.name}")
def test_sandq_passes(case, verdicts):
    verdict = verdicts[case.name]

    assert (verdict.complaints, verdict.errors) == ((), ())


def test_jobs_are_over_in_time_and_floods_are_not_kept(verdicts, record_property):
    late_ms = max(v.late_ms for v in verdicts.values() if v.late_ms is not None)
    growth_kib = max(v.growth_kib for v in verdicts.values())
    record_property("late_ms", late_ms)
    record_property("growth_kib", growth_kib)

    assert -1000 < late_ms < (0.2 + SLACK_S) * 1000
    assert 0 < growth_kib < 20 * 1024


def test_there_are_cases_of_all_groups():
    assert sorted({case.group for case in CASES}) == list(range(1, 22))
    assert all(len(case.why) > 10 for case in CASES)


def test_each_row_of_the_table_has_a_case_and_each_case_a_row():
    tried = set().union(*(case.rows for case in CASES))

    assert tried == set(load_rows())
    assert [case.name for case in CASES if not case.rows] == []


def test_the_table_speaks_in_known_words():
    kinds = {None, *(kind.value for kind in FailureKind)}
    for row in load_rows().values():
        assert row.state in STATES
        assert row.level in LEVELS
        assert row.slot in SLOTS
        assert row.job in JOBS
        assert row.kind in kinds
        assert (row.kind is not None) == (row.job == "failed"), row.row
        assert ("children" in row.metrics) == (row.slot == "new"), row.row
        assert (f"failures.{row.kind}" in row.metrics) == (row.kind is not None), row.row


def test_the_page_shows_the_table():
    shown = table("conformance-supervisor", "Event by state")
    told = [
        (row.row, row.event, row.state, row.level, row.slot, row.job, row.kind or "", row.metrics)
        for row in load_rows().values()
    ]

    assert told == [
        (
            row["row"].strip("`"),
            row["the child"],
            row["state"],
            row["level"],
            row["slot"],
            row["job"],
            row["kind"].strip("`"),
            tuple(word.strip("`") for word in row["metrics"].split()),
        )
        for row in shown
    ]


def test_the_page_lists_the_groups():
    shown = table("conformance-supervisor", "The groups")
    counts = {}
    for case in CASES:
        number, cases = counts.get(case.about, (case.group, 0))
        counts[case.about] = (number, cases + 1)

    assert [(int(row["group"]), row["what the child does"]) for row in shown] == [
        (number, about) for about, (number, _) in counts.items()
    ]


def test_the_file_of_the_table_has_a_line_for_each_row():
    lines = (SPEC / "protocol-events.json").read_text().splitlines()

    rows = [json.loads(line.strip().rstrip(",")) for line in lines if '"row"' in line]
    assert [row["row"] for row in rows] == list(load_rows())


GROUP = {"number": 1, "title": "a group"}
GOOD = {"name": "n", "why": "w", "program": "serve()", "steps": [{"job": "evil", "row": "noise"}]}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"sleeps": 1}, "'sleeps' is not known"),
        ({"script": "true"}, "one of program, script, command"),
        ({"program": ""}, "one of program, script, command"),
        ({"level": "loud"}, "level 'loud'"),
        ({"steps": []}, "tries no row"),
        ({"steps": [{"job": "evil"}]}, "tries no row"),
        ({"steps": [{"job": "evil", "row": "noise", "often": 2}]}, "'often' is not known"),
        ({"steps": [{"job": "evil", "row": "nothing"}]}, "there is no row 'nothing'"),
        ({"steps": [{"row": "noise"}]}, "a step is a job, or a signal"),
        ({"steps": [{"job": "evil", "kill": "child"}]}, "a step is a job, or a signal"),
    ],
)
def test_a_case_that_is_not_well_formed_is_refused(change, words):
    assert read_case(GOOD, GROUP).rows == {"noise"}

    with pytest.raises(ZooInvalid, match=words):
        read_case({**GOOD, **change}, GROUP)


def test_two_cases_of_one_name_are_refused(tmp_path):
    text = 'number = 1\ntitle = "t"\n' + 2 * (
        '[[case]]\nname = "n"\nwhy = "w"\nprogram = "serve()"\n'
        'steps = [{ job = "evil", row = "noise" }]\n'
    )
    (tmp_path / "1.toml").write_text(text)

    with pytest.raises(ZooInvalid, match="two cases are named 'n'"):
        load_cases(tmp_path)
