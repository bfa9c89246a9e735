"""The Python SDK for handlers, driven as the supervisor drives it: a real child, its pipes.

Of its subjects, errors, values, messages, cancelling, calls and channels have files of their own
beside this one, named test_sdk_python_….
"""

import json

import pytest

from tests.child.sdk_python import DEADLINE_S, ECHO, HELLO, children, job_line, message, run_python

sdk_child = pytest.fixture(children)

# --- the conversation -----------------------------------------------------------------------------


def test_the_hello_is_the_first_line_before_any_job(sdk_child):
    child = sdk_child(ECHO, hello=False)

    assert child.read() == HELLO


def test_an_answer_has_its_members_in_the_order_the_supervisor_looks_for(sdk_child):
    child = sdk_child(ECHO)

    child.send({"width": 64, "tags": ["a", "ä"]}, job_id="größe-1")

    assert (
        child.read()
        == (
            '{"sandq":1,"type":"result","id":"größe-1","status":"ok",'
            '"result":{"width":64,"tags":["a","ä"]}}\n'
        ).encode()
    )


def test_returning_nothing_is_the_result_null(sdk_child):
    child = sdk_child("from sandq.handler import serve\nserve(lambda job: None)")

    child.send()

    assert child.read() == b'{"sandq":1,"type":"result","id":"7","status":"ok","result":null}\n'


def test_a_job_knows_what_the_line_says(sdk_child):
    child = sdk_child("""
        from sandq.handler import serve
        serve(lambda job: [
            job.id, job.name, job.queue, job.data, job.opts, job.attempt, job.max_attempts,
            job.timestamp_ms, job.timeout_ms, job.heartbeat_ms, repr(job),
        ])
    """)

    answer = child.ask({"a": 1}, attempt=2, timeout_ms=30000, heartbeat_ms=500)

    assert answer["result"] == [
        "7", "resize", "images", {"a": 1}, {"attempts": 3}, 2, 3, 1700000000000, 30000, 500,
        "<Job '7' 'resize' of queue 'images', attempt 2 of 3>",
    ]  # fmt: skip


def test_a_line_without_the_protocol_member_is_a_job(sdk_child):
    child = sdk_child("""
        from sandq.handler import serve
        serve(lambda job: [job.name, job.data, job.opts, job.attempt, job.heartbeat_ms])
    """)

    child.write(b'{"id":"1","name":"greet","data":{"to":"you"}}\n')

    assert child.receive()["result"] == ["greet", {"to": "you"}, {}, 1, None]


def test_a_thousand_jobs_are_answered_in_order(sdk_child):
    child = sdk_child(ECHO)
    lines = b"".join(job_line(number, job_id=str(number)) for number in range(1000))

    out, _ = child.process.communicate(lines, DEADLINE_S)
    answers = [json.loads(line) for line in out.splitlines()]

    assert [(answer["id"], answer["result"]) for answer in answers] == [
        (str(number), number) for number in range(1000)
    ]
    assert child.process.returncode == 0


def test_unknown_messages_and_members_and_blank_lines_are_ignored(sdk_child):
    child = sdk_child(ECHO)

    child.write(
        b'{"sandq":1,"type":"applause","n":1}\n'
        b'{"sandq":1,"type":"x-mine","must":false}\n'
        b'{"sandq":1}\n\n \r\n'
    )

    assert child.ask("data", headers={"traceparent": "00"})["result"] == "data"


def test_a_line_may_end_in_crlf_and_the_last_one_in_nothing(sdk_child):
    child = sdk_child(ECHO)

    child.write(b'{"id":"1","data":1}\r\n{"id":"2","data":2}')
    lines, code = child.end()

    assert [json.loads(line)["result"] for line in lines] == [1, 2]
    assert code == 0


def test_the_end_of_input_ends_serve_and_the_program_goes_on(sdk_child):
    child = sdk_child("""
        from sandq.handler import serve
        serve(lambda job: None)
        print("after serve")
    """)

    assert child.end() == ([], 0)
    assert child.log() == "after serve\n"


def test_a_welcome_may_come_before_the_first_job_or_after_it(sdk_child):
    child = sdk_child(ECHO)
    limits = {"line": 1048576, "emitted": 1048576, "log_rows": 1900}
    welcome = message(type="welcome", version=1, limits=limits, calls=["add_job"])

    child.write(welcome + job_line(1) + welcome + job_line(2))

    assert [child.receive()["result"] for _ in range(2)] == [1, 2]


def test_a_ping_is_answered_before_the_first_job_and_between_jobs(sdk_child):
    child = sdk_child(ECHO)

    child.say(type="ping", n=1)
    assert child.read() == b'{"sandq":1,"type":"pong","n":1}\n'
    assert child.ask("data")["result"] == "data"
    child.say(type="ping", n=9007199254740991)
    assert child.receive() == {"sandq": 1, "type": "pong", "n": 9007199254740991}


@pytest.mark.parametrize("size", [1, 7, 4096, 100_000])
def test_lines_may_come_in_pieces_of_any_size(sdk_child, size):
    child = sdk_child(ECHO)
    sent = ["", "ä😀" * 20, "x" * 70_000, 5] if size > 100 else ["", "ä😀", 5]
    lines = b"".join([*map(job_line, sent), message(type="ping", n=3), b"\r\n", job_line("last")])

    answers = []
    for begin in range(0, len(lines), size):
        child.write(lines[begin : begin + size])
        while child.waiting():
            answers.append(child.receive())
    while len(answers) < len(sent) + 2:
        answers.append(child.receive())

    assert [answer.get("result", "pong") for answer in answers] == [*sent, "pong", "last"]


def test_bye_ends_it_with_its_input_still_open(sdk_child):
    child = sdk_child(ECHO)

    child.write(b'{"sandq":1,"type":"bye","reason":"shutdown"}\n')

    assert child.process.wait(DEADLINE_S) == 0
    assert child.read() == b""


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"hello\n", "standard input has a line that is no JSON object: b'hello'"),
        (b"[1]\n", "standard input has a line that is no JSON object: b'[1]'"),
        (b"\xff\xfe\n", "standard input has a line that is no JSON object: b'\\xff\\xfe'"),
        (b"{} {}\n", "standard input has a line that is no JSON object: b'{} {}'"),
        (
            b'{"sandq":1,"type":"teleport","must":true}\n',
            "sandq asks for 'teleport', which version 1 of the protocol does not have",
        ),
    ],
)
def test_what_must_be_understood_and_is_not_is_fatal(sdk_child, line, message):
    child = sdk_child(ECHO)

    child.write(line)

    assert child.receive() == {
        "sandq": 1,
        "type": "fatal",
        "error": {"type": "ProtocolError", "message": message},
    }
    assert child.process.wait(DEADLINE_S) == 1


def test_what_it_understands_it_may_be_told_with_must(sdk_child):
    child = sdk_child(ECHO)

    for kind in ("cancel", "reply", "welcome"):
        child.say(type=kind, id="6", must=True)

    assert child.ask("data")["result"] == "data"


def test_a_child_whose_supervisor_is_gone_ends_quietly(sdk_child):
    child = sdk_child(ECHO)

    child.hang_up()
    child.send("x" * 100_000)

    assert child.process.wait(DEADLINE_S) == 0
    assert child.log() == ""


# --- what people see ------------------------------------------------------------------------------


@pytest.mark.parametrize("sandq", [True, False], ids=["under sandq", "by hand"])
def test_what_user_code_prints_goes_to_the_log(sdk_child, sandq):
    child = sdk_child(
        """
        import os, subprocess, sys
        from sandq.handler import serve

        def talk(job):
            print("printed")
            os.write(1, b"written\\n")
            subprocess.run(["echo", "from a program"], check=True)
            sys.stdout.write("half a line")
            return "answer"

        serve(talk)
        """,
        sandq=sandq,
    )

    assert child.ask()["result"] == "answer"
    assert child.log() == "printed\nwritten\nfrom a program\n"
    assert child.end() == ([], 0)
    assert child.log().endswith("half a line")


def test_progress_and_log_come_before_the_answer_in_their_order(sdk_child):
    child = sdk_child("""
        from sandq.handler import serve

        def work(job):
            job.progress(0.5)
            job.log("halfway", step=3)
            job.log("odd", level="warning")
            job.progress({"done": ["ä", None]})

        serve(work)
    """)

    child.send()

    assert [child.read().decode() for _ in range(5)] == [
        '{"sandq":1,"type":"progress","id":"7","value":0.5}\n',
        '{"sandq":1,"type":"log","id":"7","level":"info","message":"halfway","fields":{"step":3}}\n',
        '{"sandq":1,"type":"log","id":"7","level":"warning","message":"odd","fields":{}}\n',
        '{"sandq":1,"type":"progress","id":"7","value":{"done":["ä",null]}}\n',
        '{"sandq":1,"type":"result","id":"7","status":"ok","result":null}\n',
    ]


# --- async ----------------------------------------------------------------------------------------


def test_async_functions_share_one_loop(sdk_child):
    child = sdk_child("""
        import asyncio
        from sandq.handler import serve

        loops = set()

        async def work(job):
            loops.add(asyncio.get_running_loop())
            await asyncio.sleep(0)
            if job.data == "fail":
                raise LookupError("as asked")
            if job.data == "cancel":
                asyncio.current_task().cancel()
                await asyncio.sleep(0)
            return [job.data, len(loops)]

        serve(work)
    """)

    assert child.ask("first")["result"] == ["first", 1]
    assert child.ask("fail")["error"]["message"] == "as asked"
    assert child.ask("cancel")["error"]["type"] == "CancelledError"
    assert child.ask("last")["result"] == ["last", 1]
    assert child.end() == ([], 0)
    assert child.log() == ""


# --- without a conversation -----------------------------------------------------------------------


def test_a_function_can_be_tested_without_serving():
    out = run_python("""
        from sandq.handler import Cancelled, Job
        job = Job({"id": "1", "data": {"width": 64}})
        job.progress(0.5)
        job.log("nobody listens")
        job.emit("chunk")
        job.heartbeat()
        print(job.id, job.data, job.attempt, job, job.cancelled, job.heartbeat_ms)
        job.cancel_reason = "timeout"
        try:
            job.check_cancelled()
        except Cancelled as error:
            print(job.cancelled, error)
    """)

    assert out == (
        "1 {'width': 64} 1 <Job '1' '' of queue '', attempt 1 of 1> False None\n"
        "True the job was told to end: timeout\n"
    )


def test_the_import_is_cheap():
    out = run_python("import sys, sandq.handler; print(*sys.modules)").split()

    assert "json" in out
    dear = {"asyncio", "traceback", "threading", "typing", "select", "dataclasses", "orjson"}
    assert not dear & set(out)
