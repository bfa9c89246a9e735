"""What the supervisor writes: one line of JSON, in which the payload stands byte for byte."""

import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandq.model.job import Claim
from sandq.model.payload import JsonText, encode
from sandq.protocol.messages import (
    Answer,
    Ask,
    bye_line,
    cancel_line,
    job_environment,
    job_line,
    ping_line,
    refusal_line,
    reply_line,
    result_prefix,
    welcome_line,
)
from sandq.protocol.reading import read_line

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
IDS = TEXTS.filter(bool)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)

NOW = 1_700_000_000_000


def claim(**changes):
    usual = {
        "queue": "images",
        "id": "7",
        "token": "00ff00ff00ff00ff",
        "name": "resize",
        "data": b'{"src":"cat.jpg"}',
        "opts": b"",
        "attempts": 0,
        "stalls": 0,
        "priority": 0,
        "created_ms": NOW,
    }
    return Claim(**{**usual, **changes})


def line_of(*, delay_ms=0, max_attempts=1, timeout_ms=None, heartbeat_ms=None, **changes):
    return job_line(
        claim(**changes),
        delay_ms=delay_ms,
        max_attempts=max_attempts,
        timeout_ms=timeout_ms,
        heartbeat_ms=heartbeat_ms,
    )


def test_a_job_line_has_these_members():
    line = line_of(
        data=b'{ "src" : "cat.jpg" }',
        opts=b'{"attempts":3}',
        attempts=1,
        stalls=2,
        priority=4,
        delay_ms=500,
        max_attempts=3,
        timeout_ms=30_000,
        heartbeat_ms=2_000,
    )

    assert line == (
        b'{"sandq":1,"type":"job","id":"7","name":"resize","queue":"images",'
        b'"data":{ "src" : "cat.jpg" },"timestamp":1700000000000,"delay":500,"priority":4,'
        b'"attempt":2,"max_attempts":3,"stalls":2,"timeout_ms":30000,"heartbeat_ms":2000,'
        b'"opts":{"attempts":3}}\n'
    )


def test_a_job_without_options_and_timeout_says_so():
    job = orjson.loads(line_of())

    assert (job["opts"], job["timeout_ms"], job["attempt"], job["delay"]) == ({}, None, 1, 0)


def test_the_token_never_reaches_a_child():
    assert b"00ff00ff00ff00ff" not in line_of()


@given(IDS, TEXTS, VALUES, st.integers(0, 2**53), st.none() | st.integers(0, 2**53))
def test_a_job_line_is_one_line_of_json_whatever_the_job(job_id, name, data, number, timeout_ms):
    line = line_of(
        id=job_id, name=name, data=encode(data), created_ms=number, timeout_ms=timeout_ms
    )
    job = json.loads(line)

    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert (job["id"], job["name"], job["data"]) == (job_id, name, data)
    assert (job["timestamp"], job["timeout_ms"]) == (number, timeout_ms)


@pytest.mark.parametrize(
    "data", [b"1.0", b"1E30", b" [1 , 2]", b'{"b":1,"a":2}', b'"\\u0061"', b"18446744073709551617"]
)
def test_the_data_stand_in_the_line_byte_for_byte(data):
    assert b'"data":%b,"timestamp":' % data in line_of(data=data)


@pytest.mark.parametrize(
    "text",
    ["[1,\n2]", '{\n  "a": [\n    1\n  ]\n}\n', "[1,\r\n2]", "[1,\r2]", '\n"a\\nb"\n'],
    ids=repr,
)
def test_data_written_over_several_lines_still_make_one_line(text):
    line = line_of(data=encode(JsonText(text)))

    assert line.endswith(b"}\n")
    assert not set(b"\r\n") & set(line[:-1])
    assert orjson.loads(line)["data"] == json.loads(text)


def test_options_written_over_several_lines_still_make_one_line():
    line = line_of(opts=b'{\n"attempts":\r3}')

    assert line.endswith(b',"opts":{ "attempts": 3}}\n')


@pytest.mark.parametrize("job_id", ['a"b', "a\\", "größe", "\u2028", "a\x7f", '","id":"8'])
def test_an_id_of_the_callers_is_quoted(job_id):
    assert orjson.loads(line_of(id=job_id))["id"] == job_id


@given(IDS, VALUES)
def test_an_answer_that_begins_with_the_prefix_answers_that_job(job_id, value):
    line = result_prefix(job_id) + encode(value) + b"}"

    assert read_line(line) == Answer(job_id, value=encode(value))


def test_a_one_shot_child_is_told_its_job_in_variables():
    assert job_environment(claim(attempts=2)) == {
        "SANDQ_QUEUE": "images",
        "SANDQ_JOB_ID": "7",
        "SANDQ_JOB_NAME": "resize",
        "SANDQ_ATTEMPT": "3",
    }


def test_a_variable_holds_no_nul():
    assert job_environment(claim(name="a\0b"))["SANDQ_JOB_NAME"] == "a?b"


def test_bye_is_a_line_that_says_why():
    assert bye_line("drain") == b'{"sandq":1,"type":"bye","reason":"drain"}\n'
    assert orjson.loads(bye_line('a"\nb'))["reason"] == 'a"\nb'
    assert bye_line('a"\nb').count(b"\n") == 1


ASK = Ask("7", re=b'"a"', verb="get_result", args=b"{}")

LINES = [
    (
        cancel_line("7", "timeout", 4_000),
        {"type": "cancel", "id": "7", "reason": "timeout", "grace_ms": 4_000},
    ),
    (ping_line(3), {"type": "ping", "n": 3}),
    (
        welcome_line(1_024, ["add_job"]),
        {
            "type": "welcome",
            "version": 1,
            "limits": {"line": 1_024, "emitted": 1_000, "log_rows": 1_000},
            "calls": ["add_job"],
        },
    ),
    (
        reply_line(ASK, b'{\n"big":18446744073709551617}'),
        {"type": "reply", "id": "7", "re": "a", "ok": True, "value": {"big": 18446744073709551617}},
    ),
    (
        refusal_line(ASK, "sandq.busy", 'say "please"'),
        {
            "type": "reply",
            "id": "7",
            "re": "a",
            "ok": False,
            "error": {"type": "sandq.busy", "message": 'say "please"'},
        },
    ),
]


@pytest.mark.parametrize(("line", "members"), LINES, ids=[m["type"] for _, m in LINES])
def test_a_message_to_a_child_is_one_line_of_json(line, members):
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert json.loads(line) == {"sandq": 1, **members}
