"""Values through the Python SDK: whatever is JSON comes back, whatever is not is said to be so."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.child.sdk_python import ECHO, HELLO, Child, children

sdk_child = pytest.fixture(children)


@pytest.fixture(scope="module")
def echo(tmp_path_factory):
    """One child for the many examples of a property."""
    child = Child(tmp_path_factory.mktemp("echo"), ECHO)
    assert child.read() == HELLO
    yield child
    child.close()


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
def test_a_value_that_is_not_json_is_an_error_that_says_so(sdk_child, value):
    child = sdk_child(f"""
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


def test_a_result_longer_than_a_line_may_be_is_an_error_with_its_size(sdk_child):
    child = sdk_child(
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


def test_the_limit_is_one_mebibyte_unless_told(sdk_child):
    child = sdk_child("from sandq.handler import serve\nserve(lambda job: 'x' * job.data)")

    assert len(child.ask(1024 * 1024 - 100)["result"]) == 1024 * 1024 - 100
    assert "more than the 1048576 allowed" in child.ask(1024 * 1024)["error"]["message"]


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
