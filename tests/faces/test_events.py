"""The events of a queue: which there are, from where they are read, and that none is missed."""

import anyio
import pytest

from sandq import Queue, QueueSettings, RateLimit, Repeat
from sandq.errors import InvalidInput
from sandq.model.events import EventKind

pytestmark = pytest.mark.anyio

DEADLINE_S = 30


@pytest.fixture
async def queue(face):
    return face.queue()


async def mark(queue):
    """An event that means nothing here but where it stands."""
    await queue.set_settings(await queue.get_settings())


async def take(queue, until="configured", from_id="0"):
    """The events up to the first of a kind, without it."""
    events = []
    async for event in queue.subscribe(from_id):
        if event.kind == until:
            break
        events.append(event)

    return events


async def first(queue, count, from_id="0"):
    """The first so many events."""
    events = []
    async for event in queue.subscribe(from_id):
        events.append(event)
        if len(events) == count:
            break

    return events


def kinds(events):
    return [event.kind for event in events]


# ---- which events there are


async def add(queue):
    await queue.add("work")


async def add_later(queue):
    await queue.add("work", delay=60)


async def add_twice(queue):
    await queue.add("work", job_id="a")
    await queue.add("work", job_id="a")


async def promote(queue):
    await (await queue.add("work", delay=60)).promote()


async def come_due(queue):
    await queue.add("work", delay=0.001)
    with anyio.fail_after(DEADLINE_S):
        while await queue.get_next_job() is None:
            await anyio.lowlevel.checkpoint()


async def complete(queue):
    await queue.add_bulk([("work", 1), ("work", 2)])
    first = await queue.get_next_job()
    await first.move_to_completed(1)
    await (await queue.get_next_job()).move_to_completed(2)


async def fail(queue):
    await queue.add("work")
    await (await queue.get_next_job()).move_to_failed("no")


async def fail_and_try_again(queue):
    await queue.add("work", attempts=2)
    await (await queue.get_next_job()).move_to_failed("no")


async def retry(queue):
    job = await queue.add("work")
    await job.cancel()
    await job.retry()


async def report(queue):
    job = await queue.add("work")
    await job.update_progress(0.5)
    await job.update(2)
    await job.log("rows are no events")


async def emit(queue):
    async def tell_parts(job):
        for part in range(3):
            job.emit(part)

    queue.set_handler("*", tell_parts)
    job = await queue.add("work")
    async with queue.run():
        await job.finished(DEADLINE_S)


async def cancel_while_it_runs(queue):
    job = await queue.add("work")
    claimed = await queue.get_next_job()
    await job.cancel()
    await claimed.move_to_failed("stopped")


async def give_back(queue):
    await queue.add("work")
    await (await queue.get_next_job()).move_to_delayed(7e9)


async def stall(queue):
    await queue.add("work")
    await queue.get_next_job(lease=0.001)
    with anyio.fail_after(DEADLINE_S):
        while not await queue.reclaim():
            await anyio.lowlevel.checkpoint()


async def be_limited(queue):
    await queue.set_settings(QueueSettings(rate_limit=RateLimit(1, 60)))
    await queue.add_bulk([("work", 1), ("work", 2)])
    assert await queue.get_next_job() is not None
    assert await queue.get_next_job() is None


async def remove(queue):
    await (await queue.add("work")).remove()
    await queue.add_bulk([("work", 1), ("work", 2)])
    await queue.clean(0, "waiting")


async def empty(queue):
    await queue.add_bulk([("work", 1), ("work", 2)])
    await queue.empty()


async def pause(queue):
    for _ in range(2):
        await queue.pause()
    for _ in range(2):
        await queue.resume()


async def repeat(queue):
    await queue.upsert_repeatable("s", Repeat.every(3600), "work")
    await queue.remove_repeatable_by_key("s")


CAUSES = {
    add: ["waiting"],
    add_later: ["delayed"],
    add_twice: ["waiting", "duplicated"],
    promote: ["delayed", "waiting"],
    come_due: ["delayed", "waiting", "active", "drained"],
    complete: ["waiting", "waiting", "active", "completed", "active", "drained", "completed"],
    fail: ["waiting", "active", "drained", "failed"],
    fail_and_try_again: ["waiting", "active", "drained", "retry-scheduled"],
    retry: ["waiting", "cancelled", "waiting"],
    report: ["waiting", "progress", "updated"],
    emit: ["waiting", "active", "drained", "emitted", "completed"],
    cancel_while_it_runs: ["waiting", "active", "drained", "cancelling", "cancelled"],
    give_back: ["waiting", "active", "drained", "released"],
    stall: ["waiting", "active", "drained", "stalled", "waiting"],
    be_limited: ["configured", "waiting", "waiting", "active", "rate-limited"],
    remove: ["waiting", "removed", "waiting", "waiting", "cleaned"],
    empty: ["waiting", "waiting", "cleaned"],
    pause: ["paused", "resumed"],
    repeat: ["delayed", "removed"],
}


#: Kinds that speak of the queue, not of a job.
QUEUES_OWN = {"drained", "paused", "resumed", "configured", "cleaned"}


@pytest.mark.parametrize("cause", CAUSES, ids=lambda cause: cause.__name__)
async def test_each_change_is_told_once(queue, cause):
    await cause(queue)
    await mark(queue)
    seen = await first(queue, len(CAUSES[cause]) + 1)

    assert kinds(seen) == [*CAUSES[cause], "configured"]
    assert all((event.kind in QUEUES_OWN) == (event.job_id == "") for event in seen)


def test_every_kind_of_event_is_tried():
    assert {kind for wanted in CAUSES.values() for kind in wanted} == set(EventKind)


async def test_drained_is_told_when_the_last_waiting_job_starts_and_not_again(queue):
    for _ in range(3):
        assert await queue.get_next_job() is None
    await queue.add("work", delay=60)
    await queue.add_bulk([("work", 1), ("work", 2)])
    for _ in range(4):
        await queue.get_next_job()
    await mark(queue)

    assert kinds(await take(queue)).count("drained") == 1


async def test_an_event_tells_of_what_and_when(queue):
    job = await queue.add("work", attempts=2)
    claimed = await queue.get_next_job()
    await claimed.move_to_failed("no")
    await mark(queue)
    *_, active, _, retried = await take(queue)

    assert (active.job_id, set(active.fields)) == (job.id, {"worker"})
    assert retried.fields == {"kind": "error", "attempts": "1", "delay_ms": "0"}
    assert (await queue.get_job(job.id)).created_at <= active.at <= retried.at


# ---- from where


async def test_reading_begins_now_at_the_beginning_or_after_an_event(queue):
    seen = []
    begun = anyio.Event()

    async def read():
        async for event in queue.subscribe():
            seen.append(event.job_id)
            begun.set()
            if event.kind == "paused":
                return

    for job_id in "abc":
        await queue.add("work", job_id=job_id)
    async with anyio.create_task_group() as group:
        group.start_soon(read)
        with anyio.fail_after(DEADLINE_S):
            while not begun.is_set():
                await queue.add("work", job_id="a")
        await queue.pause()
    await mark(queue)
    everything = await take(queue)
    later = await take(queue, from_id=everything[1].id)

    # the first job that was added before the reading began is not told of
    assert "b" not in seen
    assert kinds(everything)[:3] == ["waiting"] * 3
    assert [event.id for event in later] == [event.id for event in everything[2:]]


@pytest.mark.parametrize("from_id", ["", "x", "$", "1-2-3", "-", "+", 5, b"0"])
async def test_what_is_no_id_of_an_event_is_refused_at_once(queue, from_id):
    with pytest.raises(InvalidInput, match="from_id"):
        await first(queue, 1, from_id)
    with pytest.raises(InvalidInput, match="from_id"):
        Queue("q").subscribe(from_id)
