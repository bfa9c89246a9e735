"""Values and failures: kept, asked for, waited for, and gone."""

import json
import time

import pytest

from sandq import JsonText, Keep
from sandq.errors import InvalidInput, JobCancelled, JobFailed, JobMissing, WaitTimeout

pytestmark = pytest.mark.anyio

DEADLINE_S = 30


@pytest.fixture
async def queue(face):
    queue = face.queue()
    queue.set_handler("echo", lambda job: job.data)
    queue.set_handler("fail", lambda job: 1 / 0)

    return queue


async def gone(job):
    return await job.get_state() is None


async def passed(moment):
    return time.time() > moment


# ---- values are kept

FALSY = ["0", "false", '""', "null", "[]", "{}", "0.0", "-0.0"]


@pytest.mark.parametrize("text", [*FALSY, "1.0", '{"a":[1,{}]}', '"\\u00e9"', "9007199254740993"])
async def test_what_a_child_answers_is_kept_byte_for_byte(queue, server, program, text):
    queue.set_handler_file(
        "*", program(f"#!/bin/sh\nwhile read -r job; do echo '{text}'; done\n", "h")
    )
    job = await queue.add("work")
    async with queue.run():
        value = await job.finished(DEADLINE_S)

    assert server.client.hget("sandq:{q}:job:1", "value").decode() == text
    assert value == (await queue.get_result("1")).value == job.value


@pytest.mark.parametrize("text", FALSY)
async def test_what_a_function_returns_is_kept_even_if_it_is_falsy(queue, server, text):
    job = await queue.add("echo", JsonText(text))
    async with queue.run():
        value = await job.finished(DEADLINE_S)

    assert (value, type(value)) == (json.loads(text), type(json.loads(text)))
    assert server.client.hget("sandq:{q}:job:1", "value").decode() == text


@pytest.mark.parametrize("value", [{1, 2}, object(), float("nan"), b"bytes", "\ud800"])
async def test_a_value_that_is_no_json_fails_the_attempt_and_says_so(queue, value):
    queue.set_handler("odd", lambda job: value)
    job = await queue.add("odd")
    async with queue.run():
        with pytest.raises(JobFailed, match="the handler's value"):
            await job.finished(DEADLINE_S)


# ---- asking for results


async def test_results_tell_not_yet_from_none_from_no_such_job(queue):
    done, failed, waits, later = await queue.add_bulk(
        [("echo", None), ("fail", 1), ("echo", 2, {"delay": 60}), ("echo", 3, {"delay": 60})]
    )
    async with queue.run():
        await done.finished(DEADLINE_S)
        with pytest.raises(JobFailed):
            await failed.finished(DEADLINE_S)
    await later.cancel("not wanted")
    ids = [done.id, failed.id, waits.id, later.id, "77"]
    results = await queue.get_results(ids)

    assert [(r.id, r.state, r.value, r.done) for r in results] == [
        (done.id, "completed", None, True),
        (failed.id, "failed", None, True),
        (waits.id, "delayed", None, False),
        (later.id, "cancelled", None, True),
        ("77", None, None, False),
    ]
    assert [r.failure and r.failure["kind"] for r in results] == [
        None, "error", None, "cancelled", None,
    ]  # fmt: skip
    assert [await queue.get_result(job_id) for job_id in ids] == results


async def test_results_of_thousands_come_in_the_order_asked_for(queue):
    jobs = await queue.add_bulk([("echo", n) for n in range(2100)])
    ids = [job.id for job in reversed(jobs)] + ["none"]
    results = await queue.get_results(ids)

    assert [result.id for result in results] == ids
    assert results[-1].state is None
    assert await queue.get_results([]) == []


# ---- what is kept


async def test_a_value_goes_when_its_time_to_live_is_over(queue, until):
    job, other = await queue.add_bulk([("echo", 1, {"result_ttl": 0.1}), ("echo", 2)])
    async with queue.run():
        assert await job.finished(DEADLINE_S) == 1
        await until(lambda: gone(job), "its time is over")

    assert await other.get_state() == "completed"
    with pytest.raises(JobMissing):
        await job.finished(DEADLINE_S)


async def test_a_failed_job_does_not_go_with_the_time_to_live_of_values(queue, until):
    failed, job = await queue.add_bulk(
        [("fail", 1, {"result_ttl": 0.05}), ("echo", 2, {"result_ttl": 0.05})]
    )
    async with queue.run():
        await until(lambda: gone(job), "the time of the value is over")

    assert await failed.get_state() == "failed"


KEPT = {
    "True": (True, 0),
    "0": (0, 0),
    "3": (3, 3),
    "Keep(3)": (Keep(3), 3),
    "Keep(3) of the last hour": (Keep(3, age="1h"), 3),
    "False": (False, 6),
}


@pytest.mark.parametrize("name", ["echo", "fail"])
@pytest.mark.parametrize("keep", KEPT)
async def test_so_many_ended_jobs_are_kept_as_was_asked_for(queue, until, name, keep):
    given, left = KEPT[keep]
    options = {"remove_on_complete": given, "remove_on_fail": given, "tags": ["t"]}
    jobs = await queue.add_bulk([(name, n, options) for n in range(6)])
    state = "completed" if name == "echo" else "failed"

    async def all_run():
        return (await queue.stats()).totals.get(state) == 6

    async with queue.run():
        await until(all_run, "all have run")

    found = await queue.get_jobs([state], asc=True)
    assert [job.id for job in found] == [job.id for job in jobs[6 - left :]]
    # with a job goes all that is kept of it
    assert await queue.jobs_by_tag("t") == sorted(job.id for job in found)
    assert (await queue.stats()).dead == ({"error": left} if left and name == "fail" else {})


async def test_jobs_older_than_the_age_go_when_another_ends(queue, until):
    old = await queue.add("echo", 1, remove_on_complete=Keep(age=0.05))
    async with queue.run():
        await old.finished(DEADLINE_S)
        await until(lambda: passed(old.finished_at + 0.1), "it is old")
        new = await queue.add("echo", 2, remove_on_complete=Keep(age=0.05))
        await new.finished(DEADLINE_S)

    assert await gone(old)
    assert await new.get_state() == "completed"


# ---- waiting for the end


async def test_waiting_for_what_has_ended_takes_no_time(queue):
    job, bad = await queue.add_bulk([("echo", 1), ("fail", 1)])
    async with queue.run():
        await job.finished(DEADLINE_S)
        with pytest.raises(JobFailed):
            await bad.finished(DEADLINE_S)

    assert await job.finished(0) == 1
    with pytest.raises(JobFailed):
        await bad.finished(0)
    with pytest.raises(WaitTimeout, match=r"has not ended after 0\.0 s"):
        await (await queue.add("echo", 1)).finished(0)


async def test_waiting_ends_with_the_timeout_and_the_job_goes_on(queue):
    job = await queue.add("echo", 5)
    begun = time.monotonic()
    with pytest.raises(WaitTimeout) as caught:
        await job.finished(0.1)
    assert isinstance(caught.value, TimeoutError)
    assert 0.1 <= time.monotonic() - begun < 5
    with pytest.raises(InvalidInput):
        await job.finished(-1)
    async with queue.run():
        assert await job.finished() == 5


async def test_waiting_for_a_failed_or_cancelled_job_brings_the_failure_record(queue):
    bad = await queue.add("fail", attempts=2)
    off = await queue.add("echo", delay=60)
    await off.cancel("no longer wanted")
    with pytest.raises(JobCancelled, match="no longer wanted") as cancelled:
        await off.finished(DEADLINE_S)
    async with queue.run():
        with pytest.raises(JobFailed, match="division by zero") as failed:
            await bad.finished(DEADLINE_S)

    assert cancelled.value.failure == {"kind": "cancelled", "message": "no longer wanted"}
    assert failed.value.failure["type"] == "ZeroDivisionError"
    assert (bad.state, off.state) == ("failed", "cancelled")
