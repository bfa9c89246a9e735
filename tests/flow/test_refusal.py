"""A sandbox that cannot be had refuses: its handler's jobs wait, unharmed, and the others go on."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sandq.sync import Queue
from tests.conftest import REPOSITORY

BROKEN_HOST = Path(__file__).with_name("broken_host.py")

# what is broken -> the doctor's words for it, and the mend
REFUSED = {
    "bwrap": ("bubblewrap is not installed", "apt-get install bubblewrap"),
    "userns": ("user namespaces are switched off", "sysctl -w user.max_user_namespaces"),
    "proc": ("/proc", "systempaths=unconfined"),
}

CONFIG = """
pool = 2
[queues.open.handlers."*"]
command = [{python}, "-c", "import sys\\nfor line in sys.stdin: print(1, flush=True)"]
[queues.closed.handlers."*"]
command = ["/bin/sh", "-c", "while read -r job; do echo 1; done"]
sandbox = {sandbox}
{more}
"""


@pytest.fixture
def on_broken_host(url, tmp_path, wait):
    """Run a supervisor of the queues `open` and `closed` where something is broken."""
    running = []

    def start(breakage, sandbox='"untrusted"', more="", options=()):
        config = tmp_path / "sandq.toml"
        config.write_text(
            CONFIG.format(python=json.dumps(sys.executable), sandbox=sandbox, more=more)
        )
        log = tmp_path / "log"
        words = ["run", "--config", str(config), "--url", url, "--json", *options]
        with log.open("wb") as stderr:
            running.append(
                subprocess.Popen(
                    [sys.executable, BROKEN_HOST, breakage, sys.executable, "-m", "sandq", *words],
                    stdout=subprocess.PIPE,
                    stderr=stderr,
                    cwd=REPOSITORY,
                )
            )
        assert running[-1].stdout.readline(), log.read_text()
        return log.read_text

    yield start
    for process in running:
        process.terminate()
        process.communicate(timeout=30)
        assert process.returncode == 0


def test_on_a_host_where_nothing_is_broken_it_runs(url, on_broken_host):
    on_broken_host("none")
    with Queue("closed", url) as closed:
        assert closed.add("work").finished(30) == 1


@pytest.mark.parametrize("breakage", REFUSED)
@pytest.mark.parametrize("fresh", ["", "fresh = true"])
def test_its_jobs_wait_with_no_attempt_spent_and_other_handlers_go_on(
    url, on_broken_host, wait, breakage, fresh
):
    with Queue("open", url) as trusted, Queue("closed", url) as closed:
        waiting = closed.add("work")
        log = on_broken_host(breakage, more=fresh)
        wait(lambda: "cannot be given on this host" in log(), "it is said why")
        values = [trusted.add("work").finished(30) for _ in range(3)]
        # more than one try has failed by then
        wait(lambda: log().count("cannot be given") >= 2, "it is tried again")
        job = closed.get_job(waiting.id)

        assert values == [1, 1, 1]
        assert job.state == "waiting"
        assert (job.attempts, job.stalls, job.claims) == (0, 0, 0)
        for words in REFUSED[breakage]:
            assert words in log()


def test_the_words_are_the_doctors(on_broken_host, wait):
    log = on_broken_host("bwrap")
    wait(lambda: "cannot be given" in log(), "it is said why")
    doctor = subprocess.run(
        [
            sys.executable,
            BROKEN_HOST,
            "bwrap",
            sys.executable,
            "-m",
            "sandq",
            "doctor",
            "--sandbox",
        ],
        capture_output=True,
        text=True,
        cwd=REPOSITORY,
        timeout=60,
        check=False,
    )
    gaps = [line.split(None, 2) for line in doctor.stdout.splitlines() if " gap " in line]

    assert doctor.returncode == 1
    assert gaps
    for name, _, words in gaps:
        assert name in log()
        assert words in log()


def test_told_to_let_them_fail_it_says_that_the_sandbox_is_to_blame(url, on_broken_host):
    with Queue("closed", url) as closed:
        job = closed.add("work")
        on_broken_host("bwrap", options=["--broken-after", "300ms"])
        with pytest.raises(Exception, match="sandbox_unavailable"):
            job.finished(30)
        record = closed.get_job(job.id).failure

    assert "apt-get install bubblewrap" in record["message"]


def test_what_is_done_without_is_no_reason_to_refuse(url, on_broken_host, wait):
    without = "files network processes ipc privileges kernel residue supervisor disk inodes"
    names = json.dumps(without.split())
    on_broken_host("bwrap", sandbox=f'{{ profile = "untrusted", without = {names} }}')
    with Queue("closed", url) as closed:
        assert closed.add("work").finished(30) == 1


def test_the_host_is_broken_for_nobody_else():
    assert os.access("/usr/bin/bwrap", os.X_OK)


def test_a_job_that_completes_tells_what_it_ran_under(url, on_broken_host):
    on_broken_host("none")
    with Queue("closed", url) as walled, Queue("open", url) as trusted:
        job, plain = walled.add("work"), trusted.add("work")
        job.finished(30)
        plain.finished(30)

        assert "bwrap+seccomp" in walled.get_job(job.id).sandbox
        assert trusted.get_job(plain.id).sandbox in (None, "")
        walled.get_job(job.id).retry()
        assert walled.get_job(job.id).sandbox is None
