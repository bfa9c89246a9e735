"""Functions of this process as handlers: whatever they do, it is their job's matter alone."""

import asyncio
import threading
import time

import anyio
import pytest

from sandq import Queue
from sandq.errors import JobFailed
from sandq.handler import RetryLater

pytestmark = pytest.mark.anyio

DEADLINE_S = 30


@pytest.fixture
async def queue(url):
    async with Queue("q", url) as queue:
        yield queue


async def failure_of(queue, function, **options):
    """How a job fails that a function serves; the supervisor must go on after it."""
    queue.set_handler("odd", function)
    queue.set_handler("fine", lambda job: "fine")
    job = await queue.add("odd", **options)
    after = await queue.add("fine")
    async with queue.run():
        with pytest.raises(JobFailed) as caught:
            await job.finished(DEADLINE_S)
        assert await after.finished(DEADLINE_S) == "fine"

    return caught.value.failure


class Unspeakable(Exception):
    def __str__(self):
        raise RuntimeError("no words")


class Computed(Exception):
    @property
    def data(self):
        raise RuntimeError("no data")

    retryable = property(data.fget)
    retry_after_ms = property(data.fget)


def raising(error):
    def function(job):
        raise error

    return function


ERRORS = {
    "an error without words": (Unspeakable(), "a Unspeakable that cannot be shown", {}),
    "an error that computes its attributes": (Computed("no"), "no", {}),
    "an error with half a character": (ValueError("\ud800"), "\\ud800", {}),
    "a code": (type("E", (Exception,), {"code": "E7"})("no"), "no", {"code": "E7"}),
    "a code that is too large": (type("E", (Exception,), {"code": 2**70})("no"), "no", {}),
    "a code that is odd": (type("E", (Exception,), {"code": object()})("no"), "no", {}),
    "data": (type("E", (Exception,), {"data": {"a": [1]}})("no"), "no", {"data": {"a": [1]}}),
    "data that is no JSON": (type("E", (Exception,), {"data": {1}})("no"), "no", {"data": "{1}"}),
}


@pytest.mark.parametrize("name", ERRORS)
async def test_whatever_an_error_is_it_becomes_a_failure_record(queue, name):
    error, message, more = ERRORS[name]
    failure = await failure_of(queue, raising(error))

    assert (failure["kind"], failure["message"]) == ("error", message)
    assert failure["type"] == type(error).__name__
    assert {key: failure[key] for key in ("code", "data") if key in failure} == more


async def test_a_timeout_of_its_own_is_no_timeout_of_the_job(queue):
    failure = await failure_of(queue, raising(TimeoutError("the other side")), timeout=60)

    assert (failure["kind"], failure["message"]) == ("error", "the other side")


async def test_bad_input_that_a_function_gives_to_sandq_is_told_with_its_stack(queue):
    async def adds(job):
        await queue.add("", 1)

    failure = await failure_of(queue, adds)

    assert failure["type"] == "InvalidInput"
    assert "in adds" in failure["stack"]


async def test_what_a_function_waits_for_may_be_cancelled(queue):
    async def waits(job):
        future = asyncio.get_running_loop().create_future()
        future.cancel()
        await future

    assert (await failure_of(queue, waits))["type"] == "CancelledError"


async def test_a_function_that_is_too_late_is_left_behind(queue):
    go_on = threading.Event()
    begun = time.monotonic()
    failure = await failure_of(queue, lambda job: go_on.wait(DEADLINE_S), timeout=0.05)
    took_s = time.monotonic() - begun
    go_on.set()

    assert (failure["kind"], failure["message"]) == ("timed_out", "no answer within 50 ms")
    assert took_s < DEADLINE_S / 2


async def test_more_functions_may_block_at_once_than_a_pool_of_threads_has(queue):
    """anyio's own pool has 40."""
    barrier = threading.Barrier(50)
    queue.set_handler("*", lambda job: barrier.wait(DEADLINE_S))
    jobs = await queue.add_bulk([("work", n) for n in range(50)])
    async with queue.run(concurrency=50):
        values = {await job.finished(DEADLINE_S) for job in jobs}

    assert values == set(range(50))


async def test_a_wait_of_the_functions_own_choice_counts_for_retries_only(queue, server):
    await failure_of(queue, raising(RetryLater(5)))
    kinds = [fields[b"e"] for _, fields in server.client.xrange("sandq:{q}:events")]

    assert b"retry-scheduled" not in kinds


async def test_a_function_in_a_thread_says_what_an_async_one_says(queue):
    def say(job):
        job.log("hello", whom=job.data)
        job.progress(0.5)

    queue.set_handler("say", say)
    async with queue.run():
        job = await queue.add("say", "ann")
        await job.finished(DEADLINE_S)
    (row,) = await job.logs()

    assert (row["message"], row["fields"]) == ("hello", {"whom": "ann"})
    assert (await job.refresh()).progress == 0.5


async def waits(job):
    await asyncio.Event().wait()


def blocks(job):
    threading.Event().wait(2)


@pytest.mark.parametrize("function", [waits, blocks], ids=["async", "thread"])
async def test_a_function_that_says_nothing_for_too_long_fails(queue, function):
    failure = await failure_of(queue, function, heartbeat_timeout=0.2)

    assert failure["kind"] == "heartbeat_lost"
    assert "said nothing for 200 ms" in failure["message"]


async def beats(job):
    for n in range(8):
        with anyio.move_on_after(0.2):
            await asyncio.Event().wait()
        job.progress(n) if n % 2 else job.heartbeat()
    return "alive"


def beats_in_a_thread(job):
    for _ in range(8):
        threading.Event().wait(0.2)
        job.heartbeat()
    return "alive"


@pytest.mark.parametrize("function", [beats, beats_in_a_thread], ids=["async", "thread"])
async def test_a_function_that_says_that_it_is_alive_goes_on(queue, function):
    queue.set_handler("*", function)
    job = await queue.add("long", heartbeat_timeout=1)
    async with queue.run():
        assert await job.finished(DEADLINE_S) == "alive"
