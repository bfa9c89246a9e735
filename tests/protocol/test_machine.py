"""Who may say what when: the dialogues of simple.playbook and full.playbook, and any bytes."""

import re
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandq.model.payload import MAX_DEPTH
from sandq.protocol.machine import Conversation, Event, Spoiled, State
from sandq.protocol.messages import Answer, Noise


def dialogues(level):
    """The dialogues in a file, by name; playbook.py says how they are written."""
    text = Path(__file__).with_name(f"{level}.playbook").read_text()
    entries = (entry.split("\n", 1) for entry in re.split(r"^# ", text, flags=re.MULTILINE)[1:])

    return dict(entries)


SIMPLE = dialogues("simple")
FULL = dialogues("full")
DIALOGUES = {**SIMPLE, **FULL}


@pytest.mark.parametrize("dialogue", SIMPLE.values(), ids=SIMPLE)
def test_of_a_simple_child(play, dialogue):
    play(dialogue)


@pytest.mark.parametrize("dialogue", FULL.values(), ids=FULL)
def test_of_a_full_child(play, dialogue):
    play(dialogue)


@pytest.mark.parametrize("dialogue", DIALOGUES.values(), ids=DIALOGUES)
def test_at_once_and_byte_by_byte_the_same_is_told(play, dialogue):
    play(dialogue, lambda text: [text])
    play(dialogue, lambda text: [text[at : at + 1] for at in range(len(text))])


@given(st.data(), st.sampled_from(sorted(DIALOGUES)))
def test_however_the_bytes_are_cut_the_same_is_told(play, data, name):
    def cut(text):
        places = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
        return [text[a:b] for a, b in zip([0, *places], [*places, len(text)], strict=True)]

    play(DIALOGUES[name], cut)


def test_a_playbook_sees_what_was_not_told_and_what_was_not_expected(play):
    for wrong in ("!! lend 7\n<< Answer value=1", "!! lend 7\n>> 1", "!! lend 7\n== idle"):
        with pytest.raises(AssertionError):
            play(wrong)


@pytest.mark.parametrize("state", [State.BUSY, State.SPOILED])
def test_a_job_is_lent_only_to_an_idle_child(state):
    conversation = Conversation(1_024)
    conversation.state = state

    with pytest.raises(AssertionError, match=f"a child that is {state.value}"):
        conversation.lend("7")


SPELLINGS = [
    '{"status":"ok","result":%s}',
    '{"status": "ok", "result": %s}',
    '{"status":"ok","result": %s }',
    '{"status": "ok", "result":  %s}',
    '{"status":"ok" ,"result":%s}',
    '{"result":%s,"status":"ok"}',
    '\t{"status":"ok","result":\t%s}\r',
]


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("value", ["1.0", '{"a": 1}', '"}"', "[ ]"])
def test_the_value_is_the_bytes_written_however_the_envelope_is_spelled(spelling, value):
    conversation = Conversation(1_024)
    conversation.lend("7")
    (answer,) = conversation.receive(f"{spelling % value}\n".encode())

    assert answer.value == value.encode()


@pytest.mark.parametrize("levels", [MAX_DEPTH - 1, MAX_DEPTH, MAX_DEPTH + 1])
def test_how_deep_a_value_may_be_does_not_depend_on_the_spelling(levels):
    told = set()
    for spelling in SPELLINGS:
        conversation = Conversation(1_024)
        conversation.lend("7")
        value = "[" * levels + "]" * levels
        told |= {type(event) for event in conversation.receive(f"{spelling % value}\n".encode())}

    assert len(told) == 1, told


LINES = st.sampled_from(
    [b'{"sandq":1,"type":"hello"}', b'{"sandq":1,"type":"result","id":"7","status":"ok"}', b"1",
     b'{"sandq":1,"type":"progress","id":"7","value":1}', b'{"status":"ok"}', b"noise", b"NaN", b"",
     b'{"sandq":1,"type":"hello","caps":["call"]}', b'{"sandq":1,"type":"heartbeat","id":"7"}',
     b'{"sandq":1,"type":"call","id":"7","re":1}', b'{"sandq":1,"type":"emit","id":"7"}',
     b'{"sandq":1,"type":"pong","n":1}', b'{"sandq":1,"type":"fatal"}',
     b'{"sandq":1,"type":"result","id":"8","status":"ok"}',
     b'{"status":"ok","result":', b"x" * 70]
) | st.binary(max_size=80)  # fmt: skip
MOVES = st.lists(
    st.tuples(st.sampled_from(["lend", "end"]), st.none())
    | st.tuples(st.just("receive"), st.binary(max_size=30) | LINES.map(lambda line: line + b"\n")),
    max_size=12,
)


@given(MOVES, st.booleans())
def test_no_bytes_whatever_raise_and_every_event_fits_the_state(moves, strict):
    conversation = Conversation(64, strict=strict)
    for move, data in moves:
        before, events = conversation.state, []
        match move:
            case "lend" if before is State.IDLE:
                conversation.lend("7")
            case "end":
                events = conversation.end_of_stream()
            case "receive":
                events = conversation.receive(data)

        kinds = [type(event) for event in events]
        assert set(kinds) <= set(get_args(Event))
        assert kinds.count(Answer) <= (before is State.BUSY)
        assert (Spoiled in kinds[:-1]) is False
        if before is State.SPOILED:
            assert kinds == []
        if Spoiled in kinds:
            assert conversation.state is State.SPOILED
        if Answer in kinds and Spoiled not in kinds:
            assert conversation.state is State.IDLE
        if strict:
            assert Noise not in kinds
