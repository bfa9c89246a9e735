"""Series are fired by supervisors: each occurrence once, until they end."""

import time

import anyio
import pytest

from sandq import Queue, Repeat

pytestmark = pytest.mark.anyio

DEADLINE_S = 30

#: A machine that stands still for longer than a period skips an occurrence, as it should; so what
#: must come without a gap is tried again.
TRIES = 3

EVERY_MS = 200


@pytest.fixture
async def queue(url):
    async with Queue("q", url) as queue:
        yield queue


def series_keys(server):
    return {key.decode() for key in server.client.keys("sandq:{q}:repeat*")}


# ---- going on


async def test_two_supervisors_fire_each_occurrence_once_and_leave_none_out(
    queue, supervisors, ran
):
    await supervisors(2)
    for _ in range(TRIES):
        ran.due_ms.clear()
        await queue.upsert_repeatable("s", Repeat.every(EVERY_MS / 1000), "tick")
        await ran.at_least(12)
        if ran.without_gap(EVERY_MS):
            break
        await queue.remove_repeatable_by_key("s")

    assert ran.without_gap(EVERY_MS), ran.due_ms
    (series,) = await queue.get_repeatable_jobs()
    assert series.made >= 12


async def test_a_cron_with_seconds_and_a_zone_fires_each_second(queue, supervisors, ran):
    await supervisors()
    rule = Repeat.crontab("* * * * * *", tz="Europe/Berlin", missed="all")
    await queue.upsert_repeatable("s", rule, "tick")
    await ran.at_least(3)

    assert ran.without_gap(1000)


async def test_the_job_of_a_new_series_can_be_awaited(queue, supervisors):
    await supervisors()
    job = await queue.add("tick", {"n": 1}, repeat=Repeat.every(0.1))

    assert await job.finished(DEADLINE_S) == {"n": 1}


async def test_a_series_that_was_replaced_goes_on_with_the_new_data(queue, supervisors, ran):
    await supervisors()
    await queue.upsert_repeatable("s", Repeat.every(0.1), "tick", "old")
    await ran.at_least(2)
    await queue.upsert_repeatable("s", Repeat.every(0.1), "tick", "new")
    ran.data.clear()
    with anyio.fail_after(DEADLINE_S):
        while ran.data[-2:] != ["new", "new"]:
            await anyio.lowlevel.checkpoint()

    # one that was due when it was replaced may have come before
    assert "old" not in ran.data[1:]


async def test_a_supervisor_that_leaves_hands_its_knowledge_on(queue, supervisors, ran, until):
    handles = await supervisors(2)
    rule = Repeat.every(2, start=time.time() + 1, align=False, missed="once")
    await queue.upsert_repeatable("s", rule, "tick")

    async def who_has_heard():
        return [one for one in handles if one._supervisor._lanes[0].next_fire_s is not None]

    for handle in (await until(who_has_heard))[:1]:
        await handle.close()
    # by itself an idle supervisor looks for what it has not heard of after 20 s
    with anyio.fail_after(10):
        await ran.at_least(1)


async def test_a_paused_queue_s_occurrences_wait_and_run_when_it_is_resumed(
    queue, supervisors, ran, until
):
    await supervisors()
    await queue.pause()
    await queue.upsert_repeatable("s", Repeat.every(0.1), "tick")

    async def three():
        return await queue.get_paused_count() >= 3

    await until(three)
    assert ran.due_ms == []
    await queue.resume()
    await ran.at_least(4)

    assert len(set(ran.due_ms)) == len(ran.due_ms)


# ---- ending


async def test_a_series_at_its_limit_is_gone_and_leaves_no_key_unlike_bulls(
    queue, server, supervisors, ran, until
):
    await supervisors()
    await queue.upsert_repeatable("s", Repeat.every(0.1, limit=3, missed="all"), "tick")
    await ran.at_least(3)

    async def over():
        return await queue.get_repeatable_count() == 0

    await until(over)
    assert len(ran.due_ms) == 3
    assert series_keys(server) == set()
    assert await queue.count() == 0


async def test_a_series_ends_with_its_last_occurrence_before_the_end(
    queue, server, supervisors, ran, until
):
    await supervisors()
    seconds, micros = server.client.time()
    start_ms = seconds * 1000 + micros // 1000 + 200
    end_ms = start_ms + 350
    rule = Repeat.every(0.1, start=start_ms / 1000, end=end_ms / 1000, missed="all")
    await queue.upsert_repeatable("s", rule, "tick")

    async def over():
        return await queue.get_repeatable_count() == 0 and await queue.count() == 0

    await until(over)
    await ran.at_least(3)
    assert all(start_ms <= due_ms <= end_ms for due_ms in ran.due_ms)
    assert series_keys(server) == set()
