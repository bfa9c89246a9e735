"""What a queue tells of itself: counts, metrics, totals, statistics, logs, tags."""

import time

import anyio
import pytest

from sandq import QueueSettings
from sandq.errors import InvalidInput, JobMissing

pytestmark = pytest.mark.anyio

DEADLINE_S = 30


@pytest.fixture
async def queue(face):
    return face.queue()


@pytest.fixture
async def one_of_each(queue):
    """A queue with jobs in every state: 3 waiting, 2 delayed, 1 of each other."""
    await queue.add_bulk([("work", n) for n in range(4)])
    await (await queue.get_next_job()).move_to_completed(1)
    await queue.add("work", priority=1)
    await (await queue.get_next_job()).move_to_failed("no")
    await (await queue.add("work", priority=1)).cancel()
    await queue.add_bulk([("work", n, {"delay": 60}) for n in range(2)])
    await queue.add("work", priority=1)
    await queue.get_next_job()

    return queue


# ---- counts


async def test_counts_of_every_state(one_of_each):
    queue = one_of_each
    singles = [
        await getattr(queue, f"get_{state}_count")()
        for state in ("waiting", "delayed", "active", "completed", "failed", "cancelled", "paused")
    ]

    assert singles == [3, 2, 1, 1, 1, 1, 0]
    assert await queue.get_job_counts() == {
        "waiting": 3, "paused": 0, "delayed": 2, "active": 1, "completed": 1, "failed": 1,
        "cancelled": 1,
    }  # fmt: skip
    assert await queue.get_job_counts(["failed", "delayed"]) == {"failed": 1, "delayed": 2}
    assert await queue.count() == 5
    with pytest.raises(InvalidInput, match="state 'done' is not known"):
        await queue.get_job_counts(["done"])


async def test_jobs_of_a_paused_queue_count_as_paused_and_as_waiting(one_of_each):
    queue = one_of_each
    await queue.pause()

    assert await queue.get_job_counts(["waiting", "paused"]) == {"waiting": 0, "paused": 3}
    assert await queue.get_waiting_count() == await queue.get_paused_count() == 3
    assert await queue.count() == 5


async def test_parked_jobs_count_as_waiting(queue):
    await queue.set_settings(QueueSettings(group_concurrency=1))
    await queue.add_bulk([("work", n, {"group": "g"}) for n in range(3)])
    assert await queue.get_next_job() is not None
    assert await queue.get_next_job() is None

    assert await queue.get_waiting_count() == await queue.count() == 2
    assert len(await queue.get_waiting()) == 2
    assert (await queue.stats()).groups == {"g": 1}


async def test_counts_per_priority(queue):
    await queue.add_bulk([("work", 1, {"priority": p}) for p in (0, 0, 1, 5, 5, 5)])

    assert await queue.get_counts_per_priority([0, 1, 2, 5]) == {0: 2, 1: 1, 2: 0, 5: 3}
    with pytest.raises(InvalidInput):
        await queue.get_counts_per_priority([-1])


# ---- metrics


async def finish(queue, fails=False):
    await queue.add("work")
    job = await queue.get_next_job()
    await (job.move_to_failed("no") if fails else job.move_to_completed(1))


async def test_metrics_count_what_ended_in_each_minute(queue):
    for fails in (False, False, True):
        await finish(queue, fails)
    completed, failed = await queue.get_metrics(), await queue.get_metrics("failed")

    assert (completed.total, failed.total) == (2, 1)
    # a minute may have begun in between
    assert (sum(completed.data), sum(failed.data)) == (2, 1)
    assert len(completed.data) <= 2
    assert completed.at % 60 == 0
    assert 0 <= time.time() - completed.at < 120
    with pytest.raises(InvalidInput, match="metrics are kept of completed and failed jobs"):
        await queue.get_metrics("waiting")


async def test_metrics_of_a_queue_that_was_idle_for_weeks_go_on_where_bulls_fail_for_ever(
    queue, server
):
    # Bull fails at every job after 8,000 minutes without any
    await queue.set_settings(QueueSettings(metrics_points=80_000))
    minute = int(time.time() // 60)
    server.client.hset("sandq:{q}:metrics:completed", minute - 40_000, 5)
    server.client.hset("sandq:{q}:totals", "completed", 5)
    for _ in range(3):
        await finish(queue)
    metrics = await queue.get_metrics()

    assert metrics.total == 8
    assert len(metrics.data) in (40_001, 40_002)
    assert (sum(metrics.data[:3]), metrics.data[-1]) == (3, 5)
    assert (await queue.get_metrics(start=40_000, end=40_001)).data in [(5,), (0, 5)]
    assert sum((await queue.get_metrics(end=1)).data) == 3


async def test_no_minute_is_told_that_is_older_than_the_queue_keeps(queue, server):
    minute = int(time.time() // 60)
    server.client.hset("sandq:{q}:metrics:completed", minute - 5_000_000, 5)
    await finish(queue)
    metrics = await queue.get_metrics()
    await queue.set_settings(QueueSettings(metrics_points=0))
    nothing = await queue.get_metrics()

    assert (len(metrics.data), sum(metrics.data)) == (1440, 1)
    assert (nothing.total, nothing.data) == (1, ())


# ---- statistics


async def test_totals_count_what_has_happened_since_the_queue_began(queue):
    await queue.add("work", attempts=2, job_id="a")
    await queue.add("work", job_id="a")
    await (await queue.get_next_job()).move_to_failed("once")
    await (await queue.get_next_job()).move_to_failed("twice")
    (job,) = await queue.get_failed()
    await job.retry()
    await (await queue.get_next_job()).move_to_completed(1)
    await (await queue.add("work")).cancel()
    await queue.add("work")
    await (await queue.get_next_job()).move_to_delayed(7e9)
    await queue.add("work")
    await queue.get_next_job(lease=0.001)
    with anyio.fail_after(DEADLINE_S):
        while not await queue.reclaim(max_stalls=0):
            await anyio.lowlevel.checkpoint()
    await queue.clean()
    stats = await queue.stats()

    assert stats.totals == {
        "added": 4, "retried": 1, "failed": 2, "kind:error": 1, "restarted": 1, "completed": 1,
        "cancelled": 1, "released": 1, "stalled": 1, "kind:stalled": 1,
    }  # fmt: skip
    assert stats.dead == {"stalled": 1}
    assert stats.counts == await queue.get_job_counts()


async def test_stats_tell_who_waits_longest(queue, until):
    empty = await queue.stats()
    job = await queue.add("work")
    later = await queue.add("work", delay=0.001)
    await queue.add("work", delay=60)
    due_at = (await queue.get_job(later.id)).due_at

    async def overdue():
        return (await queue.stats()).overdue_since

    assert (empty.waiting_since, empty.overdue_since, empty.stalled) == (None, None, 0)
    assert await until(overdue, "the job is due") == due_at
    assert (await queue.stats()).waiting_since == (await queue.get_job(job.id)).created_at


async def test_jobs_whose_lease_is_over_are_stalled_until_they_are_reclaimed(queue, until):
    await queue.add_bulk([("work", n) for n in range(3)])
    for lease in (0.001, 0.001, 60):
        last = await queue.get_next_job(lease=lease)

    async def stalled():
        return await queue.get_stalled_count() == 2

    await until(stalled, "two leases are over")
    assert (await queue.stats()).stalled == 2
    assert set(await queue.reclaim()) == {"1", "2"}
    assert await queue.reclaim() == []
    assert [job.stalls for job in await queue.get_waiting()] == [1, 1]
    assert await last.get_state() == "active"
    with pytest.raises(InvalidInput):
        await queue.reclaim(max_stalls=-1)


# ---- logs and tags


async def test_log_rows_are_told_in_ranges_and_both_orders(queue):
    job = await queue.add("work")
    for number in range(5):
        await job.log(f"row {number}", level="warning" if number == 3 else "info", n=number)

    async def rows(*args, **options):
        total, found = await queue.get_job_logs(job.id, *args, **options)
        assert total == 5
        return [row["fields"]["n"] for row in found]

    assert await rows() == [0, 1, 2, 3, 4]
    assert await rows(1, 2) == [1, 2]
    assert await rows(-2) == [3, 4]
    assert await rows(asc=False) == [4, 3, 2, 1, 0]
    assert await rows(0, 1, asc=False) == [4, 3]
    assert await rows(3, asc=False) == [1, 0]
    assert await rows(7, 9) == []
    row = (await job.logs())[3]
    assert (row["level"], row["message"]) == ("warning", "row 3")
    assert abs(row["at"] - time.time()) < DEADLINE_S
    assert await queue.get_job_logs("nobody") == (0, [])


async def test_of_log_rows_the_first_and_the_newest_are_kept_and_go_with_the_job(queue, server):
    job = await queue.add("work")
    pipe = server.client.pipeline()
    for number in range(1900):
        pipe.rpush(f"sandq:{{q}}:logs:{job.id}", f'1 {{"level":"info","message":"{number}"}}')
    pipe.execute()
    await job.log("newest")
    total, rows = await queue.get_job_logs(job.id)

    assert total == len(rows) == 1001
    assert [row["message"] for row in rows[:100]] == [str(n) for n in range(100)]
    assert rows[100] == {"at": 0.001, "cut": 901}
    assert (rows[101]["message"], rows[-1]["message"]) == ("1001", "newest")
    await job.remove()
    with pytest.raises(JobMissing):
        await job.log("to nobody")
    assert await queue.get_job_logs(job.id) == (0, [])


async def test_jobs_are_found_by_their_tags_until_they_are_gone(queue):
    a = await queue.add("work", tags=["red", "ü b"])
    b = await queue.add("work", tags=["red"], delay=60)

    assert await queue.jobs_by_tag("red") == [a.id, b.id]
    assert await queue.jobs_by_tag("ü b") == [a.id]
    assert await queue.jobs_by_tag("blue") == []
    await (await queue.get_next_job()).move_to_completed(1)
    assert await queue.jobs_by_tag("red") == [a.id, b.id]
    await queue.clean()
    await b.remove()
    assert await queue.jobs_by_tag("red") == []
