"""Dialogues between the supervisor and one child, written down and acted out.

A dialogue is a text of such lines:

    -- strict | -- limit 64       how the conversation is set up; first of all
    !! lend 7 | !! end            the supervisor lends a job; the child's output has ended
    >> a line                     the child writes a line; b'…' for bytes that are no text
    >| the end of a line          the child writes this, but no newline
    << Answer value=12            the conversation tells this; … stands for anything
    == idle [full] [noise a b]    the state now
"""

import ast
import re

from sandq.protocol.machine import Conversation, Spoiled
from sandq.protocol.messages import (
    Answer,
    Ask,
    Emit,
    Heartbeat,
    Hello,
    Log,
    Noise,
    Pong,
    Progress,
)

USUAL_LIMIT = 1024 * 1024


def play(dialogue, cut=None):
    """Act the dialogue out.

    Line by line; or, with `cut`, what the child writes without being interrupted is written in
    the pieces that `cut` makes of it, and must be told as the same events.
    """
    lines = [line.strip() for line in dialogue.strip().splitlines()]
    conversation = _conversation(lines)
    written, expected, told = b"", [], []

    def catch_up():
        nonlocal written
        for piece in cut(written) if cut else [written]:
            told.extend(map(show, conversation.receive(piece)))
        written = b""
        _compare(told, expected)
        expected.clear()
        told.clear()

    for line in lines:
        mark, _, rest = line.partition(" ")
        match mark:
            case ">>" | ">|":
                if cut is None:
                    catch_up()
                written += _bytes(rest) + (b"\n" if mark == ">>" else b"")
            case "<<":
                expected.append(rest)
            case "!!" if rest == "end":
                catch_up()
                told.extend(map(show, conversation.end_of_stream()))
            case "!!" if rest.startswith("lend "):
                catch_up()
                conversation.lend(rest.removeprefix("lend "))
            case "==":
                catch_up()
                state = _state(conversation)
                assert state == rest, f"the state is {state!r}, expected {rest!r}"
            case "--":
                pass
            case _:
                raise ValueError(f"a playbook has no such line: {line!r}")
    catch_up()


def show(event):
    """An event as a line of a playbook."""
    match event:
        case Hello(caps=caps):
            return " ".join(["Hello", *sorted(caps)])
        case Answer(failure=None):
            return f"Answer value={_text(event.value)}"
        case Answer(failure=failure):
            return f"Answer failure={failure.kind.value}: {failure.message}"
        case Progress(job_id=job_id):
            return f"Progress {job_id} {_text(event.value)}"
        case Log(job_id=job_id):
            return f"Log {job_id} {_text(event.text)}"
        case Heartbeat(job_id=job_id):
            return f"Heartbeat {job_id}"
        case Emit(job_id=job_id):
            return f"Emit {job_id} {_text(event.chunk)}"
        case Ask(job_id=job_id):
            return f"Ask {job_id} {_text(event.re)} {event.verb} {_text(event.args)}"
        case Pong(n=n):
            return f"Pong {n}"
        case Noise(line=line):
            return f"Noise {_text(line)}".rstrip()
        case Spoiled(kind=kind, reason=reason):
            return f"Spoiled {kind.value} {reason}"
    raise AssertionError(f"an event of no known kind: {event!r}")


def _conversation(lines):
    setup = [line.removeprefix("-- ") for line in lines if line.startswith("-- ")]
    limits = [int(entry.split()[1]) for entry in setup if entry.startswith("limit ")]

    options = {"strict": True} if "strict" in setup else {}

    return Conversation(limits[0] if limits else USUAL_LIMIT, **options)


def _state(conversation):
    words = [conversation.state.value]
    if conversation.full:
        words.append("full")
    if conversation.noise is not None:
        words += ["noise", _text(conversation.noise)]

    return " ".join(words)


def _compare(told, expected):
    patterns = [".*".join(map(re.escape, text.split("…"))) for text in expected]
    same = len(told) == len(patterns) and all(
        re.fullmatch(pattern, text, re.DOTALL) for pattern, text in zip(patterns, told, strict=True)
    )

    assert same, f"told {told}, expected {expected}"


def _bytes(text):
    return ast.literal_eval(text) if text.startswith("b'") else text.encode()


def _text(data):
    return data.decode("utf-8", "backslashreplace")
