"""Waiting for an event: those that were and those that come, and what an error tells."""

import anyio
import anyio.to_thread
import pytest

from sandq import Event
from sandq.errors import InvalidInput, WaitTimeout
from sandq.face.reading import READ_S
from sandq.testing import run_inline, wait_for_event

pytest_plugins = ["sandq.testing"]
pytestmark = pytest.mark.anyio


async def test_what_has_happened_is_not_waited_for(queue, ask):
    await ask(queue.add_bulk([("work", 1), ("work", 2)]))
    first = await ask(wait_for_event(queue, "waiting", timeout=0))
    second = await ask(wait_for_event(queue, "waiting", "2", timeout=0))

    assert [first.job_id, second.job_id] == ["1", "2"]


async def test_what_is_to_come_is_waited_for(queue, ask, deadline_s):
    found = []

    async def wait():
        if hasattr(queue, "__aenter__"):
            found.append(await wait_for_event(queue, "delayed", timeout=deadline_s))
        else:
            call = lambda: wait_for_event(queue, "delayed", timeout=deadline_s)  # noqa: E731
            found.append(await anyio.to_thread.run_sync(call))

    async with anyio.create_task_group() as group:
        group.start_soon(wait)
        await ask(queue.add("work"))
        await ask(queue.add("work", delay=60))

    assert found[0].job_id == "2"


async def test_the_next_one_is_waited_for_from_the_last(queue, ask):
    await ask(queue.add_bulk([("work", 1), ("work", 2)]))
    first = await ask(wait_for_event(queue, "waiting"))
    second = await ask(wait_for_event(queue, "waiting", from_id=first.id))

    assert second.job_id == "2"
    with pytest.raises(WaitTimeout):
        await ask(wait_for_event(queue, "waiting", from_id=second.id, timeout=0))


async def test_a_long_wait_is_made_of_reads_that_a_connection_bears(sandq_sync_queue, monkeypatch):
    asked = []

    def events_after(event_id, timeout_s):
        asked.append(timeout_s)
        return [] if len(asked) < 3 else [Event("1-0", "waiting", "7")]

    monkeypatch.setattr(sandq_sync_queue._store, "events_after", events_after)
    event = wait_for_event(sandq_sync_queue, "waiting", timeout="1h")

    assert event.job_id == "7"
    assert asked == [READ_S] * 3


async def test_an_error_tells_what_has_happened_instead(queue, ask):
    def fail(job):
        raise ValueError("x" * 1000)

    queue.set_handler("*", fail)
    await ask(queue.add("work"))
    await ask(run_inline(queue))
    with pytest.raises(WaitTimeout) as caught:
        await ask(wait_for_event(queue, "completed", "1", timeout=0.01))
    head, *lines = str(caught.value).splitlines()

    assert head == "no event 'completed' of job '1' within 0.01 s; this has happened:"
    assert [line.split()[:2] for line in lines] == [
        ["waiting", "1"],
        ["active", "1"],
        ["drained"],
        ["failed", "1"],
    ]
    assert max(map(len, lines)) < 300


async def test_an_error_tells_that_nothing_has_happened(queue, ask):
    with pytest.raises(WaitTimeout, match=r"no event 'completed' within 0 s; .*\n  nothing$"):
        await ask(wait_for_event(queue, "completed", timeout=0))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"kind": "complete"}, "no events of the kind 'complete'; did you mean 'completed'"),
        ({"kind": "completed", "from_id": "x"}, "from_id must be the id of an event"),
        ({"kind": "completed", "timeout": "soon"}, "timeout is not a duration"),
    ],
)
async def test_what_cannot_be_waited_for_is_refused(sandq_sync_queue, words, message):
    with pytest.raises(InvalidInput, match=message):
        wait_for_event(sandq_sync_queue, **words)
