"""The life of a job: which state may follow which, in Python and in Lua alike."""

from pathlib import Path

import pytest

import sandq
from sandq.model.states import FINAL, LEGAL, JobState, states_lua

# from, to, what changes it so
TRANSITIONS = [
    ("waiting", "active", "claim"),
    ("waiting", "delayed", "its rate limit is reached"),
    ("waiting", "failed", "it expires"),
    ("waiting", "cancelled", "cancel"),
    ("delayed", "waiting", "promote"),
    ("delayed", "failed", "it expires"),
    ("delayed", "cancelled", "cancel"),
    ("active", "waiting", "release, recover, retry at once"),
    ("active", "delayed", "retry after a backoff"),
    ("active", "completed", "settle"),
    ("active", "failed", "settle, or too many stalls"),
    ("active", "cancelled", "cancel"),
    ("completed", "waiting", "run again"),
    ("failed", "waiting", "retry by hand"),
    ("failed", "cancelled", "cancel"),
    ("cancelled", "waiting", "retry by hand"),
]


@pytest.mark.parametrize("source", JobState)
@pytest.mark.parametrize("target", JobState)
def test_a_change_of_state_is_legal_only_if_it_is_in_the_table(source, target):
    legal = any((source, target) == (a, b) for a, b, _ in TRANSITIONS)

    assert (target in LEGAL[source]) is legal


def test_there_are_six_states():
    assert [state.value for state in JobState] == [
        "waiting",
        "delayed",
        "active",
        "completed",
        "failed",
        "cancelled",
    ]


def test_every_state_has_a_row():
    assert set(LEGAL) == set(JobState)


def test_every_state_is_reached_from_waiting():
    reached, frontier = {JobState.WAITING}, {JobState.WAITING}
    while frontier:
        frontier = {target for state in frontier for target in LEGAL[state]} - reached
        reached |= frontier

    assert reached == set(JobState)


def test_every_state_leads_back_to_waiting():
    for start in JobState:
        reached, frontier = set(), {start}
        while frontier:
            frontier = {target for state in frontier for target in LEGAL[state]} - reached
            reached |= frontier

        assert JobState.WAITING in reached, start


def test_a_job_completes_only_out_of_active_and_fails_without_being_run_only_by_expiring():
    sources = {b: {a for a in LEGAL if b in LEGAL[a]} for b in FINAL}

    assert sources[JobState.COMPLETED] == {JobState.ACTIVE}
    assert sources[JobState.FAILED] == {JobState.ACTIVE, JobState.WAITING, JobState.DELAYED}
    assert sources[JobState.CANCELLED] == set(JobState) - {JobState.COMPLETED, JobState.CANCELLED}


def test_an_ended_job_never_becomes_active_without_waiting():
    assert {"completed", "failed", "cancelled"} == FINAL
    for state in FINAL:
        assert not LEGAL[state] & {JobState.ACTIVE, JobState.DELAYED}


def test_the_table_in_lua_is_generated_from_this_one():
    file = Path(sandq.__file__).parent / "lua" / "include" / "states.lua"

    assert file.read_text() == states_lua()
