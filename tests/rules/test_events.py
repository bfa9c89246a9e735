"""What a queue tells the outside."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandq.errors import InvalidInput
from sandq.model.events import ENDINGS, Event, EventKind, LocalEvents, check_from_id
from sandq.model.states import FINAL

# the words in the stream, for ever
KINDS = {
    "waiting",
    "delayed",
    "duplicated",
    "active",
    "progress",
    "emitted",
    "updated",
    "completed",
    "failed",
    "cancelling",
    "cancelled",
    "retry-scheduled",
    "released",
    "stalled",
    "rate-limited",
    "removed",
    "cleaned",
    "drained",
    "paused",
    "resumed",
    "configured",
}


def test_the_words_for_events_are_these():
    assert {kind.value for kind in EventKind} == KINDS


def test_a_waiter_looks_after_every_final_state_and_after_a_removal():
    assert {*(state.value for state in FINAL), "removed"} == ENDINGS


def test_an_event_is_a_value_that_knows_when_it_was():
    event = Event("1700000000123-4", "waiting", "7", {"by": "me"})

    assert event == Event(id="1700000000123-4", kind="waiting", job_id="7", fields={"by": "me"})
    assert event.at == 1_700_000_000.123


def test_local_events_are_those_of_jobs_from_their_claim_by_us_to_their_end():
    local = LocalEvents({"me"})
    told = [
        ("waiting", "1", {}, False),
        ("active", "1", {"worker": "me"}, True),
        ("progress", "1", {}, True),
        ("active", "2", {"worker": "another"}, False),
        ("progress", "2", {}, False),
        ("retry-scheduled", "1", {}, True),
        ("waiting", "1", {}, False),
        ("active", "1", {"worker": "another"}, False),
        ("completed", "1", {}, False),
        ("active", "3", {"worker": "me"}, True),
        ("completed", "3", {}, True),
        ("removed", "3", {}, False),
        ("paused", "", {}, False),
    ]

    for kind, job_id, fields, mine in told:
        assert local.is_mine(Event("1-0", kind, job_id, fields)) is mine, (kind, job_id)


def test_a_job_that_another_recovered_is_no_longer_ours():
    local = LocalEvents({"me"})
    assert local.is_mine(Event("1-0", "active", "1", {"worker": "me"}))
    assert local.is_mine(Event("2-0", "stalled", "1", {"worker": "me"}))
    assert not local.is_mine(Event("3-0", "waiting", "1"))


@pytest.mark.parametrize("event_id", ["0", "1700000000123-0", "1700000000123"])
def test_the_id_of_an_event_is_taken(event_id):
    assert check_from_id(event_id) == event_id


@given(st.text() | st.integers() | st.none())
def test_anything_else_is_refused(event_id):
    parts = event_id.split("-") if isinstance(event_id, str) else [""]
    if len(parts) <= 2 and all(part.isascii() and part.isdigit() for part in parts):
        return

    with pytest.raises(InvalidInput, match="from_id must be the id of an event"):
        check_from_id(event_id)
