"""The synchronous Queue and Job."""

import threading

import pytest

from sandq.errors import InvalidInput, JobFailed, JobMissing, StoreUnreachable, WaitTimeout
from sandq.sync import Queue

DEADLINE_S = 30


@pytest.fixture
def queue(url):
    with Queue("q", url) as queue:
        yield queue


def test_jobs_go_the_whole_way(queue, flaky):
    queue.set_handler_file("*", flaky)
    job, bad = queue.add_bulk([("work", {"value": [1], "log": ["hi"]}), ("work", {"fail": "no"})])
    single = queue.add("work", {"value": 2}, attempts=2)
    with queue.run(concurrency=2) as handle:
        values = [job.finished(DEADLINE_S), single.finished(DEADLINE_S)]
        with pytest.raises(JobFailed, match="no"):
            bad.finished(DEADLINE_S)
        pids = handle.pids()

    assert values == [[1], 2]
    assert len(pids) == 2
    assert handle.busy == 0
    assert job.refresh().worker == handle.worker
    assert job.logs()[0]["message"] == "hi"
    assert queue.get_job_counts()["completed"] == 2
    assert [job.id for job in queue.get_jobs(["failed"])] == [bad.id]


def test_a_running_queue_can_be_waited_for_and_stopped_from_another_thread(queue):
    queue.set_handler("echo", lambda job: job.data)
    with queue.run() as handle:
        stopper = threading.Thread(target=handle.close)
        stopper.start()
        handle.wait()
        stopper.join(DEADLINE_S)

    assert not stopper.is_alive()


def test_waiting_ends_with_the_timeout_or_the_absence(queue):
    job = queue.add("nobody runs this")
    with pytest.raises(WaitTimeout):
        job.finished(0.05)
    queue._store._client.delete("sandq:{q}:job:1", "sandq:{q}:waiting")

    with pytest.raises(JobMissing):
        job.finished(DEADLINE_S)
    assert job.refresh() is None
    assert job.get_state() is None
    assert queue.get_job("1") is None


def test_bad_input_is_refused(queue, server):
    with pytest.raises(InvalidInput):
        queue.add("", 1)
    with pytest.raises(InvalidInput):
        queue.add_bulk([("a",)])

    assert server.client.keys("*") == []


def test_closing_twice_is_harmless(url):
    queue = Queue("q", url)
    queue.add("work")
    queue.close()
    queue.close()

    assert repr(queue) == "<Queue 'q'>"


def test_a_server_that_is_not_there_is_told_by_run_as_well(tmp_path):
    queue = Queue("q", f"unix://{tmp_path}/none")
    queue.set_handler("*", print)

    with pytest.raises(StoreUnreachable), queue.run():
        pass
