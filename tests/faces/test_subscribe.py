"""Following the events of a queue: through lost connections, of one's own jobs, and away again."""

import asyncio
import gc
import threading
from pathlib import Path

import anyio
import pytest

from sandq import Queue, sync
from sandq.face import reading
from sandq.store.embedded import EmbeddedServer

pytestmark = pytest.mark.anyio

DEADLINE_S = 30


@pytest.fixture
async def queue(face):
    return face.queue()


class Follower:
    """Follows a queue in a task, from the beginning, until a job of an id is added."""

    def __init__(self, queue, until="last", **options):
        self.ids = []
        self.events = []
        self._queue, self._until, self._options = queue, until, options
        self._scope = anyio.CancelScope()

    async def __call__(self, *, task_status):
        task_status.started()
        with self._scope:
            async for event in self._queue.subscribe("0", **self._options):
                self.ids.append(event.job_id)
                self.events.append(event)
                if event.job_id == self._until:
                    return

    def leave(self):
        self._scope.cancel()

    async def has(self, job_id):
        with anyio.fail_after(DEADLINE_S):
            while job_id not in self.ids:
                await anyio.lowlevel.checkpoint()


# ---- lost connections


async def test_nothing_is_missed_and_nothing_told_twice_when_connections_are_cut(
    face, queue, server
):
    follower = Follower(queue)
    other = face.queue()
    wanted = []
    with anyio.fail_after(DEADLINE_S):
        async with anyio.create_task_group() as group:
            await group.start(follower)
            for number in range(12):
                job = await add_anyhow(other, f"job-{number}")
                wanted.append(job)
                if number % 3 == 0:
                    await follower.has(job)
                server.client.client_kill_filter(_type="normal", skipme=True)
            wanted.append(await add_anyhow(other, "last"))

    assert follower.ids == wanted


async def add_anyhow(queue, job_id):
    """Add a job though connections are cut: under an id it is added once."""
    while True:
        try:
            job = await queue.add("work", job_id=job_id)
        except Exception:
            continue
        return job.id


async def test_a_server_that_is_started_again_is_followed_on(tmp_path, redis_binary):
    server = EmbeddedServer(tmp_path / "server", binary=Path(redis_binary))
    url = server.ensure()
    follower = None
    try:
        async with Queue("q", url) as queue, Queue("q", url) as producer:
            follower = Follower(queue)
            with anyio.fail_after(DEADLINE_S):
                async with anyio.create_task_group() as group:
                    await group.start(follower)
                    await producer.add("work", job_id="before")
                    await follower.has("before")
                    await anyio.to_thread.run_sync(server.stop)
                    await anyio.to_thread.run_sync(server.ensure)
                    await add_anyhow(producer, "after")
                    await add_anyhow(producer, "last")
    finally:
        await anyio.to_thread.run_sync(server.stop)

    assert follower.ids == ["before", "after", "last"]


async def test_a_follower_that_comes_before_the_queue_sees_its_first_event(queue):
    follower = Follower(queue)
    with anyio.fail_after(DEADLINE_S):
        async with anyio.create_task_group() as group:
            await group.start(follower)
            await anyio.lowlevel.checkpoint()
            await queue.add("work", job_id="last")

    assert follower.ids == ["last"]


# ---- one's own


async def test_local_events_are_those_of_jobs_that_this_object_runs(face, queue):
    other = face.queue()
    queue.set_handler("mine", lambda job: job.data)
    other.set_handler("theirs", lambda job: job.data)
    follower = Follower(queue, until="end", local=True)
    await other.pause(local=True)
    async with queue.run() as handle, other.run():
        mine = await queue.add("mine", 1, job_id="m")
        await mine.finished(DEADLINE_S)
        await queue.pause(local=True)
        await other.resume(local=True)
        theirs = await queue.add("theirs", 2, job_id="t")
        await theirs.finished(DEADLINE_S)
        await other.pause(local=True)
        await queue.resume(local=True)
        with anyio.fail_after(DEADLINE_S):
            async with anyio.create_task_group() as group:
                await group.start(follower)
                await queue.add("mine", 3, job_id="end")

    told = [(event.job_id, event.kind) for event in follower.events]
    assert told == [("m", "active"), ("m", "completed"), ("end", "active")]
    assert {e.fields.get("worker", handle.worker) for e in follower.events} == {handle.worker}


async def test_the_end_of_a_job_that_ran_already_is_a_local_event_as_well(queue, flaky, tmp_path):
    queue.set_handler_file("*", flaky)
    gate = tmp_path / "runs"
    job = await queue.add("work", {"touch": str(gate), "sleep_s": 0.7}, job_id="long")
    seen = []
    async with queue.run():
        with anyio.fail_after(DEADLINE_S):
            while not gate.exists():
                await anyio.lowlevel.checkpoint()
            async for event in queue.subscribe(local=True):
                seen.append((event.job_id, event.kind))
                break
        await job.finished(DEADLINE_S)

    assert seen == [("long", "completed")]


# ---- away again


async def connections(server):
    return len(server.client.client_list())


async def test_who_breaks_out_of_the_loop_leaves_nothing_behind(url, server):
    before = await connections(server)
    async with Queue("q", url) as queue:
        await queue.add_bulk(("work", n) for n in range(10))
        idle = await connections(server)
        tasks = len(asyncio.all_tasks())
        for _ in range(50):
            async for event in queue.subscribe("0"):
                assert event.kind == "waiting"
                break
        gc.collect()
        with anyio.fail_after(DEADLINE_S):
            while len(asyncio.all_tasks()) > tasks:
                await anyio.lowlevel.checkpoint()

        assert await connections(server) == idle
    with anyio.fail_after(DEADLINE_S):
        while await connections(server) != before:
            await anyio.lowlevel.checkpoint()


async def test_who_is_cancelled_while_following_leaves_nothing_behind(url, server):
    async with Queue("q", url) as queue:
        await queue.add("work")
        idle = await connections(server)
        for _ in range(5):
            with anyio.move_on_after(0.01):
                async for event in queue.subscribe():
                    pytest.fail(f"nothing has happened: {event}")
        with anyio.fail_after(DEADLINE_S):
            while await connections(server) > idle:
                await anyio.lowlevel.checkpoint()

        assert (await queue.add("work")).id == "2"


def test_the_synchronous_twin_is_an_ordinary_iterator_and_leaves_nothing_behind(url, server):
    before = len(server.client.client_list())
    threads = threading.active_count()
    with sync.Queue("q", url) as queue:
        queue.add("work", job_id="a")
        queue.add("work", job_id="b")
        events = queue.subscribe("0")

        assert iter(events) is events
        assert [next(events).job_id, next(events).job_id] == ["a", "b"]
        for event in queue.subscribe("0"):
            assert event.job_id == "a"
            break
        assert len(server.client.client_list()) == before + 1
        assert threading.active_count() == threads


async def test_several_follow_at_once_and_each_sees_everything(queue):
    followers = [Follower(queue) for _ in range(5)]
    with anyio.fail_after(DEADLINE_S):
        async with anyio.create_task_group() as group:
            for follower in followers:
                await group.start(follower)
            for job_id in ("a", "b", "last"):
                await queue.add("work", job_id=job_id)

    assert {tuple(follower.ids) for follower in followers} == {("a", "b", "last")}


async def test_a_queue_that_a_hundred_follow_answers_as_before(url, server, monkeypatch):
    """One of them blocks a connection for all, so calls never wait for one."""
    monkeypatch.setattr(reading, "READ_S", 9.0)
    async with Queue("q", url) as queue:
        await queue.add("work", job_id="first")
        followers = [Follower(queue) for _ in range(100)]
        # nobody waits for the end of another's read either
        with anyio.fail_after(8):
            async with anyio.create_task_group() as group:
                for follower in followers:
                    await group.start(follower)
                for follower in followers:
                    await follower.has("first")
                for number in range(20):
                    await queue.add("work", job_id=f"job-{number}")
                # the one who reads for all may leave at any time
                followers[0].leave()
                await queue.add("work", job_id="last")

    assert {len(follower.ids) for follower in followers[1:]} == {22}
    assert all(follower.ids == followers[1].ids for follower in followers[2:])
