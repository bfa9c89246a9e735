"""Series of repeatable jobs, as they are made, listed, replaced and ended."""

import time
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from sandq import Repeat
from sandq.errors import InvalidInput

pytestmark = pytest.mark.anyio

DEADLINE_S = 30

HOURLY = Repeat.every(3600)


@pytest.fixture
async def queue(face):
    return face.queue()


def series_keys(server):
    """What there is of series; the hashes of their jobs are not among it."""
    return {key.decode() for key in server.client.keys("sandq:{q}:repeat*")}


# ---- making


async def test_a_series_has_one_outstanding_job_due_at_its_next_occurrence(queue):
    key = await queue.upsert_repeatable(None, HOURLY, "report", {"a": 1}, priority=3, tags=["t"])
    (job,) = await queue.get_delayed()
    (series,) = await queue.get_repeatable_jobs()

    assert key == "every:3600000:report"
    assert (job.name, job.data, job.priority, job.tags) == ("report", {"a": 1}, 3, ["t"])
    assert job.repeat_key == key
    assert job.due_at == series.next_at
    assert job.due_at % 3600 == 0
    assert 0 < job.due_at - time.time() <= 3601
    assert (series.key, series.name, series.repeat, series.made) == (key, "report", HOURLY, 1)


async def test_a_cron_goes_by_the_clock_of_its_zone(queue):
    zone = ZoneInfo("Asia/Kolkata")
    rule = Repeat.crontab("30 2 * * *", tz="Asia/Kolkata")
    await queue.upsert_repeatable("night", rule, "report")
    (series,) = await queue.get_repeatable_jobs()
    local = datetime.fromtimestamp(series.next_at, zone)
    now = datetime.now(zone)

    assert (local.hour, local.minute, local.second) == (2, 30, 0)
    assert now < local <= now + timedelta(days=1, minutes=1)


async def test_a_series_begins_at_its_start(queue):
    start = datetime.now(UTC) + timedelta(days=3)
    await queue.upsert_repeatable("later", Repeat.every(60, start=start), "report")
    (series,) = await queue.get_repeatable_jobs()

    assert 0 <= series.next_at - start.timestamp() <= 60


async def test_a_series_without_a_future_is_refused(queue, server):
    with pytest.raises(InvalidInput, match="no occurrence after now"):
        await queue.upsert_repeatable("over", Repeat.every(60, end=time.time() - 1), "report")

    assert series_keys(server) == set()


@pytest.mark.parametrize(
    "options",
    [{"job_id": "a"}, {"delay": 5}, {"dedup": "d"}, {"expires_at": 7e9}, {"lifo": True}, {"x": 1}],
)
async def test_a_series_takes_no_option_that_speaks_of_one_job(queue, server, options):
    with pytest.raises(InvalidInput):
        await queue.upsert_repeatable("key", HOURLY, "report", **options)
    with pytest.raises(InvalidInput):
        await queue.add("report", repeat=HOURLY, **options)

    assert server.client.keys("*") == []


@pytest.mark.parametrize(("key", "rule"), [("", HOURLY), ("k", "60"), ("k", None), (7, HOURLY)])
async def test_a_series_needs_a_rule_and_a_key_that_is_a_text(queue, server, key, rule):
    with pytest.raises(InvalidInput):
        await queue.upsert_repeatable(key, rule, "report")

    assert server.client.keys("*") == []


async def test_adding_with_repeat_makes_a_series_and_answers_its_next_job(queue):
    job = await queue.add("report", {"a": 1}, repeat=HOURLY, attempts=2)
    named = await queue.add("report", 2, repeat=Repeat.every(3600, key="mine"))
    keys = {series.key for series in await queue.get_repeatable_jobs()}

    assert (job.state, job.data, job.opts) == ("delayed", {"a": 1}, {"attempts": 2})
    assert keys == {"every:3600000:report", "mine"}
    assert job.repeat_key == "every:3600000:report"
    assert named.repeat_key == "mine"


# ---- replacing


async def test_replacing_a_series_replaces_its_outstanding_job_unlike_bull(queue):
    await queue.upsert_repeatable("key", HOURLY, "report", {"version": 1}, tags=["old"])
    await queue.upsert_repeatable("key", HOURLY, "summary", {"version": 2}, attempts=3)
    (job,) = await queue.get_delayed()

    assert (job.name, job.data, job.opts["attempts"]) == ("summary", {"version": 2}, 3)
    assert await queue.get_repeatable_count() == 1
    assert await queue.jobs_by_tag("old") == []


async def test_a_replaced_rule_moves_the_outstanding_job(queue):
    await queue.upsert_repeatable("key", HOURLY, "report")
    start = time.time() + 86400
    await queue.upsert_repeatable("key", Repeat.every(7, start=start, align=False), "report")
    (job,) = await queue.get_delayed()

    assert job.due_at == pytest.approx(start + 7, abs=7)
    assert (await queue.get_repeatable_jobs())[0].next_at == job.due_at


async def test_an_outstanding_job_that_is_worked_on_is_left_when_the_series_is_replaced(queue):
    job = await queue.add("report", 1, repeat=Repeat.every(3600, key="key"))
    await job.promote()
    running = await queue.get_next_job()
    # not of 60 seconds: shortly before the full hour both series would have the same moment
    await queue.upsert_repeatable("key", Repeat.every(61), "report", 2)

    assert await running.get_state() == "active"
    assert [job.data for job in await queue.get_delayed()] == [2]
    await running.move_to_completed("done")


# ---- listing


async def test_series_are_listed_by_their_next_occurrence(queue):
    now = time.time()
    for number in (3, 1, 2):
        rule = Repeat.every(3600, start=now + number * 10_000)
        await queue.upsert_repeatable(f"s{number}", rule, "report")

    async def keys(*args, **options):
        return [series.key for series in await queue.get_repeatable_jobs(*args, **options)]

    assert await keys() == ["s1", "s2", "s3"]
    assert await keys(asc=False) == ["s3", "s2", "s1"]
    assert await keys(1, 1) == ["s2"]
    assert await keys(0, 0) == ["s1"]
    assert await queue.get_repeatable_count() == 3


async def test_names_and_keys_may_hold_colons_and_never_clash(queue):
    await queue.upsert_repeatable(None, HOURLY, "a:b")
    await queue.upsert_repeatable("every:1:x", HOURLY, "ä ö:")
    await queue.upsert_repeatable(None, Repeat.crontab("0 * * * *"), "a:b")

    assert await queue.get_repeatable_count() == 3
    assert await queue.remove_repeatable("a:b", HOURLY)
    assert {series.name for series in await queue.get_repeatable_jobs()} == {"ä ö:", "a:b"}


# ---- ending


@pytest.mark.parametrize("by", ["rule", "key"])
async def test_a_removed_series_leaves_nothing(queue, server, by):
    await queue.add("report", repeat=HOURLY, tags=["t"])
    await queue.upsert_repeatable("other", HOURLY, "report")

    async def remove():
        if by == "rule":
            return await queue.remove_repeatable("report", HOURLY)
        return await queue.remove_repeatable_by_key("every:3600000:report")

    assert await remove()
    assert not await remove()
    assert [series.key for series in await queue.get_repeatable_jobs()] == ["other"]
    assert len(await queue.get_delayed()) == 1
    assert series_keys(server) == {"sandq:{q}:repeat", "sandq:{q}:repeat:other"}
    assert await queue.remove_repeatable_by_key("other")
    assert series_keys(server) == set()
    assert server.client.keys("sandq:{q}:job:*") == []


async def test_what_becomes_of_its_outstanding_job_does_not_end_a_series(queue):
    for verb in ("remove", "cancel"):
        job = await queue.add("report", repeat=HOURLY)
        await getattr(job, verb)()
        assert await queue.get_repeatable_count() == 1

    # and the next one is made when the series is moved
    rule = Repeat.every(3600, start=time.time() + 86400, key=job.repeat_key)
    job = await queue.add("report", repeat=rule)
    assert await job.get_state() == "delayed"
    assert await queue.get_repeatable_count() == 1
