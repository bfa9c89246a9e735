"""`sandq exec --trace`: what a person sees who wonders why a handler does not work."""

import os
import subprocess
import sys

import pytest

SAYS = """
import os, sys
print("loading", flush=True)
for line in sys.stdin:
    print('{"status":"ok","result":1}', flush=True)
"""


@pytest.fixture
def trace(program):
    def run(*options, text=SAYS):
        command = [sys.executable, "-m", "sandq", "exec", "--trace", "--data", "[5]", *options]
        done = subprocess.run(
            [*command, "--", *program(text)],
            capture_output=True,
            text=True,
            timeout=60,
            env={**os.environ, "MY_SECRET": "hunter2"},
        )
        return done.stdout, done.stderr.splitlines()

    return run


def test_it_shows_how_the_handler_is_run(trace):
    output, lines = trace("--memory", "256M")
    told = dict(line.removeprefix("-- ").split(": ", 1) for line in lines if ": " in line[:20])

    assert output == "1\n"
    assert told["command"].startswith(f"{sys.executable} ")
    assert told["program"] == sys.executable
    assert told["limits"] == f"line=1048576 memory={256 << 20}"
    assert {"PATH", "SANDQ_PROTOCOL"} <= set(told["environment"].split())


def test_it_shows_the_conversation_in_order(trace):
    _, lines = trace()
    conversation = [line for line in lines if line[:2] in (">>", "<<")]

    assert [line[:20] for line in conversation if line.startswith(">>")] == ['>> {"sandq":1,"type"']
    assert [line for line in conversation if line.startswith("<<")] == [
        "<< loading",
        '<< {"status":"ok","result":1}',
    ]
    assert any(line.startswith("-- process ") and line.endswith(": started") for line in lines)


def test_it_shows_signals(trace):
    _, lines = trace("--timeout", "300ms", text="import time; time.sleep(60)")

    assert any(line.endswith(": signal SIGTERM to its group") for line in lines)


def test_no_value_of_the_environment_is_shown(trace):
    _, lines = trace()

    assert "hunter2" not in "\n".join(lines)
    assert os.environ["PATH"] not in "\n".join(lines)


def test_a_long_line_is_cut(trace):
    text = "print('x' * 100_000, flush=True); input(); print(1)"
    _, lines = trace(text=text)

    assert max(map(len, lines)) < 3_000
    assert "… (100000 bytes)" in "\n".join(lines)
