"""What both faces show of a job."""

import inspect
import json

import pytest

from sandq.model.building import new_job
from sandq.model.job import JobRecord
from sandq.model.options import JobOptions
from sandq.model.payload import JsonText
from sandq.model.states import JobState
from sandq.model.view import SHOWN, JobView

BORN = {b"name": b"resize", b"data": b'{"a": 1}', b"created": b"1700000000250"}
RUN = {
    **BORN,
    b"opts": b'{"attempts":3,"metadata":{"by":"me"}}',
    b"state": b"failed",
    b"priority": b"2",
    b"attempts": b"3",
    b"claims": b"4",
    b"stalls": b"1",
    b"started": b"1700000001000",
    b"finished": b"1700000002500",
    b"worker": b"host:1:ab",
    b"progress": b"0.50",
    b"value": b'{"w":64}',
    b"sandbox": b"bwrap",
    b"failure": b'{"kind":"error","message":"no"}',
    b"group": b"acme",
    b"tags": b'["red","blue"]',
    b"expires": b"1700000009500",
    b"retried": b"1700000003500",
    b"cancel": b"too slow",
    b"discard": b"1",
    b"repeat": b"resize:every:5",
    b"dedup": b"once",
    b"token": b"0123456789abcdef",
}


def added(data=None, **options):
    return JobView("7", new=new_job("resize", data, JobOptions(**options)))


def fetched(fields):
    return JobView("7", record=JobRecord.from_hash("7", fields))


def test_a_job_just_added_shows_what_it_was_added_with():
    view = added({"a": 1}, priority=2, attempts=3)

    assert view.to_dict() == {
        "id": "7",
        "name": "resize",
        "state": "waiting",
        "data": {"a": 1},
        "opts": {"attempts": 3},
        "priority": 2,
        "group": None,
        "tags": [],
        "metadata": {},
        "dedup": None,
        "repeat_key": None,
        "attempts": 0,
        "claims": 0,
        "stalls": 0,
        "created_at": None,
        "due_at": None,
        "expires_at": None,
        "started_at": None,
        "finished_at": None,
        "retried_at": None,
        "worker": None,
        "cancel_reason": None,
        "discarded": False,
        "progress": None,
        "value": None,
        "sandbox": None,
        "failure": None,
    }


def test_a_fetched_job_shows_what_redis_holds():
    view = fetched(RUN)

    assert view.to_dict() == {
        "id": "7",
        "name": "resize",
        "state": "failed",
        "data": {"a": 1},
        "opts": {"attempts": 3, "metadata": {"by": "me"}},
        "priority": 2,
        "group": "acme",
        "tags": ["red", "blue"],
        "metadata": {"by": "me"},
        "dedup": "once",
        "repeat_key": "resize:every:5",
        "attempts": 3,
        "claims": 4,
        "stalls": 1,
        "created_at": 1_700_000_000.25,
        "due_at": None,
        "expires_at": 1_700_000_009.5,
        "started_at": 1_700_000_001.0,
        "finished_at": 1_700_000_002.5,
        "retried_at": 1_700_000_003.5,
        "worker": "host:1:ab",
        "cancel_reason": "too slow",
        "discarded": True,
        "progress": 0.5,
        "value": {"w": 64},
        "sandbox": "bwrap",
        "failure": {"kind": "error", "message": "no"},
    }


def test_a_delayed_job_says_when_it_is_due():
    view = fetched({**BORN, b"state": b"delayed", b"due": b"1700000009750"})

    assert view.state is JobState.DELAYED
    assert view.due_at == 1_700_000_009.75


@pytest.mark.parametrize(
    ("options", "state"),
    [
        ({}, "waiting"),
        ({"delay": 0}, "waiting"),
        ({"delay": 1}, "delayed"),
        ({"delay": 1e-3}, "delayed"),
        # whether it has passed only the server's clock knows
        ({"run_at": 4_000_000_000}, "delayed"),
        ({"run_at": 0}, "delayed"),
        ({"expires_at": 4_000_000_000}, "waiting"),
    ],
)
def test_a_job_just_added_is_waiting_or_delayed(options, state):
    assert added(**options).state == state


def test_a_job_just_added_shows_what_travelled_beside():
    view = added(
        group="acme", tags=["a"], dedup="once", expires_at=4_000_000_000.5, metadata={"by": "me"}
    )

    assert (view.group, view.tags, view.dedup) == ("acme", ["a"], "once")
    assert view.expires_at == 4_000_000_000.5
    assert view.metadata == {"by": "me"}


def test_the_token_is_not_shown():
    assert "token" not in SHOWN
    assert b"0123456789abcdef" not in json.dumps(fetched(RUN).to_dict()).encode()


def test_the_data_are_shown_decoded_and_as_the_text_that_is_stored():
    view = added(JsonText('{ "a" : 1 }'))

    assert view.data == {"a": 1}
    assert view.data_text == b'{ "a" : 1 }'


def test_everything_shown_is_json_and_in_order():
    shown = fetched(RUN).to_dict()

    assert tuple(shown) == SHOWN
    assert json.loads(json.dumps(shown)) == shown


def test_everything_that_is_told_of_a_job_is_shown():
    told = {
        name
        for name, member in inspect.getmembers(JobView)
        if isinstance(member, property) and not name.startswith("_")
    }

    assert told | {"id"} == {*SHOWN, "data_text"}


def test_a_record_comes_before_what_the_job_was_added_with():
    new = new_job("before", 1, JobOptions(group="a", tags=["b"], dedup="c", expires_at=1))
    view = JobView("7", new=new, record=JobRecord.from_hash("7", BORN))

    assert (view.name, view.data) == ("resize", {"a": 1})
    assert (view.group, view.tags, view.dedup, view.expires_at) == (None, [], None, None)


def test_a_view_is_printed_with_id_name_and_state():
    assert repr(fetched(RUN)) == "<Job 7 'resize' failed>"


def test_a_value_of_null_is_shown_as_none():
    assert fetched({**RUN, b"value": b"null"}).value is None
