"""spec/protocol.md says what the code does: its programs are run, its transcripts replayed."""

import inspect
import json
import re
import subprocess
import sys

import orjson
import pytest

from sandq.model import limits, payload
from sandq.model.handler import Handler
from sandq.model.outcome import Failure, FailureKind
from sandq.protocol import machine, messages, reading
from tests.house.lending import LINE, claim_of, outcomes_of
from tests.house.pages import amount, blocks, column, plain, section, table, words


def told_as(event):
    """An event in the words of the transcripts."""
    match event:
        case messages.Answer(value=bytes(value)):
            return f"value {value.decode()}"
        case messages.Answer(failure=Failure() as failure):
            return f"error {failure.type}: {failure.message}"
        case messages.Progress():
            return f"progress {event.value.decode()}"
        case messages.Log():
            return f"log {event.text.decode()}"
        case messages.Noise():
            return f"noise {event.line.decode()}"
        case messages.Hello():
            return "hello"
        case machine.Spoiled():
            return f"spoiled {event.kind}: {event.reason}"


TRANSCRIPTS = ("One-shot", "Simple", "Full", "Readings")


@pytest.mark.parametrize("heading", TRANSCRIPTS)
def test_a_transcript_is_what_the_supervisor_says_and_hears(heading):
    [transcript] = blocks("protocol", heading, "transcript")
    conversation = machine.Conversation(limits.DEFAULT_LINE_BYTES)
    heard, expected = [], []

    for mark, line in (entry.split(" ", 1) for entry in transcript.splitlines()):
        match mark:
            case ">>" if '"type":"job"' in line:
                job = orjson.loads(line)
                made = messages.job_line(
                    claim_of(line),
                    delay_ms=job["delay"],
                    max_attempts=job["max_attempts"],
                    timeout_ms=job["timeout_ms"],
                )
                assert made.decode() == line + "\n"
                conversation.lend(job["id"])
            case ">>":
                assert messages.bye_line(orjson.loads(line)["reason"]).decode() == line + "\n"
            case "<<":
                if heading == "Readings":
                    conversation.lend("7")
                heard += map(told_as, conversation.receive(line.encode() + b"\n"))
            case "==":
                expected.append(line)
            case _:
                assert mark == "--"

    assert heard == expected


def lines_of(transcript, mark):
    return [line[3:] for line in transcript.splitlines() if line.startswith(f"{mark} ")]


@pytest.mark.parametrize("heading", TRANSCRIPTS[:3])
def test_a_program_says_what_its_transcript_shows(heading):
    [transcript] = blocks("protocol", heading, "transcript")
    [(language, program)] = re.findall(
        r"^```(sh|python)\n(.*?)^```$", section("protocol", heading), re.M | re.S
    )
    started = ["sh", "-c", program] if language == "sh" else [sys.executable, "-c", program]

    done = subprocess.run(
        started,
        input="".join(f"{line}\n" for line in lines_of(transcript, ">>")),
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.stdout.splitlines() == lines_of(transcript, "<<")
    assert done.returncode == 0
    assert done.stderr == ""

    jobs = [line.encode() + b"\n" for line in lines_of(transcript, ">>") if '"job"' in line]
    outcomes = outcomes_of(Handler(command=tuple(started), fresh=heading == "One-shot"), *jobs)
    answers = [
        f"value {o.value.decode()}" if o.value else f"error {o.failure.type}: {o.failure.message}"
        for o in outcomes
    ]
    told = [line for line in lines_of(transcript, "==") if line.startswith(("value", "error"))]
    assert answers == told


def test_the_job_line_has_these_members():
    assert column("protocol", "Three levels, one job line", "member", 1) == list(orjson.loads(LINE))


def test_messages_are_those_that_are_known():
    rows = {plain(row["type"]): row for row in table("protocol", "Messages from the child")}
    known = set(re.findall(r'case "(\w+)"', inspect.getsource(reading._protocol_message)))
    assert set(rows) == known
    assert known == {"hello", "result", "progress", "log", "fatal"}

    to_child = {
        plain(row["type"]): words(row["members"])
        for row in table("protocol", "Messages to the child")
    }
    bye = orjson.loads(messages.bye_line(""))
    assert set(to_child) == {orjson.loads(LINE)["type"], bye["type"]}
    assert to_child["bye"] == [name for name in bye if name not in ("sandq", "type")]

    reserved = words(re.search(r"Reserved.*?;.*?;", section("protocol", "Versions"), re.S)[0])
    assert not set(reserved) & set(rows)
    for kind in (*reserved, "x-mine"):
        line = json.dumps({"sandq": 1, "type": kind, "id": "7"}).encode()
        assert reading.read_line(line) == messages.Ignored()


def test_errors_are_read_as_told():
    rows = {plain(row["member"]): row for row in table("protocol", "Errors")}
    assert set(rows) == set(
        re.findall(r'error\.get\("(\w+)"\)', inspect.getsource(reading.read_error))
    )

    long = "x" * 100_000
    failure = reading.read_error({"type": long, "message": long, "stack": long, "data": long})
    for name in ("type", "message", "stack"):
        kept = amount(rows[name]["cut at"])
        text = getattr(failure, name)
        assert text == f"{'x' * kept}… ({len(long) - kept} more characters)"
    limit = amount(rows["data"]["cut at"])
    assert str(limit) in failure.data
    assert reading.read_error({"data": "x" * (limit - 2)}).data == "x" * (limit - 2)
    assert reading.read_error({"type": "sandq.x", "code": True, "retry_after_ms": -1}) == Failure(
        kind=FailureKind.ERROR, message="(no message)", type="user.x"
    )


def test_json_that_is_not_strict_breaks_the_protocol():
    deep = b"[" * (payload.MAX_DEPTH + 1) + b"]" * (payload.MAX_DEPTH + 1)
    for text in (b"NaN", b"1e999", b'{"a":1,"a":2}', rb'"\ud800"', deep):
        assert isinstance(reading.read_line(text), messages.Broken)
    for text in (b"", b"  \r"):
        assert reading.read_line(text) == messages.Ignored()


@pytest.mark.parametrize(
    "row", table("protocol", "What spoils a child"), ids=lambda r: r["what it writes"]
)
def test_what_spoils_a_child(row):
    strict, full = row["level"] == "strict", row["level"] == "full"
    conversation = machine.Conversation(limits.DEFAULT_LINE_BYTES, strict=strict)
    first = b'{"sandq":1,"type":"hello"}\n' if full else b"[]\n"
    conversation.lend("6")
    conversation.receive(first + b'{"sandq":1,"type":"result","id":"6","status":"ok"}\n' * full)
    conversation.lend("7")

    long = b"x" * (limits.DEFAULT_LINE_BYTES + 1)
    line = plain(row["example"]).encode() if "`" in row["example"] else long
    [event] = conversation.receive(line + b"\n")
    assert isinstance(event, machine.Spoiled)
    assert plain(row["the job fails as"]) == event.kind.value
