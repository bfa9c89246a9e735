"""The Python SDK for handlers, driven as the supervisor drives it: a real child, its pipes."""

import json
import os
import select
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

ROOT = Path(__file__).parents[2]
DEADLINE_S = 20.0

HELLO = b'{"sandq":1,"type":"hello","version":1,"sdk":"python","caps":["progress","log"]}\n'

ECHO = """
from sandq.handler import serve
serve(lambda job: job.data)
"""


class Child:
    """A handler at the other end of two pipes; every read has a deadline."""

    def __init__(self, folder, source, *, sandq=True, **env):
        program = folder / "program.py"
        program.write_text(textwrap.dedent(source))
        self._log = folder / "stderr"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, program],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                bufsize=0,
                env={
                    "PATH": os.environ["PATH"],
                    "PYTHONPATH": str(ROOT),
                    **({"SANDQ_PROTOCOL": "1"} if sandq else {}),
                    **env,
                },
            )
        self._rest = b""

    def write(self, text):
        self.process.stdin.write(text)

    def send(self, data=None, job_id="7", **members):
        """Write one job line, as the supervisor does."""
        self.write(job_line(data, job_id, **members))

    def read(self):
        """One line, as bytes; b"" at the end of the stream."""
        deadline = time.monotonic() + DEADLINE_S
        while b"\n" not in self._rest:
            ready, _, _ = select.select(
                [self.process.stdout], [], [], max(0, deadline - time.monotonic())
            )
            assert ready, f"no line from the child; its log: {self.log()}"
            chunk = self.process.stdout.read(65536)
            if not chunk:
                break
            self._rest += chunk

        line, newline, self._rest = self._rest.partition(b"\n")
        return line + newline

    def receive(self):
        """One message; the parser is the supervisor's, which is stricter than Python's own."""
        return orjson.loads(self.read())

    def ask(self, data=None, **members):
        self.send(data, **members)
        return self.receive()

    def end(self):
        """Close its input; what it still writes, and its exit code."""
        self.process.stdin.close()
        rest = []
        while line := self.read():
            rest.append(line)

        return rest, self.process.wait(DEADLINE_S)

    def log(self):
        return self._log.read_text("utf-8", "replace")

    def close(self):
        self.process.kill()
        self.process.wait(DEADLINE_S)
        self.process.stdin.close()
        self.process.stdout.close()


def job_line(data=None, job_id="7", **members):
    job = {
        "sandq": 1, "type": "job", "id": job_id, "name": "resize", "queue": "images", "data": data,
        "opts": {"attempts": 3}, "timestamp": 1700000000000, "delay": 0, "priority": 0,
        "attempt": 1, "max_attempts": 3, "stalls": 0, "timeout_ms": None, **members,
    }  # fmt: skip
    return orjson.dumps(job) + b"\n"


@pytest.fixture
def start(tmp_path):
    children = []

    def start(source, *, hello=True, **options):
        folder = tmp_path / str(len(children))
        folder.mkdir()
        children.append(child := Child(folder, source, **options))
        if hello:
            assert child.read() == HELLO, child.log()
        return child

    yield start
    for child in children:
        child.close()


@pytest.fixture(scope="module")
def echo(tmp_path_factory):
    """One child for the many examples of a property."""
    child = Child(tmp_path_factory.mktemp("echo"), ECHO)
    assert child.read() == HELLO
    yield child
    child.close()


# --- the conversation ---------------------------------------------------------------------------


def test_the_hello_is_the_first_line_before_any_job(start):
    child = start(ECHO, hello=False)

    assert child.read() == HELLO


def test_an_answer_has_its_members_in_the_order_the_supervisor_looks_for(start):
    child = start(ECHO)

    child.send({"width": 64, "tags": ["a", "ä"]}, job_id="größe-1")

    assert (
        child.read()
        == (
            '{"sandq":1,"type":"result","id":"größe-1","status":"ok",'
            '"result":{"width":64,"tags":["a","ä"]}}\n'
        ).encode()
    )


def test_returning_nothing_is_the_result_null(start):
    child = start("from sandq.handler import serve\nserve(lambda job: None)")

    child.send()

    assert child.read() == b'{"sandq":1,"type":"result","id":"7","status":"ok","result":null}\n'


def test_a_job_knows_what_the_line_says(start):
    child = start("""
        from sandq.handler import serve
        serve(lambda job: [
            job.id, job.name, job.queue, job.data, job.opts, job.attempt, job.max_attempts,
            job.timestamp_ms, job.timeout_ms, repr(job),
        ])
    """)

    answer = child.ask({"a": 1}, attempt=2, timeout_ms=30000)

    assert answer["result"] == [
        "7", "resize", "images", {"a": 1}, {"attempts": 3}, 2, 3, 1700000000000, 30000,
        "<Job '7' 'resize' of queue 'images', attempt 2 of 3>",
    ]  # fmt: skip


def test_a_line_without_the_protocol_member_is_a_job(start):
    child = start("""
        from sandq.handler import serve
        serve(lambda job: [job.name, job.data, job.opts, job.attempt, job.timeout_ms])
    """)

    child.write(b'{"id":"1","name":"greet","data":{"to":"you"}}\n')

    assert child.receive()["result"] == ["greet", {"to": "you"}, {}, 1, None]


def test_a_thousand_jobs_are_answered_in_order(start):
    child = start(ECHO)
    lines = b"".join(job_line(number, job_id=str(number)) for number in range(1000))

    out, _ = child.process.communicate(lines, DEADLINE_S)
    answers = [json.loads(line) for line in out.splitlines()]

    assert [(answer["id"], answer["result"]) for answer in answers] == [
        (str(number), number) for number in range(1000)
    ]
    assert child.process.returncode == 0


def test_unknown_messages_and_members_and_blank_lines_are_ignored(start):
    child = start(ECHO)

    child.write(
        b'{"sandq":1,"type":"welcome","version":1,"caps":[]}\n'
        b'{"sandq":1,"type":"ping","n":1}\n'
        b'{"sandq":1,"type":"cancel","id":"6","reason":"timeout"}\n'
        b'{"sandq":1}\n\n \r\n'
    )

    assert child.ask("data", headers={"traceparent": "00"})["result"] == "data"


def test_a_line_may_end_in_crlf_and_the_last_one_in_nothing(start):
    child = start(ECHO)

    child.write(b'{"id":"1","data":1}\r\n{"id":"2","data":2}')
    lines, code = child.end()

    assert [json.loads(line)["result"] for line in lines] == [1, 2]
    assert code == 0


def test_the_end_of_input_ends_serve_and_the_program_goes_on(start):
    child = start("""
        from sandq.handler import serve
        serve(lambda job: None)
        print("after serve")
    """)

    assert child.end() == ([], 0)
    assert child.log() == "after serve\n"


def test_bye_ends_it_with_its_input_still_open(start):
    child = start(ECHO)

    child.write(b'{"sandq":1,"type":"bye","reason":"shutdown"}\n')

    assert child.process.wait(DEADLINE_S) == 0
    assert child.read() == b""


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"hello\n", "standard input has a line that is no JSON object: b'hello\\n'"),
        (b"[1]\n", "standard input has a line that is no JSON object: b'[1]\\n'"),
        (b"\xff\xfe\n", "standard input has a line that is no JSON object: b'\\xff\\xfe\\n'"),
        (
            b'{"sandq":1,"type":"teleport","must":true}\n',
            "sandq asks for 'teleport', which version 1 of the protocol does not have",
        ),
    ],
)
def test_what_must_be_understood_and_is_not_is_fatal(start, line, message):
    child = start(ECHO)

    child.write(line)

    assert child.receive() == {
        "sandq": 1,
        "type": "fatal",
        "error": {"type": "ProtocolError", "message": message},
    }
    assert child.process.wait(DEADLINE_S) == 1


def test_a_child_whose_supervisor_is_gone_ends_quietly(start):
    child = start(ECHO)

    child.process.stdout.close()
    child.send("x" * 100_000)

    assert child.process.wait(DEADLINE_S) == 0
    assert child.log() == ""


# --- the two streams belong to the conversation -------------------------------------------------


@pytest.mark.parametrize("sandq", [True, False], ids=["under sandq", "by hand"])
def test_what_user_code_prints_goes_to_the_log(start, sandq):
    child = start(
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


def test_under_sandq_the_streams_are_safe_from_the_import_on(start):
    child = start("""
        from sandq.handler import serve
        print("while starting")
        serve(lambda job: None)
    """)

    assert child.ask()["result"] is None
    assert child.log() == "while starting\n"


def test_user_code_and_its_programs_find_an_empty_input(start):
    child = start("""
        import subprocess, sys
        from sandq.handler import serve

        def greedy(job):
            return [
                job.data,
                sys.stdin.read(),
                subprocess.run(["cat"], capture_output=True, text=True, check=True).stdout,
            ]

        serve(greedy)
    """)

    child.write(job_line(1) + job_line(2))

    assert child.receive()["result"] == [1, "", ""]
    assert child.receive()["result"] == [2, "", ""]


def test_programs_of_user_code_inherit_nothing_of_the_conversation(start):
    child = start("""
        import os, subprocess, sys
        from sandq.handler import serve

        PROGRAM = "import os, sandq.handler; print(*sorted(os.listdir('/proc/self/fd')))"

        def run(job):
            command = [sys.executable, "-c", PROGRAM]
            return subprocess.check_output(command, close_fds=False, text=True)

        serve(run)
    """)

    # 3 is the descriptor that listing the folder takes. That there is any output at all shows
    # that the program, although it imports the SDK, does not take itself for a handler.
    assert child.ask()["result"] == "0 1 2 3\n"


# --- errors -------------------------------------------------------------------------------------


def test_an_exception_is_an_error_answer_and_the_next_job_is_served(start):
    child = start("""
        from sandq.handler import serve

        def fail(job):
            raise KeyError(job.data)

        serve(fail)
    """)

    child.send("cat.jpg")
    line = child.read()
    error = json.loads(line)["error"]

    assert line.startswith(
        b'{"sandq":1,"type":"result","id":"7","status":"error","error":{"type":"KeyError",'
        b'"message":"\'cat.jpg\'","stack":"Traceback (most recent call last):\\n'
    )
    assert list(error) == ["type", "message", "stack"]
    assert "in fail\n    raise KeyError(job.data)" in error["stack"]
    assert "handler.py" not in error["stack"]
    assert child.ask("dog.jpg")["error"]["message"] == "'dog.jpg'"


def test_unrecoverable_says_that_no_retry_helps(start):
    child = start("""
        from sandq.handler import Unrecoverable, serve

        def fail(job):
            raise Unrecoverable("no such account")

        serve(fail)
    """)

    error = child.ask()["error"]

    assert (error["type"], error["message"]) == ("Unrecoverable", "no such account")
    assert error["retryable"] is False


def test_retry_later_says_when(start):
    child = start("""
        from sandq.handler import RetryLater, serve

        def fail(job):
            raise RetryLater(job.data, "the service asks for patience")

        serve(fail)
    """)

    error = child.ask(1.5)["error"]

    assert (error["type"], error["message"]) == ("RetryLater", "the service asks for patience")
    assert error["retry_after_ms"] == 1500
    assert "retryable" not in error
    assert child.ask(0)["error"]["retry_after_ms"] == 0
    assert child.ask(-1)["error"]["message"] == ("delay_s is a number of seconds from 0 up, not -1")


@pytest.mark.parametrize(
    ("attributes", "passed"),
    [
        ({"code": "E_QUOTA", "data": {"left": 0}}, {"code": "E_QUOTA", "data": {"left": 0}}),
        ({"code": 404, "retryable": True}, {"code": 404, "retryable": True}),
        ({"retryable": False, "retry_after_ms": 20}, {"retryable": False, "retry_after_ms": 20}),
        ({"code": [1], "retryable": 1, "retry_after_ms": "soon"}, {}),
        ({"code": True, "retry_after_ms": 1.5}, {}),
        ({"data": False}, {"data": False}),
        ({"data": "x" * 2_000_000, "retryable": False}, {"retryable": False}),
        ({"code": "c" * 2_000_000, "retry_after_ms": 20}, {"retry_after_ms": 20}),
    ],
)
def test_attributes_of_an_exception_are_passed_when_they_can_be(start, attributes, passed):
    child = start(f"""
        from sandq.handler import serve

        def fail(job):
            error = RuntimeError("m")
            error.__dict__.update({attributes!r})
            raise error

        serve(fail)
    """)

    error = child.ask()["error"]

    assert error.pop("stack").endswith("RuntimeError: m\n")
    assert error == {"type": "RuntimeError", "message": "m", **passed}


@pytest.mark.parametrize(
    ("error", "message"),
    [
        ("AssertionError()", "AssertionError"),
        ("OSError(2, 'gone', 'caf\\udce9.jpg')", "[Errno 2] gone: 'caf\\udce9.jpg'"),
        ("ValueError('a\\0b \\U0001f600')", "a\0b \U0001f600"),
        ("ValueError('\\ud800')", "\\ud800"),
        ("type('Mute', (Exception,), {'__str__': None})()", "a Mute whose str() fails"),
        ("type('Odd', (Exception,), {'code': property(lambda self: 1 / 0)})('m')", "m"),
        ("type('Odd', (Exception,), {'data': {1, 2}})('m')", "m"),
        ("BaseException('m')", "m"),
        ("ExceptionGroup('m', [ValueError(1)])", "m (1 sub-exception)"),
    ],
)  # fmt: skip
def test_any_exception_arrives_as_text_the_supervisor_can_read(start, error, message):
    child = start(f"""
        from sandq.handler import serve

        def fail(job):
            raise {error}

        serve(fail)
    """)

    answer = child.ask()

    assert answer["error"]["message"] == message
    assert answer["error"]["stack"].startswith(("Traceback", "  + Exception Group Traceback"))


@pytest.mark.parametrize("source", ["raise ValueError('é\\0' * 9_000_000)", "fail(job)"])
def test_message_and_stack_are_cut_to_what_one_can_read(start, source):
    child = start(f"""
        from sandq.handler import serve

        def fail(job):
            {source}

        serve(fail)
    """)

    error = child.ask()["error"]

    assert len(error["message"]) <= 16 * 1024
    assert len(error["stack"]) <= 16 * 1024


def test_the_stack_keeps_its_end(start):
    child = start("""
        from sandq.handler import serve

        def first_call(job):
            def descend(n):
                if n == 0:
                    raise ValueError("at the bottom")
                (descend if n % 2 else lambda n: descend(n))(n - 1)

            descend(400)

        serve(first_call)
    """)

    stack = child.ask()["error"]["stack"]

    assert stack.endswith("ValueError: at the bottom\n")
    assert "first_call" not in stack


@pytest.mark.parametrize(
    ("statement", "code"), [("sys.exit(3)", 3), ("raise KeyboardInterrupt", -2)]
)
def test_leaving_the_process_is_a_crash_not_an_answer(start, statement, code):
    child = start(f"""
        import sys
        from sandq.handler import serve

        def leave(job):
            {statement}

        serve(leave)
    """)

    child.send()

    assert child.read() == b""
    assert child.process.wait(DEADLINE_S) == code


# --- values -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [
        "{1, 2}",
        "b'bytes'",
        "float('nan')",
        "[float('-inf')]",
        "{(1, 2): 3}",
        "circular",
        "deep",
        "10 ** 5000",
        "'\\ud800'",
        "{'\\udfff': 1}",
        "object()",
        "hostile",
    ],
)
def test_a_value_that_is_not_json_is_an_error_that_says_so(start, value):
    child = start(f"""
        from sandq.handler import serve

        circular = []
        circular.append(circular)
        deep = []
        for _ in range(100_000):
            deep = [deep]

        class Hostile(dict):
            def items(self):
                raise BufferError("never")

        hostile = Hostile(a=1)

        serve(lambda job: job.data or {value})
    """)

    error = child.ask()["error"]

    assert error["type"] == "InvalidValue"
    assert error["message"].startswith("result is not JSON: ")
    assert child.ask("next")["result"] == "next"


def test_a_result_longer_than_a_line_may_be_is_an_error_with_its_size(start):
    child = start(
        "from sandq.handler import serve\nserve(lambda job: 'x' * job.data)",
        SANDQ_MAX_LINE="4096",
    )
    envelope = len('{"sandq":1,"type":"result","id":"7","status":"ok","result":""}')

    child.send(4096 - envelope)
    assert len(child.read()) == len("\n") + 4096

    error = child.ask(4097 - envelope)["error"]
    assert error["type"] == "InvalidValue"
    assert error["message"] == (
        "result is 4097 bytes as a line, more than the 4096 allowed: "
        "keep it in a file or a database, send where it is"
    )


def test_the_limit_is_one_mebibyte_unless_told(start):
    child = start("from sandq.handler import serve\nserve(lambda job: 'x' * job.data)")

    assert len(child.ask(1024 * 1024 - 100)["result"]) == 1024 * 1024 - 100
    assert "more than the 1048576 allowed" in child.ask(1024 * 1024)["error"]["message"]


def test_an_error_fits_into_the_shortest_line_there_is(start):
    child = start(
        """
        from sandq.handler import serve

        def fail(job):
            raise ValueError("\\0" * 10_000)

        serve(fail)
        """,
        SANDQ_MAX_LINE="1024",
    )

    child.send()

    assert len(child.read()) <= 1024 + len("\n")


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(value=values)
@settings(deadline=None)
def test_every_json_value_comes_back_as_it_was(echo, value):
    assert echo.ask(value)["result"] == value


@pytest.mark.parametrize(
    "text", ["", "\0", "\x7f\x80", "a\nb\r\nc", "\u2028\u2029\x85", "😀", "\ufeffBOM", "'\"\\/"]
)
def test_difficult_texts_come_back_on_one_line(echo, text):
    assert echo.ask({text: text})["result"] == {text: text}


# --- progress and log ---------------------------------------------------------------------------


def test_progress_and_log_come_before_the_answer_in_their_order(start):
    child = start("""
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


def test_progress_that_is_not_json_is_the_error_of_who_sent_it(start):
    child = start("""
        from sandq.handler import InvalidValue, serve

        def work(job):
            try:
                job.progress({1})
            except InvalidValue as error:
                assert isinstance(error, ValueError)
                job.log(error)
            job.progress(float("nan"))

        serve(work)
    """)

    assert child.ask()["message"].startswith("progress is not JSON: ")
    error = child.receive()["error"]
    assert error["message"].startswith("progress is not JSON: ")
    assert 'job.progress(float("nan"))' in error["stack"]


@pytest.mark.parametrize(
    ("call", "message", "fields"),
    [
        ("job.log(42)", "42", {}),
        ("job.log('m', at={1})", "m", {"text": "{'at': {1}}"}),
        ("job.log('m', share=float('nan'))", "m", {"text": "{'share': nan}"}),
        ("job.log('m', message='\\udcff')", "m", {"text": "{'message': '\\udcff'}"}),
        ("job.log('\\udcff')", "\\udcff", {}),
        ("job.log('x' * 3_000_000)", "x" * 16384, {}),
        ("job.log('m', x='x' * 3_000_000)", "m", {"text": ("{'x': '" + "x" * 16384)[:16384]}),
    ],
)  # fmt: skip
def test_a_log_row_never_fails_a_job(start, call, message, fields):
    child = start(f"from sandq.handler import serve\nserve(lambda job: {call})")

    row = child.ask()

    assert (row["message"], row["fields"]) == (message, fields)
    assert child.receive()["status"] == "ok"


@pytest.mark.parametrize(("size", "rows"), [(30_000, 20), (1, 2_000)])
def test_threads_do_not_mix_or_lose_their_lines(start, size, rows):
    child = start(f"""
        from threading import Thread
        from sandq.handler import serve

        def work(job):
            threads = [
                Thread(target=lambda n=n: [job.progress(str(n) * {size}) for _ in range({rows})])
                for n in range(4)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

        serve(work)
    """)

    child.send()
    seen = [child.receive()["value"] for _ in range(4 * rows)]

    assert sorted(seen) == sorted(str(n) * size for n in range(4) for _ in range(rows))
    assert child.receive()["status"] == "ok"


def test_a_signal_handler_that_sends_does_not_cut_the_line_being_sent(start):
    child = start("""
        import signal
        from sandq.handler import serve

        def work(job):
            signal.signal(signal.SIGUSR1, lambda *_: job.log("interrupted"))
            job.progress("x" * 500_000)

        serve(work)
    """)

    child.send()
    # The line has begun to arrive and is longer than the pipe: the child is inside the write.
    begun, _, _ = select.select([child.process.stdout], [], [], DEADLINE_S)
    child.process.send_signal(signal.SIGUSR1)

    assert begun
    assert [child.receive()["type"] for _ in range(3)] == ["progress", "log", "result"]


# --- async --------------------------------------------------------------------------------------


def test_async_functions_share_one_loop(start):
    child = start("""
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


# --- without a conversation ---------------------------------------------------------------------


def run_python(source):
    return subprocess.run(
        [sys.executable, "-S", "-c", source],
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=True,
    ).stdout


def test_a_function_can_be_tested_without_serving():
    out = run_python("""
from sandq.handler import Job
job = Job({"id": "1", "data": {"width": 64}})
job.progress(0.5)
job.log("nobody listens")
print(job.id, job.data, job.attempt, job)
""")

    assert out == "1 {'width': 64} 1 <Job '1' '' of queue '', attempt 1 of 1>\n"


def test_the_import_is_cheap():
    out = run_python("import sys, sandq.handler; print(*sys.modules)").split()

    assert "json" in out
    assert not {"asyncio", "traceback", "threading", "dataclasses", "orjson", "redis"} & set(out)
