"""The inline runner: what it runs, in which order, and what it makes of errors."""

import sys
import threading

import anyio
import pytest

from sandq import Backoff, Keep, QueueSettings, RateLimit, Repeat
from sandq.errors import HandlerInvalid, JobFailed, SupervisorError, WaitTimeout
from sandq.testing import Ran, run_inline

pytest_plugins = ["sandq.testing"]
pytestmark = pytest.mark.anyio


def double(job):
    return 2 * job.data


def fail(job):
    raise LookupError(f"no {job.data}")


def data_of(attempts):
    return [ran.data for ran in attempts]


async def test_jobs_run_one_after_the_other_until_none_is_left(queue, ask):
    queue.set_handler("double", double)
    await ask(queue.add_bulk([("double", 1), ("double", 2), ("double", 3, {"priority": 1})]))
    attempts = await ask(run_inline(queue))

    assert attempts[0] == Ran("3", "double", 3, 1, "completed", 6)
    assert data_of(attempts) == [3, 1, 2]
    assert await ask(queue.get_completed_count()) == 3
    assert await ask(run_inline(queue)) == []


async def test_async_functions_are_run_too(queue, ask):
    async def double(job):
        return 2 * job.data

    queue.set_handler("*", double)
    await ask(queue.add("double", 21))
    (ran,) = await ask(run_inline(queue))

    assert ran.value == 42


async def test_no_two_run_at_once(queue, ask):
    running, most = threading.Semaphore(1), []

    def alone(job):
        most.append(running.acquire(blocking=False))
        running.release()

    queue.set_handler("*", alone)
    await ask(queue.add_bulk([("alone", n) for n in range(20)]))
    await ask(run_inline(queue))

    assert most == [True] * 20


async def test_what_jobs_add_meanwhile_is_run_too(sandq_queue):
    async def count_down(job):
        if job.data:
            await sandq_queue.add("count", job.data - 1)

    sandq_queue.set_handler("count", count_down)
    await sandq_queue.add("count", 3)

    assert data_of(await run_inline(sandq_queue)) == [3, 2, 1, 0]


async def test_jobs_without_an_end_are_an_error(sandq_queue):
    async def again(job):
        await sandq_queue.add("again")

    sandq_queue.set_handler("again", again)
    await sandq_queue.add("again")
    with pytest.raises(WaitTimeout, match="not done after 5 attempts, the last ones at jobs named"):
        await run_inline(sandq_queue, limit=5)

    # the one that was too many waits as before
    assert await sandq_queue.get_job_counts(["completed", "waiting", "active"]) == {
        "completed": 5,
        "waiting": 1,
        "active": 0,
    }


async def test_as_many_attempts_as_the_limit_are_no_error(queue, ask):
    queue.set_handler("*", double)
    await ask(queue.add_bulk([("double", 1), ("double", 2)]))

    assert len(await ask(run_inline(queue, limit=2))) == 2


async def test_paused_queues_and_delayed_jobs_are_left(queue, ask):
    queue.set_handler("*", double)
    await ask(queue.add("double", 1, delay=60))
    await ask(queue.add("double", 2))
    await ask(queue.pause())

    assert await ask(run_inline(queue)) == []

    await ask(queue.resume())

    assert data_of(await ask(run_inline(queue))) == [2]
    assert await ask(queue.get_delayed_count()) == 1


# ---- failures


async def test_failures_are_recorded_as_usual(queue, ask):
    queue.set_handler("*", fail)
    job = await ask(queue.add("fail", "ann", attempts=2))
    first, second = await ask(run_inline(queue))

    assert (first.attempt, first.state) == (1, "waiting")
    assert (second.attempt, second.state) == (2, "failed")
    assert (second.failure["type"], second.failure["message"]) == ("LookupError", "no ann")
    assert "test_inline.py" in second.failure["stack"]
    assert [one["message"] for one in await ask(job.failures())] == ["no ann"] * 2


async def test_failures_can_be_raised(queue, ask):
    async def fail_too(job):
        fail(job)

    queue.set_handler("fail", fail)
    queue.set_handler("fail too", fail_too)
    for name in ("fail", "fail too"):
        job = await ask(queue.add(name, "ann"))
        await ask(queue.add("fail", "bob"))
        with pytest.raises(LookupError, match="no ann"):
            await ask(run_inline(queue, raise_failures=True))

        # it is recorded, and the next job is not run
        assert await ask(job.get_state()) == "failed"
        assert await ask(queue.empty()) == 1


async def test_a_failure_that_no_function_has_raised_is_raised_as_job_failed(queue, ask):
    queue.set_handler("double", double)
    await ask(queue.add("halve", 1))
    with pytest.raises(JobFailed, match="no handler for jobs named 'halve'") as caught:
        await ask(run_inline(queue, raise_failures=True))

    assert caught.value.failure["kind"] == "handler_missing"


async def test_a_function_that_takes_too_long_fails_as_usual(sandq_queue):
    async def never_ends(job):
        await anyio.Event().wait()

    sandq_queue.set_handler("*", never_ends)
    await sandq_queue.add("slow", timeout=0.01)
    (ran,) = await run_inline(sandq_queue)

    assert ran.failure["kind"] == "timed_out"


async def test_without_a_handler_there_is_nothing_to_run(queue, ask):
    with pytest.raises(SupervisorError, match="no handler is set"):
        await ask(run_inline(queue))


async def test_named_backoffs_are_asked(queue, ask, sandq_clock):
    queue.set_backoff("slow", lambda failures, failure, options: 100 * failures)
    queue.set_handler("*", fail)
    job = await ask(queue.add("fail", 1, attempts=3, backoff=Backoff.named("slow")))
    await ask(run_inline(queue))
    await ask(job.refresh())

    assert job.due_at == sandq_clock.now.timestamp() + 100


# ---- what functions say


async def test_what_functions_say_is_kept(queue, ask):
    def say(job):
        job.progress(0.5)
        job.log("hello", whom=job.data)
        return job.attempt

    queue.set_handler("*", say)
    job = await ask(queue.add("say", "ann"))
    await ask(run_inline(queue))
    (row,) = await ask(job.logs())

    assert (row["message"], row["fields"]) == ("hello", {"whom": "ann"})
    assert (await ask(job.refresh())).progress == 0.5


async def test_a_job_that_is_removed_at_its_end_is_told_of(queue, ask):
    queue.set_handler("double", double)
    queue.set_handler("fail", fail)
    await ask(queue.add("double", 21, remove_on_complete=True))
    await ask(queue.add("fail", 1, remove_on_fail=Keep(count=0)))
    good, bad = await ask(run_inline(queue))

    assert (good.state, good.value) == ("completed", 42)
    assert (bad.state, bad.failure["message"]) == ("failed", "no 1")
    assert await ask(queue.get_jobs(["completed", "failed"])) == []


# ---- what time brings


async def test_attempts_come_when_the_clock_is_moved(queue, ask, sandq_clock):
    queue.set_handler("*", fail)
    await ask(queue.add("fail", 1, attempts=3, backoff=Backoff.exponential("10s")))

    for wait_s in (0, 10, 30):
        if wait_s:
            sandq_clock.advance(wait_s - 1)
            assert await ask(run_inline(queue)) == []
            sandq_clock.advance(1)
        assert len(await ask(run_inline(queue))) == 1
    assert await ask(queue.get_failed_count()) == 1


async def test_series_go_on_when_the_clock_is_moved(queue, ask, sandq_clock):
    queue.set_handler("*", double)
    await ask(queue.upsert_repeatable("often", Repeat.every("15m"), "double", 1))
    ran = []
    for _ in range(4):
        sandq_clock.advance("15m")
        ran += await ask(run_inline(queue))

    assert len(ran) == 4
    assert await ask(queue.get_delayed_count()) == 1


async def test_missed_occurrences_are_made_up_for(queue, ask, sandq_clock):
    queue.set_handler("*", double)
    rule = Repeat.every(60, missed="all", catch_up=10)
    await ask(queue.upsert_repeatable("often", rule, "double", 1))
    sandq_clock.advance("5m")

    assert len(await ask(run_inline(queue))) == 5


async def test_expired_jobs_are_not_run(queue, ask, sandq_clock):
    queue.set_handler("*", double)
    job = await ask(queue.add("double", 1, expires_at=sandq_clock.now.timestamp() + 60))
    sandq_clock.advance(60)

    assert await ask(run_inline(queue)) == []
    assert (await ask(job.failures()))[0]["kind"] == "expired"


async def test_jobs_of_a_claim_whose_lease_has_ended_are_run(queue, ask, sandq_clock):
    queue.set_handler("*", double)
    await ask(queue.add("double", 21))
    await ask(queue.get_next_job(lease=30))

    assert await ask(run_inline(queue)) == []

    sandq_clock.advance(31)
    (ran,) = await ask(run_inline(queue))

    assert (ran.value, ran.attempt) == (42, 1)


async def test_rate_limits_go_by_the_clock(queue, ask, sandq_clock):
    queue.set_handler("*", double)
    await ask(queue.set_settings(QueueSettings(rate_limit=RateLimit(2, "1m"))))
    await ask(queue.add_bulk([("double", n) for n in range(5)]))
    ran = [len(await ask(run_inline(queue)))]
    for _ in range(2):
        sandq_clock.advance("1m")
        ran.append(len(await ask(run_inline(queue))))

    assert ran == [2, 2, 1]


# ---- programs

ECHO = """
from sandq.handler import serve
def echo(job):
    job.log("echo")
    if job.data == "no":
        raise ValueError("no echo")
    return [job.data, job.attempt]
serve(echo)
"""


async def test_programs_run_as_children(queue, ask, program):
    queue.set_handler_file("echo", program(ECHO))
    queue.set_handler_file("shell", ["sh", "-c", "read -r job; echo 7"], fresh=True)
    queue.set_handler("double", double)
    jobs = await ask(queue.add_bulk([("echo", "a"), ("double", 1), ("shell", None), ("echo", "b")]))
    attempts = await ask(run_inline(queue, raise_failures=True))

    assert [ran.value for ran in attempts] == [["a", 1], 2, 7, ["b", 1]]
    assert [row["message"] for row in await ask(jobs[0].logs())] == ["echo"]


async def test_the_failure_of_a_program_is_raised_as_job_failed(queue, ask, program):
    queue.set_handler_file("echo", program(ECHO))
    await ask(queue.add("echo", "no"))
    with pytest.raises(JobFailed, match="job '1' failed: error: no echo") as caught:
        await ask(run_inline(queue, raise_failures=True))

    assert caught.value.failure["type"] == "ValueError"
    assert "in echo" in caught.value.__notes__[0]


async def test_a_program_that_does_not_start_is_an_error(queue, ask):
    queue.set_handler_file("*", [sys.executable, "-c", "import nothing_of_the_kind"])
    await ask(queue.add("echo"))
    with pytest.raises(HandlerInvalid, match=r"job '1' was given back: .*No module named"):
        await ask(run_inline(queue))

    assert await ask(queue.get_waiting_count()) == 1


ASKS = """
from sandq.handler import serve
def ask(job):
    if job.data:
        job.emit(job.data)
        job.add_job("ask", job.data - 1)
serve(ask)
"""


async def test_what_a_program_asks_for_is_done(queue, ask, program):
    queue.set_handler_file("ask", program(ASKS), calls=["add_job"])
    job = await ask(queue.add("ask", 2))
    attempts = await ask(run_inline(queue, raise_failures=True))

    assert data_of(attempts) == [2, 1, 0]
    assert await ask(job.emitted()) == [2]
