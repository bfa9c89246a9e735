"""Calls of a job to sandq, through the Python SDK: from functions, async functions and threads."""

import json
import os

import pytest

from tests.child.sdk_python import ECHO, children, job_line, message, run_python

sdk_child = pytest.fixture(children)

#: A function that calls as its data says: {"verb": …, "args": {…}}.
CALLING = """
from sandq.handler import serve

def work(job):
    return job.call(job.data["verb"], **job.data["args"])

serve(work)
"""

ASYNC_CALLING = """
from sandq.handler import serve

async def work(job):
    return await job.acall(job.data["verb"], **job.data["args"])

serve(work)
"""

BOTH = pytest.mark.parametrize("source", [CALLING, ASYNC_CALLING], ids=["function", "async"])


def ask(child, verb, **args):
    """Lend a job that calls, and get the call."""
    return child.ask({"verb": verb, "args": args})


# --- the conversation -----------------------------------------------------------------------------


@BOTH
def test_a_call_is_a_message_and_the_value_of_its_reply_is_returned(sdk_child, source):
    child = sdk_child(source)

    child.send({"verb": "x-greet", "args": {"name": "ä", "self": 1, "verb": 2}})
    line = child.read()
    child.reply(json.loads(line), {"greeting": ["hello", None]})

    assert line.decode() == (
        '{"sandq":1,"type":"call","id":"7","re":1,"verb":"x-greet",'
        '"args":{"name":"ä","self":1,"verb":2}}\n'
    )
    assert child.receive()["result"] == {"greeting": ["hello", None]}


@BOTH
def test_calls_are_numbered(sdk_child, source):
    child = sdk_child(source)

    for number in range(1, 4):
        call = ask(child, "get_result", id="6")
        assert call["re"] == number
        child.reply(call, number)
        assert child.receive()["result"] == number


@BOTH
@pytest.mark.parametrize("value", [None, False, 0, "", [], {}, {"ok": False}])
def test_any_value_is_one(sdk_child, source, value):
    child = sdk_child(source)

    child.reply(ask(child, "v"), value)

    assert child.receive()["result"] == value


@BOTH
def test_a_long_reply_may_come_in_pieces(sdk_child, source):
    child = sdk_child(source)
    call = ask(child, "get_result", id="6")
    line = message(type="reply", id="7", re=call["re"], ok=True, value="ä" * 400_000)

    for begin in range(0, len(line), 60_001):
        child.write(line[begin : begin + 60_001])

    assert child.receive()["result"] == "ä" * 400_000


@BOTH
def test_other_lines_may_come_before_the_reply(sdk_child, source):
    child = sdk_child(source)
    call = ask(child, "v")

    child.reply({**call, "re": call["re"] + 1}, "not asked for")
    child.say(type="welcome", version=1)
    child.say(type="applause")
    child.say(type="ping", n=5)
    child.say(type="cancel", id="6", reason="timeout", grace_ms=1)
    child.send({"verb": "next", "args": {}}, job_id="8")
    child.reply(call, "asked for")

    assert child.receive()["result"] == "asked for"
    assert child.receive() == {"sandq": 1, "type": "pong", "n": 5}
    assert child.receive()["verb"] == "next"


@pytest.mark.parametrize(
    ("call", "sent", "reply", "value"),
    [
        ("job.update_data({'n': 2}), job.data",
         {"verb": "update_data", "args": {"data": {"n": 2}}}, None, [None, {"n": 2}]),
        ("job.add_job('mail')",
         {"verb": "add_job", "args": {"name": "mail", "data": None, "opts": {}}},
         {"id": "8"}, "8"),
        ("job.add_job('mail', [1], delay_ms=500, job_id='m1')",
         {"verb": "add_job",
          "args": {"name": "mail", "data": [1], "opts": {"delay_ms": 500, "job_id": "m1"}}},
         {"id": "m1"}, "m1"),
        ("job.get_result('6')", {"verb": "get_result", "args": {"id": "6"}},
         {"state": "completed", "value": {"state": 1}},
         {"state": "completed", "value": {"state": 1}}),
        ("job.extend_timeout(1.5), job.timeout_ms",
         {"verb": "extend_timeout", "args": {"ms": 1500}}, {"timeout_ms": 9000}, [None, 9000]),
        ("job.extend_timeout(60), job.timeout_ms",
         {"verb": "extend_timeout", "args": {"ms": 60000}}, {"timeout_ms": None}, [None, None]),
    ],
)  # fmt: skip
def test_the_verbs_have_methods(sdk_child, call, sent, reply, value):
    child = sdk_child(f"from sandq.handler import serve\nserve(lambda job: ({call}))")

    said = child.ask({"n": 1}, timeout_ms=1000)
    child.reply(said, reply)

    assert said == {"sandq": 1, "type": "call", "id": "7", "re": 1, **sent}
    assert child.receive()["result"] == value


# --- refused --------------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize(
    "kind", ["not_allowed", "unknown_verb", "bad_args", "busy", "failed"]
)  # fmt: skip
def test_a_refused_call_raises_with_its_code(sdk_child, source, kind):
    child = sdk_child(source)

    child.refuse(ask(child, "v"), f"sandq.{kind}", "the handler may not call 'v'")
    error = child.receive()["error"]

    assert (error["type"], error["code"]) == ("CallRefused", f"sandq.{kind}")
    assert error["message"] == "the handler may not call 'v'"


def test_a_refused_call_can_be_caught_and_the_next_one_made(sdk_child):
    child = sdk_child("""
        import pickle
        from sandq.handler import CallRefused, serve

        def work(job):
            job.data = "old"
            try:
                job.update_data("new")
            except CallRefused as error:
                # it survives the way out of a process pool
                error = pickle.loads(pickle.dumps(error))
                return [str(error), error.code, job.data, job.add_job("next")]

        serve(work)
    """)

    child.refuse(child.ask(), "sandq.failed", "update_data failed: full")
    child.reply(child.receive(), {"id": "8"})

    assert child.receive()["result"] == ["update_data failed: full", "sandq.failed", "old", "8"]


@BOTH
@pytest.mark.parametrize("args", ["b=float('nan')", "b='x' * 2**20", "b={1}", "b='\\ud800'"])
def test_args_that_cannot_be_sent_are_said_to_be_so(sdk_child, source, args):
    source = source.replace('**job.data["args"]', f'**(job.data["args"] or dict({args}))')
    child = sdk_child(source)

    child.send({"verb": "v", "args": {}})
    error = child.receive()["error"]
    call = ask(child, "v", b=1)
    child.reply(call, "done")

    assert error["type"] == "InvalidValue"
    assert error["message"].startswith("call is ")
    assert child.receive()["result"] == "done"


@BOTH
def test_the_end_of_input_ends_a_call(sdk_child, source):
    child = sdk_child(source)
    ask(child, "v")

    lines, code = child.end()
    error = json.loads(lines[0])["error"]

    assert (error["type"], error["code"]) == ("CallRefused", "sandq.failed")
    assert error["message"] == "v: the input has ended before a reply came"
    assert code == 0
    assert child.log() == ""


@BOTH
def test_a_reply_may_be_the_last_line_of_the_input(sdk_child, source):
    child = sdk_child(source)
    call = ask(child, "v")

    child.write(message(type="reply", id="7", re=call["re"], ok=True, value=5).rstrip())

    assert [json.loads(line)["result"] for line in child.end()[0]] == [5]


@BOTH
def test_no_call_is_made_when_nobody_can_reply(sdk_child, source):
    """A one-shot child reads one line and the end of its input."""
    child = sdk_child(source)
    child.write(job_line({"verb": "add_job", "args": {}}))

    lines, code = child.end()
    last = json.loads(lines[-1])

    # the end may come a moment after the line
    assert [json.loads(line)["type"] for line in lines] in (["result"], ["call", "result"])
    assert last["error"]["code"] == "sandq.failed"
    assert code == 0


def test_when_the_input_is_known_to_have_ended_nothing_is_sent(sdk_child):
    child = sdk_child("""
        from sandq.handler import serve

        def work(job):
            job.progress("at work")
            open(job.opts["gate"]).read()
            return job.add_job("next")

        serve(work)
    """)
    gate = child.file.with_name("gate")
    os.mkfifo(gate)
    child.ask(opts={"gate": str(gate)})
    child.process.stdin.close()
    gate.write_text("go on")

    assert child.receive()["error"]["message"] == (
        "add_job: nobody would reply: no job is at work, or the input ended"
    )


@BOTH
def test_by_hand_nobody_replies(sdk_child, source):
    child = sdk_child(source, sandq=False)

    assert ask(child, "v")["error"]["code"] == "sandq.failed"


def test_without_a_conversation_nobody_replies():
    out = run_python("""
        from sandq.handler import CallRefused, Job
        try:
            Job({"id": "1"}).add_job("next")
        except CallRefused as error:
            print(error.code, error)
    """)

    assert out == (
        "sandq.failed add_job: nobody would reply: no job is at work, or the input ended\n"
    )


# --- several at a time ----------------------------------------------------------------------------


def test_threads_take_turns(sdk_child):
    child = sdk_child("""
        from concurrent.futures import ThreadPoolExecutor
        from threading import Barrier
        from sandq.handler import serve

        def work(job):
            together = Barrier(8)

            def call(number):
                together.wait()
                return [job.call("double", n=number * 10 + turn) for turn in range(5)]

            with ThreadPoolExecutor(8) as pool:
                return list(pool.map(call, range(8)))

        serve(work)
    """)

    child.send()
    for _ in range(40):
        call = child.receive()
        assert not child.waiting(), "a second call before the reply to the first"
        child.reply(call, call["args"]["n"] * 2)

    assert child.receive()["result"] == [
        [2 * (number * 10 + turn) for turn in range(5)] for number in range(8)
    ]


def test_tasks_take_turns_and_the_loop_turns_meanwhile(sdk_child):
    child = sdk_child("""
        import asyncio
        from sandq.handler import serve

        async def work(job):
            calls = asyncio.gather(*(job.acall("double", n=n) for n in range(4)))
            ticks = 0
            while not calls.done():
                await asyncio.sleep(0)
                ticks += 1
                if ticks == 100:
                    job.progress("the loop turns")
            # the other form works there as well
            return [calls.result(), job.call("double", n=4)]

        serve(work)
    """)

    child.send()
    # nothing is answered before the loop is known to turn
    first, progress = sorted((child.receive() for _ in range(2)), key=lambda said: said["type"])
    assert progress["value"] == "the loop turns"
    child.reply(first, first["args"]["n"] * 2)
    for _ in range(4):
        call = child.receive()
        assert not child.waiting(), "a second call before the reply to the first"
        child.reply(call, call["args"]["n"] * 2)

    assert child.receive()["result"] == [[0, 2, 4, 6], 8]


def test_a_loop_of_the_functions_own_can_call_too(sdk_child):
    child = sdk_child("""
        import asyncio
        from sandq.handler import serve

        async def rest(job):
            return await job.acall("v")

        serve(lambda job: asyncio.run(rest(job)))
    """)

    for _ in range(2):
        child.reply(child.ask(), "done")
        assert child.receive()["result"] == "done"


def test_the_job_may_look_while_a_thread_calls(sdk_child):
    child = sdk_child("""
        from threading import Thread
        from sandq.handler import serve

        def work(job):
            replies = []
            thread = Thread(target=lambda: replies.append(job.call("v")))
            thread.start()
            while not job.cancelled:
                pass
            job.progress(job.cancel_reason)
            thread.join()
            return replies

        serve(work, cancellable=True)
    """)

    call = child.ask()
    child.cancel("timeout")
    assert child.receive()["value"] == "timeout"
    child.reply(call, "done")

    assert child.receive()["result"] == ["done"]


def test_a_cancel_is_heard_during_a_call_which_goes_on(sdk_child):
    child = sdk_child("""
        from sandq.handler import serve
        serve(lambda job: [job.call("v"), job.cancel_reason])
    """)
    call = child.ask()

    child.cancel("shutdown")
    child.reply(call, "done")

    assert child.receive()["result"] == ["done", "shutdown"]


def test_an_async_function_is_cancelled_during_a_call(sdk_child):
    child = sdk_child(ASYNC_CALLING)
    first = ask(child, "v")

    child.cancel()
    assert child.receive()["error"]["type"] == "Cancelled"
    # the reply comes late, or the next job without one
    child.reply(first, "late")
    second = ask(child, "v")
    child.cancel()
    assert child.receive()["error"]["type"] == "Cancelled"
    third = ask(child, "v")
    child.reply(second, "late")
    child.reply(third, "in time")

    assert child.receive()["result"] == "in time"
    assert child.end() == ([], 0)
    assert child.log() == ""


def test_a_thread_that_outlives_its_job_is_refused(sdk_child):
    child = sdk_child("""
        from threading import Event, Thread
        from sandq.handler import CallRefused, serve

        said = []
        done = Event()

        def call(job):
            for _ in range(2):  # once it waits for its reply, once its job has ended already
                try:
                    job.call("v")
                except CallRefused as error:
                    said.append(str(error))
            done.set()

        def work(job):
            if job.data == "leave a thread":
                Thread(target=call, args=[job]).start()
                open(job.opts["gate"]).read()
                return "left"
            done.wait()
            return [said, job.call("w")]

        serve(work)
    """)
    gate = child.file.with_name("gate")
    os.mkfifo(gate)

    assert child.ask("leave a thread", opts={"gate": str(gate)})["verb"] == "v"
    gate.write_text("go on")
    assert child.receive()["result"] == "left"
    call = child.ask()
    assert call["verb"] == "w"
    child.reply(call, "done")

    assert child.receive()["result"] == [
        [
            "v: the job has ended before a reply came",
            "v: nobody would reply: no job is at work, or the input ended",
        ],
        "done",
    ]
    assert child.end() == ([], 0)


def test_a_reply_that_nobody_waits_for_is_ignored(sdk_child):
    child = sdk_child(ECHO)

    child.say(type="reply", id="7", re=1, ok=True, value="early")

    assert child.ask("data")["result"] == "data"
