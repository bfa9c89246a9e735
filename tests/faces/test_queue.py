"""The async Queue and Job."""

import math

import anyio
import pytest

from sandq import JsonText, Priority, Queue
from sandq.errors import InvalidInput, JobFailed, JobMissing, UnknownOption, WaitTimeout

pytestmark = pytest.mark.anyio

DEADLINE_S = 30


@pytest.fixture
async def queue(url):
    async with Queue("q", url) as queue:
        queue.set_handler("echo", lambda job: job.data)
        yield queue


async def test_a_job_just_added_tells_what_it_was_given(queue):
    job = await queue.add("echo", {"a": [1]}, priority=Priority.HIGH, attempts=3, delay="1m")

    assert (job.id, job.name, job.data, job.state) == ("1", "echo", {"a": [1]}, "delayed")
    assert job.opts == {"attempts": 3, "delay_ms": 60_000}
    assert job.priority == 2
    assert (job.created_at, job.value, job.failure, job.progress) == (None, None, None, None)
    assert repr(job) == "<Job 1 'echo' delayed>"


async def test_a_fetched_job_tells_everything(queue):
    added = await queue.add("echo", None, delay=60)
    job = await queue.get_job(added.id)

    assert job.due_at == pytest.approx(job.created_at + 60)
    assert (job.started_at, job.finished_at, job.worker) == (None, None, None)
    assert set(job.to_dict()) >= {"id", "state", "data", "created_at", "failure"}


async def test_a_job_that_does_not_exist_is_none(queue):
    assert await queue.get_job("77") is None


async def test_bulk_answers_in_order_and_checks_all_before_the_first(queue):
    jobs = await queue.add_bulk([("echo", n, {"priority": 5 - n}) for n in range(3)])
    with pytest.raises(InvalidInput, match=r"job 1 of the list.*name"):
        await queue.add_bulk([("echo", 1), ("", 2)])

    assert [job.id for job in jobs] == ["1", "2", "3"]
    assert (await queue.get_job_counts())["waiting"] == 3
    assert [job.data for job in await queue.get_jobs(["waiting"], asc=True)] == [2, 1, 0]


async def test_two_thousand_and_one_jobs_go_in_three_calls(queue, server):
    server.client.config_resetstat()
    jobs = await queue.add_bulk(("echo", n) for n in range(2001))
    calls = server.client.info("commandstats")

    assert [jobs[0].id, jobs[-1].id] == ["1", "2001"]
    sent = sum(calls.get(f"cmdstat_{name}", {"calls": 0})["calls"] for name in ("eval", "evalsha"))
    assert sent <= 3 + 1 + 2  # and the layout once, and each script once by its text


BAD = [
    ({"attemps": 2}, UnknownOption, "did you mean 'attempts'"),
    ({"attempts": 0}, InvalidInput, "attempts"),
    ({"attempts": True}, InvalidInput, "attempts"),
    ({"priority": -1}, InvalidInput, "priority"),
    ({"delay": -1}, InvalidInput, "delay"),
    ({"delay": math.nan}, InvalidInput, "delay"),
    ({"timeout": 0}, InvalidInput, "timeout"),
    ({"backoff": "soon"}, InvalidInput, "backoff"),
    ({"job_id": "12"}, InvalidInput, "reserved"),
    ({"job_id": "a b"}, InvalidInput, "no spaces"),
    ({"lifo": 1}, InvalidInput, "lifo"),
]


@pytest.mark.parametrize(("options", "error", "words"), BAD)
async def test_bad_options_are_refused_and_nothing_is_written(queue, server, options, error, words):
    with pytest.raises(error, match=words):
        await queue.add("echo", 1, **options)

    assert server.client.keys("*") == []


@pytest.mark.parametrize(
    "data", [math.nan, {"a": math.inf}, {1, 2}, {1: 2}, "\ud800", 2**64, object(),
             JsonText(b"{"), JsonText('{"a":1,"a":2}'), JsonText(b"NaN"), "x" * (960 * 1024)]
)  # fmt: skip
async def test_data_that_is_not_json_or_too_large_is_refused(queue, server, data):
    with pytest.raises(InvalidInput, match="data"):
        await queue.add("echo", data)

    assert server.client.keys("*") == []


@pytest.mark.parametrize("name", ["a b", "{x}", "", "ä", "x" * 129, None])
async def test_a_queue_has_a_plain_name(name):
    with pytest.raises(InvalidInput, match="queue name"):
        Queue(name)


async def test_ready_made_json_text_is_kept_byte_for_byte(queue):
    job = await queue.add("echo", JsonText(' {"b":1 , "a":1.0}'))
    fetched = await queue.get_job(job.id)

    assert fetched.data_text == b' {"b":1 , "a":1.0}'
    assert fetched.data == {"b": 1, "a": 1.0}


async def test_finished_gives_the_value_of_a_job_that_ends_later_or_has_ended(queue):
    job = await queue.add("echo", {"v": None})
    async with queue.run():
        later = await job.finished(DEADLINE_S)
        again = await job.finished(DEADLINE_S)

    assert later == again == {"v": None}
    assert job.state == "completed"


async def test_finished_ends_with_the_failure_the_timeout_or_the_absence(queue, server):
    async def fail(job):
        raise ValueError("no")

    queue.set_handler("fail", fail)
    waiting = await queue.add("nobody runs this")
    with pytest.raises(WaitTimeout, match=r"has not ended after 0\.05 s"):
        await waiting.finished(0.05)
    with pytest.raises(TimeoutError):
        await waiting.finished("10ms")
    server.client.delete("sandq:{q}:job:1")
    server.client.delete("sandq:{q}:waiting")
    with pytest.raises(JobMissing, match="'1'"):
        await waiting.finished(DEADLINE_S)
    failing = await queue.add("fail")
    async with queue.run():
        with pytest.raises(JobFailed, match="job '2' failed: error: no") as caught:
            await failing.finished(DEADLINE_S)

    assert caught.value.failure["type"] == "ValueError"


async def test_many_wait_with_one_reader_of_events(queue, server):
    jobs = await queue.add_bulk([("echo", n) for n in range(100)])
    values = {}

    async def wait_for(job):
        values[job.id] = await job.finished(DEADLINE_S)

    async with anyio.create_task_group() as group:
        for job in jobs:
            group.start_soon(wait_for, job)
        async with queue.run(concurrency=4):
            with anyio.fail_after(DEADLINE_S):
                while len(values) < 100:
                    await anyio.lowlevel.checkpoint()

    assert values == {job.id: job.data for job in jobs}
    # each reads an event or two of its own; polling would have cost thousands of reads
    assert server.client.info("commandstats")["cmdstat_xread"]["calls"] < 400


async def test_when_the_reader_leaves_another_takes_over(queue):
    first, second = await queue.add_bulk([("echo", 1), ("echo", 2)])

    async with anyio.create_task_group() as group:
        scopes = []

        async def impatient():
            with anyio.CancelScope() as scope:
                scopes.append(scope)
                await first.finished()

        group.start_soon(impatient)
        while not queue._endings._reading:
            await anyio.lowlevel.checkpoint()
        values = []

        async def patient():
            values.append(await second.finished(4))

        group.start_soon(patient)
        await anyio.wait_all_tasks_blocked()
        scopes[0].cancel()
        async with queue.run():
            with anyio.fail_after(DEADLINE_S):
                while not values:
                    await anyio.lowlevel.checkpoint()

    assert values == [2]


async def test_counts_and_pages(queue):
    await queue.add_bulk([("echo", n, {"delay": n}) for n in range(4)])

    counts = await queue.get_job_counts()
    some = await queue.get_jobs(["waiting", "delayed"], 0, 1, asc=True)
    with pytest.raises(InvalidInput, match="state 'done' is not known"):
        await queue.get_jobs(["done"])

    assert (counts["waiting"], counts["delayed"]) == (1, 3)
    assert [job.data for job in some] == [0, 1, 2]


async def test_a_handle_tells_and_stops(queue):
    begun = anyio.Event()

    async def sleep(job):
        begun.set()
        await anyio.sleep(60)

    queue.set_handler("sleep", sleep)
    job = await queue.add("sleep")
    async with queue.run() as handle:
        await begun.wait()
        busy = handle.busy
        with pytest.raises(WaitTimeout, match="they were given back"):
            await handle.stop(0.05)
        await handle.wait()
        await handle.close()

    assert busy == 1
    assert (await queue.get_job(job.id)).state == "waiting"


async def test_an_error_in_the_block_comes_out_as_itself(queue):
    with pytest.raises(KeyError, match="mine"):
        async with queue.run():
            raise KeyError("mine")
