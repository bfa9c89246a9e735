"""Cancelling: wherever a job is, whoever asks, and whatever its handler thinks of it."""

import signal
import subprocess
import sys
import time
from collections import Counter

import psutil
import pytest

from sandq import QueueSettings
from sandq.errors import JobCancelled
from sandq.sync import Queue

DEADLINE_S = 30

#: How long it may take from the call to the end of the process: a promise, not a deadline.
PROMISED_S = 1.0
MEASURED_AT_MOST = 3

FAST = ("--lease", "1s", "--recover-every", "200ms")

# starts a process that has left its group and heeds no SIGTERM, tells the pids of both, and waits
PARENT = """
import json, os, signal, subprocess, sys, time
from sandq.handler import serve

def work(job):
    deaf = lambda: signal.signal(signal.SIGTERM, signal.SIG_IGN)
    grandchild = subprocess.Popen(["sleep", "1000"], start_new_session=True, preexec_fn=deaf)
    with open(job.data["pids"] + ".part", "w") as file:
        json.dump([os.getpid(), grandchild.pid], file)
    os.rename(job.data["pids"] + ".part", job.data["pids"])
    time.sleep(1000)

serve(work)
"""

# tells its pid and heeds no SIGTERM
DEAF = """
import os, signal, time
from sandq.handler import serve

def work(job):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with open(job.data, "w") as file:
        file.write(str(os.getpid()))
    while True:
        time.sleep(1)

serve(work)
"""

# answers when it is asked to end
LAST_WORD = """
import os, signal, sys, time

def answer(*_):
    os.write(1, b'"done"\\n')
    os._exit(0)

for line in sys.stdin:
    signal.signal(signal.SIGTERM, answer)
    open(sys.argv[1], "w").close()
    time.sleep(1000)
"""


@pytest.fixture
def queue(url):
    with Queue("q", url) as queue:
        yield queue


def events_of(queue, job):
    """What the stream tells of one job, in order."""
    return [event for event in queue._store.events_after("0", 0.01) if event.job_id == job.id]


def kinds_of(queue, job):
    return Counter(event.kind for event in events_of(queue, job))


def is_cancelled(job):
    return lambda: job.get_state() == "cancelled"


def cancelling(server):
    return server.client.hgetall("sandq:{q}:cancelling")


# ---- jobs that do not run


def waiting(queue):
    return queue.add("work")


def delayed(queue):
    return queue.add("work", delay=60)


def failed(queue):
    queue.add("work")
    job = queue.get_next_job()
    job.move_to_failed("no")
    return job


def parked(queue):
    queue.set_settings(QueueSettings(group_concurrency=1))
    queue.add("work", group="tenant")
    job = queue.add("work", group="tenant")
    assert queue.get_next_job() is not None
    assert queue.get_next_job() is None
    return job


@pytest.mark.parametrize("make", [waiting, delayed, failed, parked])
def test_a_job_that_does_not_run_is_cancelled_at_once(queue, server, make):
    job = make(queue)
    state = job.cancel("changed my mind")

    with pytest.raises(JobCancelled):
        job.finished(DEADLINE_S)
    told = [event for event in events_of(queue, job) if event.kind == "cancelled"]

    assert state == job.get_state() == "cancelled"
    assert job.cancel_reason == "changed my mind"
    assert job.failure == {"kind": "cancelled", "message": "changed my mind"}
    assert [event.fields["reason"] for event in told] == ["changed my mind"]
    assert cancelling(server) == {}
    assert queue.stats().totals["cancelled"] == 1


def test_cancelling_twice_is_harmless_and_one_event(queue):
    job = queue.add("work")

    assert [job.cancel("one"), job.cancel("two")] == ["cancelled", "cancelled"]
    assert job.refresh().cancel_reason == "one"
    assert kinds_of(queue, job)["cancelled"] == 1


# ---- jobs that run in a child


def alive(pids):
    return [pid for pid in pids if psutil.pid_exists(pid)]


@pytest.mark.parametrize("options", [(), ("--fresh",)], ids=["warm", "fresh"])
def test_a_running_child_and_what_it_started_are_gone_within_a_second(
    queue, supervisor, program, tmp_path, wait, server, options
):
    command = program(PARENT)
    supervisor("q", command, "--pool", "1", *options)
    took_s = []
    while not took_s or (took_s[-1] >= PROMISED_S and len(took_s) < MEASURED_AT_MOST):
        path = tmp_path / f"pids{len(took_s)}"
        job = queue.add("work", {"pids": str(path)})
        wait(path.exists, "the job runs")
        pids = [int(word) for word in path.read_text().strip("[]").split(",")]

        begun_s = time.monotonic()
        state = job.cancel()
        wait(lambda pids=pids: not alive(pids), "both processes are gone")
        took_s.append(time.monotonic() - begun_s)
        wait(is_cancelled(job), "the job is cancelled")
        with pytest.raises(JobCancelled):
            job.finished(DEADLINE_S)

    assert state == "active"
    assert took_s[-1] < PROMISED_S
    assert kinds_of(queue, job) == {"waiting": 1, "active": 1, "cancelling": 1, "cancelled": 1}
    assert cancelling(server) == {}


def test_a_child_that_heeds_no_sigterm_is_killed_after_the_grace(
    queue, supervisor, program, tmp_path, wait
):
    supervisor("q", program(DEAF), "--pool", "1", "--kill-grace", "700ms")
    job = queue.add("work", str(tmp_path / "pid"))
    wait(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text(), "the job runs")
    pid = int((tmp_path / "pid").read_text())

    begun_s = time.monotonic()
    job.cancel()
    wait(lambda: not alive([pid]), "the child is gone")
    took_s = time.monotonic() - begun_s
    wait(is_cancelled(job), "the job is cancelled")

    assert took_s >= 0.7


def test_a_job_with_attempts_left_is_not_tried_again(queue, supervisor, flaky, tmp_path, wait):
    runs = tmp_path / "runs"
    supervisor("q", flaky, "--pool", "1")
    job = queue.add("work", {"touch": str(runs), "sleep_s": 1000}, attempts=3)
    wait(runs.exists, "the job runs")

    job.cancel()
    wait(is_cancelled(job), "the job is cancelled")
    after = queue.add("work", {"value": "the child is replaced"}).finished(DEADLINE_S)

    assert after == "the child is replaced"
    assert len(runs.read_text().splitlines()) == 1
    assert (job.refresh().attempts, job.claims) == (0, 1)


def test_another_process_cancels(queue, url, supervisor, flaky, tmp_path, wait):
    runs = tmp_path / "runs"
    supervisor("q", flaky, "--pool", "1")
    job = queue.add("work", {"touch": str(runs), "sleep_s": 1000})
    wait(runs.exists, "the job runs")

    code = f"from sandq.sync import Queue; print(Queue('q', {url!r}).cancel({job.id!r}, 'by me'))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    wait(is_cancelled(job), "the job is cancelled")

    assert done.stdout == "active\n"
    assert job.cancel_reason == "by me"


def test_a_supervisor_that_drains_still_cancels(queue, supervisor, flaky, tmp_path, wait):
    runs = tmp_path / "runs"
    one = supervisor("q", flaky, "--pool", "1", "--drain-timeout", "60s")
    job = queue.add("work", {"touch": str(runs), "sleep_s": 1000})
    wait(runs.exists, "the job runs")

    one.signal(signal.SIGTERM)
    job.cancel()
    code, _ = one.wait(DEADLINE_S)

    assert code == 0
    assert job.get_state() == "cancelled"


def test_a_child_that_answers_first_has_completed_its_job(
    queue, supervisor, program, tmp_path, wait
):
    command = program(LAST_WORD)
    supervisor("q", [*command, str(tmp_path / "begun")], "--pool", "1")
    job = queue.add("work")
    wait((tmp_path / "begun").exists, "the job runs")

    job.cancel()

    assert job.finished(DEADLINE_S) == "done"
    assert job.state == "completed"
    assert kinds_of(queue, job)["cancelled"] == 0


def test_a_job_whose_supervisor_was_killed_is_cancelled_when_it_is_recovered(
    queue, supervisor, flaky, tmp_path, wait, server
):
    runs = tmp_path / "runs"
    one = supervisor("q", flaky, "--pool", "1", *FAST)
    job = queue.add("work", {"touch": str(runs), "sleep_s": 1000})
    wait(runs.exists, "the job runs")
    one.signal(signal.SIGKILL)
    one.wait()

    state = job.cancel("too late for it")
    wait(lambda: queue.reclaim() == [job.id], "the job is recovered")

    assert state == "active"
    assert job.get_state() == "cancelled"
    assert job.cancel_reason == "too late for it"
    assert kinds_of(queue, job)["cancelled"] == 1
    assert cancelling(server) == {}


def test_a_cancelled_job_makes_room_in_its_group(queue, supervisor, flaky, tmp_path, wait):
    queue.set_settings(QueueSettings(group_concurrency=1))
    supervisor("q", flaky, "--pool", "2")
    data = {"touch": str(tmp_path / "runs"), "sleep_s": 1000}
    first = queue.add("work", data, group="tenant")
    second = queue.add("work", {"value": 2}, group="tenant")
    wait((tmp_path / "runs").exists, "the first job runs")

    first.cancel()

    assert second.finished(DEADLINE_S) == 2
