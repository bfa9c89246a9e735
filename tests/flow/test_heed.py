"""A supervisor stops what it is told to stop: functions, claims held ahead, removed jobs."""

import threading

import anyio
import psutil
import pytest

from sandq import Queue
from sandq.errors import JobCancelled, JobMissing
from sandq.flow import desk, heed

pytestmark = pytest.mark.anyio

DEADLINE_S = 30


@pytest.fixture
async def queue(url):
    async with Queue("q", url) as queue:
        yield queue


async def until(condition):
    """Return when the condition holds; it is asked again and again."""
    with anyio.fail_after(DEADLINE_S):
        while not await condition():
            await anyio.lowlevel.checkpoint()


async def until_state(job, state):
    async def reached():
        return await job.get_state() == state

    await until(reached)


async def test_an_async_function_is_cancelled_and_may_clean_up(queue):
    begun, cleaned_up = anyio.Event(), anyio.Event()

    async def work(job):
        begun.set()
        try:
            await anyio.sleep_forever()
        finally:
            cleaned_up.set()

    queue.set_handler("work", work)
    job = await queue.add("work")
    async with queue.run() as handle:
        await begun.wait()
        await job.cancel()
        with pytest.raises(JobCancelled):
            await job.finished(DEADLINE_S)
        await cleaned_up.wait()
        busy = handle.busy

    assert await job.get_state() == "cancelled"
    assert busy == 0


async def test_a_function_in_a_thread_goes_on_and_its_value_is_dropped(queue):
    begun, release, over = threading.Event(), threading.Event(), threading.Event()

    def work(job):
        begun.set()
        release.wait(DEADLINE_S)
        over.set()
        return "late"

    queue.set_handler("work", work)
    queue.set_handler("quick", lambda job: "quick")
    job = await queue.add("work", attempts=2)
    async with queue.run():
        await anyio.to_thread.run_sync(begun.wait)
        await job.cancel()
        with pytest.raises(JobCancelled):
            await job.finished(DEADLINE_S)
        ran_on = not over.is_set()
        release.set()
        await anyio.to_thread.run_sync(over.wait)
        # the slot is free for others, and what the thread says later is heard by nobody
        other = await queue.add("quick")
        assert await other.finished(DEADLINE_S) == "quick"

    assert ran_on
    assert await job.get_state() == "cancelled"
    assert job.value is None


async def test_a_function_that_will_not_be_cancelled_has_completed_its_job(queue):
    begun = anyio.Event()

    async def work(job):
        begun.set()
        try:
            await anyio.sleep_forever()
        except anyio.get_cancelled_exc_class():
            return "all the same"

    queue.set_handler("work", work)
    job = await queue.add("work")
    async with queue.run():
        await begun.wait()
        await job.cancel()

        assert await job.finished(DEADLINE_S) == "all the same"


async def test_a_claim_held_ahead_is_cancelled_before_it_has_started(queue, monkeypatch):
    monkeypatch.setattr(desk, "HELD_MOST_S", 1000.0)
    begun, release, seen = anyio.Event(), anyio.Event(), []

    async def work(job):
        seen.append(job.id)
        if job.data == "long":
            begun.set()
            await release.wait()

    queue.set_handler("work", work)
    await queue.add_bulk(("work", n) for n in range(300))
    await queue.add("work", "long")
    await queue.add_bulk(("work", n) for n in range(100))
    async with queue.run():
        await begun.wait()
        # while jobs were quick, more were claimed than could start at once
        held = [job for job in await queue.get_active() if job.id not in seen]
        assert len(held) > 1
        for job in held:
            await job.cancel()
        for job in held:
            await until_state(job, "cancelled")
        release.set()
        await until_counts(queue, cancelled=len(held), completed=401 - len(held))

    assert not {job.id for job in held} & set(seen)


async def until_counts(queue, **wanted):
    async def reached():
        counts = await queue.get_job_counts()
        return all(counts[state] >= number for state, number in wanted.items())

    await until(reached)


async def test_what_waits_for_its_child_is_cancelled_too(queue, program, tmp_path):
    gate = tmp_path / "gate"
    command = program(
        f"""
import os, sys, time
while not os.path.exists({str(gate)!r}):
    time.sleep(0.01)
print('{{"sandq":1,"type":"hello","caps":[]}}', flush=True)
for line in sys.stdin:
    open({str(tmp_path / "ran")!r}, "a").close()
    print("1", flush=True)
"""
    )
    queue.set_handler_file("*", command)
    job = await queue.add("work")
    async with queue.run():
        await until_state(job, "active")
        await job.cancel()
        with pytest.raises(JobCancelled):
            await job.finished(DEADLINE_S)
        gate.touch()

    assert not (tmp_path / "ran").exists()


async def test_one_cancellation_does_not_touch_the_other_jobs(queue, flaky, tmp_path):
    queue.set_handler_file("*", flaky)
    data = {"touch": str(tmp_path / "runs"), "sleep_s": 1.2, "value": "undisturbed"}
    jobs = await queue.add_bulk(("work", data) for _ in range(2))
    async with queue.run(concurrency=2):
        await until_state(jobs[0], "active")
        await until_state(jobs[1], "active")
        await jobs[0].cancel()

        assert await jobs[1].finished(DEADLINE_S) == "undisturbed"
        assert await jobs[0].get_state() == "cancelled"


# ---- jobs that are removed while they run


async def test_a_removed_job_ends_its_child_and_leaves_nothing(queue, server, flaky, tmp_path):
    queue.set_handler_file("*", flaky)
    runs = tmp_path / "runs"
    job = await queue.add("work", {"touch": str(runs), "sleep_s": 1000})
    async with queue.run() as handle:
        await until_file(runs)
        (pid,) = handle.pids()
        await job.remove(force=True)

        async def child_gone():
            return not psutil.pid_exists(pid)

        await until(child_gone)
        after = await queue.add("work", {"value": "next"})
        assert await after.finished(DEADLINE_S) == "next"

    with pytest.raises(JobMissing):
        await job.remove()
    assert await job.get_state() is None
    assert server.client.hgetall("sandq:{q}:cancelling") == {}


async def until_file(path):
    async def exists():
        return path.exists()

    await until(exists)


async def test_a_job_added_anew_under_a_removed_one_s_id_runs_undisturbed(
    queue, flaky, tmp_path, monkeypatch
):
    # so that the new job is claimed before anybody has looked who is to be stopped
    monkeypatch.setattr(heed, "HEED_EVERY_S", 0.8)
    queue.set_handler_file("*", flaky)
    runs = tmp_path / "runs"
    job = await queue.add("work", {"touch": str(runs), "sleep_s": 1000}, job_id="same")
    async with queue.run(concurrency=2) as handle:
        await until_file(runs)
        first = int(runs.read_text().split()[2])
        await job.remove(force=True)
        data = {"touch": str(runs), "sleep_s": 1.5, "value": "second life"}
        again = await queue.add("work", data, job_id="same")

        assert await again.finished(DEADLINE_S) == "second life"
        left = [pid for pid in handle.pids() if pid == first]

    assert (again.claims, again.state) == (1, "completed")
    assert len(runs.read_text().splitlines()) == 2
    assert left == []


def test_the_promise_holds_even_if_a_look_has_just_been_missed():
    # a job is too young at one look at most, so two looks and the way to Redis must be enough
    assert 2 * heed.HEED_EVERY_S < 1.0
