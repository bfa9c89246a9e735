"""Pausing and resuming, and single jobs promoted, updated, removed, discarded, retried."""

import psutil
import pytest

from sandq.errors import IllegalState, InvalidInput, JobActive, JobMissing

pytestmark = pytest.mark.anyio

DEADLINE_S = 30


@pytest.fixture
async def queue(face):
    return face.queue()


@pytest.fixture
def slow(flaky, tmp_path, queue, until):
    """Serve jobs by a child that runs until a file is there."""
    queue.set_handler_file("*", flaky)

    async def begun(count=1):
        runs = tmp_path / "runs"

        async def so_many():
            return runs.exists() and len(runs.read_text().splitlines()) >= count

        await until(so_many, f"{count} jobs run")

    begun.data = {"touch": str(tmp_path / "runs")}
    return begun


async def counts(queue, *states):
    found = await queue.get_job_counts()
    return tuple(found[state] for state in states)


# ---- pause for all


async def test_pausing_lets_running_jobs_finish_and_starts_no_others(queue, slow):
    first = await queue.add("work", {**slow.data, "sleep_s": 0.5, "value": "finished"})
    async with queue.run():
        await slow()
        await queue.pause()
        second = await queue.add("work", {"value": 2})

        assert await first.finished(DEADLINE_S) == "finished"
        assert await queue.is_paused()
        assert await counts(queue, "paused", "waiting", "active") == (1, 0, 0)

        await queue.resume()
        assert await second.finished(DEADLINE_S) == 2

    assert not await queue.is_paused()


async def test_delayed_jobs_that_come_due_wait_in_the_paused_queue(queue, until):
    queue.set_handler("work", lambda job: job.data)
    await queue.pause()
    job = await queue.add("work", "late", delay=0.05)
    async with queue.run():

        async def paused():
            return await counts(queue, "paused", "delayed") == (1, 0)

        await until(paused, "the job is due")
        assert (await queue.get_job(job.id)).state == "waiting"
        assert await queue.get_paused_count() == 1
        await queue.resume()

        assert await job.finished(DEADLINE_S) == "late"


async def test_pausing_and_resuming_twice_is_harmless_and_told_once(queue):
    for _ in range(2):
        await queue.pause()
    for _ in range(2):
        await queue.resume()
    kinds = []
    async for event in queue.subscribe("0"):
        kinds.append(event.kind)
        if event.kind == "resumed":
            break

    assert kinds == ["paused", "resumed"]
    assert not await queue.is_paused()


async def test_a_paused_queue_gives_no_job_by_hand_either(queue):
    await queue.add("work")
    await queue.pause()

    assert await queue.get_next_job() is None
    await queue.resume()
    assert (await queue.get_next_job()).state == "active"


# ---- pause of one


async def test_a_local_pause_waits_for_its_own_jobs_and_another_supervisor_goes_on(
    face, queue, slow
):
    other = face.queue()
    other.set_handler("quick", lambda job: "by the other")
    job = await queue.add("work", {**slow.data, "sleep_s": 0.5, "value": 1})
    async with queue.run() as handle:
        await slow()
        await queue.pause(local=True)

        assert handle.busy == 0
        assert await queue.is_paused(local=True)
        assert not await queue.is_paused()
        assert await job.finished(DEADLINE_S) == 1
        async with other.run() as second:
            quick = await queue.add("quick")
            assert await quick.finished(DEADLINE_S) == "by the other"
            assert quick.worker == second.worker


async def test_a_local_pause_that_does_not_wait_returns_while_jobs_run(queue, slow):
    job = await queue.add("work", {**slow.data, "sleep_s": 1, "value": 1})
    async with queue.run() as handle:
        await slow()
        await queue.pause(local=True, wait=False)

        assert handle.busy == 1
        waiting = await queue.add("work", {"value": 2})
        assert await job.finished(DEADLINE_S) == 1
        assert await waiting.get_state() == "waiting"
        await queue.when_current_jobs_finished()
        assert handle.busy == 0
        await queue.resume(local=True)
        assert await waiting.finished(DEADLINE_S) == 2


async def test_a_global_resume_does_not_lift_a_local_pause(queue):
    queue.set_handler("work", lambda job: job.data)
    await queue.pause(local=True)
    await queue.pause()
    await queue.resume()
    job = await queue.add("work", 1)
    async with queue.run():
        # paused before it began: it has taken nothing
        assert await queue.is_paused(local=True)
        with pytest.raises(TimeoutError):
            await job.finished(0.3)
        await queue.resume(local=True)

        assert await job.finished(DEADLINE_S) == 1


async def test_a_local_resume_does_not_lift_a_global_pause(queue):
    queue.set_handler("work", lambda job: job.data)
    async with queue.run():
        await queue.pause()
        await queue.pause(local=True)
        await queue.resume(local=True)

        assert await queue.is_paused()
        assert not await queue.is_paused(local=True)


# ---- single jobs


async def test_a_promoted_job_starts_now_and_keeps_its_priority(queue):
    last = await queue.add("work", "last", priority=9)
    job = await queue.add("work", "first", delay=3600, priority=1)
    await job.promote()

    assert await job.get_state() == "waiting"
    assert [await next_data(queue) for _ in range(2)] == ["first", "last"]
    with pytest.raises(IllegalState, match="active: only a delayed job can be promoted"):
        await last.promote()


async def next_data(queue):
    return (await queue.get_next_job()).data


async def test_updated_data_are_what_the_next_attempt_is_given(queue):
    job = await queue.add("work", {"version": 1})
    await job.update({"version": [2]})
    with pytest.raises(InvalidInput):
        await job.update({1, 2})

    assert await next_data(queue) == {"version": [2]}
    assert (await queue.get_job(job.id)).data == {"version": [2]}


async def test_removing_takes_everything_that_is_kept_of_a_job(queue, server):
    job = await queue.add("work", tags=["red"], dedup="key", attempts=2, expires_at=4e9)
    await job.log("row")
    claimed = await queue.get_next_job()
    await claimed.move_to_failed("no")
    await job.remove()

    left = {key.decode().partition(":{q}:")[2] for key in server.client.keys("*")}
    assert left == {"meta", "events", "totals", "wake"} & left
    assert await job.get_state() is None
    with pytest.raises(JobMissing):
        await job.remove()


async def test_a_running_job_is_not_removed_unless_it_must_be(queue, slow, until):
    job = await queue.add("work", {**slow.data, "sleep_s": 1000})
    async with queue.run() as handle:
        await slow()
        (pid,) = handle.pids()
        with pytest.raises(JobActive, match="cancel it, or give force=True"):
            await job.remove()
        assert await job.get_state() == "active"
        await job.remove(force=True)

        async def gone():
            return not psutil.pid_exists(pid)

        await until(gone, "the child is gone")
        after = await queue.add("work", {"value": "next"})
        assert await after.finished(DEADLINE_S) == "next"

    assert await job.get_state() is None


async def test_a_discarded_job_is_not_tried_again(queue):
    job = await queue.add("work", attempts=5)
    claimed = await queue.get_next_job()
    await job.discard()
    state, _ = await claimed.move_to_failed("no")

    assert state == await job.get_state() == "failed"
    assert job.discarded
    # a retry by hand is a new start
    await job.retry()
    claimed = await queue.get_next_job()
    assert (await claimed.move_to_failed("no"))[0] == "waiting"


@pytest.mark.parametrize(
    ("reset", "state", "attempts"), [(False, "failed", 3), (True, "waiting", 1)]
)
async def test_a_retried_job_has_its_attempts_used_up_unless_they_are_reset(
    queue, reset, state, attempts
):
    job = await queue.add("work", attempts=2, priority=3)
    for _ in range(2):
        await (await queue.get_next_job()).move_to_failed("no")
    await job.retry(reset_attempts=reset)
    again = await queue.get_next_job()

    assert (again.id, again.priority) == (job.id, 3)
    assert (await again.move_to_failed("no"))[0] == state
    assert (await queue.get_job(job.id)).attempts == attempts


@pytest.mark.parametrize("end", ["completed", "cancelled"])
async def test_what_has_ended_otherwise_runs_again_too(queue, end):
    job = await queue.add("work")
    if end == "completed":
        await (await queue.get_next_job()).move_to_completed(1)
    else:
        await job.cancel()
    await job.retry()

    assert await job.get_state() == "waiting"
    assert (job.value, job.failure, job.finished_at, job.cancel_reason) == (None,) * 4
    assert job.retried_at is not None
    with pytest.raises(IllegalState, match="waiting: only a job that has ended can be retried"):
        await job.retry()


@pytest.mark.parametrize(
    "verb", ["remove", "retry", "discard", "promote", "cancel", "update", "log", "update_progress"]
)
async def test_a_job_that_is_gone_is_missing_whatever_is_asked_of_it(queue, verb):
    job = await queue.add("work")
    await job.remove()

    with pytest.raises(JobMissing, match="'1'"):
        await getattr(job, verb)(*(["x"] if verb in ("update", "log", "update_progress") else []))
