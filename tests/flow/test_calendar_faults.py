"""Series go on through outages and kills, and beside a series that nobody can read."""

import signal

import anyio
import pytest

from sandq import Queue, Repeat
from sandq.model.building import new_job
from sandq.model.options import DEFAULT_OPTIONS
from sandq.store import verbs

pytestmark = pytest.mark.anyio

DEADLINE_S = 30

#: A machine that stands still for longer than a period skips an occurrence, as it should; so what
#: must come without a gap is tried again.
TRIES = 3


@pytest.fixture
async def queue(url):
    async with Queue("q", url) as queue:
        yield queue


# ---- outages

HOUR_MS = 3_600_000


async def outage(queue, server, hours, **rule):
    """A series of which so many occurrences were missed, and the times of them all."""
    seconds, _ = server.client.time()
    now_ms = seconds * 1000 // HOUR_MS * HOUR_MS + HOUR_MS // 2
    repeat = Repeat.every(3600, **rule)
    first_ms = repeat.first(now_ms - hours * HOUR_MS)
    job = new_job("tick", None, DEFAULT_OPTIONS)
    begun = str(now_ms - hours * HOUR_MS)
    call = verbs.upsert_series("s", first_ms, first_ms, repeat.to_text(), job, begun)
    await queue._store.run(call)

    return list(range(first_ms, seconds * 1000, HOUR_MS))


@pytest.mark.parametrize(
    ("rule", "kept"),
    [
        ({}, slice(0, 0)),
        ({"missed": "skip"}, slice(0, 0)),
        ({"missed": "once"}, slice(0, 1)),
        ({"missed": "all"}, slice(0, None)),
        ({"missed": "all", "catch_up": 3}, slice(-3, None)),
    ],
    ids=["default", "skip", "once", "all", "all of three"],
)
async def test_what_was_missed_in_an_outage_is_made_up_for_as_the_rule_says(
    queue, server, supervisors, rule, kept, ran, until
):
    missed = await outage(queue, server, 6, **rule)
    await supervisors()

    async def settled():
        counts = await queue.get_job_counts()
        return counts["waiting"] == counts["active"] == 0 and counts["delayed"] == 1

    await until(settled)
    (series,) = await queue.get_repeatable_jobs()

    assert len(missed) >= 5
    assert sorted(ran.due_ms) == missed[kept]
    assert series.next_at * 1000 == missed[-1] + HOUR_MS


async def test_an_occurrence_that_is_merely_late_is_run(queue, server, supervisors, ran):
    missed = await outage(queue, server, 1)
    await supervisors()
    await ran.at_least(len(missed[:1]))

    assert ran.due_ms == missed[:1] or len(missed) > 1


KILLED_AT = ["delayed", "waiting", "active", "completed", "delayed", "active", "waiting"]


async def test_a_supervisor_killed_at_any_moment_never_ends_a_series(
    queue, supervisor, flaky, server
):
    await queue.upsert_repeatable("s", Repeat.every(0.1), "tick", {"value": 1})
    for kind in KILLED_AT:
        one = supervisor("q", flaky, "--pool", "2", "--lease", "1s", "--recover-every", "200ms")
        seen = 0
        with anyio.fail_after(DEADLINE_S):
            async for event in queue.subscribe():
                seen += event.kind == kind
                if seen == 2:
                    break
        one.signal(signal.SIGKILL)
        one.wait()
        assert await queue.get_repeatable_count() == 1

    supervisor("q", flaky, "--pool", "2", "--lease", "1s", "--recover-every", "200ms")
    ends = {}
    with anyio.fail_after(DEADLINE_S):
        async for event in queue.subscribe("0"):
            if event.kind == "completed":
                ends[event.job_id] = ends.get(event.job_id, 0) + 1
            if len(ends) >= 2 * len(KILLED_AT):
                break

    assert set(ends.values()) == {1}
    assert [series.key for series in await queue.get_repeatable_jobs()] == ["s"]


# ---- what cannot be read


async def test_a_rule_that_cannot_be_read_stops_its_own_series_only_and_is_logged_once(
    queue, server, supervisors, ran, caplog
):
    for key in ("broken", "later", "gone"):
        await queue.upsert_repeatable(key, Repeat.every(3600), "never")
        await queue.get_repeatable_jobs()
        server.client.zadd("sandq:{q}:repeat", {key: 1_700_000_000_000})
    server.client.hset("sandq:{q}:repeat:broken", "rule", '{"every_ms":0}')
    server.client.hset("sandq:{q}:repeat:later", "rule", '{"moon":"full"}')
    server.client.hset("sandq:{q}:repeat:gone", "rule", "{")
    await supervisors(2)
    for _ in range(TRIES):
        ran.due_ms.clear()
        await queue.upsert_repeatable("whole", Repeat.every(0.2), "tick")
        await ran.at_least(10)
        if ran.without_gap(200):
            break
        await queue.remove_repeatable_by_key("whole")

    assert ran.without_gap(200), ran.due_ms
    logged = [record.getMessage() for record in caplog.records if "cannot be read" in record.msg]
    assert len(logged) == 3 * 2  # each supervisor says it of each of them, once
    assert "series 'broken' cannot be read, it stands still" in caplog.text
    assert await queue.get_repeatable_count() == 4


async def test_a_series_that_was_unreadable_goes_on_when_it_is_set_anew(
    queue, server, supervisors, ran
):
    await queue.upsert_repeatable("s", Repeat.every(3600), "tick", "old")
    server.client.hset("sandq:{q}:repeat:s", "rule", "{")
    server.client.zadd("sandq:{q}:repeat", {"s": 1_700_000_000_000})
    await supervisors()
    await queue.upsert_repeatable("s", Repeat.every(0.1), "tick", "new")
    await ran.at_least(3)

    assert set(ran.data) == {"new"}


# ---- idle


async def test_delayed_jobs_start_soon_after_they_are_due_on_an_idle_queue(queue, supervisors):
    """Redis ends a wait for the bell up to 100 ms late, so nothing may depend on that."""
    await supervisors()
    for _ in range(TRIES):
        late_s = []
        for number in range(9):
            job = await queue.add("tick", job_id=f"{number}:0", delay=0.03 + number / 1000)
            await job.finished(DEADLINE_S)
            due_at = job.created_at + job.opts["delay_ms"] / 1000
            late_s.append(job.started_at - due_at)
            await job.remove()
        if sorted(late_s)[4] < 0.02:
            break

    assert min(late_s) >= 0
    assert sorted(late_s)[4] < 0.02, late_s


async def test_an_idle_supervisor_does_not_poll_for_what_is_due_later(
    queue, server, supervisors, ran
):
    await supervisors()
    await queue.upsert_repeatable("s", Repeat.every(3600), "tick")
    await queue.add("tick", delay=3600)
    await (await queue.add("tick", job_id="first:0")).finished(DEADLINE_S)
    server.client.config_resetstat()
    begun_s = anyio.current_time()
    with anyio.fail_after(DEADLINE_S):
        while anyio.current_time() < begun_s + 3:
            await anyio.lowlevel.checkpoint()
    stats = server.client.info("commandstats")

    asked = sum(
        stats.get(f"cmdstat_{name}", {"calls": 0})["calls"] for name in ("evalsha", "blpop")
    )
    # in that time at most: once for what stalls, once to say that it is there, once for the bell
    assert asked <= 4
