"""What a queue tells the outside."""

from sandq.model.events import ENDINGS, Event, EventKind
from sandq.model.states import FINAL

# the words in the stream, for ever
KINDS = {
    "waiting",
    "delayed",
    "duplicated",
    "active",
    "progress",
    "completed",
    "failed",
    "retry-scheduled",
    "released",
    "stalled",
}


def test_the_words_for_events_are_these():
    assert {kind.value for kind in EventKind} == KINDS


def test_the_endings_are_the_events_of_final_states():
    final = {state.value.encode() for state in FINAL}

    assert {kind.value.encode() for kind in EventKind} & final == ENDINGS


def test_an_event_is_a_value():
    assert Event("1-0", "waiting", "7") == Event(id="1-0", kind="waiting", job_id="7")
