"""Waiting for jobs that are removed as they end, or before, and by thousands at once."""

import threading

import anyio
import anyio.to_thread
import pytest

from sandq import Queue
from sandq.errors import JobCancelled, JobFailed, JobMissing

pytestmark = pytest.mark.anyio

DEADLINE_S = 30

#: Longer than what an event carries of a value (spec/storage.md).
LARGE = "x" * 70_000


@pytest.fixture
async def queue(face):
    queue = face.queue()
    queue.set_handler("echo", lambda job: job.data)
    queue.set_handler("fail", lambda job: 1 / 0)

    return queue


class Waiting:
    """Somebody who waits for a job in a task of its own; `caught` is the error it met."""

    def __init__(self, job, group):
        self.job, self.value, self.caught = job, None, None
        self.over = anyio.Event()
        group.start_soon(self._wait)

    async def _wait(self):
        try:
            self.value = await self.job.finished(DEADLINE_S)
        except Exception as error:
            self.caught = error
        self.over.set()


async def begun(queue, until, server, count=1):
    """Somebody reads the events."""

    async def blocked():
        return server.client.info("clients")["blocked_clients"] >= count

    await until(blocked, "it is waited for")


# ---- removed as it ended


@pytest.mark.parametrize("value", [None, 0, [], {"a": [1, 2.5]}, "ä"])
async def test_the_value_of_a_job_that_was_removed_as_it_completed_is_found(queue, value):
    job = await queue.add("echo", value, remove_on_complete=True)
    async with queue.run():
        assert await job.finished(DEADLINE_S) == value
        # late waiters find it in the event stream as well
        assert await job.finished(DEADLINE_S) == value

    assert await job.get_state() is None
    assert (await queue.get_result(job.id)).state is None


async def test_a_value_too_large_for_an_event_is_lost_with_its_job_and_that_is_told(queue):
    kept, job = await queue.add_bulk(
        [("echo", LARGE), ("echo", LARGE, {"remove_on_complete": True})]
    )
    async with queue.run():
        assert await kept.finished(DEADLINE_S) == LARGE
        with pytest.raises(JobMissing, match="completed and was removed, and its value with it"):
            await job.finished(DEADLINE_S)


async def test_the_failure_of_a_job_that_was_removed_as_it_failed_is_found(queue):
    job = await queue.add("fail", 1, remove_on_fail=True, attempts=2)
    async with queue.run():
        for _ in range(2):
            with pytest.raises(JobFailed, match="failed and was removed: error: divis") as caught:
                await job.finished(DEADLINE_S)

    failure = caught.value.failure
    assert (failure["kind"], failure["type"]) == ("error", "ZeroDivisionError")
    assert "ZeroDivisionError" in failure["stack"]


async def test_a_failure_too_large_for_an_event_is_told_by_its_kind(queue):
    def fail(job):
        error = ValueError("no")
        error.data = LARGE
        raise error

    queue.set_handler("large", fail)
    job = await queue.add("large", remove_on_fail=True)
    async with queue.run():
        with pytest.raises(JobFailed, match="failed and was removed: error") as caught:
            await job.finished(DEADLINE_S)

    assert caught.value.failure["kind"] == "error"


async def test_the_cancellation_of_a_job_that_was_removed_with_it_is_found(queue):
    running = threading.Event()

    async def sleep(job):
        running.set()
        await anyio.sleep(60)

    queue.set_handler("sleep", sleep)
    job = await queue.add("sleep", remove_on_fail=True)
    async with queue.run():
        await anyio.to_thread.run_sync(running.wait, DEADLINE_S)
        assert await job.cancel("enough") == "active"
        for _ in range(2):
            with pytest.raises(JobCancelled, match="enough") as caught:
                await job.finished(DEADLINE_S)

    assert caught.value.failure == {"kind": "cancelled", "message": "enough"}
    assert await job.get_state() is None


async def test_a_job_pushed_out_by_newer_ones_tells_how_it_ended(queue):
    good, bad = await queue.add_bulk(
        [("echo", 1, {"remove_on_complete": 1}), ("fail", 1, {"remove_on_fail": 1})]
    )
    async with queue.run():
        assert await good.finished(DEADLINE_S) == 1
        with pytest.raises(JobFailed):
            await bad.finished(DEADLINE_S)
        newer = await queue.add("echo", 2, remove_on_complete=1)
        await newer.finished(DEADLINE_S)
        newer = await queue.add("fail", 2, remove_on_fail=1)
        with pytest.raises(JobFailed):
            await newer.finished(DEADLINE_S)

    with pytest.raises(JobMissing, match="completed and was removed"):
        await good.finished(DEADLINE_S)
    with pytest.raises(JobFailed) as caught:
        await bad.finished(DEADLINE_S)
    assert caught.value.failure["kind"] == "error"


# ---- removed by hand


@pytest.mark.parametrize("how", ["remove", "empty", "clean", "obliterate"])
async def test_a_job_removed_while_it_is_waited_for_is_told_as_missing(
    face, queue, server, until, how
):
    job = await queue.add("echo", 1)
    other = face.queue()
    async with anyio.create_task_group() as group:
        waiting = Waiting(job, group)
        await begun(queue, until, server)
        match how:
            case "remove":
                await (await other.get_job(job.id)).remove()
            case "empty":
                await other.empty()
            case "clean":
                await other.clean(0, "waiting")
            case "obliterate":
                await other.obliterate()
        with anyio.fail_after(DEADLINE_S):
            await waiting.over.wait()

    assert isinstance(waiting.caught, JobMissing)
    assert "does not exist, or was removed" in str(waiting.caught)


async def test_an_end_of_an_earlier_job_of_the_same_id_is_not_taken_for_its_own(queue):
    first = await queue.add("echo", "old", job_id="a", remove_on_complete=True)
    async with queue.run():
        assert await first.finished(DEADLINE_S) == "old"
    second = await queue.add("echo", "new", job_id="a")
    await second.remove()
    with pytest.raises(JobMissing):
        await second.finished(DEADLINE_S)
    third = await queue.add("echo", "third", job_id="a")
    await queue.empty()

    with pytest.raises(JobMissing):
        await third.finished(DEADLINE_S)


async def test_a_job_that_is_retried_at_once_is_waited_for_again(queue, server, until):
    job = await queue.add("echo", 1)
    held = await queue.get_next_job()
    async with anyio.create_task_group() as group:
        waiting = Waiting(job, group)
        await begun(queue, until, server)
        # one call for both: it is waiting again before anybody can look
        pipeline = server.client.pipeline()
        for kind in ("completed", "waiting"):
            pipeline.xadd("sandq:{q}:events", {"e": kind, "id": job.id})
        pipeline.execute()
        await held.move_to_completed("done")

    assert waiting.value == "done"


async def test_what_never_was_is_missing(face, queue):
    await queue.add("echo", 1)
    job = await queue.add("echo", 2)
    await job.remove()
    with pytest.raises(JobMissing, match="'2' does not exist"):
        await job.finished(DEADLINE_S)


# ---- many


@pytest.mark.parametrize("removed", [False, True], ids=["kept", "removed"])
async def test_thousands_wait_at_once_and_each_gets_its_own_value(url, removed):
    async with Queue("q", url) as queue:
        queue.set_handler("*", lambda job: 1 / 0 if job.data % 100 == 99 else job.data)
        options = {"remove_on_complete": removed, "remove_on_fail": removed}
        jobs = await queue.add_bulk([("work", n, options) for n in range(2000)])
        async with anyio.create_task_group() as group:
            waiting = [Waiting(job, group) for job in jobs]
            async with queue.run(concurrency=8):
                with anyio.fail_after(60):
                    for one in waiting:
                        await one.over.wait()

    for number, one in enumerate(waiting):
        if number % 100 == 99:
            assert isinstance(one.caught, JobFailed), one.caught
            assert one.caught.failure["type"] == "ZeroDivisionError"
        else:
            assert (one.value, one.caught) == (number, None)
    assert queue._endings._waiters == {}


async def test_fifty_threads_wait_at_once(queue, face):
    jobs = await queue.add_bulk([("echo", n, {"remove_on_complete": True}) for n in range(50)])
    async with anyio.create_task_group() as group:
        waiting = [Waiting(job, group) for job in jobs]
        async with queue.run(concurrency=4):
            with anyio.fail_after(DEADLINE_S):
                for one in waiting:
                    await one.over.wait()

    assert [one.value for one in waiting] == list(range(50))


async def test_many_wait_for_one_job(queue):
    job = await queue.add("echo", "one")
    async with anyio.create_task_group() as group:
        waiting = [Waiting(job, group) for _ in range(20)]
        async with queue.run():
            with anyio.fail_after(DEADLINE_S):
                for one in waiting:
                    await one.over.wait()

    assert {one.value for one in waiting} == {"one"}
