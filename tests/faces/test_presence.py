"""Supervisors say that they are there: who sees them, and for how long."""

import os
import signal
import socket
import sys
import time

import anyio
import pytest

pytestmark = pytest.mark.anyio

DEADLINE_S = 30


@pytest.fixture
async def queue(face):
    return face.queue()


async def test_supervisors_tell_who_and_where_they_are_and_what_they_run(queue, until, server):
    begun = anyio.Event()
    queue.set_handler("work", waiter(begun))
    job = await queue.add("work")
    async with queue.run(concurrency=3) as handle:

        async def told():
            workers = await queue.get_workers()
            return workers if workers and workers[0].jobs else None

        (worker,) = await until(told, "it tells of its job")

        assert (worker.id, worker.host, worker.pid) == (
            handle.worker,
            socket.gethostname(),
            os.getpid(),
        )
        assert (worker.slots, worker.busy, worker.jobs) == (3, 1, (job.id,))
        assert 0 <= time.time() - worker.started_at < DEADLINE_S
        assert worker.started_at - 1 < worker.seen_at <= time.time() + 1
        await job.cancel()

    assert await queue.get_workers() == []
    assert server.client.keys("sandq:{q}:worker*") == []


def waiter(begun):
    async def wait(job):
        begun.set()
        await anyio.sleep_forever()

    return wait


async def test_a_supervisor_that_was_killed_is_gone_when_its_time_is_over(
    queue, server, flaky, until
):
    command = [sys.executable, "-m", "sandq", "run", "q", "--url", server.url, "--", *flaky]
    async with await anyio.open_process(command) as process:

        async def there():
            return await queue.get_workers()

        (worker,) = await until(there, "it says that it is there")
        assert worker.pid == process.pid
        process.send_signal(signal.SIGKILL)
        await process.wait()

    assert await queue.get_workers() == [worker]
    key = f"sandq:{{q}}:worker:{worker.id}"
    assert 20_000 < server.client.pttl(key) <= 35_000
    server.client.pexpire(key, 1)

    async def gone():
        return await queue.get_workers() == []

    await until(gone, "its time is over")


async def test_several_supervisors_of_a_queue_are_told_and_none_of_another(face, queue, until):
    queue.set_handler("work", print)
    other = face.queue("other")
    other.set_handler("work", print)
    async with queue.run() as one, queue.run(concurrency=2) as two, other.run():

        async def both():
            return len(await queue.get_workers()) == 2

        await until(both, "both have said that they are there")
        workers = await queue.get_workers()

    assert {(worker.id, worker.slots) for worker in workers} == {(one.worker, 1), (two.worker, 2)}
    assert {worker.jobs for worker in workers} == {()}
