"""Jobs through `Queue.run`: retries, missing and broken handlers, functions, and what they say."""

import sys
from functools import partial

import anyio
import pytest

from sandq import Backoff, JsonText, Queue
from sandq.errors import HandlerInvalid, InvalidInput, JobFailed, SupervisorError
from sandq.model.limits import Limits

pytestmark = pytest.mark.anyio

DEADLINE_S = 30


@pytest.fixture
async def queue(url):
    async with Queue("q", url) as queue:
        yield queue


async def until(condition):
    with anyio.fail_after(DEADLINE_S):
        while not await condition():
            await anyio.lowlevel.checkpoint()


async def events_of(queue, job):
    entries = await queue._store.events_after("0-0", 0.01)
    return [entry.kind for entry in entries if entry.job_id == job.id]


async def failure_of(job):
    with pytest.raises(JobFailed) as caught:
        await job.finished(DEADLINE_S)

    return caught.value.failure


async def test_a_job_is_tried_again_until_it_works(queue, flaky):
    queue.set_handler_file("*", flaky)
    job = await queue.add("work", {"fail_until": 3, "value": "ok"}, attempts=5, backoff=0.05)
    async with queue.run():
        value = await job.finished(DEADLINE_S)
    await job.refresh()

    assert value == "ok"
    assert (job.attempts, job.claims, job.failure) == (2, 3, None)
    assert await events_of(queue, job) == [
        "waiting", "active", "retry-scheduled", "waiting", "active", "retry-scheduled", "waiting",
        "active", "completed",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("backoff", "waits"), [(Backoff.fixed(0.2), [200, 200]), (Backoff.exponential(0.1), [100, 300])]
)
async def test_the_backoff_is_waited_for(queue, flaky, backoff, waits):
    queue.set_handler_file("*", flaky)
    job = await queue.add("work", {"fail": "no"}, attempts=3, backoff=backoff)
    async with queue.run():
        failure = await failure_of(job)
        record = await queue.get_job(job.id)
    client = queue._store._client or (await queue.get_job_counts() and queue._store._client)
    entries = await client.xrange(queue._store.keys.events)
    delays = [int(f[b"delay_ms"]) for _, f in entries if f[b"e"] == b"retry-scheduled"]

    assert failure["message"] == "no"
    assert record.attempts == 3
    assert delays == waits
    assert round((record.finished_at - record.created_at) * 1000) >= sum(waits)


async def test_a_retried_job_keeps_its_priority(queue, flaky):
    queue.set_handler_file("*", flaky)
    await queue.add("work", {"fail_until": 2, "value": "important"}, priority=1, attempts=2)
    await queue.add_bulk([("work", {"value": n}) for n in range(3)])
    async with queue.run():
        await until(lambda: _completed(queue, 4))
    done = await queue.get_jobs(["completed"], asc=True)

    assert [job.value for job in done] == ["important", 0, 1, 2]


async def _completed(queue, count):
    return (await queue.get_job_counts())["completed"] >= count


async def test_a_job_without_a_handler_fails_and_says_which_is_missing(queue, flaky):
    queue.set_handler_file("known", flaky)
    job = await queue.add("unknown")
    async with queue.run():
        failure = await failure_of(job)

    assert failure["kind"] == "handler_missing"
    assert "'unknown'" in failure["message"]


async def test_handlers_are_found_by_name_then_the_run_name_then_any(queue):
    for name in ("own", "first", "*"):
        queue.set_handler(name, lambda job, name=name: name)
    jobs = await queue.add_bulk([("own", None), ("other", None)])
    async with queue.run("first"):
        with_first = [await job.finished(DEADLINE_S) for job in jobs]
    again = await queue.add("other")
    async with queue.run():
        without = await again.finished(DEADLINE_S)

    assert with_first == ["own", "first"]
    assert without == "*"


BROKEN = {
    "exits at once": "#!/bin/sh\nexit 4\n",
    "bad shebang": "#!/no/such/program\n",
    "exits after a while": "#!/bin/sh\nsleep 0.1; exit 4\n",
}


@pytest.mark.parametrize("name", BROKEN)
async def test_a_handler_that_does_not_start_never_eats_a_job(queue, program, caplog, name):
    queue.set_handler_file("*", program(BROKEN[name], "broken"))
    await queue.add_bulk([("work", n) for n in range(5)])
    async with queue.run(concurrency=2):
        with anyio.fail_after(DEADLINE_S):
            while "unhealthy" not in caplog.text:
                await anyio.lowlevel.checkpoint()
    waiting = await queue.get_jobs(["waiting"], asc=True)

    assert [job.data for job in waiting] == [0, 1, 2, 3, 4]
    assert {(job.attempts, job.stalls) for job in waiting} == {(0, 0)}


@pytest.mark.parametrize("broken", ["exits at once", "bad shebang"])
async def test_a_broken_handler_does_not_stop_the_others_of_its_queue(
    queue, program, flaky, broken
):
    queue.set_handler_file("broken", program(BROKEN[broken], "broken"))
    queue.set_handler_file("good", flaky)
    bad = await queue.add("broken")
    good = await queue.add_bulk([("good", {"value": n}) for n in range(20)])
    async with queue.run(concurrency=2):
        values = [await job.finished(DEADLINE_S) for job in good]
    await bad.refresh()

    assert values == list(range(20))
    assert bad.state in ("waiting", "delayed")
    assert (bad.attempts, bad.stalls) == (0, 0)


async def test_a_handler_that_starts_at_the_second_try_serves(queue, program, tmp_path):
    note = tmp_path / "tried"
    text = f"#!/bin/sh\n[ -e {note} ] || {{ touch {note}; exit 1; }}\nread -r job; echo 5\n"
    queue.set_handler_file("*", program(text, "second-try"))
    job = await queue.add("work")
    async with queue.run():
        value = await job.finished(DEADLINE_S)

    assert value == 5
    assert (await queue.get_job(job.id)).attempts == 0


BAD_ENDS = {
    "garbage": ("read -r job; echo garbage; exit 0", "crashed", "not JSON: 'garbage'"),
    "two answers": ("while read -r job; do echo 1; echo 2; done", "protocol_error", "twice"),
    "2 MiB line": (
        "read -r job; head -c 2097152 /dev/zero | tr '\\0' x", "output_limit", "1048576 bytes",
    ),
    "no answer": ("read -r job; exec sleep 60", "timed_out", "nothing was seen"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_ENDS)
async def test_every_bad_end_is_told_and_the_next_job_goes_on(queue, name):
    script, kind, words = BAD_ENDS[name]
    queue.set_handler_file("bad", ["/bin/sh", "-c", script], timeout=0.5)
    queue.set_handler_file("good", ["/bin/sh", "-c", "while read -r job; do echo 1; done"])
    bad = await queue.add("bad")
    good = await queue.add("good")
    async with queue.run(kill_grace=0.2):
        failure = await failure_of(bad)
        value = await good.finished(DEADLINE_S)

    assert failure["kind"] == kind
    assert words in failure["message"]
    assert failure["death"]["by"] in ("itself", "protocol", "timeout")
    assert value == 1


async def test_a_line_too_long_for_the_handler_fails_the_job_at_once(queue, flaky):
    queue.set_handler_file("*", flaky, limits=Limits(line=2048))
    job = await queue.add("work", "x" * 3000, attempts=3)
    async with queue.run():
        failure = await failure_of(job)

    assert failure["kind"] == "oversize_payload"
    assert (await queue.get_job(job.id)).claims == 1


async def test_data_with_line_breaks_is_one_line_to_a_child(queue, program):
    text = '#!/bin/sh\nwhile IFS= read -r job; do echo "${#job}"; done\n'
    queue.set_handler_file("*", program(text, "length"))
    spaced, plain = await queue.add_bulk(
        [("work", JsonText('{\n\r"a":\n[ ]}')), ("work", JsonText('{  "a": [ ]}'))]
    )
    async with queue.run():
        lengths = [await job.finished(DEADLINE_S) for job in (spaced, plain)]

    assert lengths[0] == lengths[1] > 50
    assert (await queue.get_job(spaced.id)).data_text == b'{\n\r"a":\n[ ]}'


@pytest.mark.parametrize("opts", [b"{", b"[]", b'{"attempts":"x"}', b'{"backoff":1}'])
async def test_options_nobody_could_have_meant_fail_their_job_alone(queue, server, flaky, opts):
    queue.set_handler_file("*", flaky)
    bad, good = await queue.add_bulk([("work", 1), ("work", {"value": 2})])
    server.client.hset(f"sandq:{{q}}:job:{bad.id}", "opts", opts)
    async with queue.run():
        failure = await failure_of(bad)
        value = await good.finished(DEADLINE_S)

    assert failure["kind"] == "unrecoverable"
    assert value == 2


async def test_a_jobs_own_timeout_comes_before_the_handlers(queue, flaky):
    queue.set_handler_file("*", flaky, timeout=60)
    job = await queue.add("work", {"sleep_s": 60}, timeout="300ms")
    async with queue.run(kill_grace=0.2):
        failure = await failure_of(job)

    assert failure["kind"] == "timed_out"
    assert "300 ms" in failure["message"]


async def test_progress_and_logs_are_stored_before_the_end(queue, flaky):
    queue.set_handler_file("*", flaky)
    job = await queue.add("work", {"progress": [0.1, 0.9], "log": ["one", "two"], "value": 1})
    async with queue.run():
        await job.finished(DEADLINE_S)
    await job.refresh()
    rows = await job.logs()
    kinds = await events_of(queue, job)

    assert job.progress == 0.9
    assert [row["message"] for row in rows] == ["one", "two"]
    assert kinds == ["waiting", "active", "progress", "completed"]


async def test_progress_can_be_seen_while_the_job_runs(queue, flaky):
    queue.set_handler_file("*", flaky)
    job = await queue.add("work", {"progress": [0.5], "sleep_s": 60})

    async def half():
        return (await queue.get_job(job.id)).progress == 0.5

    async with queue.run(drain_timeout=0):
        await until(half)


async def test_functions_serve_jobs_too(queue):
    async def greet(job):
        job.progress(0.5)
        job.log("hello", whom=job.data)
        return f"hello {job.data}"

    def fail(job):
        raise ValueError(f"attempt {job.attempt} of {job.max_attempts}")

    queue.set_handler("greet", greet)
    queue.set_handler("fail", fail)
    good, bad = await queue.add_bulk([("greet", "you"), ("fail", None, {"attempts": 2})])
    async with queue.run(concurrency=2):
        value = await good.finished(DEADLINE_S)
        failure = await failure_of(bad)
    rows = await good.logs()

    assert value == "hello you"
    assert (rows[0]["message"], rows[0]["fields"]) == ("hello", {"whom": "you"})
    assert (failure["type"], failure["message"]) == ("ValueError", "attempt 2 of 2")
    assert "test_slot.py" in failure["stack"]


async def test_whatever_can_be_called_serves_jobs(queue):
    class Greeter:
        async def __call__(self, job):
            return f"hello {job.data}"

    async def greet(word, job):
        return f"{word} {job.data}"

    queue.set_handler("object", Greeter())
    queue.set_handler("partial", partial(greet, "welcome"))
    queue.set_handler("class", lambda job: str(job.data))
    jobs = await queue.add_bulk((name, "you") for name in ("object", "partial", "class"))
    async with queue.run():
        values = [await job.finished(DEADLINE_S) for job in jobs]

    assert values == ["hello you", "welcome you", "you"]


async def test_a_function_that_is_too_slow_or_returns_no_json_fails(queue):
    async def sleep(job):
        await anyio.sleep(60)

    queue.set_handler("sleep", sleep)
    queue.set_handler("set", lambda job: {1, 2})
    slow, odd = await queue.add_bulk([("sleep", None, {"timeout": 0.1}), ("set", None)])
    async with queue.run(concurrency=2):
        slow_failure, odd_failure = await failure_of(slow), await failure_of(odd)

    assert slow_failure["kind"] == "timed_out"
    assert "cannot be written as JSON" in odd_failure["message"]


async def test_a_running_function_is_given_back_when_the_drain_is_over(queue):
    begun = anyio.Event()

    async def sleep(job):
        begun.set()
        await anyio.sleep(60)

    queue.set_handler("*", sleep)
    job = await queue.add("work")
    async with queue.run(drain_timeout=0.1):
        await begun.wait()
    await job.refresh()

    assert (job.state, job.attempts, job.stalls) == ("waiting", 0, 0)


async def test_one_shot_handlers_are_told_their_job(queue):
    code = "import json, os; print(json.dumps([os.environ['SANDQ_JOB_ID'], os.getpid()]))"
    queue.set_handler_file("*", [sys.executable, "-c", code], fresh=True)
    jobs = await queue.add_bulk([("work", n) for n in range(6)])
    async with queue.run(concurrency=3):
        values = [await job.finished(DEADLINE_S) for job in jobs]

    assert [job_id for job_id, _ in values] == [job.id for job in jobs]
    assert len({pid for _, pid in values}) == 6


async def test_claims_held_ahead_are_given_back_when_jobs_turn_slow(queue, flaky):
    queue.set_handler_file("*", flaky)
    quick = [("work", {"value": n}) for n in range(400)]
    slow = [("work", {"sleep_s": 1.5}) for _ in range(30)]
    await queue.add_bulk([*quick, *slow])

    async def two_at_work():
        counts = await queue.get_job_counts()
        return counts["completed"] == 400 and counts["active"] == 2

    async with queue.run(concurrency=2, drain_timeout=0):
        await until(two_at_work)
    waiting = await queue.get_jobs(["waiting"])

    assert len(waiting) == 30
    assert {(job.attempts, job.stalls) for job in waiting} == {(0, 0)}


async def test_delayed_jobs_start_when_they_are_due(queue, flaky):
    queue.set_handler_file("*", flaky)
    async with queue.run():
        await queue.add("warm-up")
        late = await queue.add("work", {"value": 1}, delay=0.5)
        later = await queue.add("work", {"value": 2}, delay=0.2)
        values = [await job.finished(DEADLINE_S) for job in (late, later)]
    for job in (late, later):
        await job.refresh()

    assert values == [1, 2]
    assert later.started_at < late.started_at
    assert round((late.started_at - late.created_at) * 1000) >= 500


async def test_a_run_without_a_handler_is_refused(queue):
    with pytest.raises(SupervisorError, match="no handler is set"):
        async with queue.run():
            pass


async def test_a_name_has_one_handler(queue, flaky):
    queue.set_handler("work", print)

    with pytest.raises(InvalidInput, match="has a handler already"):
        queue.set_handler_file("work", flaky)


@pytest.mark.parametrize(
    ("name", "mode", "words"),
    [
        ("missing.py", None, "does not exist"),
        ("plain", 0o644, "is not executable; run `chmod"),
        ("script.rb", 0o644, "needs 'ruby', which is not installed"),
    ],
)
async def test_a_handler_file_that_cannot_run_is_refused_at_once(
    queue, tmp_path, monkeypatch, name, mode, words
):
    monkeypatch.setenv("PATH", str(tmp_path))
    if mode is not None:
        (tmp_path / name).write_text("puts 1\n")
        (tmp_path / name).chmod(mode)

    with pytest.raises(HandlerInvalid, match=words):
        queue.set_handler_file("work", tmp_path / name)
