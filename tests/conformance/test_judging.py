"""The line that tells the end of a job, against the table."""

import pytest

from sandq.conformance.zoo.catalogue import Step
from sandq.conformance.zoo.events import load_rows
from sandq.conformance.zoo.judging import MetricsKept, complaints_of, short

LINE = {
    "id": "1", "state": "completed", "kind": None, "type": None, "value": {"a": 1}, "message": None,
    "death": None, "releases": 0, "progress": 5,
}  # fmt: skip
FAILED = {**LINE, "state": "failed", "kind": "crashed", "value": None, "message": "exit code 3",
          "death": {"signal": "SIGSEGV"}, "type": "Mine"}  # fmt: skip


def complaints(line, row, **wanted):
    return " ".join(complaints_of(line, Step(job="evil", **wanted), load_rows().get(row)))


@pytest.mark.parametrize(
    ("line", "row", "wanted"),
    [
        (LINE, "noise", {"value": '{"a": 1}', "progress": "5"}),
        (LINE, "", {}),
        ({**LINE, "releases": 1}, "exit.unread", {}),
        ({**LINE, "releases": 1}, "exit.idle", {}),
        ({**LINE, "state": "released", "releases": 4}, "start.never", {}),
        (FAILED, "signal.busy", {"message": "code", "signal": "SIGSEGV", "type": "Mine"}),
    ],
)
def test_a_line_that_is_right(line, row, wanted):
    assert complaints(line, row, **wanted) == ""


@pytest.mark.parametrize(
    ("line", "row", "wanted", "words"),
    [
        ({"id": "1"}, "noise", {}, "has no member 'state'"),
        (LINE, "exit.busy", {}, "must make it failed (crashed); it is completed: None"),
        (FAILED, "silence", {}, "must make it failed (timed_out); it is failed (crashed): exit"),
        (LINE, "exit.unread", {}, "must give it back first"),
        ({**LINE, "releases": 2}, "noise", {}, "was given back 2 times"),
        (LINE, "noise", {"value": '{"a": 2}'}, "its value must be"),
        (LINE, "noise", {"progress": "6"}, "its progress must be '6'; it is '5'"),
        (FAILED, "exit.busy", {"message": "code 4"}, "its message must be 'code 4'"),
        (FAILED, "exit.busy", {"type": "Yours"}, "its type must be 'Yours'"),
        (FAILED, "exit.busy", {"signal": "SIGTERM"}, "its signal must be 'SIGTERM'"),
        ({**FAILED, "death": None}, "exit.busy", {"signal": "SIGTERM"}, "it is 'None'"),
    ],
)
def test_a_line_that_is_wrong_is_told_of(line, row, wanted, words):
    assert words in complaints(line, row, **wanted)


METRICS = {
    "jobs": {"completed": 1, "failed": 1}, "failures": {"crashed": 1}, "releases": 2, "children": 3,
    "failed_starts": 1,
}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, ""),
        ({"children": 4}, ""),
        ({"failed_starts": 2}, ""),
        ({"jobs": {"completed": 2}}, "tell jobs {'completed': 2}"),
        ({"failures": {}}, "tell failures {}"),
        ({"releases": None}, "tell None releases"),
        ({"children": 5}, "tell 5 children; 3 were started"),
        ({"failed_starts": 0}, "tell 0 failed_starts; there were 1 at least"),
    ],
)
def test_metrics_are_held_against_the_lines_and_the_table(change, words):
    kept = MetricsKept()
    kept.count({**LINE, "releases": 2})
    kept.count(FAILED)
    kept.happened(load_rows()["exit.starting"])

    assert words in " ".join(kept.differences({**METRICS, **change}, started=3))
    assert (words == "") == (list(kept.differences({**METRICS, **change}, started=3)) == [])


def test_a_long_line_is_quoted_in_part():
    assert short({"a": 1}) == '{"a": 1}'
    assert len(short({"a": "x" * 1000})) == 301
