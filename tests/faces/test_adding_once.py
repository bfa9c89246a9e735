"""Adding a job once: ids of one's own, ids that a factory makes, and dedup keys."""

import itertools
import time

import pytest

from sandq.errors import InvalidInput, JobCancelled, JobFailed

pytestmark = pytest.mark.anyio

DEADLINE_S = 30


def events(server, *kinds):
    """The events of these kinds, oldest first: kind and job."""
    entries = server.client.xrange("sandq:{q}:events")
    told = [(fields[b"e"].decode(), fields[b"id"].decode()) for _, fields in entries]

    return [event for event in told if event[0] in kinds]


# ---- ids


async def test_ids_are_counted_unless_the_caller_has_one(face):
    queue = face.queue()
    jobs = [await queue.add("work"), await queue.add("work", job_id="order-7")]
    jobs.append(await queue.add("work"))

    assert [job.id for job in jobs] == ["1", "order-7", "2"]


async def test_an_id_that_exists_adds_nothing_whatever_became_of_its_job(face, server):
    queue = face.queue()
    queue.set_handler("*", lambda job: job.data)
    first = await queue.add("work", 1, job_id="a", tags=["old"])
    again = await queue.add("other", 2, job_id="a", tags=["new"], delay=5)
    async with queue.run():
        await first.finished(DEADLINE_S)
    later = await queue.add("work", 3, job_id="a")

    assert [again.id, later.id] == ["a", "a"]
    assert events(server, "duplicated") == [("duplicated", "a")] * 2
    found = await queue.get_job("a")
    assert (found.name, found.data, found.state, found.tags) == ("work", 1, "completed", ["old"])
    assert await queue.jobs_by_tag("new") == []
    await first.remove()
    assert (await queue.add("work", 4, job_id="a")).id == "a"
    assert (await queue.get_job("a")).data == 4


@pytest.mark.parametrize(
    "job_id", ["7", "0", "repeat:a:1", "", "a b", "a\n", "a\u2003b", "x" * 257, "\ud800", 7, b"a"]
)
async def test_reserved_and_odd_ids_are_refused(face, server, job_id):
    with pytest.raises(InvalidInput, match="job id"):
        await face.queue().add("work", job_id=job_id)

    assert server.client.keys() == []


@pytest.mark.parametrize(
    "job_id", ["a:lock", "wait", "meta", "completed", "7a", "{x}", "*", "é" * 128]
)
async def test_ids_that_were_trouble_elsewhere_are_ids_like_others(face, job_id):
    queue = face.queue()
    queue.set_handler("*", lambda job: job.id)
    job = await queue.add("work", job_id=job_id, group="g")
    async with queue.run():
        assert await job.finished(DEADLINE_S) == job_id
    await job.remove()

    assert await job.get_state() is None


async def test_a_factory_makes_the_ids_of_jobs_that_have_none(face):
    numbers = itertools.count()
    queue = face.queue(id_factory=lambda: f"job-{next(numbers)}")
    one = await queue.add("work")
    own = await queue.add("work", job_id="mine")
    many = await queue.add_bulk([("work", 1), ("work", 2, {"job_id": "yours"}), ("work", 3)])

    assert [one.id, own.id] == ["job-0", "mine"]
    assert [job.id for job in many] == ["job-1", "yours", "job-2"]


@pytest.mark.parametrize("made", ["7", "", None, "a b", "repeat:x"])
async def test_a_factory_that_makes_bad_ids_is_told_so(face, server, made):
    queue = face.queue(id_factory=lambda: made)
    with pytest.raises(InvalidInput, match="job id"):
        await queue.add("work")
    with pytest.raises(InvalidInput, match="job id"):
        await queue.add_bulk([("work", 1)])

    assert server.client.keys() == []


async def test_an_error_of_the_factory_comes_out_as_itself(face):
    def broken():
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        await face.queue(id_factory=broken).add("work")


# ---- dedup keys


async def test_a_dedup_key_that_is_taken_answers_the_first_job(face, server):
    queue = face.queue()
    first = await queue.add("work", 1, dedup="report")
    again = await queue.add("work", 2, dedup="report")
    other = await queue.add("work", 3, dedup="other")
    own = await queue.add("work", 4, dedup="report", job_id="own")

    assert [first.id, again.id, own.id] == ["1", "1", "1"]
    assert other.id != first.id
    assert events(server, "duplicated") == [("duplicated", "1")] * 2
    assert await queue.get_waiting_count() == 2
    assert (await queue.get_job("1")).data == 1


async def test_jobs_of_one_bulk_share_a_dedup_key_too(face):
    queue = face.queue()
    jobs = await queue.add_bulk([("work", n, {"dedup": f"key{n % 2}"}) for n in range(4)])

    assert [job.id for job in jobs] == [jobs[0].id, jobs[1].id, jobs[0].id, jobs[1].id]
    assert await queue.get_waiting_count() == 2


async def complete(queue, job):
    queue.set_handler("*", lambda job: None)
    async with queue.run():
        await job.finished(DEADLINE_S)


async def fail(queue, job):
    queue.set_handler("*", lambda job: 1 / 0)
    async with queue.run():
        with pytest.raises(JobFailed):
            await job.finished(DEADLINE_S)


async def cancel(queue, job):
    assert await job.cancel() == "cancelled"
    with pytest.raises(JobCancelled):
        await job.finished(DEADLINE_S)


async def remove(queue, job):
    await job.remove()


async def remove_as_it_ends(queue, job):
    await job.remove()
    doomed = await queue.add("work", dedup="report", remove_on_complete=True)
    assert doomed.id != job.id
    await complete(queue, doomed)


@pytest.mark.parametrize("end", [complete, fail, cancel, remove, remove_as_it_ends])
async def test_a_dedup_key_is_free_again_when_its_job_has_ended(face, end):
    queue = face.queue()
    first = await queue.add("work", dedup="report", attempts=1)
    await end(queue, first)
    second = await queue.add("work", dedup="report")
    third = await queue.add("work", dedup="report")

    assert second.id not in ("1", None)
    assert await second.get_state() == "waiting"
    assert third.id == second.id


async def test_a_dedup_key_is_held_through_retries(face, until):
    queue = face.queue()
    queue.set_handler("*", lambda job: 1 / 0)
    first = await queue.add("work", dedup="report", attempts=2, backoff=60)
    async with queue.run():
        await until(lambda: is_delayed(first), "it is to be tried again")

    assert (await queue.add("work", dedup="report")).id == first.id


async def is_delayed(job):
    return await job.get_state() == "delayed"


async def test_a_job_that_is_retried_takes_its_dedup_key_again(face):
    queue = face.queue()
    first = await queue.add("work", dedup="report")
    await fail(queue, first)
    await first.retry()

    assert (await queue.add("work", dedup="report")).id == first.id


async def test_with_a_time_to_live_the_key_outlives_its_job(face, server):
    queue = face.queue()
    first = await queue.add("work", dedup="report", dedup_ttl=60)
    await complete(queue, first)
    again = await queue.add("work", dedup="report", dedup_ttl=60)
    assert again.id == first.id
    await first.remove()
    assert (await queue.add("work", dedup="report")).id == first.id

    server.client.pexpire("sandq:{q}:dedup:report", 1)
    while server.client.exists("sandq:{q}:dedup:report"):
        pass
    assert (await queue.add("work", dedup="report")).id != first.id


async def test_the_time_to_live_of_a_key_counts_from_when_the_job_may_start(face, server):
    queue = face.queue()
    await queue.add("work", dedup="delayed", dedup_ttl=10, delay=100)
    await queue.add("work", dedup="later", dedup_ttl=10, run_at=time.time() + 100)
    left_ms = [server.client.pttl(f"sandq:{{q}}:dedup:{key}") for key in ("delayed", "later")]

    assert all(105_000 < left <= 110_001 for left in left_ms)


async def test_a_short_time_to_live_frees_the_key_while_the_job_still_waits(face, wait, server):
    queue = face.queue()
    first = await queue.add("work", dedup="report", dedup_ttl="20ms")
    wait(lambda: not server.client.exists("sandq:{q}:dedup:report"), "the key is free")
    second = await queue.add("work", dedup="report", dedup_ttl=60)
    # the first one's end must not free what is the second one's by now
    await first.remove()

    assert second.id != first.id
    assert (await queue.add("work", dedup="report")).id == second.id
