"""The whole way of jobs under a supervisor: once each, also when it is stopped or killed."""

import signal
from collections import Counter
from pathlib import Path

import pytest

from sandq.sync import Queue

FAST = ("--lease", "1s", "--recover-every", "200ms")


@pytest.fixture
def queue(url):
    with Queue("q", url) as queue:
        yield queue


def ended(queue, count, state="completed"):
    return lambda: queue.get_job_counts()[state] >= count


def begun(path, count):
    """Whether so many jobs have really begun: what is claimed may not have come back yet."""
    return lambda: path.exists() and len(path.read_text().splitlines()) >= count


def runs_of(path):
    """job id -> how often its handler ran, from the file that flaky.py writes."""
    return Counter(line.split()[0] for line in path.read_text().splitlines())


def test_ten_thousand_jobs_run_once_each(queue, supervisor, flaky, tmp_path, wait):
    runs = tmp_path / "runs"
    jobs = queue.add_bulk(("work", {"value": n, "touch": str(runs)}) for n in range(10_000))
    supervisor("q", flaky, "--pool", "4")

    wait(ended(queue, 10_000), "all jobs are completed", 60)
    done = queue.get_jobs(["completed"])

    assert runs_of(runs) == {job.id: 1 for job in jobs}
    assert {job.id: job.value for job in done} == {job.id: job.data["value"] for job in jobs}


def test_queues_share_the_pool_in_turns(url, supervisor, flaky, wait):
    with Queue("many", url) as many, Queue("few", url) as few:
        many.add_bulk(("work", {"sleep_s": 0.01, "value": n}) for n in range(1000))
        supervisor("many few", flaky, "--pool", "2")
        wait(ended(many, 20), "some jobs are completed")
        few.add_bulk(("work", {"value": n}) for n in range(20))
        wait(ended(few, 20), "the few are completed")
        left = many.get_job_counts()["waiting"]
        many.add_bulk(("work", {"value": n}) for n in range(5))
        wait(ended(many, 1005), "the many are completed as well")

    assert left > 500


def test_a_killed_supervisor_loses_nothing(queue, supervisor, flaky, tmp_path, wait, processes_of):
    runs = tmp_path / "runs"
    data = {"touch": str(runs), "sleep_s": 0.002}
    jobs = queue.add_bulk(("work", data) for _ in range(1000))
    first = supervisor("q", flaky, "--pool", "4", *FAST)
    wait(ended(queue, 300), "some jobs are completed")

    first.signal(signal.SIGKILL)
    first.wait()
    wait(lambda: not processes_of(first.worker), "its children are gone", 2)
    supervisor("q", flaky, "--pool", "4", *FAST)
    wait(ended(queue, 1000), "all jobs are completed")
    done = queue.get_jobs(["completed"])
    events = [
        (fields[b"e"], fields[b"id"])
        for _, fields in queue._store._client.xrange(queue._store.keys.events)
    ]

    assert len(done) == 1000
    assert {job.id for job in done} == {job.id for job in jobs}
    assert Counter(kind for kind, _ in events)[b"completed"] == 1000
    assert max(Counter(i for kind, i in events if kind == b"completed").values()) == 1
    assert {job.attempts for job in done} == {0}
    assert set(runs_of(runs)) == {job.id for job in jobs}


def test_a_job_that_kills_its_supervisors_is_failed_as_stalled(queue, supervisor, flaky, wait):
    job = queue.add("work", {"sleep_s": 60})
    for _ in range(2):
        one = supervisor("q", flaky, "--pool", "1", *FAST)
        wait(lambda one=one: queue.get_job(job.id).worker == one.worker, "the job runs")
        one.signal(signal.SIGKILL)
        one.wait()
    supervisor("q", flaky, "--pool", "1", *FAST)

    wait(ended(queue, 1, "failed"), "the job has failed")
    (job,) = queue.get_jobs(["failed"])

    assert (job.failure["kind"], job.stalls, job.attempts) == ("stalled", 2, 0)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_signal_waits_for_running_jobs_and_gives_back_the_rest(
    queue, supervisor, flaky, tmp_path, wait, number
):
    data = {"touch": str(tmp_path / "runs"), "sleep_s": 0.5}
    queue.add_bulk(("work", {**data, "value": n}) for n in range(6))
    one = supervisor("q", flaky, "--pool", "2")
    wait(begun(tmp_path / "runs", 2), "two jobs run")

    one.signal(number)
    one.signal(number)
    code, errors = one.wait()
    counts = queue.get_job_counts()

    assert (code, errors) == (0, "")
    assert (counts["completed"], counts["waiting"], counts["active"]) == (2, 4, 0)
    assert [job.data["value"] for job in queue.get_jobs(["waiting"], asc=True)] == [2, 3, 4, 5]


def test_what_outlives_the_drain_is_killed_and_goes_back_to_its_place(
    queue, supervisor, flaky, tmp_path, wait, processes_of
):
    data = {"touch": str(tmp_path / "runs"), "sleep_s": 60}
    queue.add_bulk(("work", {**data, "value": n}) for n in range(3))
    one = supervisor("q", flaky, "--pool", "2", "--drain-timeout", "300ms")
    wait(begun(tmp_path / "runs", 2), "two jobs run")

    one.signal(signal.SIGTERM)
    code, errors = one.wait(10)
    waiting = queue.get_jobs(["waiting"], asc=True)

    assert code == 0
    assert "2 jobs are still running: they are given back" in errors
    assert [job.data["value"] for job in waiting] == [0, 1, 2]
    assert {(job.attempts, job.stalls) for job in waiting} == {(0, 0)}
    assert processes_of(one.worker) == []


def test_a_second_signal_in_earnest_stops_at_once(queue, supervisor, flaky, tmp_path, wait):
    runs = tmp_path / "runs"
    queue.add("work", {"touch": str(runs), "sleep_s": 60})
    one = supervisor("q", flaky, "--pool", "1", "--drain-timeout", "60s")
    wait(begun(runs, 1), "the job runs")
    one.signal(signal.SIGTERM)

    def signalled_again():
        if one.process.poll() is None:
            one.signal(signal.SIGTERM)
        return one.process.poll() is not None

    wait(signalled_again, "it has stopped", 20)

    assert one.wait()[0] == 0
    assert queue.get_job_counts()["waiting"] == 1


def test_leases_are_renewed_while_draining(queue, supervisor, flaky, tmp_path, wait):
    runs = tmp_path / "runs"
    job = queue.add("work", {"touch": str(runs), "sleep_s": 2.5, "value": "done"})
    one = supervisor("q", flaky, "--pool", "1", *FAST)
    wait(begun(runs, 1), "the job runs")
    supervisor("q", flaky, "--pool", "1", *FAST)

    one.signal(signal.SIGTERM)
    value = job.finished(20)

    assert value == "done"
    assert (job.refresh().claims, job.stalls) == (1, 0)


def test_a_supervisor_that_slept_past_its_lease_drops_its_answer(
    queue, supervisor, flaky, tmp_path, wait
):
    runs = tmp_path / "runs"
    job = queue.add("work", {"touch": str(runs), "sleep_s": 3, "value": "done"})
    first = supervisor("q", flaky, "--pool", "1", *FAST)
    wait(lambda: runs.exists() and runs.read_text(), "the job has begun")
    loser = int(runs.read_text().split()[2])

    first.signal(signal.SIGSTOP)
    second = supervisor("q", flaky, "--pool", "1", *FAST)
    wait(lambda: queue.get_job(job.id).worker == second.worker, "the second has the job")
    first.signal(signal.SIGCONT)
    wait(lambda: not Path(f"/proc/{loser}").exists(), "the child that lost its job is killed")
    job.finished(20)
    first.signal(signal.SIGTERM)
    _, errors = first.wait()

    assert (job.refresh().worker, job.claims, job.stalls) == (second.worker, 2, 0)
    assert "lost" in errors
