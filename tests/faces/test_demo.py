"""The demo as a newcomer runs it: piped, in a terminal, without Node, interrupted; and make."""

import os
import pty
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from sandq.store.embedded import EmbeddedServer

ROOT = Path(__file__).parents[2]
DEMO = ROOT / "examples" / "demo.py"

#: The demo takes two seconds; only a hang comes near this.
DEADLINE_S = 60

SUMMARY = re.compile(r"^(\d+) jobs in [\d.]+ s: (.*), (all as expected); (\d+) thumbnails made$")


@pytest.fixture
def place(tmp_path):
    """The folder the demo is started in, with a folder for temporary files; what it leaves in
    them, and processes that still work there, are failures."""
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    yield tmp_path

    assert list(tmp_path.iterdir()) == [temporary]
    assert list(temporary.iterdir()) == []
    assert [process for process in psutil.process_iter() if works_in(process, tmp_path)] == []


def works_in(process, folder):
    """Whether a process was started below a folder; all that the demo starts is."""
    try:
        return Path(process.cwd()).is_relative_to(folder)
    except psutil.Error:
        return False


def environment(place, **variables):
    """A small environment; a server of the user's in it is left alone."""
    return {
        "PATH": os.environ["PATH"],
        "TMPDIR": str(place / "tmp"),
        "REDIS_URL": "redis://127.0.0.1:1",
        **variables,
    }


def start(place, env, **streams):
    return subprocess.Popen([sys.executable, DEMO], cwd=place, env=env, **streams)


def run_piped(place, env):
    """The lines of the demo when nobody looks; it must end well and say nothing on the side."""
    process = start(place, env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    output, errors = process.communicate(timeout=DEADLINE_S)

    assert (process.returncode, errors) == (0, ""), output
    return output.splitlines()


def table(lines):
    """The rows of the table, and the line that sums them up."""
    heading = next(n for n, line in enumerate(lines) if line.startswith("JOB "))
    end = lines.index("", heading)
    rows = [re.split(r" {2,}", line.strip()) for line in lines[heading:end]]

    assert rows[0] == ["JOB", "HANDLER", "LANGUAGE", "STATE", "TRY", "MS", "RESULT"]
    return rows[1:], SUMMARY.match(lines[end + 1]).groups()


def test_piped_it_tells_every_end_and_prints_the_table(place, need_program):
    need_program("node", "nodejs")

    lines = run_piped(place, environment(place))
    rows, summary = table(lines)
    by_job = {(row[0], row[1]): row[2:] for row in rows}

    assert summary == (str(len(rows)), "22 completed, 2 failed", "all as expected", "12")
    assert by_job["fails twice", "flaky.py"][1:3] == ["completed", "3"]
    assert by_job["fails twice", "flaky.py"][-1] == "third time lucky"
    assert by_job["crashes", "flaky.py"][1:3] == ["failed", "2"]
    assert by_job["crashes", "flaky.py"][-1] == "crashed: SIGSEGV, 'wild pointer'"
    assert by_job["takes a minute", "flaky.py"][1:3] == ["failed", "1"]
    assert by_job["takes a minute", "flaky.py"][-1] == "timed_out: SIGTERM by sandq"
    assert by_job["rocket 320", "resize.py"][-1] == "320 x 214, 10654 bytes"
    assert by_job["rocket", "probe.mjs"][-1].startswith("jpeg, 112525 bytes, ")
    assert by_job["notes.txt", "wordcount.sh"][0] == "shell"
    assert all(int(row[5]) < 10_000 for row in rows)
    # before the table, a line for each end and for each attempt that was not the last
    told = [line for line in lines[: lines.index("")] if re.match(r" *\d+\.\d\d s  ", line)]
    assert len(told) == lines.index("") == len(rows) + 3
    assert max(map(len, lines)) <= 100


def test_in_a_terminal_the_view_is_live_and_gives_way_to_the_table(place, need_program):
    need_program("node", "nodejs")
    ours, theirs = pty.openpty()
    env = environment(place, TERM="xterm-256color", COLUMNS="120", LINES="40")

    process = start(place, env, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    seen = read_all(ours)

    assert process.wait(DEADLINE_S) == 0, seen
    live, _, end = seen.rpartition("\x1b[2K")
    assert re.search(r"thumbnail.*resize\.py.*Python.*12 of 12", live)
    assert re.search(r"[1-4] children now: \d+", live)
    assert "fails twice: attempt 2 of 3 failed, the next comes in" in live
    plain = re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", end).replace("\r", "").splitlines()
    rows, (count, ends, *_) = table(plain)
    assert (int(count), ends) == (len(rows), "22 completed, 2 failed")
    assert max(map(len, plain)) <= 100
    # the cursor is shown again
    assert seen.rindex("\x1b[?25h") > seen.rindex("\x1b[?25l")


def read_all(terminal):
    """What is written to a terminal until its last writer has gone."""
    seen = b""
    while True:
        try:
            seen += os.read(terminal, 1 << 16)
        except OSError:
            os.close(terminal)
            return seen.decode()


def test_without_node_its_jobs_are_skipped_and_the_rest_runs(place):
    programs = place.parent / f"{place.name}-bin"
    programs.mkdir()
    for name in ("sh", "sed", "grep", "wc"):
        (programs / name).symlink_to(shutil.which(name))

    lines = run_piped(place, environment(place, PATH=str(programs)))
    rows, (count, ends, *_) = table(lines)

    assert lines[0].startswith("skipped: probe (Node): handler file ")
    assert "needs 'node', which is not installed" in lines[0]
    assert (int(count), ends) == (len(rows), "16 completed, 2 failed")
    assert {row[1] for row in rows} == {"flaky.py", "resize.py", "wordcount.sh"}


def test_a_node_that_is_too_old_is_skipped_too(place):
    programs = place.parent / f"{place.name}-bin"
    programs.mkdir()
    (programs / "node").write_text("#!/bin/sh\necho v12.22.9\n")
    (programs / "node").chmod(0o755)

    lines = run_piped(place, environment(place, PATH=f"{programs}:{os.environ['PATH']}"))

    assert lines[0] == "skipped: probe (Node): it needs Node 18 or later, and this is Node 12.22.9"
    assert table(lines)[1][1] == "16 completed, 2 failed"


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_stops_everything_it_has_started(place, signum):
    process = start(
        place, environment(place), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    first = process.stdout.readline()
    process.send_signal(signum)
    output, errors = process.communicate(timeout=DEADLINE_S)

    assert re.match(r" *\d+\.\d\d s  ", first)
    assert (process.returncode, errors.splitlines()[-1]) == (
        130,
        "demo: interrupted; everything is stopped",
    )
    assert "JOB " not in output


def test_a_reader_who_has_had_enough_leaves_nothing_running(place):
    process = start(place, environment(place), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.readline()
    process.stdout.close()

    assert b"Traceback" not in process.stderr.read()
    process.stderr.close()
    assert process.wait(DEADLINE_S) == 2


def test_what_it_tells_to_do_next_works(place, need_program, tmp_path_factory, deadline_s):
    need_program("node", "nodejs")
    lines = run_piped(place, environment(place))
    folder = tmp_path_factory.mktemp("next")
    run, *others = (
        "\n".join(lines[lines.index("") :])
        .partition("terminal):\n")[2]
        .replace("\\\n", "")
        .replace(".venv/bin/python", sys.executable)
        .replace(".venv/bin/sandq", f"{sys.executable} -m sandq")
        .splitlines()
    )
    env = {"PATH": os.environ["PATH"], "SANDQ_DIR": str(folder / "server")}

    supervisor = subprocess.Popen(
        ["sh", "-c", f"exec {run}"], cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True
    )
    try:
        supervisor.stdout.readline()
        told = [
            subprocess.run(
                ["sh", "-c", command],
                cwd=ROOT,
                env=env,
                capture_output=True,
                text=True,
                timeout=deadline_s,
                check=True,
            ).stdout
            for command in others
        ]
    finally:
        supervisor.send_signal(signal.SIGINT)
        supervisor.communicate(timeout=deadline_s)
        EmbeddedServer(folder / "server").stop()

    added, listed, shown = told
    assert '"width": 64' in added
    assert "completed" in listed
    assert "resize" not in listed
    assert "rocket.jpg" in shown


@pytest.mark.parametrize(
    ("python", "told"),
    [
        ("exit 1", "sandq needs Python 3.11 or later; none of these is one: "),
        (f'case "$*" in *ensurepip*) exit 1;; esac; exec {sys.executable} "$@"', "python3-venv"),
    ],
)
def test_make_says_what_is_wrong_with_the_python_it_finds(tmp_path, need_program, python, told):
    make = need_program("make", "make")
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    found = tmp_path / "python3"
    found.write_text(f"#!/bin/sh\n{python}\n")
    found.chmod(0o755)

    done = subprocess.run(
        [make, "demo", f"PYTHON={found}"],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )

    assert done.returncode == 2
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / ".venv").exists()
