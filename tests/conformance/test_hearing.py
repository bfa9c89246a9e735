"""Lines of a handler are told apart as the supervisor does."""

import pytest

from sandq.conformance.hearing import Hearing, Kind, answer_members

HELLO = b'{"sandq":1,"type":"hello"}'
RESULT = b'{"sandq":1,"type":"result","id":"7","status":"ok","result":5}'

SIMPLE = [
    (b"Loading model", Kind.NOISE, {}),
    (b"5", Kind.ANSWER, {"status": "ok", "result": 5}),
    (b'{"status":"ok"}', Kind.ANSWER, {"status": "ok", "result": None}),
    (
        b'{"status":"ok","rows":3}',
        Kind.ANSWER,
        {"status": "ok", "result": {"status": "ok", "rows": 3}},
    ),
    (
        b'{"status":"error","error":"no"}',
        Kind.ANSWER,
        {"status": "error", "error": {"message": "no"}},
    ),
    (b'{"status":"error"}', Kind.ANSWER, {"status": "error", "error": {}}),
    (b'{"sandq":"x"}', Kind.ANSWER, {"status": "ok", "result": {"sandq": "x"}}),
    (RESULT, Kind.ANSWER, {"status": "ok", "result": 5, "id": "7"}),
    (b'{"sandq":1,"type":"x-own"}', Kind.MESSAGE, {"sandq": 1, "type": "x-own"}),
    (b"NaN", Kind.BROKEN, {}),
    (b'{"a":1,"a":2}', Kind.BROKEN, {}),
    (b'{"sandq":2,"type":"hello"}', Kind.BROKEN, {}),
    (b'{"sandq":1,"type":"progress"}', Kind.BROKEN, {}),
    (b'{"sandq":1,"type":"must-know","must":true}', Kind.BROKEN, {}),
]


@pytest.mark.parametrize(("line", "kind", "members"), SIMPLE, ids=lambda item: str(item)[:30])
def test_a_line_of_a_simple_handler(line, kind, members):
    heard = Hearing().hear(line)

    assert (heard.kind, heard.members) == (kind, members)
    assert bool(heard.reason) == (kind is Kind.BROKEN)


FULL = [
    (b"5", Kind.NOISE),
    (b'{"status":"ok"}', Kind.NOISE),
    (b"NaN", Kind.NOISE),
    (RESULT, Kind.ANSWER),
    (b'{"sandq":1,"type":"result","id":"7","status":"ok","result":NaN}', Kind.BROKEN),
    (HELLO, Kind.BROKEN),
]


@pytest.mark.parametrize(("line", "kind"), FULL)
def test_a_line_of_a_full_handler(line, kind):
    hearing = Hearing()
    assert hearing.hear(HELLO).kind is Kind.MESSAGE

    assert hearing.full
    assert hearing.hear(line).kind is kind


def test_a_hello_that_is_not_first_breaks_the_protocol():
    hearing = Hearing()
    hearing.hear(b"Loading model")

    assert "hello is not its first line" in hearing.hear(HELLO).reason
    assert not hearing.full


def test_blank_lines_and_a_byte_order_mark_say_nothing():
    hearing = Hearing()

    assert hearing.hear(b" \r") is None
    assert hearing.hear(b"\xef\xbb\xbf" + HELLO + b" \r").kind is Kind.MESSAGE


def test_an_answer_of_the_full_level_may_have_no_result():
    assert answer_members({"sandq": 1, "id": "7", "status": "ok"}) == {
        "status": "ok",
        "result": None,
    }
