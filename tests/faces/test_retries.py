"""Trying again: attempts, the wait between them, and what ends them early."""

import math
from datetime import timedelta

import pytest

from sandq import Backoff
from sandq.errors import InvalidInput, JobFailed
from sandq.handler import RetryLater, Unrecoverable

pytestmark = pytest.mark.anyio

DEADLINE_S = 30


def delays_of(server, job_id):
    """The waits of a job between its attempts, in milliseconds, as the events tell them."""
    return [
        int(fields[b"delay_ms"])
        for _, fields in server.client.xrange("sandq:{q}:events")
        if fields[b"e"] == b"retry-scheduled" and fields[b"id"].decode() == job_id
    ]


async def fail_all(queue, job):
    """Run a job until it has failed for good; its failure record."""
    async with queue.run():
        with pytest.raises(JobFailed) as caught:
            await job.finished(DEADLINE_S)

    return caught.value.failure


def broken(job):
    raise ValueError(f"attempt {job.attempt}")


# ---- attempts


async def test_a_job_is_tried_as_often_as_its_attempts_say(face):
    queue = face.queue()
    seen = []

    def work(job):
        seen.append((job.attempt, job.max_attempts))
        if job.attempt < 3:
            raise ValueError("not yet")
        return "done"

    queue.set_handler("*", work)
    job = await queue.add("work", attempts=5)
    async with queue.run():
        assert await job.finished(DEADLINE_S) == "done"
    await job.refresh()

    assert seen == [(1, 5), (2, 5), (3, 5)]
    assert (job.attempts, job.claims, job.failure) == (2, 3, None)
    assert (await queue.stats()).totals["retried"] == 2


async def test_a_job_fails_when_its_attempts_are_used_up(face):
    queue = face.queue()
    queue.set_handler("*", broken)
    once, thrice = await queue.add_bulk([("once", 1), ("thrice", 1, {"attempts": 3})])
    failure = await fail_all(queue, thrice)
    await once.refresh()

    assert (failure["kind"], failure["message"], failure["type"]) == (
        "error",
        "attempt 3",
        "ValueError",
    )
    assert "in broken" in failure["stack"]
    assert (thrice.attempts, thrice.claims) == (3, 3)
    assert (once.state, once.attempts, once.claims) == ("failed", 1, 1)


async def test_a_missing_handler_is_tried_again_and_told(face):
    queue = face.queue()
    queue.set_handler("known", broken)
    job = await queue.add("unknown", attempts=2)
    failure = await fail_all(queue, job)

    assert (failure["kind"], job.attempts) == ("handler_missing", 2)


# ---- the wait between them

CURVES = {
    "none": (None, [0, 0, 0]),
    "a number is a fixed wait": (0.01, [10, 10, 10]),
    "a text is one too": ("5ms", [5, 5, 5]),
    "fixed": (Backoff.fixed(timedelta(milliseconds=7)), [7, 7, 7]),
    "exponential": (Backoff.exponential(0.005), [5, 15, 35]),
    "geometric": (Backoff.geometric(0.004), [4, 8, 16]),
    "geometric up to a most": (Backoff.geometric(0.004, multiplier=3, max=0.03), [4, 12, 30]),
    "list": (Backoff.delays([0.003, 0, "2ms"]), [3, 0, 2]),
    "list, the last repeats": (Backoff.delays([0.003, 0.001]), [3, 1, 1]),
    "named": (Backoff.named("mine", unit=0.002), [2, 4, 6]),
}


@pytest.mark.parametrize("kind", CURVES)
async def test_the_wait_before_each_attempt_is_what_the_backoff_says(face, server, kind):
    backoff, delays = CURVES[kind]
    queue = face.queue()
    queue.set_handler("*", broken)
    queue.set_backoff("mine", lambda failures, _, options: failures * options["unit"])
    job = await queue.add("work", attempts=4, backoff=backoff)
    await fail_all(queue, job)

    assert delays_of(server, job.id) == delays


async def test_jitter_spreads_the_waits_around_the_curve(face, server):
    queue = face.queue()
    queue.set_handler("*", broken)
    backoff = Backoff.geometric(0.02, multiplier=1, jitter=0.01)
    job = await queue.add("work", attempts=20, backoff=backoff)
    await fail_all(queue, job)
    delays = delays_of(server, job.id)

    assert all(10 <= delay <= 30 for delay in delays)
    assert len(set(delays)) > 3


async def test_a_delayed_retry_waits_as_long_as_it_was_told(face):
    queue = face.queue()
    queue.set_handler("*", lambda job: 1 / 0 if job.attempt == 1 else None)
    job = await queue.add("work", attempts=2, backoff=0.2)
    async with queue.run():
        await job.finished(DEADLINE_S)
    async for event in queue.subscribe("0"):
        if event.kind == "retry-scheduled":
            break

    assert job.started_at - event.at >= 0.19


# ---- backoffs that a function decides


async def test_a_named_backoff_is_told_everything_and_decides(face, server):
    queue = face.queue()
    queue.set_handler("*", broken)
    asked = []

    def mine(failures, failure, options):
        asked.append((failures, failure["kind"], failure["message"], options))
        return timedelta(milliseconds=3) if failures == 1 else 0

    queue.set_backoff("mine", mine)
    job = await queue.add("work", attempts=3, backoff=Backoff.named("mine", a=[1]))
    await fail_all(queue, job)

    assert delays_of(server, job.id) == [3, 0]
    options = {"a": [1]}
    assert asked == [(1, "error", "attempt 1", options), (2, "error", "attempt 2", options)]


def raising(*_):
    raise RuntimeError("what now")


NO_MORE = {
    "-1 gives up": (lambda *_: -1, "attempt 1"),
    "raising": (
        raising,
        "attempt 1; not tried again: backoff 'mine' raised RuntimeError: what now",
    ),
    "None": (lambda *_: None, "attempt 1; not tried again: backoff 'mine' answered None"),
    "a text": (lambda *_: "1s", "attempt 1; not tried again: backoff 'mine' answered '1s'"),
    "NaN": (lambda *_: math.nan, "attempt 1; not tried again: backoff 'mine' answered nan"),
    "infinite": (lambda *_: math.inf, "attempt 1; not tried again: backoff 'mine' answered inf"),
    "unknown": (None, "attempt 1; not tried again: backoff 'mine' is not registered"),
}


@pytest.mark.parametrize("answer", NO_MORE)
async def test_a_named_backoff_may_give_up_and_what_is_wrong_with_it_is_told(face, answer):
    function, words = NO_MORE[answer]
    queue = face.queue()
    queue.set_handler("*", broken)
    if function is not None:
        queue.set_backoff("mine", function)
    job = await queue.add("work", attempts=5, backoff=Backoff.named("mine"))
    # what goes wrong with one job must not hold up the next one
    after = await queue.add("work")
    async with queue.run():
        for one in (job, after):
            with pytest.raises(JobFailed):
                await one.finished(DEADLINE_S)

    assert job.failure["message"].startswith(words)
    assert (job.failure["kind"], job.attempts) == ("error", 1)


async def test_an_async_backoff_and_a_name_twice_are_refused(face):
    queue = face.queue()

    async def mine(*_):
        return 1

    with pytest.raises(InvalidInput, match="not an async one"):
        queue.set_backoff("mine", mine)
    queue.set_backoff("mine", lambda *_: 1)
    with pytest.raises(InvalidInput, match="is set already"):
        queue.set_backoff("mine", lambda *_: 2)


# ---- what the handler says of it


async def test_a_function_chooses_the_wait_itself(face, server):
    queue = face.queue()

    def later(job):
        raise RetryLater(0.006, "busy")

    queue.set_handler("*", later)
    job = await queue.add("work", attempts=2, backoff=60)
    failure = await fail_all(queue, job)

    assert delays_of(server, job.id) == [6]
    assert (failure["message"], failure["type"]) == ("busy", "RetryLater")


async def test_a_child_chooses_the_wait_itself(face, server, program):
    queue = face.queue()
    answer = '{"status":"error","error":{"message":"busy","retry_after_ms":6,"code":"E1"}}'
    queue.set_handler_file(
        "*", program(f"#!/bin/sh\nwhile read -r job; do echo '{answer}'; done\n", "h")
    )
    job = await queue.add("work", attempts=2, backoff=60)
    failure = await fail_all(queue, job)

    assert delays_of(server, job.id) == [6]
    assert (failure["message"], failure["code"]) == ("busy", "E1")


async def test_an_unrecoverable_failure_of_a_function_is_final(face):
    queue = face.queue()

    def hopeless(job):
        raise Unrecoverable("no such file")

    queue.set_handler("*", hopeless)
    job = await queue.add("work", attempts=5, backoff=60)
    failure = await fail_all(queue, job)

    assert (failure["kind"], failure["message"]) == ("unrecoverable", "no such file")
    assert job.attempts == 1


async def test_an_unrecoverable_failure_of_a_child_is_final(face, program):
    queue = face.queue()
    text = "from sandq.handler import *\ndef f(job):\n raise Unrecoverable('no')\nserve(f)\n"
    queue.set_handler_file("*", program(text))
    job = await queue.add("work", attempts=5, backoff=60)

    assert (await fail_all(queue, job))["kind"] == "unrecoverable"
    assert job.attempts == 1
