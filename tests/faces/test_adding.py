"""Adding jobs through the public API: one and many, when they start and in which order."""

import time
from datetime import UTC, datetime, timedelta

import pytest

from sandq import Backoff, JobOptions, Keep, Priority
from sandq.errors import InvalidInput

pytestmark = pytest.mark.anyio

DEADLINE_S = 30


def calls(server, *commands):
    """How often these commands were called since the statistics were reset."""
    stats = server.client.info("commandstats")

    return sum(stats.get(f"cmdstat_{name}", {"calls": 0})["calls"] for name in commands)


async def run_all(queue, jobs):
    """Run jobs, one at a time; the data of all in the order in which they were started."""
    begun = []
    queue.set_handler("*", lambda job: begun.append(job.data))
    async with queue.run():
        for job in jobs:
            await job.finished(DEADLINE_S)

    return begun


# ---- names


async def test_the_name_of_a_job_chooses_its_handler(face):
    queue = face.queue()
    queue.set_handler("resize", lambda job: f"resized {job.data}")
    queue.set_handler("probe", lambda job: f"probed {job.data}")
    queue.set_handler("*", lambda job: f"{job.name}: whoever")
    jobs = await queue.add_bulk([("resize", 1), ("probe", 2), ("größe ändern", 3)])
    async with queue.run(concurrency=2):
        values = [await job.finished(DEADLINE_S) for job in jobs]

    assert values == ["resized 1", "probed 2", "größe ändern: whoever"]


async def test_a_name_is_up_to_256_bytes_long(face):
    queue = face.queue()
    job = await queue.add("ä" * 128)
    with pytest.raises(InvalidInput, match="257 bytes"):
        await queue.add("ä" * 128 + "b")

    assert (await queue.get_job(job.id)).name == "ä" * 128


# ---- many at once


async def test_a_bulk_of_2500_jobs_is_three_calls_and_its_ids_are_aligned(face, server):
    queue = face.queue()
    await queue.add_bulk([("first", None, {"job_id": "taken"}), ("first", None)])
    entries = [("work", n) for n in range(2500)]
    entries[1200] = ("work", 1200, {"job_id": "taken"})
    entries[1700] = ("work", 1700, {"job_id": "mine"})
    entries[2400] = ("work", 2400, {"job_id": "mine"})
    server.client.config_resetstat()
    jobs = await queue.add_bulk(entries)

    assert calls(server, "eval", "evalsha") == 3
    assert [jobs[1200].id, jobs[1700].id, jobs[2400].id] == ["taken", "mine", "mine"]
    others = [job.id for job in jobs if job.id.isdigit()]
    assert others == [str(n) for n in range(2, 2499)]
    stored = {job.id: job.data for job in await queue.get_waiting()}
    assert all(stored[job.id] == n for n, job in enumerate(jobs) if n not in (1200, 2400))
    assert (stored["taken"], stored["mine"]) == (None, 1700)
    assert await queue.get_waiting_count() == 2500


async def test_a_bulk_is_checked_before_its_first_job_is_written(face, server):
    entries = [("work", n) for n in range(2500)]
    entries[2499] = ("work", 2499, {"attempts": 0})
    with pytest.raises(InvalidInput, match="job 2499 of the list: attempts"):
        await face.queue().add_bulk(entries)

    assert server.client.keys() == []


async def test_a_bulk_of_large_data_goes_in_parts_that_do_not_hold_redis_up(face, server):
    queue = face.queue()
    await queue.add("first")
    server.client.config_resetstat()
    jobs = await queue.add_bulk([("work", "x" * 900_000) for _ in range(40)])

    # 18 of them are 16 MiB
    assert calls(server, "eval", "evalsha") == 3
    assert [job.id for job in jobs] == [str(n) for n in range(2, 42)]


@pytest.mark.parametrize("entries", [[], (), iter(())])
async def test_a_bulk_of_nothing_is_nothing(face, server, entries):
    assert await face.queue().add_bulk(entries) == []
    assert server.client.keys() == []


async def test_jobs_of_a_bulk_may_be_tuples_lists_mappings_and_options(face):
    jobs = await face.queue().add_bulk(
        [["a", 1], ("b", 2, {"attempts": 2}), ("c", 3, JobOptions(attempts=3)), ("d", 4, None)]
    )

    assert [job.opts.get("attempts", 1) for job in jobs] == [1, 2, 3, 1]


async def test_jobs_are_made_by_the_class_as_well(face):
    queue = face.queue()
    one = await face.Job.create(queue, "work", {"a": 1}, priority=2)
    many = await face.Job.create_bulk(queue, [("work", 1), ("work", 2)])
    found = await face.Job.from_id(queue, one.id)

    assert (found.data, found.priority) == ({"a": 1}, 2)
    assert [job.id for job in many] == ["2", "3"]
    assert await face.Job.from_id(queue, "77") is None


# ---- when they start


async def test_a_delayed_job_starts_when_its_delay_is_over(face):
    queue = face.queue()
    queue.set_handler("*", lambda job: None)
    job = await queue.add("work", delay=0.2)
    assert (job.state, await job.get_state()) == ("delayed", "delayed")
    async with queue.run():
        await job.finished(DEADLINE_S)

    assert job.started_at - job.created_at >= 0.2


@pytest.mark.parametrize("of", [lambda t: t, lambda t: datetime.fromtimestamp(t, UTC)])
async def test_a_job_for_a_moment_to_come_starts_then(face, of):
    queue = face.queue()
    queue.set_handler("*", lambda job: None)
    moment = time.time() + 0.3
    job = await queue.add("work", run_at=of(moment))
    assert await job.get_state() == "delayed"
    async with queue.run():
        await job.finished(DEADLINE_S)

    assert job.started_at >= round(moment, 3) - 0.001


async def test_a_moment_that_has_passed_means_now(face):
    queue = face.queue()
    job = await queue.add("work", run_at=datetime.now(UTC) - timedelta(days=1))

    assert await job.get_state() == "waiting"
    assert await queue.get_delayed_count() == 0


async def test_an_expired_job_is_never_started_and_fails_as_expired(face, until):
    queue = face.queue()
    begun = []
    queue.set_handler("*", lambda job: begun.append(job.name))
    past = time.time() - 1
    late = await queue.add("late", expires_at=past, attempts=5)
    kept = await queue.add("kept", expires_at=time.time() + 60)
    async with queue.run():
        await kept.finished(DEADLINE_S)
        await until(lambda: ended(late), "it expires")

    assert begun == ["kept"]
    assert (late.state, late.attempts, late.claims) == ("failed", 0, 0)
    assert late.failure["kind"] == "expired"
    assert (await queue.stats()).dead == {"expired": 1}


async def ended(job):
    return await job.get_state() == "failed"


async def test_a_job_expires_in_a_paused_queue_and_while_it_is_delayed(face, until):
    queue = face.queue()
    begun = []
    queue.set_handler("*", lambda job: begun.append(job.name))
    await queue.pause()
    soon = time.time() + 0.2
    waits = await queue.add("waits", expires_at=soon)
    delayed = await queue.add("delayed", delay=60, expires_at=soon)
    async with queue.run():
        await until(lambda: ended(waits), "it expires")
        await until(lambda: ended(delayed), "it expires")
        await queue.resume()

    assert begun == []
    assert waits.failure["kind"] == delayed.failure["kind"] == "expired"


# ---- in which order


async def test_jobs_run_by_priority_and_then_in_the_order_of_adding(face):
    queue = face.queue()
    jobs = await queue.add_bulk(
        [
            ("work", "none", {}),
            ("work", "low", {"priority": Priority.LOW}),
            ("work", "seven", {"priority": 7}),
            ("work", "critical", {"priority": Priority.CRITICAL}),
            ("work", "two", {"priority": 2}),
            ("work", "high", {"priority": Priority.HIGH}),
            ("work", "last", {"priority": 2**31}),
            ("work", "zero", {"priority": 0}),
        ]
    )

    assert await queue.get_counts_per_priority([0, 2, Priority.HIGH, 9]) == {0: 2, 2: 2, 9: 0}
    order = await run_all(queue, jobs)
    assert order == ["critical", "two", "high", "low", "seven", "last", "none", "zero"]


async def test_lifo_jobs_come_first_within_their_priority_the_newest_before_the_others(face):
    queue = face.queue()
    jobs = []
    for data, options in (
        ("one", {}),
        ("two", {"priority": 2}),
        ("three", {"lifo": True}),
        ("four", {"lifo": True}),
        ("five", {"lifo": True, "priority": 2}),
        ("six", {"priority": 2}),
        ("seven", {"priority": 1}),
    ):
        jobs.append(await queue.add("work", data, **options))

    order = await run_all(queue, jobs)
    assert order == ["seven", "five", "two", "six", "four", "three", "one"]


async def test_a_job_that_was_delayed_keeps_its_place(face):
    queue = face.queue()
    first = await queue.add("work", "first", delay=60)
    second = await queue.add("work", "second")
    await first.promote()

    assert await run_all(queue, [first, second]) == ["first", "second"]


# ---- what they carry


async def test_tags_and_metadata_are_kept_and_go_with_the_job(face):
    queue = face.queue()
    job = await queue.add("work", tags=["red", "round", "red"], metadata={"by": "me"})
    other = await queue.add("work", tags=["red"])
    found = await queue.get_job(job.id)

    assert (found.tags, found.metadata) == (["red", "round"], {"by": "me"})
    assert await queue.jobs_by_tag("red") == sorted([job.id, other.id])
    await job.remove()
    assert await queue.jobs_by_tag("red") == [other.id]
    assert await queue.jobs_by_tag("round") == []


async def test_every_option_is_found_again(face):
    queue = face.queue()
    options = {
        "job_id": "a", "delay": 60, "expires_at": time.time() + 90, "priority": 9, "lifo": True,
        "attempts": 3, "backoff": Backoff.delays([1, 2]), "timeout": 5,
        "heartbeat_timeout": 2, "pool_key": "k",
        "remove_on_complete": 10, "remove_on_fail": Keep(age=60), "result_ttl": 30,
        "stack_trace_limit": 4, "tags": ["t"], "metadata": {"m": "1"}, "dedup": "d", "group": "g",
    }  # fmt: skip
    await queue.add("work", None, **options)
    job = await queue.get_job("a")

    assert job.opts == {
        "attempts": 3, "backoff": {"type": "list", "delays_ms": [1000, 2000]}, "timeout_ms": 5000,
        "heartbeat_timeout_ms": 2000, "pool_key": "k",
        "delay_ms": 60_000, "lifo": True, "remove_on_complete": {"count": 10},
        "remove_on_fail": {"age_ms": 60_000}, "result_ttl_ms": 30_000, "stack_trace_limit": 4,
        "metadata": {"m": "1"},
    }  # fmt: skip
    assert (job.priority, job.tags, job.dedup, job.group) == (9, ["t"], "d", "g")
    assert job.expires_at == pytest.approx(options["expires_at"], abs=0.001)
    assert job.due_at == pytest.approx(job.created_at + 60)
