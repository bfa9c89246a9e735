"""The manual clock: what goes by it, and that nothing does when it is put away."""

import time
from datetime import UTC, datetime, timedelta

import pytest

from sandq import Queue, clock
from sandq.errors import EmbeddedServerError, InvalidInput
from sandq.store import calls, scripts, store
from sandq.store.keys import QueueKeys
from sandq.testing import Clock, Server
from tests.house.pages import LUA

pytest_plugins = ["sandq.testing"]
pytestmark = pytest.mark.anyio


async def test_time_stands_still_until_it_is_moved(queue, ask, sandq_clock):
    started = sandq_clock.now
    first = await ask(queue.add("work"))
    then = sandq_clock.advance("90s")
    second = await ask(queue.add("work"))
    for job in (first, second):
        await ask(job.refresh())

    assert then == sandq_clock.now == started + timedelta(seconds=90)
    assert first.created_at == started.timestamp()
    assert second.created_at == then.timestamp()


async def test_it_begins_with_the_present_and_ends_with_the_test(sandq_server):
    before = time.time()
    with Clock(sandq_server) as first:
        assert before - 2 < first.now.timestamp() < before + 3
        assert first.now.microsecond == 0
        first.advance("1d")
        with Clock(sandq_server) as second:
            assert second.now < first.now
        assert clock.told_ms == first.now.timestamp() * 1000
    assert clock.told_ms is None


async def test_it_can_be_set_to_a_moment(queue, ask, sandq_clock):
    midnight = datetime(2031, 1, 1, tzinfo=UTC)
    sandq_clock.set(midnight)
    job = await ask(queue.add("work", delay="1h"))
    await ask(job.refresh())

    assert job.due_at == midnight.timestamp() + 3600

    sandq_clock.set(midnight.timestamp() + 7200)

    assert sandq_clock.now.hour == 2
    assert repr(sandq_clock) == "<Clock 2031-01-01T02:00:00+00:00>"
    assert (await ask(queue.stats())).overdue_since == job.due_at


@pytest.mark.parametrize(
    ("method", "value"),
    [("advance", -1), ("advance", "soon"), ("set", datetime(2031, 1, 1)), ("set", "noon")],
)
async def test_what_is_no_time_is_refused(sandq_clock, method, value):
    before = sandq_clock.now
    with pytest.raises(InvalidInput):
        getattr(sandq_clock, method)(value)

    assert sandq_clock.now == before


async def test_dedup_keys_go_by_it(queue, ask, sandq_clock):
    async def letters():
        await ask(queue.add("mail", dedup="letter", dedup_ttl="1h"))
        await ask(queue.empty())
        return (await ask(queue.stats())).totals["added"]

    assert await letters() == 1

    sandq_clock.advance("59m")

    assert await letters() == 1

    sandq_clock.advance("1m")

    assert await letters() == 2


async def test_a_clean_bill_is_one_at_any_time(queue, ask, sandq_clock):
    await ask(queue.add_bulk([("work", n, {"dedup": f"d{n}"}) for n in range(3)]))
    for _ in range(2):
        job = await ask(queue.get_next_job())
        await ask(job.move_to_failed("no"))
        sandq_clock.advance("30d")

    assert await ask(queue.audit()) == []


async def test_all_queues_of_the_process_go_by_it(sandq_server, sandq_queue, sandq_clock):
    sandq_clock.advance("1d")
    async with Queue(sandq_queue.name, sandq_server.url) as other:
        job = await other.add("work")
        await job.refresh()

    assert job.created_at == sandq_clock.now.timestamp()


async def test_supervisors_of_the_process_are_woken(queue, ask, sandq_clock, deadline_s):
    """An idle supervisor waits for the bell, and looks on its own only after 20 s."""
    queue.set_handler("*", lambda job: job.data)
    job = await ask(queue.add("work", "done", delay="1d"))
    idle = await ask(queue.add("work", "first"))
    block = queue.run()
    if hasattr(block, "__aenter__"):
        async with block:
            await idle.finished(deadline_s)
            sandq_clock.advance("1d")
            value = await job.finished(timeout=15)
    else:
        with block:
            idle.finished(deadline_s)
            sandq_clock.advance("1d")
            value = job.finished(timeout=15)

    assert value == "done"


async def test_ids_that_look_like_keys_do_not_disturb_it(queue, ask, sandq_clock):
    for job_id in ("a}:meta", "a}:dedup:b", "a:{b}:meta"):
        await ask(queue.add("work", job_id=job_id))
    sandq_clock.advance("1d")

    assert await ask(queue.count()) == 3


def test_a_call_that_tells_the_time_itself_is_left_as_it_is():
    keys = QueueKeys("q")
    clock.told_ms = 5
    try:
        told = [store.arguments(keys, call)[10:] for call in (calls.tend("7"), calls.tend())]
        # a script that takes no time is not given one
        looked = store.arguments(keys, calls.Call("look", ("",), list))[10:]
    finally:
        clock.told_ms = None

    assert told == [("7",), (5,)]
    assert looked == ("",)
    assert store.arguments(keys, calls.tend())[10:] == ("",)


def test_every_script_that_looks_at_the_clock_can_be_told_the_time():
    """Or it looks only to find an end for something that is not given."""
    looking = {name for name, text in LUA.items() if "Clock.now(" in text and "/" not in name}

    assert {name for name in looking if not scripts.takes_time(name)} == {"audit_failed"}


def test_a_clock_needs_a_server_that_runs():
    with (
        Clock(Server()) as manual,
        pytest.raises(EmbeddedServerError, match="the server does not run"),
    ):
        manual.advance(1)
