"""Any line at all is read without an error, and a value is the bytes that were written."""

import json
import re

import orjson
from hypothesis import example, given
from hypothesis import strategies as st

from sandq.model.outcome import FailureKind
from sandq.protocol.messages import Answer, Log, Message, Progress
from sandq.protocol.reading import read_error, read_line

NAMES = st.sampled_from(
    ["sandq", "type", "id", "status", "result", "error", "caps", "value", "must", "message",
     "fields", "level", "data", "code", "retry_after_ms", "cause", "re", "verb", "args",
     "chunk", "n"]
)  # fmt: skip
WORDS = st.sampled_from(
    [
        "ok",
        "error",
        "hello",
        "result",
        "progress",
        "log",
        "fatal",
        "emit",
        "call",
        "heartbeat",
        "pong",
        "7",
        "sandq.x",
    ]
)
ANY_VALUE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | WORDS | st.just(1),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=5),
    max_leaves=10,
)
TOKENS = st.lists(
    st.sampled_from(
        [b"{", b"}", b"[", b"]", b",", b":", b'"', b"\\", b'"sandq"', b"1", b'"status":"ok"', b" ",
         b'"result"', b"\x00", b"\xff", b"\r", b"NaN", b"e9", b"\\ud800", b"\xef\xbb\xbf"]
    )
).map(b"".join)  # fmt: skip
ANY_LINE = st.binary() | TOKENS | ANY_VALUE.map(lambda value: json.dumps(value).encode())


@given(ANY_LINE)
@example(b'{"sandq":1,"type":"log","id":"7","fields":{"a":18446744073709551616}}')
def test_no_line_whatever_raises(line):
    message = read_line(line)

    assert isinstance(message, Message)
    match message:
        case Answer(value=bytes(text)) | Progress(value=text) | Log(text=text):
            orjson.loads(text)
        case Answer(failure=error):
            assert error.kind in (FailureKind.ERROR, FailureKind.UNRECOVERABLE)
            assert orjson.loads(error.to_text())["kind"] == error.kind


@given(ANY_VALUE)
def test_no_error_whatever_raises(error):
    text = json.dumps(error, allow_nan=True).encode()
    try:
        value = orjson.loads(text)
    except ValueError:
        return

    assert orjson.loads(read_error(value).to_text())["message"] == read_error(value).message


SPACE = st.text(" \t\r", max_size=3)
STORABLE = st.recursive(
    st.none()
    | st.integers(-(2**63), 2**64 - 1)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc"), inner, max_size=3),
    max_leaves=6,
)


@st.composite
def answers(draw, members, name):
    """An object of these members and one called `name`, in any order and spelling; the value."""
    value = json.dumps(
        draw(STORABLE),
        separators=draw(st.sampled_from([(",", ":"), (" , ", " :\t")])),
        ensure_ascii=draw(st.booleans()),
    )
    spelled = draw(st.sampled_from([name, re.sub("(?s).$", lambda m: f"\\u{ord(m[0]):04x}", name)]))
    extra = {"x": 'result":1', "y": {"result": 2, "value": 3}}
    items = {**members, **(extra if draw(st.booleans()) else {})}
    pairs = [(key, json.dumps(item)) for key, item in items.items()] + [(spelled, value)]
    colon, comma = (f"{draw(SPACE)}{mark}{draw(SPACE)}" for mark in ":,")
    inside = comma.join(f'"{key}"{colon}{text}' for key, text in draw(st.permutations(pairs)))
    line = f"{draw(SPACE)}{{{draw(SPACE)}{inside}{draw(SPACE)}}}{draw(SPACE)}"

    return line.encode(), value.encode()


@given(answers({"status": "ok"}, "result"))
def test_the_value_of_an_envelope_is_the_bytes_written_however_it_is_spelled(answer):
    line, value = answer

    assert read_line(line) == Answer(None, value=value)


@given(answers({"sandq": 1, "type": "result", "id": "a7", "status": "ok"}, "result"))
def test_the_value_of_a_result_is_the_bytes_written_however_it_is_spelled(answer):
    line, value = answer

    assert read_line(line) == Answer("a7", value=value)


@given(answers({"sandq": 1, "type": "progress", "id": "a7"}, "value"))
def test_the_value_of_progress_is_the_bytes_written_however_it_is_spelled(answer):
    line, value = answer

    assert read_line(line) == Progress("a7", value)
