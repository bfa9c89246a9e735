"""Pools of a supervisor: they grow with the age of the queue, and give jobs up if told so."""

import json

import pytest

from sandq import Queue
from sandq.errors import JobFailed
from sandq.sync import Queue as SyncQueue

pytestmark = pytest.mark.anyio

REMEMBER = """
import os
from sandq.handler import serve

seen = []

def remember(job):
    seen.append(job.data)
    return [os.getpid(), seen, os.environ.get("SANDQ_POOL_KEY")]

serve(remember)
"""


@pytest.fixture
async def queue(url):
    async with Queue("q", url) as queue:
        yield queue


async def test_the_pool_grows_when_jobs_have_waited_and_shrinks_when_idle(queue, flaky, until):
    queue.set_handler_file("*", flaky, idle=0.5)
    async with queue.run(concurrency=4, least=1) as handle:
        first = await queue.add("work", {"value": 1})
        await first.finished(30)
        begun = len(handle.pids())
        jobs = await queue.add_bulk(("work", {"sleep_s": 0.2}) for _ in range(30))

        async def grown():
            return len(handle.pids()) == 4

        async def shrunk():
            return len(handle.pids()) == 1

        await until(grown)
        for job in jobs:
            await job.finished(30)
        await until(shrunk)

    assert begun == 1


async def test_a_pool_may_be_empty_while_there_is_no_work(queue, flaky, until):
    queue.set_handler_file("*", flaky, idle=0.1)
    async with queue.run(concurrency=2, least=0) as handle:
        begun = handle.pids()
        job = await queue.add("work", {"value": 7})
        value = await job.finished(30)

        async def empty():
            return handle.pids() == []

        await until(empty)

    assert (begun, value) == ([], 7)


async def test_long_jobs_make_the_pool_grow_as_well(queue, flaky, until):
    queue.set_handler_file("*", flaky)
    async with queue.run(concurrency=2, least=1, drain_timeout=0) as handle:
        await queue.add("work", {"sleep_s": 60})

        async def busy():
            return handle.busy == 1

        await until(busy)
        job = await queue.add("work", {"value": 7})

        assert await job.finished(30) == 7
        assert len(handle.pids()) == 2


async def test_a_pool_does_not_grow_for_jobs_that_do_not_wait(queue, flaky):
    queue.set_handler_file("*", flaky)
    async with queue.run(concurrency=4, least=1) as handle:
        for number in range(20):
            job = await queue.add("work", {"value": number, "sleep_s": 0.02})
            await job.finished(30)
        pids = handle.pids()

    assert len(pids) == 1


async def test_a_job_that_was_delayed_or_tried_before_has_not_waited(queue, flaky):
    queue.set_handler_file("*", flaky)
    async with queue.run(concurrency=4, least=1) as handle:
        first = await queue.add("work", {"value": 0})
        await first.finished(30)
        jobs = [await queue.add("work", {"value": n}, delay=0.4) for n in range(3)]
        jobs += [
            await queue.add("work", {"fail_until": 2, "value": n}, attempts=3, backoff=0.4)
            for n in range(3)
        ]
        values = [await job.finished(30) for job in jobs]
        pids = handle.pids()

    assert values == [0, 1, 2] * 2
    assert len(pids) == 1


async def test_jobs_of_a_key_have_children_of_their_own(queue, program):
    queue.set_handler_file("*", program(REMEMBER))
    keys = ["a", "b", None, "a", "c", None, "b", "a"] * 3
    jobs = [await queue.add("work", key, pool_key=key) for key in keys]
    async with queue.run(concurrency=2):
        answers = [await job.finished(30) for job in jobs]

    for key, (_, seen, told) in zip(keys, answers, strict=True):
        assert set(seen) == {key}
        assert told == key


async def test_jobs_of_a_handler_that_is_down_for_too_long_fail(queue, flaky, tmp_path):
    mended = tmp_path / "mended"
    handler = ["sh", "-c", f"[ -e {mended} ] || exit 3; while read -r job; do echo 1; done"]
    queue.set_handler_file("*", handler)
    async with queue.run(concurrency=2, broken_after=0.4):
        job = await queue.add("work")
        with pytest.raises(JobFailed, match="exit code 3") as caught:
            await job.finished(30)
        mended.touch()
        again = await queue.add("work", attempts=50, backoff=0.1)
        value = await again.finished(30)

    assert caught.value.failure["kind"] == "start_failed"
    assert value == 1


async def test_jobs_of_a_handler_that_is_down_wait_unless_told_otherwise(queue, tmp_path, until):
    tries = tmp_path / "tries"
    queue.set_handler_file("*", ["sh", "-c", f"echo x >> {tries}; exit 3"])
    job = await queue.add("work")
    async with queue.run():

        async def tried():
            return tries.exists() and len(tries.read_text().split()) >= 3

        await until(tried)
        state = await job.get_state()

    assert state == "waiting"


def test_a_pool_of_two_sizes_is_told_on_the_command_line(url, supervisor, flaky):
    with SyncQueue("q", url) as queue:
        one = supervisor("q", flaky, "--pool", "1:3", "--max-jobs", "2", "--max-age", "1h")
        pids = [queue.add("work", {"value": number}).finished(30) for number in range(4)]
        one.process.terminate()
        code, _ = one.wait()

    assert (one.started["pool"], code) == (3, 0)
    assert pids == [0, 1, 2, 3]
    assert json.dumps(one.started["handlers"])
