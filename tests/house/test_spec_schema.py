"""spec/schema: each message has a schema, which takes what the code writes and what it reads."""

import json
import re

import orjson
import pytest
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from sandq.protocol import messages
from sandq.protocol.messages import Ask, Broken, Ignored
from sandq.protocol.reading import read_line
from tests.house.lending import LINE
from tests.house.pages import SPEC, blocks, plain, table, words

SCHEMAS = {path.stem: orjson.loads(path.read_bytes()) for path in (SPEC / "schema").glob("*.json")}
REGISTRY = Registry().with_resources(
    (f"{name}.json", Resource.from_contents(schema)) for name, schema in SCHEMAS.items()
)

#: Not messages: parts of them, and the answer of the simpler levels.
OTHERS = {"error", "envelope"}

ASK = Ask("7", b"1", "add_job", b"{}")
TO_CHILD = [
    LINE,
    messages.bye_line("retired"),
    messages.cancel_line("7", "timeout", 4_000),
    messages.ping_line(1),
    messages.welcome_line(1_024, ["add_job"]),
    messages.reply_line(ASK, b"null"),
    messages.refusal_line(ASK, "sandq.busy", "wait"),
]


def fits(name, value):
    return Draft202012Validator(SCHEMAS[name], registry=REGISTRY).is_valid(value)


@pytest.mark.parametrize("name", sorted(SCHEMAS))
def test_a_schema_is_a_schema(name):
    Draft202012Validator.check_schema(SCHEMAS[name])
    assert SCHEMAS[name]["$id"] == f"{name}.json"


@pytest.mark.parametrize("page", ["Messages from the child", "Messages to the child"])
def test_each_message_of_the_page_has_a_schema_with_its_members(page):
    for row in table("protocol", page):
        schema = SCHEMAS[plain(row["type"])]
        if row["members"] != "see above":
            members = [name for name in schema["properties"] if name not in ("sandq", "type")]
            assert members == words(row["members"])


def test_there_are_no_schemas_of_anything_else():
    told = {
        plain(row["type"])
        for page in ("Messages from the child", "Messages to the child")
        for row in table("protocol", page)
    }
    assert set(SCHEMAS) == told | OTHERS


@pytest.mark.parametrize("line", TO_CHILD, ids=lambda line: orjson.loads(line)["type"])
def test_what_we_write_fits_its_schema(line):
    message = orjson.loads(line)

    assert fits(message["type"], message)
    # and with a member missing, it does not
    for name in SCHEMAS[message["type"]]["required"]:
        assert not fits(message["type"], {key: message[key] for key in message if key != name})


def lines_of_transcripts():
    text = (SPEC / "protocol.md").read_text()
    for transcript in re.findall(r"^```transcript\n(.*?)^```$", text, re.M | re.S):
        for entry in transcript.splitlines():
            mark, _, line = entry.partition(" ")
            if mark in ("<<", ">>") and '"sandq":1' in line:
                yield line


@pytest.mark.parametrize("line", list(lines_of_transcripts()))
def test_the_messages_of_the_transcripts_fit_their_schemas(line):
    message = json.loads(line)

    assert fits(message["type"], message)


BROKEN = [
    plain(row["example"])
    for row in table("protocol", "What spoils a child")
    if row["example"].startswith("`{")
]


@pytest.mark.parametrize("line", BROKEN)
def test_a_message_that_breaks_the_protocol_does_not_fit(line):
    try:
        message = orjson.loads(line)
    except ValueError:
        return
    if message.get("type") in SCHEMAS and isinstance(read_line(line.encode()), Broken):
        assert not fits(message["type"], message)


CHILD_MESSAGES = [
    {"sandq": 1, "type": "hello"},
    {"sandq": 1, "type": "result", "id": "7", "status": "ok"},
    {"sandq": 1, "type": "result", "id": "7", "status": "error", "error": {"cause": "x"}},
    {"sandq": 1, "type": "progress", "id": "7"},
    {"sandq": 1, "type": "log", "id": "7", "message": "m", "fields": {}},
    {"sandq": 1, "type": "heartbeat", "id": "7"},
    {"sandq": 1, "type": "emit", "id": "7", "chunk": [1]},
    {"sandq": 1, "type": "call", "id": "7", "re": "a", "verb": "x", "args": {}},
    {"sandq": 1, "type": "pong", "n": 1},
    {"sandq": 1, "type": "fatal", "error": "no"},
]


@pytest.mark.parametrize("message", CHILD_MESSAGES, ids=lambda message: message["type"])
def test_what_fits_is_read_as_a_message(message):
    assert fits(message["type"], message)
    assert not isinstance(read_line(orjson.dumps(message)), Broken | Ignored)
    assert not fits(message["type"], {**message, "sandq": 2})


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ({"status": "ok"}, True),
        ({"status": "ok", "result": 1, "more": 2}, True),
        ({"status": "error"}, True),
        ({"status": "error", "error": {"message": "no"}}, True),
        ({"status": "ok", "rows": 3}, False),
        ({"status": "weird"}, False),
        ({"sandq": 1, "status": "ok", "result": 1}, False),
        ({"sandq": "x", "status": "ok", "result": 1}, True),
    ],
)
def test_an_envelope_is_what_the_page_says(value, wanted):
    assert fits("envelope", value) is wanted


def test_the_grammar_of_a_line_is_there():
    [grammar] = blocks("protocol", "Framing", "abnf")
    assert re.findall(r"^([\w-]+) +=", grammar, re.M) == [
        "to-child", "from-child", "line", "noise", "ws", "LF",
    ]  # fmt: skip
