"""Redis goes away in every way it can, comes back, and the jobs go on."""

import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import anyio
import pytest

from sandq import Queue as AsyncQueue
from sandq.errors import SandqError, StoreError, StoreUnreachable
from sandq.store.embedded import EmbeddedServer
from sandq.store.store import Store
from sandq.sync import Queue


@pytest.fixture
def kept_server(tmp_path, redis_binary):
    """A server that keeps its data over a restart."""
    server = EmbeddedServer(tmp_path / "server", binary=Path(redis_binary))
    server.ensure()
    yield server
    server.stop()


@pytest.fixture
def slow_jobs(flaky, tmp_path):
    runs = tmp_path / "runs"
    return [("work", {"touch": str(runs), "sleep_s": 0.005, "value": n}) for n in range(300)], runs


def completed(queue):
    try:
        return queue.get_job_counts()["completed"]
    except SandqError:
        queue.close()
        return 0


def test_connections_that_are_cut_are_made_again(url, server, supervisor, flaky, wait, slow_jobs):
    jobs, runs = slow_jobs
    with Queue("q", url) as queue:
        queue.add_bulk(jobs)
        supervisor("q", flaky, "--pool", "4")
        for count in (50, 100, 150, 200, 250):
            wait(lambda count=count: completed(queue) >= count, "some jobs are completed")
            server.client.client_kill_filter(_type="normal", skipme=True)
        wait(lambda: completed(queue) == 300, "all jobs are completed")
        done = queue.get_jobs(["completed"])

    assert {job.stalls for job in done} == {0}
    assert Counter(line.split()[0] for line in runs.read_text().splitlines()) == {
        job.id: 1 for job in done
    }


def test_a_restarted_server_is_used_again(kept_server, supervisor, flaky, wait, slow_jobs):
    jobs, _ = slow_jobs
    url = kept_server.ensure()
    with Queue("q", url) as queue:
        queue.add_bulk(jobs)
        one = supervisor("q", flaky, "--pool", "2", "--url", url)
        wait(lambda: completed(queue) >= 50, "some jobs are completed")
        kept_server.stop()
        kept_server.ensure()
        wait(lambda: completed(queue) == 300, "all jobs are completed")
        one.signal(signal.SIGTERM)
        code, errors = one.wait()
        done = queue.get_jobs(["completed"])

    assert code == 0
    assert "trying again until it works" in errors
    assert {(job.stalls, job.attempts) for job in done} == {(0, 0)}


def test_a_server_that_is_full_is_told_of_and_waited_for(
    url, server, supervisor, flaky, wait, slow_jobs
):
    jobs, _ = slow_jobs
    with Queue("q", url) as queue:
        queue.add_bulk(jobs)
        one = supervisor("q", flaky, "--pool", "2")
        wait(lambda: completed(queue) >= 50, "some jobs are completed")
        server.client.config_set("maxmemory", 1)
        try:
            with pytest.raises(StoreError, match="the server is full"):
                queue.add("work")
            told = one.process.stderr.readline().decode()
        finally:
            server.client.config_set("maxmemory", 0)
        wait(lambda: completed(queue) == 300, "all jobs are completed")
        done = queue.get_jobs(["completed"])

    assert "the server is full" in told
    assert "trying again until it works" in told
    assert {(job.stalls, job.attempts) for job in done} == {(0, 0)}


def test_idle_supervisors_notice_work_after_their_connection_was_cut(
    url, server, supervisor, flaky, wait
):
    with Queue("q", url) as queue:
        supervisor("q", flaky, "--pool", "1")
        queue.add("work", {"value": 1}).finished(20)
        server.client.client_kill_filter(_type="normal", skipme=True)
        value = queue.add("work", {"value": 2}).finished(20)

    assert value == 2


def test_a_server_that_is_not_there_at_the_start_is_a_clear_error(flaky, tmp_path):
    url = f"unix://{tmp_path}/none"

    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "sandq",
            "run",
            "q",
            "--url",
            url,
            "--",
            *flaky,
        ],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "is the server running" in done.stderr


def test_a_claim_whose_reply_is_lost_is_given_back_without_a_stall(url, flaky):
    """Between us and the server the reply to one claim is thrown away."""
    lost = []
    send = Store._send

    async def lossy(self, call):
        reply = await send(self, call)
        if call.script == "settle_and_claim" and len(reply[1]) > 4 and not lost:
            lost.append(call)
            raise StoreUnreachable("the reply was lost on the way")
        return reply

    async def main():
        async with AsyncQueue("q", url) as queue:
            queue.set_handler_file("*", flaky)
            jobs = await queue.add_bulk([("work", {"value": n}) for n in range(20)])
            async with queue.run(concurrency=2):
                values = [await job.finished(20) for job in jobs]
            done = await queue.get_jobs(["completed"])
        return values, done

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Store, "_send", lossy)
        values, done = anyio.run(main)

    assert len(lost) == 1
    assert values == list(range(20))
    assert {job.stalls for job in done} == {0}
