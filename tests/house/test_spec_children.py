"""spec/protocol.md says how children live and end: programs are run and watched."""

import os
import subprocess
from dataclasses import replace

from sandq import settings
from sandq.child.spawner import TAG
from sandq.model import limits
from sandq.model.handler import Handler
from sandq.model.limits import Limits
from sandq.model.outcome import FailureKind, Outcome
from sandq.protocol import messages
from tests.house.lending import LINE, claim_of, outcomes_of
from tests.house.pages import blocks, plain, table, words


def test_the_three_line_handler_serves_for_ever():
    [program] = blocks("protocol", "The child protocol, version 1", "sh")
    outcomes = outcomes_of(Handler(command=("sh", "-c", program)), *[LINE] * 50)

    assert len(program.splitlines()) == 3
    assert outcomes == [Outcome.returned(b'"done"')] * 50
    done = subprocess.run(["sh", "-c", program], input=LINE * 3, capture_output=True, timeout=30)
    assert done.stdout.splitlines() == [b'{"status":"ok","result":"done"}'] * 3
    assert done.returncode == 0


ANSWERS = {
    "a value": "echo 5",
    "an error": 'echo \'{"status":"error"}\'',
    "none": ":",
    "two": "echo 5; echo 6",
}


def test_exit_codes_of_one_shot_children():
    told = [(row["answer"], row["exit code"]) for row in table("protocol", "How a job ends", 1)]
    assert len(told) == 7
    assert {answer for answer, _ in told} == set(ANSWERS)

    for row in table("protocol", "How a job ends", 1):
        for code in {"other": ["1", "75"], "any": ["0", "3"]}.get(
            row["exit code"], [row["exit code"]]
        ):
            program = f"read -r job; {ANSWERS[row['answer']]}; exit {code}"
            [outcome] = outcomes_of(Handler(command=("sh", "-c", program), fresh=True), LINE)
            if outcome.value is not None:
                told = {b"5": "completed with it", b"null": "completed with null"}[outcome.value]
                assert row["the job"] == told
            elif row["answer"] == "an error":
                assert outcome.failure.kind is FailureKind.ERROR
            else:
                assert words(row["the job"])[0] == outcome.failure.kind.value


def test_other_ends_of_a_job():
    def end_of(program, **settings):
        return outcomes_of(Handler(command=("sh", "-c", program), **settings), LINE)[0]

    assert end_of("read -r job; exit 0").failure.kind is FailureKind.CRASHED
    # the signal alone is no evidence
    assert end_of("read -r job; kill -XCPU $$").failure.kind is FailureKind.CRASHED
    spun = end_of("read -r job; while :; do :; done", limits=Limits(cpu=1))
    assert spun.failure.kind is FailureKind.CPU_LIMIT
    # SIGTERM comes first, then SIGKILL; what is answered in between comes too late
    late = end_of("read -r job; trap 'echo 5' TERM; while :; do sleep 0.01; done", timeout_ms=50)
    assert late.failure.kind is FailureKind.TIMED_OUT
    assert late.failure.death.signal == "SIGKILL"
    assert end_of("read -r job; sleep 9", timeout_ms=50).failure.death.signal == "SIGTERM"
    # it never read the job
    assert end_of("sleep 0.1; exit 0").released
    assert end_of("exec 0<&-; sleep 9").released
    # two answers, a closed output, an end after the answer
    twice = end_of("read -r job; echo 5; echo 6; read -r job")
    assert twice.failure.kind is FailureKind.PROTOCOL_ERROR
    assert end_of("read -r job; exec 1>&-; sleep 9").failure.kind is FailureKind.CRASHED
    assert end_of("read -r job; echo 5; exit 3").value == b"5"
    # a one-shot child need not read, and its answer counts though it lives on
    assert end_of("echo 5; sleep 9", fresh=True).value == b"5"
    hello = 'echo \'{"sandq":1,"type":"hello"}\''
    result = 'echo \'{"sandq":1,"type":"result","id":"7","status":"ok","result":5}\''
    assert end_of(f"{hello}; {result}; {result}", fresh=True).value == b"5"


def test_a_child_sees_these_variables_and_no_others(monkeypatch, tmp_path):
    for name in (*settings.PASSED_ON, "HOME", "SANDQ_REDIS_URL"):
        monkeypatch.setenv(name, os.environ["PATH"] if name == "PATH" else str(tmp_path))
    rows = table("protocol", "The environment of a child")
    for_all = {
        plain(row["variable"]): row["value"] for row in rows if row["which children"] == "all"
    }
    one_shot = {plain(row["variable"]) for row in rows if row["which children"] == "one-shot"}
    file = tmp_path / "environment"
    # a child that gets no job, for it took the place of one that has ended, must not write
    program = f"read -r job || exit; cat /proc/$$/environ > {file}; echo 1"
    teller = Handler(command=("sh", "-c", program))
    warm = environment_of(teller, file)
    told = messages.job_environment(claim_of(LINE))
    fresh = environment_of(replace(teller, fresh=True), file, told)
    assert set(warm) == set(for_all)
    assert set(fresh) == {*for_all, *one_shot}
    assert {name: warm[name] for name, value in for_all.items() if "`" in value} == {
        name: words(value)[0] for name, value in for_all.items() if "`" in value
    }
    assert warm["SANDQ_MAX_LINE"] == str(limits.DEFAULT_LINE_BYTES)
    assert TAG in for_all


def environment_of(handler, file, extra=None):
    """What a child is born with; the shell in it adds variables of its own later."""
    outcomes_of(handler, LINE, extra=extra)
    text = file.read_text().rstrip("\0")

    return dict(entry.split("=", 1) for entry in text.split("\0"))
