"""One line of a child to one message: the four rules in their order, as tables."""

import pytest

from sandq.protocol.messages import (
    Answer,
    Ask,
    Broken,
    Emit,
    Fatal,
    Heartbeat,
    Hello,
    Ignored,
    Log,
    Noise,
    Pong,
    Progress,
)
from sandq.protocol.reading import read_line

DEEP = b"[" * 65 + b"]" * 65
DEEPEST = b"[" * 64 + b"]" * 64

NOISE = [
    b"hello world",
    b"{",
    b"{status: ok}",
    b"{'status':'ok'}",
    b'{"status":"ok"',
    b'{"status":"ok"} done',
    b"[1,2",
    b"tru",
    b"True",
    b"01",
    b"1 2",
    b"undefined",
    b"\x00",
    b"\xff\xfe",
    b"\x0c",
    b"\x1b[31mred\x1b[0m",
]
NOTHING = [b"", b" ", b"\r", b"\t \r"]
REFUSED = [
    b'{"status":"ok","result":"\xff"}',
    b'{"a":"\x00"}',
    b"NaN",
    b"[Infinity]",
    b"-Infinity",
    b'{"status":"ok","result":NaN}',
    b"1e400",
    b'{"status":"ok","result":-1e999}',
    b'{"a":1,"a":2}',
    b'{"status":"ok","status":"error"}',
    b'{"status":"ok","result":{"a":1,"\\u0061":2}}',
    b'"\\ud800"',
    b'"\xed\xa0\x80"',
    b'{"status":"ok","result":"\\udfff"}',
    DEEP,
    b"[" * 5_000 + b"]" * 5_000,
    b"[" * 100_000,
    b'{"status":"ok","result":%b}' % DEEP,
    b'\xef\xbb\xbf{"status":"ok"}',
    b"9" * 400,
    b"9" * 5_000,
]
RESULTS = [
    b"0",
    b"12",
    b"-1.50",
    b"1E3",
    b"null",
    b"true",
    b'"done"',
    b'"{"',
    b"[]",
    b"{}",
    DEEPEST,
    b'{"status":"weird"}',
    b'{"status":"OK"}',
    b'{"status":1}',
    b'{"status":["ok"]}',
    b'{"status":null,"result":1}',
    b'{"status":"ok","rows":3}',
    b'{"status":"ok","error":"no"}',
    b'{"Status":"ok"}',
    b'{"result":1}',
    b'{"error":"no"}',
    b'{"sandq":"x"}',
    b'{"sandq":"1","type":"result","id":"7"}',
    b'{"sandq":true}',
    b'{"sandq":1.0,"type":"hello"}',
    b'{"sandq":null}',
    b'{"sandq":[1]}',
    b'[{"sandq":1,"type":"hello"}]',
]
ENVELOPES = [
    (b'{"status":"ok"}', b"null"),
    (b'{"status":"ok","result":null}', b"null"),
    (b'{"status":"ok","result":1.50}', b"1.50"),
    (b'{ "status" : "ok" , "result" : [ 1 , 2 ] }', b"[ 1 , 2 ]"),
    (b'{"result":{"b":1,"a":2},"status":"ok"}', b'{"b":1,"a":2}'),
    (b'{"status":"ok","result":1,"rows":3}', b"1"),
    (b'{"rows":{"result":9},"status":"ok","result":1}', b"1"),
    (b'{"a":"\\"result\\":9","status":"ok","result":"x"}', b'"x"'),
    (b'{"status":"ok","r\\u0065sult":7}', b"7"),
    ('{"größe":"\u2028","status":"ok","result":"😀"}'.encode(), '"😀"'.encode()),
    (b'{"status":"ok","result":"\\ud83d\\ude00"}', b'"\\ud83d\\ude00"'),
    (b'\t{"status":"ok","result":1}\r', b"1"),
]


@pytest.mark.parametrize("line", NOTHING)
def test_rule_0_a_blank_line_says_nothing(line):
    assert read_line(line) == Ignored()


@pytest.mark.parametrize("line", NOISE)
def test_rule_1_what_is_not_json_is_noise(line):
    assert read_line(line) == Noise(line)


@pytest.mark.parametrize("line", REFUSED, ids=lambda line: repr(line[:40]))
def test_json_that_not_every_language_reads_alike_is_broken_and_no_noise(line):
    message = read_line(line)

    assert isinstance(message, Broken)
    assert message.reason.startswith("refused JSON: ")
    assert len(message.reason) < 2_000


@pytest.mark.parametrize("line", RESULTS, ids=lambda line: repr(line[:40]))
def test_rule_4_any_other_json_value_is_the_result_byte_for_byte(line):
    assert read_line(line) == Answer(None, value=line)
    assert read_line(b" \t" + line + b" \r") == Answer(None, value=line)


@pytest.mark.parametrize(("line", "value"), ENVELOPES)
def test_rule_3_an_envelope_brings_the_bytes_of_its_result(line, value):
    assert read_line(line) == Answer(None, value=value)


MESSAGES = [
    (b'{"sandq":1,"type":"hello"}', Hello(frozenset())),
    (b'{"sandq":1,"type":"hello","caps":["log","x"]}', Hello(frozenset({"log", "x"}))),
    (b'{"sandq":1,"type":"hello","caps":["log",5,null]}', Hello(frozenset({"log"}))),
    (b'{"sandq":1,"type":"hello","caps":"log"}', Hello(frozenset())),
    (b'{"type":"hello","caps":[],"sandq":1,"sdk":"node"}', Hello(frozenset())),
    (b'{"sandq":1,"type":"result","id":"7","status":"ok"}', Answer("7", value=b"null")),
    (b'{"sandq":1,"type":"result","id":"7","status":"ok","result":1.0}', Answer("7", value=b"1.0")),
    (b'{"result" : [1 ,2],"sandq":1,"id":"","type":"result","status":"ok"}', Answer("", b"[1 ,2]")),
    (b'{"sandq":1,"type":"progress","id":"7","value":0.50}', Progress("7", b"0.50")),
    (b'{"sandq":1,"type":"progress","id":"7"}', Progress("7", b"null")),
    (
        b'{"sandq":1,"type":"log","id":"7","level":"warn","message":"m","fields":{"a":1}}',
        Log("7", b'{"level":"warn","message":"m","fields":{"a":1}}'),
    ),
    (b'{"sandq":1,"type":"log","id":"7"}', Log("7", b'{"level":"info","message":""}')),
    (
        b'{"sandq":1,"type":"log","id":"7","level":5,"message":[],"fields":[1],"at":9}',
        Log("7", b'{"level":"info","message":""}'),
    ),
    (b'{"sandq":1,"type":"log","id":"7","fields":{}}', Log("7", b'{"level":"info","message":""}')),
    (b'{"sandq":1,"type":"fatal","error":"no model"}', Fatal("no model")),
    (b'{"sandq":1,"type":"fatal","error":{"message":"no model"}}', Fatal("no model")),
    (b'{"sandq":1,"type":"fatal"}', Fatal("the handler reported an error without saying which")),
    (b'{"sandq":1}', Ignored()),
    (b'{"sandq":1,"type":"heartbeat","id":"7"}', Heartbeat("7")),
    (b'{"sandq":1,"type":"emit","id":"7","chunk":[1, 2.0]}', Emit("7", b"[1, 2.0]")),
    (b'{"sandq":1,"type":"emit","id":"7"}', Emit("7", b"null")),
    (
        b'{"sandq":1,"type":"call","id":"7","re":1,"verb":"add_job","args":{"name": "x"}}',
        Ask("7", b"1", "add_job", b'{"name": "x"}'),
    ),
    (b'{"sandq":1,"type":"call","id":"7","re":"a\\u0062"}', Ask("7", b'"a\\u0062"', "", b"{}")),
    (b'{"sandq":1,"type":"call","id":"7","re":1,"verb":5,"args":[1]}', Ask("7", b"1", "", b"{}")),
    (b'{"sandq":1,"type":"pong","n":3}', Pong(3)),
    (b'{"sandq":1,"type":"pong","n":true}', Ignored()),
    (b'{"sandq":1,"type":"pong"}', Ignored()),
    (b'{"sandq":1,"type":"sing"}', Ignored()),
    (b'{"sandq":1,"type":"sing","must":false}', Ignored()),
    (b'{"sandq":1,"type":"sing","must":1}', Ignored()),
    (b'{"sandq":1,"type":["hello"]}', Ignored()),
    (b'{"sandq":1,"type":"job","id":"7","status":"ok","result":1}', Ignored()),
    (b'{"sandq":1,"status":"ok","result":1}', Ignored()),
]  # fmt: skip


@pytest.mark.parametrize(("line", "message"), MESSAGES)
def test_rule_2_an_object_with_our_mark_is_a_message_of_the_protocol(line, message):
    assert read_line(line) == message


BREACHES = [
    (b'{"sandq":2}', "speaks protocol 2; this supervisor speaks 1"),
    (b'{"sandq":0,"type":"hello"}', "speaks protocol 0"),
    (b'{"sandq":-1,"status":"ok"}', "speaks protocol -1"),
    (b'{"sandq":1,"type":"result"}', "result has no id: "),
    (b'{"sandq":1,"type":"result","id":7,"status":"ok"}', "result has no id: "),
    (b'{"sandq":1,"type":"progress","value":1}', "progress has no id: "),
    (b'{"sandq":1,"type":"log","id":null}', "log has no id: "),
    (b'{"sandq":1,"type":"heartbeat"}', "heartbeat has no id: "),
    (b'{"sandq":1,"type":"emit","chunk":1}', "emit has no id: "),
    (b'{"sandq":1,"type":"call","re":1}', "call has no id: "),
    (b'{"sandq":1,"type":"call","id":"7"}', "call has no number to reply to"),
    (b'{"sandq":1,"type":"call","id":"7","re":true}', "call has no number to reply to"),
    (
        b'{"sandq":1,"type":"call","id":"7","re":"%b"}' % (b"x" * 257),
        "call has a member re of more",
    ),
    (b'{"sandq":1,"type":"result","id":"7"}', "result has no status ok or error: "),
    (b'{"sandq":1,"type":"result","id":"7","status":"weird"}', "result has no status ok or error"),
    (b'{"sandq":1,"type":"sing","must":true}', "demands message type 'sing', which"),
    (b'{"sandq":1,"must":true}', "demands message type None, which"),
]


@pytest.mark.parametrize(("line", "reason"), BREACHES)
def test_a_message_that_breaks_the_protocol_says_how(line, reason):
    message = read_line(line)

    assert isinstance(message, Broken)
    assert message.reason.startswith(reason)


@pytest.mark.parametrize(
    "line",
    [
        b'{"sandq":1,"type":"result","x":"%b"}' % (b"x" * 100_000),
        b'{"sandq":1,"type":"%b","must":true}' % (b"x" * 100_000),
        b'{"sandq":1,"type":"fatal","error":"%b"}' % (b"x" * 100_000),
        b'{"sandq":1,"type":"fatal","error":["%b"]}' % (b"x" * 100_000),
    ],
    ids=["result", "must", "fatal", "fatal list"],
)
def test_a_reason_is_short_however_long_the_line(line):
    assert len(read_line(line).reason) < 5_000


WORDS_AND_BYTES = [
    b"true", b"false", b"null", b"NaN", b"Infinity", b"-Infinity", b"-1", b"12", b"1e400", b"01",
    b"1.", b"nul", b"truely", b"None", b"{", b"[", b"}", b'"', b"{}", b"[]", b'""', b'"a', b"[1,2",
    b"[NaN]", b"{a}", b"12 apples", b"apples 12", b"-", b"+1", b".5", b"\xef\xbb\xbf[NaN]",
    b"\xef\xbb\xbf1", b"\xff", b"\x00", b"[" * 300, b"[" * 2000, b"'a'", b"{'a':1}",
]  # fmt: skip


@pytest.mark.parametrize("line", WORDS_AND_BYTES)
def test_the_quick_look_at_a_line_changes_nothing(line, monkeypatch):
    quick = read_line(line)
    monkeypatch.setattr("sandq.protocol.reading._may_be_json", lambda _: True)

    assert read_line(line) == quick
