"""What the Python SDK tells of an exception: all there is, as text that can be read and stored."""

import json

import pytest

from tests.child.sdk_python import DEADLINE_S, children

sdk_child = pytest.fixture(children)


def test_an_exception_is_an_error_answer_and_the_next_job_is_served(sdk_child):
    child = sdk_child("""
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


def test_unrecoverable_says_that_no_retry_helps(sdk_child):
    child = sdk_child("""
        from sandq.handler import Unrecoverable, serve

        def fail(job):
            raise Unrecoverable("no such account")

        serve(fail)
    """)

    error = child.ask()["error"]

    assert (error["type"], error["message"]) == ("Unrecoverable", "no such account")
    assert error["retryable"] is False


def test_retry_later_says_when(sdk_child):
    child = sdk_child("""
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
def test_attributes_of_an_exception_are_passed_when_they_can_be(sdk_child, attributes, passed):
    child = sdk_child(f"""
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
def test_any_exception_arrives_as_text_the_supervisor_can_read(sdk_child, error, message):
    child = sdk_child(f"""
        from sandq.handler import serve

        def fail(job):
            raise {error}

        serve(fail)
    """)

    answer = child.ask()

    assert answer["error"]["message"] == message
    assert answer["error"]["stack"].startswith(("Traceback", "  + Exception Group Traceback"))


@pytest.mark.parametrize("source", ["raise ValueError('é\\0' * 9_000_000)", "fail(job)"])
def test_message_and_stack_are_cut_to_what_one_can_read(sdk_child, source):
    child = sdk_child(f"""
        from sandq.handler import serve

        def fail(job):
            {source}

        serve(fail)
    """)

    error = child.ask()["error"]

    assert len(error["message"]) <= 16 * 1024
    assert len(error["stack"]) <= 16 * 1024


def test_the_stack_keeps_its_end(sdk_child):
    child = sdk_child("""
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
def test_leaving_the_process_is_a_crash_not_an_answer(sdk_child, statement, code):
    child = sdk_child(f"""
        import sys
        from sandq.handler import serve

        def leave(job):
            {statement}

        serve(leave)
    """)

    child.send()

    assert child.read() == b""
    assert child.process.wait(DEADLINE_S) == code


def test_an_error_fits_into_the_shortest_line_there_is(sdk_child):
    child = sdk_child(
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


# --- the errors behind an error -------------------------------------------------------------------


FAILING = """
from sandq.handler import serve

class Coded(Exception):
    code = "E1"

class Mute(Exception):
    __str__ = None

class Odd(Exception):
    code = property(lambda self: 1 / 0)

def work(job):
{body}

serve(work)
"""


def cause(sdk_child, body, **env):
    """What is told behind the error that a function raises."""
    source = FAILING.format(body="\n".join(f"    {line}" for line in body.splitlines()))
    return sdk_child(source, **env).ask()["error"].get("cause")


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("raise ValueError(1)", None),
        ("raise ValueError(1) from OSError(2, 'gone')",
         {"type": "FileNotFoundError", "message": "[Errno 2] gone"}),
        ("raise ValueError(1) from Coded()", {"type": "Coded", "message": "Coded", "code": "E1"}),
        ("try:\n    {}['x']\nexcept KeyError:\n    raise ValueError(1)",
         {"type": "KeyError", "message": "'x'"}),
        ("try:\n    {}['x']\nexcept KeyError:\n    raise ValueError(1) from None", None),
        ("try:\n    {}['x']\nexcept KeyError:\n    raise ValueError(1) from TypeError(2)",
         {"type": "TypeError", "message": "2"}),
        ("raise ValueError(1) from Mute()",
         {"type": "Mute", "message": "a Mute whose str() fails"}),
        ("raise ValueError(1) from Odd('m')", {"type": "Odd", "message": "m"}),
        ("raise ValueError(1) from OSError('\\udcff')",
         {"type": "OSError", "message": "\\udcff"}),
        ("raise ValueError(1) from OSError('x' * 5000)",
         {"type": "OSError", "message": "x" * 2048}),
        ("error = ValueError(1)\nerror.__cause__ = error\nraise error", None),
        ("a, b = ValueError('a'), ValueError('b')\na.__cause__, b.__cause__ = b, a\nraise a",
         {"type": "ValueError", "message": "b"}),
        ("a, b, c = map(OSError, 'abc')\na.__cause__ = c.__cause__ = b\nb.__cause__ = c\nraise a",
         {"type": "OSError", "message": "b", "cause": {"type": "OSError", "message": "c"}}),
    ],
)  # fmt: skip
def test_the_error_behind_an_error_is_told(sdk_child, body, told):
    assert cause(sdk_child, body) == told


def test_four_errors_behind_the_first_are_told(sdk_child):
    body = """
error = None
for number in range(9):
    error, behind = ValueError(f"number {number}"), error
    error.__cause__ = behind
raise error
"""

    told, seen = cause(sdk_child, body), []
    while told is not None:
        assert told["type"] == "ValueError"
        seen.append(told["message"])
        told = told.get("cause")

    assert seen == ["number 7", "number 6", "number 5", "number 4"]


def test_what_does_not_fit_goes_before_the_error_itself(sdk_child):
    body = """
error = ValueError("the error itself")
for name in ("one", "two", "three"):
    last = error if name == "one" else last.__cause__
    last.__cause__ = ValueError(name)
    last.__cause__.code = "c" * 3000
raise error
"""
    child = sdk_child(
        FAILING.format(body="\n".join(f"    {line}" for line in body.splitlines())),
        SANDQ_MAX_LINE="4096",
    )

    error = child.ask()["error"]

    assert error["message"] == "the error itself"
    assert "cause" not in error
