"""The command `sandq conformance supervisor`: its output, its exit codes."""

import json
import re
import sys

import pytest

from sandq.cli.main import main
from tests.conformance.test_zoo_wrongs import PROGRAM

RIGHT = [sys.executable, "-m", "sandq", "exec", "--jobs"]
WRONG = [sys.executable, str(PROGRAM), "hides-errors"]


def conformance(*words, command=RIGHT):
    return main(["conformance", "supervisor", *words, "--", *command])


def test_a_right_supervisor_as_tap(capsys):
    assert conformance("--only", "11", "--case", "odd", "--case", "only looks") == 0

    lines = capsys.readouterr().out.splitlines()
    assert lines[:3] == [
        "TAP version 14",
        "1..1",
        "ok 1 - 11: envelopes, and what only looks like one",
    ]
    assert lines[3] == "# 1 passed, 0 failed"
    assert all(line.startswith("# ") for line in lines[3:])


def test_how_late_a_job_was_is_told(capsys):
    assert conformance("--case", "the time is that of", "--case", "it never answers") == 0

    out = capsys.readouterr().out
    assert re.search(r"^# a job was over after .*: -?\d+ ms \(.*never answers\)$", out, re.M)


def test_a_wrong_supervisor_as_tap(capsys):
    assert conformance("--only", "11", "--case", "only looks", command=WRONG) == 1

    lines = capsys.readouterr().out.splitlines()
    assert lines[2] == "not ok 1 - 11: envelopes, and what only looks like one"
    assert lines[3] == "  ---"
    [told] = [line for line in lines if line.startswith("  complaints: ")]
    complaints = json.loads(told.removeprefix("  complaints: "))
    assert any("must make it failed (error)" in text for text in complaints)
    assert "  ..." in lines


def test_json(capsys):
    assert conformance("--only", "11", "--case", "only looks", "--json", command=WRONG) == 1

    case, summary = map(json.loads, capsys.readouterr().out.splitlines())
    assert (case["group"], case["passed"]) == (11, False)
    assert case["rows"] == ["answer.error", "answer.value"]
    assert (summary["passed"], summary["failed"], summary["groups_failed"]) == (0, 1, [11])
    assert summary["late_ms"] is None


@pytest.mark.parametrize(
    ("words", "command", "message"),
    [
        ([], [], "which supervisor? give its command after --"),
        (["--only", "22"], RIGHT, "there is no group 22; they are 1 to 21"),
        (["--at-once", "0"], RIGHT, "--at-once must be at least 1"),
        (["--slack", "soon"], RIGHT, "--slack"),
        (["--case", "nowhere"], RIGHT, "no case has 'nowhere' in its name"),
        (["--only", "11"], ["./no-such-supervisor"], "cannot be started"),
    ],
)
def test_what_cannot_be_done_is_told(words, command, message, capsys):
    assert conformance(*words, command=command) == 2

    assert message in capsys.readouterr().err
