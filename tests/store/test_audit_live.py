"""The audit of a queue that is worked on: nothing is told that is not so, and nobody is held up."""

import random
import zlib

import anyio
import pytest

from sandq import Queue
from sandq.errors import SandqError
from sandq.model.queue_settings import QueueSettings
from sandq.store.audit import audit
from sandq.store.store import Store

JOBS = 3000
#: Ids that are used again and again, so that jobs are removed and come anew.
NAMES = 200


async def work(job):
    """Every seventh attempt fails; some jobs take a turn of the loop."""
    if zlib.crc32(f"{job.id} {job.attempt}".encode()) % 7 == 0:
        raise ValueError("no")
    await anyio.lowlevel.checkpoint()
    job.progress(1)
    job.log("done")

    return job.data


def options(chance):
    """Options of a job, of every kind that leaves a trace in some index."""
    chosen = {"attempts": chance.choice([1, 2, 3])}
    for name, values in {
        "job_id": [f"own-{n}" for n in range(NAMES)],
        "group": ["a", "b", "c"],
        "tags": [["blue"], ["blue", "red"]],
        "dedup": ["x", "y", "z"],
        "expires_at": [0.001, 60],
        "delay": [0.001, 0.05],
        "priority": [1, 2, 3],
        "lifo": [True],
        "remove_on_complete": [True, 5],
        "remove_on_fail": [True, 5],
        "result_ttl": [0.001, 60],
    }.items():
        if chance.random() < 0.25:
            chosen[name] = chance.choice(values)
    if "dedup" in chosen and chance.random() < 0.5:
        chosen["dedup_ttl"] = 0.01

    return chosen


async def produce(queue, chance, count):
    """Add, cancel, retry, remove and promote jobs, with one verb or with many at once."""
    for _ in range(count):
        job = await queue.add("work", chance.random(), **options(chance))
        verb = chance.choice(["", "", "cancel", "retry", "remove", "force", "promote", "discard"])
        other = await queue.get_job(f"own-{chance.randrange(NAMES)}") or job
        try:
            if verb == "force":
                await other.remove(force=True)
            elif verb:
                await getattr(other, verb)()
        except SandqError:
            # it was in no state for that
            continue
        if chance.random() < 0.01:
            await queue.retry_jobs(20)
            await queue.clean(0, "completed", 20)


@pytest.mark.anyio
async def test_a_queue_that_is_worked_on_is_always_in_order(url):
    found, audits = [], 0
    store = Store("q", url)
    done = anyio.Event()

    async def look():
        nonlocal audits
        while not done.is_set():
            # a repair finds nothing to do, and so does nothing
            found.extend(await audit(store, fix=audits % 2 == 1))
            audits += 1

    async with Queue("q", url) as queue:
        queue.set_handler("work", work)
        await queue.set_settings(QueueSettings(group_concurrency=2))
        async with queue.run(concurrency=8), anyio.create_task_group() as group:
            group.start_soon(look)
            async with anyio.create_task_group() as producers:
                for n in range(3):
                    producers.start_soon(produce, queue, random.Random(n), JOBS // 3)
            await queue.retry_jobs()
            while await queue.count() or await queue.get_active_count():
                await anyio.lowlevel.checkpoint()
            done.set()
        totals = (await queue.stats()).totals
    found += await audit(store)
    await store.close()

    assert found == []
    assert audits > 3
    assert totals["completed"] > JOBS / 3
