"""The command `sandq conformance handler`: its output, its exit codes, its errors."""

import json

import pytest

from sandq.cli.main import main
from tests.conformance.programs import command

TWICE = "def serve(job):\n    put((text(answer(job)) + '\\n') * 2)\n"
NOISY = 'def start():\n    put("hello there\\n")\n'
WORDS = 'def result(job):\n    return {"words": len(job["data"]["text"].split())}\n'


def conformance(program, *words):
    return main(["conformance", "handler", *words, "--", *program])


def test_a_right_handler_as_tap(tmp_path, capsys):
    assert conformance(command(tmp_path), "--only", "1", "--only", "17") == 0

    lines = capsys.readouterr().out.splitlines()
    assert lines[:3] == ["TAP version 14", "1..3", "# level simple"]
    assert lines[3].startswith("ok 1 - 1 one-answer: two jobs have two answers")
    assert lines[5].endswith("# SKIP it is for the level full, and the handler is simple")
    assert lines[-1] == "# 2 passed, 0 failed, 1 skipped: it conforms"


def test_a_wrong_handler_as_tap(tmp_path, capsys):
    assert conformance(command(tmp_path, wrong=TWICE), "--only", "1") == 1

    lines = capsys.readouterr().out.splitlines()
    assert lines[3].startswith("not ok 1 - 1 one-answer")
    assert "  severity: fail" in lines
    assert any(line.startswith('    - "<< ') for line in lines)
    assert "it does not conform" in lines[-2]
    assert "--job FILE" in lines[-1]


def test_a_missed_should_is_no_failure(tmp_path, capsys):
    assert conformance(command(tmp_path, wrong=NOISY), "--only", "10") == 0

    out = capsys.readouterr().out
    assert "not ok 1 - 10 no-noise" in out
    assert "# TODO SHOULD" in out


def test_json(tmp_path, capsys):
    assert conformance(command(tmp_path, "full"), "--only", "17", "--json") == 0

    case, end = map(json.loads, capsys.readouterr().out.splitlines())
    assert (case["case"], case["outcome"], case["tier"]) == ("ping", "passed", "MUST")
    assert (end["conforms"], end["level"], end["passed"]) == (True, "full", 1)
    assert "ping" in end["caps"]


def test_a_job_of_ones_own(tmp_path, capsys):
    job = tmp_path / "job.json"
    job.write_text('{"data": {"text": "one two"}}')
    program = command(tmp_path, wrong=WORDS)

    assert conformance(program, "--job", str(job), "--only", "1", "--only", "9") == 0
    assert "SKIP it needs the echo contract" in capsys.readouterr().out
    assert conformance(program, "--only", "1") == 1


def test_the_level_is_told(tmp_path, capsys):
    assert conformance(command(tmp_path, "oneshot"), "--level", "oneshot", "--only", "3") == 0
    assert "ok 4 - 3 ends-oneshot: exit code 0 after a value\n" in capsys.readouterr().out
    assert conformance(command(tmp_path, "simple"), "--level", "full", "--only", "13",
                       "--timeout", "300ms", "--ready", "300ms") == 1  # fmt: skip
    assert "its first line is no hello" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["--only", "22"], "there is no check 22; they are 1 to 21"),
        (["--job", "/no/such/file"], "the job's file /no/such/file cannot be read"),
        (["--timeout", "soon"], "--timeout"),
    ],
)
def test_errors(tmp_path, capsys, words, error):
    assert conformance(command(tmp_path), *words) == 2
    assert error in capsys.readouterr().err


def test_a_command_is_needed(capsys):
    assert conformance([]) == 2
    assert "which handler? give its command after --" in capsys.readouterr().err
    assert conformance(["/no/such/program"]) == 2
    assert "cannot be started" in capsys.readouterr().err
