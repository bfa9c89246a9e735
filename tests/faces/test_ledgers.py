"""Discarding retries; attempts, stalls and releases; the history of failures; places of retries."""

import signal
import threading

import anyio
import anyio.to_thread
import pytest

from sandq import Backoff, Priority
from sandq.errors import IllegalState, JobFailed, JobMissing

pytestmark = pytest.mark.anyio

DEADLINE_S = 30

#: A supervisor whose jobs can be recovered soon after it was killed.
SHORT_LEASE = ("--lease", "500ms", "--recover-every", "1h", "--drain-timeout", "0s")


async def fail_all(queue, *jobs):
    """Run jobs until they have failed for good."""
    async with queue.run():
        for job in jobs:
            with pytest.raises(JobFailed):
                await job.finished(DEADLINE_S)


def broken(job):
    raise ValueError(f"attempt {job.attempt}")


# ---- no more retries


async def test_a_job_that_is_discarded_while_it_waits_has_one_attempt(face):
    queue = face.queue()
    queue.set_handler("*", broken)
    job = await queue.add("work", attempts=5, backoff=60)
    await job.discard()
    assert (await queue.get_job(job.id)).discarded
    await fail_all(queue, job)

    assert (job.attempts, job.failure["message"]) == (1, "attempt 1")


async def test_a_job_that_is_discarded_while_it_runs_is_not_tried_again(face):
    queue = face.queue()
    begun, go_on = threading.Event(), threading.Event()

    def slow(job):
        begun.set()
        go_on.wait(DEADLINE_S)
        raise ValueError("no")

    queue.set_handler("*", slow)
    job = await queue.add("work", attempts=5, backoff=60)
    async with queue.run():
        await anyio.to_thread.run_sync(begun.wait, DEADLINE_S)
        await job.discard()
        go_on.set()
        with pytest.raises(JobFailed):
            await job.finished(DEADLINE_S)

    assert job.attempts == 1


async def test_a_discarded_job_may_succeed(face):
    queue = face.queue()
    queue.set_handler("*", lambda job: 1)
    job = await queue.add("work", attempts=5)
    await job.discard()
    async with queue.run():
        assert await job.finished(DEADLINE_S) == 1


async def test_discarding_is_over_with_the_run_when_the_job_is_retried(face):
    queue = face.queue()
    queue.set_handler("*", broken)
    job = await queue.add("work", attempts=3)
    await job.discard()
    await fail_all(queue, job)
    await job.retry(reset_attempts=True)
    assert not (await queue.get_job(job.id)).discarded
    await fail_all(queue, job)

    assert job.attempts == 3


async def test_a_function_discards_its_own_retries(face):
    queue = face.queue()

    def work(job):
        if job.attempt == 2:
            job.discard()
        raise ValueError(f"attempt {job.attempt}")

    async def late(job):
        job.discard()
        await anyio.sleep(60)

    queue.set_handler("*", work)
    queue.set_handler("late", late)
    job = await queue.add("work", attempts=5)
    slow = await queue.add("late", attempts=5, timeout=0.05)
    await fail_all(queue, job, slow)

    assert (job.attempts, job.failure["message"], job.failure["kind"]) == (2, "attempt 2", "error")
    assert (slow.attempts, slow.failure["kind"]) == (1, "timed_out")


async def test_discarding_a_job_that_is_gone_is_told(face):
    queue = face.queue()
    job = await queue.add("work")
    await job.remove()
    with pytest.raises(JobMissing, match="'1' does not exist"):
        await job.discard()


# ---- three ledgers


def ledgers(job):
    return job.attempts, job.stalls, job.claims


async def test_a_crash_a_kill_and_a_drain_are_three_things(
    face, supervisor, flaky, tmp_path, until
):
    queue = face.queue()
    runs = tmp_path / "runs"
    job = await queue.add("work", {"touch": str(runs), "sleep_s": 60}, attempts=2)

    async def begun(count):
        async def so_many():
            return runs.exists() and len(runs.read_text().splitlines()) == count

        await until(so_many, f"it runs for the {count}. time")

    # the supervisor vanishes: a stall
    first = supervisor("q", flaky, *SHORT_LEASE)
    await begun(1)
    first.signal(signal.SIGKILL)
    first.wait()
    assert await until(queue.reclaim, "the lease is over") == [job.id]
    await job.refresh()
    assert (job.state, *ledgers(job)) == ("waiting", 0, 1, 1)

    # it is stopped, and the job does not end in time: a release
    second = supervisor("q", flaky, *SHORT_LEASE)
    await begun(2)
    second.signal(signal.SIGTERM)
    second.wait()
    await job.refresh()
    assert (job.state, *ledgers(job)) == ("waiting", 0, 1, 2)

    # the child dies: an attempt
    await job.update({"exit": 3})
    queue.set_handler_file("*", flaky)
    await fail_all(queue, job)
    assert ledgers(job) == (2, 1, 4)
    assert (job.failure["kind"], job.failure["death"]["exit_code"]) == ("crashed", 3)
    totals = (await queue.stats()).totals
    assert (totals["stalled"], totals["released"], totals["retried"]) == (1, 1, 1)


async def test_stalls_beyond_the_most_allowed_fail_a_job_with_all_its_attempts_left(face, until):
    queue = face.queue()
    job = await queue.add("work", attempts=5)
    for stalls in (1, 2):
        claimed = await queue.get_next_job(lease=0.001)
        assert claimed.id == job.id
        assert await until(queue.reclaim, "the lease is over") == [job.id]
        await job.refresh()
        assert (job.attempts, job.stalls) == (0, stalls)

    assert (job.state, job.failure["kind"]) == ("failed", "stalled")
    await job.retry()
    await job.refresh()
    assert (job.state, *ledgers(job)) == ("waiting", 0, 0, 2)


async def test_a_success_clears_the_stalls_and_keeps_the_attempts(face, until):
    queue = face.queue()
    job = await queue.add("work", attempts=5)
    await queue.get_next_job(lease=0.001)
    await until(queue.reclaim, "the lease is over")
    queue.set_handler("*", lambda job: 1 / 0 if job.attempt == 1 else None)
    async with queue.run():
        await job.finished(DEADLINE_S)

    assert (job.state, *ledgers(job)) == ("completed", 1, 0, 3)


# ---- the history of failures


@pytest.mark.parametrize(
    ("limit", "attempts", "kept"),
    [
        ({}, 3, [1, 2, 3]),
        ({}, 13, [*range(3, 14)]),
        ({"stack_trace_limit": 2}, 5, [3, 4, 5]),
        ({"stack_trace_limit": 0}, 5, [5]),
        ({"stack_trace_limit": 100}, 15, [*range(1, 16)]),
        ({}, 1, [1]),
    ],
)
async def test_the_newest_failure_and_so_many_before_it_are_kept(face, limit, attempts, kept):
    queue = face.queue()
    queue.set_handler("*", broken)
    job = await queue.add("work", attempts=attempts, **limit)
    await fail_all(queue, job)
    records = await job.failures()

    assert [record["message"] for record in records] == [f"attempt {n}" for n in kept]
    assert all("in broken" in record["stack"] for record in records)


async def test_a_job_that_succeeds_in_the_end_tells_of_all_its_failures(face):
    queue = face.queue()
    queue.set_handler("*", lambda job: broken(job) if job.attempt < 3 else "done")
    job = await queue.add("work", attempts=3)
    async with queue.run():
        await job.finished(DEADLINE_S)
    messages = [record["message"] for record in await job.failures()]

    assert messages == ["attempt 1", "attempt 2"]
    assert job.failure is None


async def test_a_retry_by_hand_keeps_the_history_unless_attempts_are_counted_anew(face):
    queue = face.queue()
    queue.set_handler("*", broken)
    job = await queue.add("work", attempts=2)
    await fail_all(queue, job)
    await job.retry()
    await fail_all(queue, job)
    assert [record["message"] for record in await job.failures()] == [
        "attempt 1", "attempt 2", "attempt 3",
    ]  # fmt: skip
    await job.retry(reset_attempts=True)
    await fail_all(queue, job)

    assert [record["message"] for record in await job.failures()] == ["attempt 1", "attempt 2"]


# ---- places


async def test_a_retry_goes_to_the_back_of_its_own_priority(face):
    queue = face.queue()
    begun = []

    def work(job):
        begun.append((job.data, job.attempt))
        if job.data == "fails" and job.attempt == 1:
            raise ValueError("no")

    queue.set_handler("*", work)
    high = {"priority": Priority.HIGH, "attempts": 2, "backoff": Backoff.fixed(0)}
    jobs = await queue.add_bulk(
        [("work", "none"), ("work", "fails", high), ("work", "other", high), ("work", "last")]
    )
    async with queue.run():
        for job in jobs:
            await job.finished(DEADLINE_S)

    assert begun == [("fails", 1), ("other", 1), ("fails", 2), ("none", 1), ("last", 1)]


@pytest.mark.parametrize("again", ["retry", "retry_jobs", "replay_dead"])
async def test_a_retry_by_hand_keeps_the_priority(face, again):
    queue = face.queue()
    queue.set_handler("*", broken)
    job = await queue.add("work", priority=3)
    with pytest.raises(IllegalState):
        await job.retry()
    await fail_all(queue, job)
    await queue.add_bulk([("work", 1, {"priority": 3}), ("work", 2, {"priority": 4}), ("work", 3)])
    await (job.retry() if again == "retry" else getattr(queue, again)())

    assert [job.id for job in await queue.get_waiting()] == ["2", "1", "3", "4"]
