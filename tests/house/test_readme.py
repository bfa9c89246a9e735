"""What the README shows is run here as it is written: every block of code, none left out."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sandq.store.embedded import EmbeddedServer

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)

#: The programs of the README: what their first line names -> their text.
FILES = {
    match[1]: text
    for _, text in BLOCKS
    if (match := re.match(r"(?:#|//) (\w+\.\w+)\n", text)) is not None
}

#: The other blocks are commands; their first words tell them apart.
COMMANDS = [text for _, text in BLOCKS if text not in FILES.values()]


def commands(start):
    """The one block of commands that starts so."""
    (block,) = [text for text in COMMANDS if text.startswith(start)]

    return block


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with the programs of the README, and with a server of its own."""
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    # `python` and `sandq` are those of this environment
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, command in (("python", ""), ("sandq", "-m sandq")):
        (programs / name).write_text(f'#!/bin/sh\nexec {sys.executable} {command} "$@"\n')
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("SANDQ_DIR", str(tmp_path / ".sandq"))
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    EmbeddedServer(tmp_path / ".sandq").stop()


@pytest.fixture
def shell(folder, deadline_s):
    """Run commands; their output. A command that fails is the failure of the test."""

    def run(text):
        done = subprocess.run(
            ["sh", "-ec", text], capture_output=True, text=True, timeout=deadline_s, check=False
        )

        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture
def supervisor(folder, deadline_s):
    """Start a supervisor by its command; it runs until the end of the test."""
    running = []

    def start(text):
        process = subprocess.Popen(["sh", "-c", f"exec {text}"], stdout=subprocess.PIPE, text=True)
        running.append(process)

        assert "stop with Ctrl-C" in process.stdout.readline()

    yield start
    for process in running:
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=deadline_s)

        assert process.returncode == 0
        assert output.endswith("stopped\n")


def test_every_block_is_known_here():
    assert list(FILES) == [
        "words.py",
        "words.mjs",
        "words.sh",
        "add.py",
        "more.py",
        "sandq.toml",
        "inside.py",
        "plain.py",
    ]
    assert [text.split()[:2] for text in COMMANDS] == [
        ["make", "demo"],
        ["sandq", "run"],
        ["sandq", "add"],
        ["sandq", "exec"],
        ["sandq", "run"],
    ]


def test_the_first_two_commands_are_targets_of_the_makefile(need_program):
    make = need_program("make", "make")
    targets = re.findall(r"^make (\w+)", commands("make "), re.MULTILINE)
    known = subprocess.run([make, "help"], cwd=ROOT, capture_output=True, text=True, check=True)

    assert targets == ["demo", "test"]
    for target in targets:
        assert f"  make {target} " in known.stdout


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(command, id=command.split()[0])
        for command in ("python words.py", "node words.mjs", "sh words.sh")
    ],
)
def test_each_handler_counts_the_words(shell, need_program, command):
    if command.startswith("node"):
        need_program("node", "nodejs")
    text = commands("sandq exec")

    assert command in README
    assert json.loads(shell(text.replace("python words.py", command))) == {"words": 6}


def test_jobs_are_added_from_the_shell_and_from_python(shell, supervisor):
    supervisor(commands("sandq run texts").partition("#")[0])

    value, heading, job = shell(commands("sandq add")).splitlines()
    printed = shell("python add.py")

    assert json.loads(value) == {"words": 6}
    assert heading.split()[:3] == ["ID", "NAME", "STATE"]
    assert job.split()[1:3] == ["count", "completed"]
    assert printed == "{'words': 6}\n"


def test_the_configuration_runs_what_it_says(shell, supervisor):
    supervisor(commands("sandq run --config"))

    for name in ("count", "anything"):
        told = shell(f'sandq add texts {name} --data \'{{"text": "to be"}}\' --wait')
        assert json.loads(told) == {"words": 2}


@pytest.mark.parametrize(
    ("file", "printed"),
    [("more.py", "cancelled"), ("inside.py", "42"), ("plain.py", "{'words': 6}")],
)
def test_a_program_runs_its_queue_itself(shell, file, printed):
    assert shell(f"python {file}") == f"{printed}\n"


def test_what_it_names_exists():
    named = re.findall(r"`([a-z]+/|[A-Z]+(?:\.md)?)`", README)

    assert {"handlers/", "spec/", "bench/", "LICENSE", "CHANGELOG.md"} <= set(named)
    assert [name for name in named if not (ROOT / name).exists()] == []
