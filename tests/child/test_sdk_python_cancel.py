"""A job that is told to end, through the Python SDK: functions, async functions, threads."""

import json
import os

import pytest

from tests.child.sdk_python import ECHO, HELLO, HELLO_CANCELLABLE, children, job_line, message

sdk_child = pytest.fixture(children)

#: A function that looks until it is told to end.
LOOKING = """
from sandq.handler import serve

def work(job):
    if job.data != "wait":
        return job.cancelled
    job.progress("at work")
    while not job.cancelled:
        pass
    return [job.cancelled, job.cancel_reason, job.grace_ms]

serve(work, cancellable=True)
"""

#: An async function that waits until it is told to end.
WAITING = """
import asyncio
from sandq.handler import serve

async def work(job):
    if job.data != "wait":
        await asyncio.sleep(0)
        return job.cancelled
    job.progress("at work")
    await asyncio.Event().wait()

serve(work, cancellable=True)
"""


def started(child, data="wait", **members):
    """Lend a job that says when it is at work."""
    assert child.ask(data, **members)["value"] == "at work"


# --- functions ------------------------------------------------------------------------------------


@pytest.mark.parametrize("reason", ["timeout", "cancel", "shutdown"])
def test_a_function_that_looks_sees_that_it_is_to_end_and_why(sdk_child, reason):
    child = sdk_child(LOOKING)
    started(child)

    child.cancel(reason, grace_ms=4000)

    assert child.receive()["result"] == [True, reason, 4000]
    assert child.ask("next")["result"] is False


def test_check_cancelled_ends_the_job_with_an_error_of_its_own(sdk_child):
    child = sdk_child("""
        from sandq.handler import serve

        def work(job):
            job.check_cancelled()
            job.progress("at work")
            while True:
                try:
                    job.check_cancelled()
                except Exception:
                    job.log("swallowed")

        serve(work, cancellable=True)
    """)
    started(child)

    child.cancel("timeout")
    error = child.receive()["error"]

    assert (error["type"], error["message"]) == ("Cancelled", "the job was told to end: timeout")
    assert "in work\n    job.check_cancelled()\n" in error["stack"]


@pytest.mark.parametrize("source", [LOOKING, WAITING], ids=["function", "async"])
def test_a_cancel_that_comes_together_with_the_job_is_heard(sdk_child, source):
    child = sdk_child(source)

    child.write(job_line("wait") + message(type="cancel", id="7", reason="cancel", grace_ms=1))

    assert child.receive()["type"] == "progress"
    answer = child.receive()
    assert answer.get("result") == [True, "cancel", 1] or answer["error"]["type"] == "Cancelled"


def test_threads_of_the_function_see_it_too(sdk_child):
    child = sdk_child("""
        from concurrent.futures import ThreadPoolExecutor
        from threading import Barrier
        from sandq.handler import serve

        def work(job):
            together = Barrier(4, action=lambda: job.progress("at work"))

            def look():
                together.wait()
                while not job.cancelled:
                    pass
                return job.cancel_reason

            with ThreadPoolExecutor(4) as pool:
                seen = [pool.submit(look) for _ in range(4)]
                return [one.result() for one in seen]

        serve(work, cancellable=True)
    """)
    started(child)

    child.cancel("shutdown")

    assert child.receive()["result"] == ["shutdown"] * 4


def test_no_thread_is_started_for_it(sdk_child):
    child = sdk_child("""
        import os
        from sandq.handler import serve

        def work(job):
            job.progress("at work")
            while not job.cancelled:
                pass
            return len(os.listdir("/proc/self/task"))

        serve(work, cancellable=True)
    """)
    started(child)

    child.cancel()

    assert child.receive()["result"] == 1


def test_a_function_that_never_looks_is_not_disturbed(sdk_child):
    child = sdk_child("""
        from sandq.handler import serve

        def work(job):
            if job.data == "wait":
                job.progress("at work")
                open(job.opts["gate"]).read()
            return [job.id, job.attempt, job.cancelled]

        serve(work, cancellable=True)
    """)
    gate = child.file.with_name("gate")
    os.mkfifo(gate)
    started(child, opts={"gate": str(gate)})

    child.cancel("timeout")
    gate.write_text("go on")

    # it has asked at last, and the job of the same name that follows is another one
    assert child.receive()["result"] == ["7", 1, True]
    assert child.ask(attempt=2)["result"] == ["7", 2, False]


# --- async functions ------------------------------------------------------------------------------


def test_the_task_of_an_async_function_is_cancelled(sdk_child):
    child = sdk_child(WAITING)

    for reason in ("timeout", "cancel", "shutdown"):
        started(child)
        child.cancel(reason)
        error = child.receive()["error"]
        assert error["type"] == "Cancelled"
        assert error["message"] == f"the job was told to end: {reason}"
        assert "await asyncio.Event().wait()" in error["stack"]
        assert child.ask("next")["result"] is False
    assert child.end() == ([], 0)
    assert child.log() == ""


def test_an_async_function_may_clean_up_and_return(sdk_child):
    child = sdk_child("""
        import asyncio
        from sandq.handler import serve

        async def work(job):
            try:
                job.progress("at work")
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                for _ in range(5):
                    await asyncio.sleep(0)
                return [job.cancelled, job.cancel_reason, job.grace_ms]

        serve(work, cancellable=True)
    """)
    started(child)

    child.cancel("shutdown", grace_ms=800)

    assert child.receive()["result"] == [True, "shutdown", 800]


@pytest.mark.parametrize(
    "body",
    [
        # what it hears by itself ends it at its next await
        "while not job.cancelled: pass\n    await asyncio.Event().wait()",
        # a function that is not async may wait for a task in the end
        "await asyncio.to_thread(look, job)",
        # groups pass it on
        "async with asyncio.TaskGroup() as group: group.create_task(asyncio.Event().wait())",
        "async with asyncio.timeout(60): await asyncio.Event().wait()",
    ],
)
def test_it_is_heard_wherever_an_async_function_is(sdk_child, body):
    child = sdk_child(f"""
import asyncio
from sandq.handler import serve

def look(job):
    while True:
        job.check_cancelled()

async def work(job):
    job.progress("at work")
    {body}

serve(work, cancellable=True)
""")
    started(child)

    child.cancel()

    assert child.receive()["error"]["type"] == "Cancelled"


def test_a_cancel_heard_before_there_is_a_task_ends_it(sdk_child):
    child = sdk_child("""
        import asyncio
        from sandq.handler import serve

        async def rest():
            await asyncio.Event().wait()

        def work(job):
            job.progress("at work")
            while not job.cancelled:
                pass
            return rest()

        serve(work, cancellable=True)
    """)
    started(child)

    child.cancel()

    assert child.receive()["error"]["type"] == "Cancelled"
    assert child.end() == ([], 0)
    assert child.log() == ""


def test_the_end_of_input_does_not_make_an_async_function_spin(sdk_child):
    child = sdk_child("""
        import asyncio, time
        from sandq.handler import serve

        async def work(job):
            job.progress("at work")
            await asyncio.sleep(0)
            begin = time.process_time()
            await asyncio.sleep(0.3)
            return time.process_time() - begin

        serve(work, cancellable=True)
    """)
    started(child)

    lines, code = child.end()

    assert json.loads(lines[0])["result"] < 0.1
    assert code == 0


# --- what is not meant for it ---------------------------------------------------------------------


@pytest.mark.parametrize("source", [ECHO, LOOKING, WAITING], ids=["echo", "function", "async"])
def test_a_late_or_unknown_cancel_is_ignored(sdk_child, source):
    child = sdk_child(source)

    child.cancel(job_id="6")
    first = child.ask(False)
    child.cancel()
    child.cancel(job_id="8")

    assert first["result"] is child.ask(False)["result"] is False


@pytest.mark.parametrize("source", [LOOKING, WAITING], ids=["function", "async"])
def test_at_work_only_a_cancel_of_this_job_counts_and_only_the_first(sdk_child, source):
    child = sdk_child(source)
    started(child)

    child.write(
        b'{"sandq":1,"type":"cancel","id":"6","reason":"shutdown","grace_ms":1}\n'
        b'{"sandq":1,"type":"cancel"}\n'
        b'{"type":"cancel","id":"7","name":"a job that looks like one"}\n'
        b'{"sandq":1,"type":"cancel","id":"7","reason":"timeout","grace_ms":2}\n'
        b'{"sandq":1,"type":"cancel","id":"7","reason":"shutdown","grace_ms":3}\n'
    )
    answer = child.receive()

    if source is LOOKING:
        assert answer["result"] == [True, "timeout", 2]
    else:
        assert answer["error"]["message"] == "the job was told to end: timeout"
    # the line without "sandq" was a job of its own
    assert child.receive() == {
        "sandq": 1, "type": "result", "id": "7", "status": "ok", "result": False,
    }  # fmt: skip


@pytest.mark.parametrize("source", [LOOKING, WAITING], ids=["function", "async"])
def test_jobs_that_come_while_one_looks_wait_in_their_order(sdk_child, source):
    child = sdk_child(source)
    lines = b"".join(job_line(0, job_id=str(number)) for number in range(500))

    child.write(lines + message(type="ping", n=1) + job_line(0, job_id="last"))
    answers = [child.receive() for _ in range(502)]

    assert [answer.get("id", "pong") for answer in answers] == [
        *map(str, range(500)), "pong", "last",
    ]  # fmt: skip
    assert not any(answer.get("result") for answer in answers)
    assert child.end() == ([], 0)


def test_what_is_broken_or_must_be_understood_waits_for_the_answer(sdk_child):
    child = sdk_child(LOOKING)
    started(child)

    child.write(b'{"sandq":1,"type":"teleport","must":true}\n')
    child.cancel()

    assert child.receive()["result"] == [True, "cancel", 4000]
    assert child.receive()["type"] == "fatal"
    assert child.process.wait(20) == 1


@pytest.mark.parametrize("source", [LOOKING, WAITING], ids=["function", "async"])
def test_by_hand_nobody_cancels(sdk_child, source):
    child = sdk_child(source, sandq=False)

    child.write(job_line(0) + message(type="cancel", id="7", reason="cancel") + job_line(1))

    assert [child.receive()["result"] for _ in range(2)] == [False, False]


def test_a_copy_of_the_process_hears_nothing(sdk_child):
    child = sdk_child("""
        import os
        from sandq.handler import CallRefused, serve

        def work(job):
            if job.data != "fork":
                return job.data
            job.progress("at work")
            if os.fork() == 0:
                open(job.opts["gate"]).read()
                try:
                    job.call("get_result", id="6")
                except CallRefused as error:
                    job.log(error)
                os._exit(job.cancelled)
            status = os.wait()[1]
            while not job.cancelled:
                pass
            return [status, job.cancel_reason]

        serve(work, cancellable=True)
    """)
    gate = child.file.with_name("gate")
    os.mkfifo(gate)
    started(child, "fork", opts={"gate": str(gate)})

    child.cancel()
    child.send("next")
    gate.write_text("go on")

    assert "nobody would reply" in child.receive()["message"]
    assert child.receive()["result"] == [0, "cancel"]
    assert child.receive()["result"] == "next"


@pytest.mark.parametrize(
    ("source", "cancellable"),
    [
        ("serve(lambda job: 1)", False),
        ("serve(lambda job: 1, cancellable=True)", True),
        ("async def work(job): return 1\nserve(work)", True),
        ("async def work(job): return 1\nserve(work, cancellable=False)", False),
        ("class Work:\n    async def __call__(self, job): return 1\nserve(Work())", True),
        ("class Work:\n    async def do(self, job): return 1\nserve(Work().do)", True),
        ("class Work:\n    def __call__(self, job): return 1\nserve(Work())", False),
        ("async def work(n, j): return n\nimport functools\nserve(functools.partial(work, 1))", 1),
        ("serve(dict.copy)", False),
    ],
)  # fmt: skip
def test_who_can_be_asked_to_end_says_so(sdk_child, source, cancellable):
    child = sdk_child(f"from sandq.handler import serve\n{source}", hello=False)

    assert child.read() == (HELLO_CANCELLABLE if cancellable else HELLO)


def test_who_looks_though_nobody_would_tell_it_is_told_what_to_do(sdk_child):
    child = sdk_child("from sandq.handler import serve\nserve(lambda job: job.cancelled)")
    answer = child.ask()

    assert answer["error"]["type"] == "RuntimeError"
    assert "cancellable=True" in answer["error"]["message"]
