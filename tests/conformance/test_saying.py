"""What the kit says to a handler is what a supervisor says."""

import json

import pytest

from sandq.conformance.running import Run
from sandq.conformance.saying import JOB, environment, job_line, message_line, read_job
from sandq.conformance.subject import Subject
from sandq.conformance.values import to_text
from sandq.errors import InvalidInput
from tests.house.pages import column, table


def test_a_job_line_has_the_members_of_the_protocol():
    line = json.loads(job_line({"id": "7", "data": [1]}, {}))

    assert list(line) == column("protocol", "Three levels, one job line", "member", 1)
    assert (line["id"], line["data"]) == ("7", [1])


def test_further_members_come_first_or_last():
    line = json.loads(job_line({"id": "7", "x-new": 1}, {"x-first": 2}))

    assert list(line) == ["sandq", "x-first", "type", *JOB, "x-new"]


def test_a_message_is_a_line():
    assert message_line({"type": "bye", "reason": "a\nb"}) == (
        b'{"sandq":1,"type":"bye","reason":"a\\nb"}\n'
    )


@pytest.mark.parametrize("oneshot_id", [None, "7"])
def test_the_environment_is_that_of_the_protocol(oneshot_id, monkeypatch):
    rows = table("protocol", "The environment of a child")
    monkeypatch.setenv("SANDQ_REDIS_URL", "redis://secret")
    inherited = {r["variable"].strip("`") for r in rows if "supervisor's, if" in r["value"]}
    inherited |= {r["variable"].strip("`") for r in rows if r["value"] == "the same"}
    for name in inherited:
        monkeypatch.setenv(name, "C")
    told = {
        row["variable"].strip("`")
        for row in rows
        if row["which children"] == "all" or (oneshot_id and row["which children"] == "one-shot")
    }

    # the mark is given by the program that is started
    assert set(environment(oneshot_id)) == told - {"SANDQ_CHILD"}
    assert environment("a\0b")["SANDQ_JOB_ID"] == "a?b"


def test_a_job_of_ones_own():
    job = read_job(b'{"id": "x", "name": "$n", "data": {"$text": [12345678901234567890.00,\n 1]}}')

    assert to_text(job["data"]) == '{"$text": [12345678901234567890.00,  1]}'
    run = Run(Subject(("x",), job=job))
    assert run._any_job() == {"name": '"$n"', "data": '{"$text": [12345678901234567890.00,  1]}'}


@pytest.mark.parametrize(
    ("text", "words"),
    [(b"{", "not JSON"), (b"[]", "must be an object"), (b'{"dta": 1}', "did you mean 'data'?")],
)
def test_a_job_that_is_none(text, words):
    with pytest.raises(InvalidInput, match=words):
        read_job(text)
