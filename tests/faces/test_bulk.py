"""Verbs of many jobs: clean, empty, obliterate."""

from contextlib import suppress

import anyio
import pytest

from sandq import QueueSettings, RateLimit, Repeat
from sandq.errors import InvalidInput, JobFailed, QueueBusy
from sandq.store import verbs
from sandq.store.keys import SINGLE
from sandq.sync import Queue

pytestmark = pytest.mark.anyio

DEADLINE_S = 30

#: More jobs than one call to Redis moves.
MANY = 2500


@pytest.fixture
async def queue(face):
    return face.queue()


def keys_of(server):
    """What there is of the queue, without its beginning."""
    return {key.decode().partition(":{q}:")[2] for key in server.client.keys("*")}


async def count(queue, state):
    return (await queue.get_job_counts())[state]


# ---- jobs in every state


async def waiting(queue, n):
    await queue.add_bulk(("work", i) for i in range(n))


async def delayed(queue, n):
    await queue.add_bulk(("work", i, {"delay": 3600}) for i in range(n))


async def active(queue, n):
    await waiting(queue, n)
    for _ in range(n):
        await queue.get_next_job(lease=0.001)


async def completed(queue, n):
    queue.set_handler("work", lambda job: job.data)
    await run_all(queue, n, "completed")


async def failed(queue, n):
    async def fail(job):
        raise ValueError("no")

    queue.set_handler("work", fail)
    await run_all(queue, n, "failed")


async def run_all(queue, n, state):
    jobs = await queue.add_bulk(("work", i) for i in range(n))
    async with queue.run(concurrency=8):
        for job in jobs[-16:]:
            with suppress(JobFailed):
                await job.finished(DEADLINE_S)
    assert await count(queue, state) == n


async def cancelled(queue, n):
    for job in await queue.add_bulk(("work", i) for i in range(n)):
        await job.cancel()


async def parked(queue, n):
    await queue.set_settings(QueueSettings(group_concurrency=1))
    await queue.add_bulk(("work", i, {"group": "g"}) for i in range(n + 1))
    running = await queue.get_next_job()
    assert await queue.get_next_job() is None
    return running


# ---- clean


@pytest.mark.parametrize("fill", [waiting, delayed, active, completed, failed, cancelled])
async def test_clean_removes_the_jobs_of_one_state_up_to_a_limit(queue, fill, until):
    state = fill.__name__
    await fill(queue, 20)
    if state == "active":
        # under a lease they are left: some supervisor is at work
        held = await queue.get_active()
        await until(lambda: lease_is_over(queue, len(held)), "the leases are over")
    untouched = await queue.add("other", tags=["t"], priority=5)
    if state == "waiting":
        await untouched.cancel()

    assert await queue.clean(3600, state) == []
    some = await queue.clean(0, state, limit=7)
    rest = await queue.clean(0, state)

    assert (len(some), len(rest)) == (7, 13)
    assert len({*some, *rest}) == 20
    assert await count(queue, state) == 0
    assert await queue.jobs_by_tag("t") == [untouched.id]


async def lease_is_over(queue, n):
    return await queue.get_stalled_count() == n


async def test_clean_leaves_jobs_that_are_under_a_lease(queue):
    await queue.add("work")
    job = await queue.get_next_job()

    assert await queue.clean(0, "active") == []
    await job.move_to_completed("done")


async def test_clean_of_waiting_jobs_takes_those_that_are_parked_too(queue):
    running = await parked(queue, 5)
    removed = await queue.clean(0, "waiting")

    assert len(removed) == 5
    assert await queue.count() == 0
    await running.move_to_completed(1)


async def test_clean_goes_on_in_batches_and_takes_the_oldest_first(queue, server):
    await waiting(queue, 2 * MANY)
    some = await queue.clean(0, "waiting", limit=MANY)

    assert [int(job_id) for job_id in some] == list(range(1, MANY + 1))
    server.client.config_resetstat()
    assert len(await queue.clean(0, "waiting")) == MANY
    calls = server.client.info("commandstats")["cmdstat_evalsha"]["calls"]
    assert 3 <= calls <= 5
    assert keys_of(server) <= {"meta", "events", "totals", "wake"}


async def test_clean_refuses_what_makes_no_sense(queue):
    with pytest.raises(InvalidInput, match="state 'done' is not known"):
        await queue.clean(0, "done")
    with pytest.raises(InvalidInput, match="grace"):
        await queue.clean(-1)
    with pytest.raises(InvalidInput, match="limit"):
        await queue.clean(0, limit=-1)


# ---- empty


async def test_empty_leaves_no_hash_log_or_tag_of_waiting_and_delayed_jobs(queue, server):
    await queue.add("work")
    running = await queue.get_next_job()
    await waiting(queue, MANY)
    await queue.add_bulk(("work", i, {"delay": 60, "tags": ["t"]}) for i in range(MANY))
    special = await queue.add("work", delay=60, dedup="d", expires_at=4e9)
    await special.log("row")

    assert await queue.empty() == 2 * MANY + 1
    assert await queue.count() == 0
    assert await running.get_state() == "active"
    await running.move_to_completed(1)
    assert keys_of(server) - {"wake"} == {
        "meta", "events", "totals", "metrics:completed", "completed", f"job:{running.id}"
    }  # fmt: skip


async def test_an_emptied_queue_is_as_paused_as_before_and_its_series_go_on(queue):
    await queue.upsert_repeatable("hourly", Repeat.every(3600), "work")
    await queue.pause()
    await waiting(queue, 3)

    assert await queue.empty() == 4
    assert await queue.is_paused()
    assert await queue.get_repeatable_count() == 1
    await queue.resume()
    assert not await queue.is_paused()


# ---- obliterate


async def test_obliterate_is_refused_while_jobs_run_and_nothing_changes(queue):
    await waiting(queue, 2)
    job = await queue.get_next_job()
    before = [await queue.get_job_counts(), await queue.is_paused()]
    with pytest.raises(QueueBusy, match="1 jobs are being run"):
        await queue.obliterate()
    await queue.pause()
    with pytest.raises(QueueBusy):
        await queue.obliterate()
    still_paused = await queue.is_paused()
    await queue.resume()

    assert [await queue.get_job_counts(), await queue.is_paused()] == before
    assert still_paused
    await job.move_to_completed(1)


@pytest.mark.parametrize("force", [False, True])
async def test_obliterate_leaves_nothing_at_all(face, queue, server, force):
    neighbour = face.queue("q2")
    await neighbour.add("work")
    await neighbour.upsert_repeatable("hourly", Repeat.every(3600), "work")
    theirs = set(server.client.keys("sandq:{q2}:*"))
    await queue.set_settings(
        QueueSettings(rate_limit=RateLimit(5, 60), group_concurrency=3, defaults={"attempts": 2})
    )
    await queue.upsert_repeatable("hourly", Repeat.every(3600), "work", tags=["series"])
    await queue.add_bulk(("work", i, {"tags": ["t"], "group": "g"}) for i in range(MANY))
    await queue.add("work", delay=5, dedup="d", expires_at=4e9)
    for outcome in (0, 1):
        job = await queue.get_next_job()
        await job.log("row")
        await (job.move_to_completed(1) if outcome else job.move_to_failed("no"))
    if force:
        assert (await queue.get_next_job()).state == "active"
    assert {"limiter", "totals", "repeat", "tag:t", "dedup:d", "expiry", "groups"} & keys_of(server)

    await queue.obliterate(force)

    assert set(server.client.keys("*")) == theirs
    # and it is a queue like any other again: neither paused nor limited
    job = await queue.add("work")
    assert job.id == "1"
    assert (await queue.get_job(job.id)).opts == {}
    assert not await queue.is_paused()


async def test_producers_that_go_on_meanwhile_find_a_new_queue_and_nothing_is_half_of_it(
    face, queue, server, until
):
    await waiting(queue, MANY)
    other = face.queue()
    stopped = anyio.Event()
    added = []

    async def produce():
        while not stopped.is_set():
            added.append(await other.add("work", tags=["t"], metadata={"n": str(len(added))}))

    async with anyio.create_task_group() as group:
        group.start_soon(produce)
        for _ in range(3):
            before = len(added)
            await queue.obliterate()

            async def more(before=before):
                return len(added) > before + 3

            await until(more, "some more are added")
        stopped.set()

    assert await queue.audit() == []
    left = {job.id for job in await queue.get_waiting()}
    assert left == set(await queue.jobs_by_tag("t"))
    assert "1" in left


def test_no_key_goes_before_the_last_job_though_thousands_are_added_meanwhile(url, server):
    with Queue("q", url) as queue:
        queue.add_bulk(("work", n) for n in range(MANY))
        left = [queue._store.run(verbs.obliterate(SINGLE)) for _ in range(3)]

    assert left == [MANY - 1000, MANY - 2000, 0]
    assert keys_of(server) == set()


async def test_a_forced_obliterate_ends_the_children_of_running_jobs(
    queue, flaky, tmp_path, until, caplog
):
    queue.set_handler_file("*", flaky)
    await queue.add("work", {"touch": str(tmp_path / "runs"), "sleep_s": 1000})
    async with queue.run(lease=0.6) as handle:

        async def begun():
            return (tmp_path / "runs").exists()

        await until(begun, "the job runs")
        (pid,) = handle.pids()
        await queue.obliterate(force=True)

        async def gone():
            return handle.busy == 0 and pid not in handle.pids()

        await until(gone, "the child is ended")
        job = await queue.add("work", {"value": "from scratch"})
        assert await job.finished(DEADLINE_S) == "from scratch"

    assert "its claim was lost" in caplog.text
