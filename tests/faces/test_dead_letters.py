"""Failed jobs: looked at, counted by kind, and run again, singly and by the thousand."""

import time
from collections import Counter

import anyio
import pytest

from sandq import JobState
from sandq.errors import JobFailed
from sandq.handler import Unrecoverable

pytestmark = pytest.mark.anyio

DEADLINE_S = 30


async def fail_all(queue, jobs):
    async with queue.run(concurrency=4):
        for job in jobs:
            with pytest.raises(JobFailed):
                await job.finished(DEADLINE_S)


def broken(job):
    raise (Unrecoverable if job.data == "hopeless" else ValueError)(f"no: {job.data}")


@pytest.fixture
async def queue(face):
    queue = face.queue()
    queue.set_handler("work", broken)

    return queue


async def many_failed(queue, until, count):
    """So many failed jobs, by hand of the server's own scripts and fast: all have expired."""
    past = time.time() - 60
    jobs = await queue.add_bulk([("work", n, {"expires_at": past}) for n in range(count)])

    async def all_expired():
        await queue.get_next_job()
        return await queue.get_failed_count() == count

    await until(all_expired, "all have expired")

    return [job.id for job in jobs]


# ---- looking


async def test_dead_jobs_are_shown_oldest_first_and_nothing_is_changed(queue):
    jobs = []
    for n in range(3):
        jobs.append(await queue.add("work", n, priority=3 - n))
        await fail_all(queue, jobs[-1:])
    peeked = await queue.peek_dead()

    assert [job.id for job in peeked] == [job.id for job in jobs]
    assert [job.failure["message"] for job in peeked] == ["no: 0", "no: 1", "no: 2"]
    assert [job.id for job in await queue.peek_dead(2)] == [jobs[0].id, jobs[1].id]
    assert await queue.peek_dead(0) == []
    assert [job.id for job in await queue.get_failed()] == [job.id for job in reversed(jobs)]
    assert await queue.get_failed_count() == 3


async def test_peeking_shows_twenty_unless_asked_for_more(queue, until):
    ids = await many_failed(queue, until, 1100)

    assert len(await queue.peek_dead()) == 20
    assert len(await queue.peek_dead(1050)) == 1050
    assert {job.id for job in await queue.peek_dead(5000)} == set(ids)


async def test_dead_jobs_are_counted_by_kind_as_long_as_they_are_there(queue, until):
    assert (await queue.stats()).dead == {}
    await many_failed(queue, until, 2)
    jobs = await queue.add_bulk([("work", "a"), ("work", "b"), ("work", "hopeless"), ("other", 1)])
    await fail_all(queue, jobs)
    kinds = {"expired": 2, "error": 2, "unrecoverable": 1, "handler_missing": 1}
    assert (await queue.stats()).dead == kinds
    await jobs[0].retry()
    await jobs[1].cancel()
    await jobs[2].remove()

    stats = await queue.stats()
    assert stats.dead == {"expired": 2, "handler_missing": 1}
    # what has happened is counted for ever
    assert {kind: stats.totals[f"kind:{kind}"] for kind in kinds} == kinds


# ---- running again


async def test_a_replayed_job_has_all_its_attempts_and_keeps_what_it_is(queue):
    options = {"priority": 7, "attempts": 2, "tags": ["t"], "metadata": {"a": "b"}, "timeout": 9}
    job = await queue.add("work", {"n": 1}, job_id="mine", **options)
    await fail_all(queue, [job])
    assert job.attempts == 2
    assert await queue.replay_dead() == ["mine"]
    await job.refresh()

    assert (job.state, job.attempts, job.failure, job.name, job.data) == (
        "waiting", 0, None, "work", {"n": 1},
    )  # fmt: skip
    assert (job.priority, job.tags, job.metadata) == (7, ["t"], {"a": "b"})
    assert job.opts == {"attempts": 2, "timeout_ms": 9000, "metadata": {"a": "b"}}
    assert job.retried_at is not None
    await fail_all(queue, [job])
    assert (job.attempts, job.claims) == (2, 4)


async def test_a_retried_job_has_its_attempts_used_up(queue):
    job = await queue.add("work", attempts=3)
    await fail_all(queue, [job])
    assert await queue.retry_jobs() == [job.id]
    await fail_all(queue, [job])
    assert (job.attempts, job.claims) == (4, 4)
    assert await queue.retry_jobs(reset_attempts=True) == [job.id]
    await fail_all(queue, [job])

    assert (job.attempts, job.claims) == (3, 7)


async def test_only_dead_jobs_of_a_kind_are_replayed(queue, until):
    expired = await many_failed(queue, until, 3)
    jobs = await queue.add_bulk([("work", "a"), ("work", "hopeless"), ("work", "b")])
    await fail_all(queue, jobs)

    assert await queue.replay_dead(kind="unrecoverable") == [jobs[1].id]
    assert await queue.replay_dead(1, kind="error") == [jobs[0].id]
    assert await queue.replay_dead(kind="crashed") == []
    assert sorted(await queue.replay_dead(kind="expired")) == sorted(expired)
    assert [job.id for job in await queue.peek_dead()] == [jobs[2].id]


async def test_a_job_that_expired_may_start_when_it_is_replayed(queue, until):
    (job_id,) = await many_failed(queue, until, 1)
    await queue.replay_dead()
    job = await queue.get_job(job_id)
    await fail_all(queue, [job])

    assert job.failure["kind"] == "error"


@pytest.mark.parametrize(("limit", "most"), [({}, 100), ({"limit": 7}, 7), ({"limit": 0}, 0)])
async def test_a_replay_takes_the_oldest_and_no_more_than_its_limit(queue, until, limit, most):
    await many_failed(queue, until, 150)
    oldest = [job.id for job in await queue.peek_dead(most)]

    assert await queue.replay_dead(**limit) == oldest
    assert await queue.get_failed_count() == 150 - most


async def test_two_that_replay_at_once_never_take_the_same_job(face, queue, until):
    ids = await many_failed(queue, until, 900)
    taken = []

    async def replay():
        other = face.queue()
        while batch := await other.replay_dead(37):
            taken.extend(batch)

    async with anyio.create_task_group() as group:
        for _ in range(4):
            group.start_soon(replay)

    assert sorted(taken) == sorted(ids)
    assert await queue.get_waiting_count() == 900


async def test_2500_failed_jobs_are_retried_in_batches(queue, server, until):
    ids = await many_failed(queue, until, 2500)
    server.client.config_resetstat()
    retried = await queue.retry_jobs()
    stats = server.client.info("commandstats")

    assert sorted(retried) == sorted(ids)
    assert stats["cmdstat_evalsha"]["calls"] <= 4
    assert await queue.get_waiting_count() == 2500
    assert [job.id for job in await queue.get_waiting()] == retried


async def test_so_many_are_retried_as_were_asked_for(queue, until):
    await many_failed(queue, until, 1300)

    assert len(await queue.retry_jobs(1100)) == 1100
    assert len(await queue.retry_jobs(0)) == 0
    assert await queue.get_failed_count() == 200


async def test_jobs_that_fail_again_meanwhile_are_not_taken_a_second_time(queue, until):
    await many_failed(queue, until, 2500)
    begun = Counter()

    def fail(job):
        begun[job.id] += 1
        raise ValueError("again")

    async def all_failed():
        return await queue.get_failed_count() == 2500

    queue.set_handler("*", fail)
    queue._handlers.pop("work")
    async with queue.run(concurrency=8):
        retried = await queue.retry_jobs()
        await until(all_failed, "all have failed again")

    assert len(retried) == 2500
    assert set(begun.values()) == {1}


async def test_jobs_that_run_again_are_told_in_events(queue, server, until):
    ids = await many_failed(queue, until, 3)
    last = server.client.xrevrange("sandq:{q}:events", count=1)[0][0].decode()
    await queue.replay_dead(1)
    await queue.retry_jobs()
    events = server.client.xrange("sandq:{q}:events", f"({last}")

    told = [(event[b"e"].decode(), event[b"id"].decode()) for _, event in events]
    assert sorted(told) == sorted(("waiting", job_id) for job_id in ids)


async def test_idle_supervisors_are_woken_for_jobs_that_run_again(queue, until):
    job = await queue.add("work")
    await fail_all(queue, [job])

    async def failed_twice():
        await job.refresh()
        return job.claims == 2 and job.state == "failed"

    async with queue.run():
        # it has found nothing by now, and waits for the bell
        await until(lambda: heard(queue), "it waits")
        begun = time.monotonic()
        await queue.retry_jobs()
        await until(failed_twice, "it has failed again")

    assert time.monotonic() - begun < 4


async def heard(queue):
    return len(await queue.get_workers()) == 1


@pytest.mark.parametrize("state", ["completed", "cancelled"])
async def test_jobs_that_ended_otherwise_are_run_again_as_well(queue, state):
    queue.set_handler("fine", lambda job: None)
    job = await queue.add("fine")
    if state == "cancelled":
        await job.cancel()
    else:
        async with queue.run():
            await job.finished(DEADLINE_S)
    assert await queue.retry_jobs() == []
    assert await queue.retry_jobs(state=state) == [job.id]

    assert await job.get_state() is JobState.WAITING
    assert (job.value, job.failure, job.finished_at) == (None, None, None)
