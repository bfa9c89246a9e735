"""spec/protocol.md says what the code does: its programs are run, its transcripts replayed."""

import inspect
import json
import re
import subprocess
import sys

import orjson
import pytest

from sandq.child import asking, ending
from sandq.flow import calling
from sandq.model import handler, limits, payload
from sandq.model.handler import Handler
from sandq.model.outcome import Failure, FailureKind
from sandq.protocol import machine, messages, reading
from tests.house.lending import LINE, claim_of, outcomes_of
from tests.house.pages import SPEC, amount, blocks, column, plain, section, table, words


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
        case messages.Emit():
            return f"emit {event.chunk.decode()}"
        case messages.Ask():
            return f"call {event.verb} {event.args.decode()}"
        case messages.Pong():
            return f"pong {event.n}"
        case messages.Hello():
            return "hello"
        case machine.Spoiled():
            return f"spoiled {event.kind}: {event.reason}"


TRANSCRIPTS = ("One-shot", "Simple", "Full", "Calls and an end on request", "Readings")

ASK = messages.Ask("7", b"1", "get_result", b"{}")


def made_by_us(line):
    """The line to a child as the code writes it, from what stands in the line."""
    said = orjson.loads(line)
    match said["type"]:
        case "job":
            return messages.job_line(
                claim_of(line),
                delay_ms=said["delay"],
                max_attempts=said["max_attempts"],
                timeout_ms=said["timeout_ms"],
                heartbeat_ms=said["heartbeat_ms"],
            )
        case "bye":
            return messages.bye_line(said["reason"])
        case "ping":
            return messages.ping_line(said["n"])
        case "cancel":
            return messages.cancel_line(said["id"], said["reason"], said["grace_ms"])
        case "reply":
            return messages.reply_line(ASK, orjson.dumps(said["value"]))


@pytest.mark.parametrize("heading", TRANSCRIPTS)
def test_a_transcript_is_what_the_supervisor_says_and_hears(heading):
    [transcript] = blocks("protocol", heading, "transcript")
    conversation = machine.Conversation(limits.DEFAULT_LINE_BYTES)
    heard, expected = [], []

    for mark, line in (entry.split(" ", 1) for entry in transcript.splitlines()):
        match mark:
            case ">>":
                assert made_by_us(line).decode() == line + "\n"
                if '"type":"job"' in line:
                    conversation.lend(orjson.loads(line)["id"])
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


@pytest.mark.parametrize("heading", TRANSCRIPTS[:4])
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

    if "call" in done.stdout:
        # what it is told meanwhile is not in the hands of a pool
        return
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
    assert "x-mine" not in known
    line = json.dumps({"sandq": 1, "type": "x-mine", "id": "7"}).encode()
    assert reading.read_line(line) == messages.Ignored()


def test_capabilities_are_those_of_messages():
    told = table("protocol", "Capabilities")
    assert [plain(row["capability"]) for row in told] == list(messages.CAPABILITIES)

    to_child = {plain(row["type"]): row for row in table("protocol", "Messages to the child")}
    for kind, row in to_child.items():
        needed = words(row["capability"])
        assert set(needed) <= set(messages.CAPABILITIES), kind
        assert bool(needed) is (kind not in ("job", "bye"))


def test_what_ends_a_job_is_told_to_its_child():
    told = {plain(row["reason"]) for row in table("protocol", "Being asked to end")}
    assert told == set(ending.REASONS.values())


def test_verbs_and_refusals_are_those_of_the_code():
    assert tuple(column("protocol", "Calls", "verb", 0)) == (
        "update_data", "add_job", "get_result", "extend_timeout",
    )  # fmt: skip
    assert sorted(column("protocol", "Calls", "verb", 0)) == list(handler.VERBS)
    refusals = set(column("protocol", "Calls", "error type", 1))
    sources = inspect.getsource(asking) + inspect.getsource(calling)
    assert set(re.findall(r'"(sandq\.\w+)"', sources)) - {"sandq.child"} == refusals


def test_channels_are_those_of_a_handler():
    assert column("protocol", "Channels", "channel", 1) == list(handler.Channel)


def test_the_table_of_events_is_that_of_the_kit():
    told = table("protocol", "Events and states")
    rows = orjson.loads((SPEC / "protocol-events.json").read_bytes())["rows"]
    names = ("event", "state", "level", "slot", "job")
    assert [[row[name] for name in names] for row in told] == [
        [row[name] for name in names] for row in rows
    ]
    assert [plain(row["kind"]) or None for row in told] == [row["kind"] for row in rows]


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
