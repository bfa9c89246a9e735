"""From what a caller gives to a job that can be stored, and back to what a caller awaits."""

import pytest

from sandq.errors import InvalidInput, JobCancelled, JobFailed, JobMissing, UnknownOption
from sandq.model.building import (
    JOBS_AT_ONCE,
    JobResult,
    check_state_names,
    ended_value,
    new_job,
    new_jobs,
)
from sandq.model.job import JobRecord, NewJob
from sandq.model.options import DEFAULT_OPTIONS, JobOptions, Priority
from sandq.model.payload import MAX_DATA_BYTES, JsonText
from sandq.model.schedule import Repeat
from sandq.model.states import JobState


def record(state, **fields):
    born = {b"name": b"a", b"data": b"1", b"created": b"1", b"state": state.encode()}
    return JobRecord.from_hash("7", {**born, **{k.encode(): v for k, v in fields.items()}})


def test_a_job_without_options_is_all_defaults():
    assert new_job("resize", None, JobOptions()) == NewJob(
        job_id="", name="resize", data=b"null", opts=b"", priority=0, delay_ms=0, extras=b""
    )


def test_every_option_has_its_place_in_the_new_job():
    options = JobOptions(
        job_id="a", delay=1.5, priority=Priority.HIGH, lifo=True, attempts=2, timeout=1, tags=["a"]
    )
    job = new_job("resize", {"src": "cat.jpg"}, options)

    assert job == NewJob(
        job_id="a",
        name="resize",
        data=b'{"src":"cat.jpg"}',
        opts=options.to_text(),
        priority=2,
        delay_ms=1_500,
        extras=b'{"lifo":true,"tags":["a"]}',
    )
    assert type(job.priority) is int


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("", 1, "job name"),
        (None, 1, "job name"),
        ("x" * 257, 1, "job name"),
        ("a", {1}, "data cannot be written as JSON"),
        ("a", float("nan"), "data holds NaN"),
        ("a", JsonText("{"), "data is not JSON"),
    ],
)
def test_what_no_job_may_have_is_refused(name, data, message):
    with pytest.raises(InvalidInput, match=message):
        new_job(name, data, JobOptions())


def test_data_may_be_as_long_as_the_limit_and_no_longer():
    longest = "x" * (MAX_DATA_BYTES - 2)

    assert len(new_job("a", longest, JobOptions()).data) == MAX_DATA_BYTES
    with pytest.raises(InvalidInput, match=f"data is {MAX_DATA_BYTES + 1} bytes of JSON; at most"):
        new_job("a", longest + "x", JobOptions())


def test_another_limit_of_data_may_be_given():
    assert new_job("a", "xxx", JobOptions(), max_data_bytes=5).data == b'"xxx"'
    with pytest.raises(InvalidInput, match="data is 6 bytes of JSON; at most 5 are allowed"):
        new_job("a", "xxxx", DEFAULT_OPTIONS, max_data_bytes=5)


@pytest.mark.parametrize("options", [{}, {"delay": 5}, {"run_at": 4_000_000_000}])
def test_a_delay_may_be_as_long_as_the_queue_allows(options):
    new_job("a", 1, JobOptions(**options), max_delay_ms=5_000)


def test_a_longer_delay_than_the_queue_allows_is_refused():
    with pytest.raises(InvalidInput, match=r"delay is 5\.001 s; the queue allows at most 5\.0 s"):
        new_job("a", 1, JobOptions(delay="5001ms"), max_delay_ms=5_000)


def test_the_defaults_hold_for_each_job_of_a_list():
    jobs = new_jobs(
        [
            ("a", 1),
            ("b", 2, {"attempts": 1}),
            ("c", 3, {"priority": 7}),
            ("d", 4, JobOptions(lifo=True)),
        ],
        stored_defaults={"attempts": 2, "priority": 1},
        client_defaults={"priority": 2},
    )

    assert [(job.opts, job.priority) for job in jobs] == [
        (b'{"attempts":2}', 2),
        (b"", 2),
        (b'{"attempts":2}', 7),
        (b'{"attempts":2,"lifo":true}', 2),
    ]


def test_the_limits_of_the_queue_hold_for_each_job_of_a_list():
    limits = {"max_data_bytes": 20, "max_delay_ms": 5_000, "group_key": "id"}

    assert [job.extras for job in new_jobs([("a", {"id": "x"}), ("b", 1)], **limits)] == [
        b'{"group":"x"}',
        b"",
    ]
    for entry, message in [
        (("c", "x" * 20), "data is 22 bytes"),
        (("c", 1, {"delay": 6}), "delay is 6.0 s"),
        (("c", {"id": "\n"}), "group, taken from 'id'"),
    ]:
        with pytest.raises(InvalidInput, match=f"job 1 of the list: {message}"):
            new_jobs([("a", 1), entry], **limits)


def test_a_series_is_no_job_of_a_list():
    with pytest.raises(InvalidInput, match="job 1 of the list: repeat makes a series"):
        new_jobs([("a", 1), ("b", 2, {"repeat": Repeat.every("1h")})])


def test_defaults_that_cannot_be_ones_are_no_fault_of_a_job():
    with pytest.raises(InvalidInput, match=r"^option 'job_id' cannot be a default"):
        new_jobs([("a", 1)], stored_defaults={"job_id": "a"})


def test_a_list_may_hold_pairs_and_triples_of_either_kind():
    jobs = new_jobs(
        [
            ("a", 1),
            ["b", 2],
            ("c", 3, None),
            ("d", 4, {"priority": 2}),
            ("e", 5, JobOptions(lifo=True)),
            ("f", 6, {}),
        ]
    )

    assert [(job.name, job.data, job.priority, job.extras) for job in jobs] == [
        ("a", b"1", 0, b""),
        ("b", b"2", 0, b""),
        ("c", b"3", 0, b""),
        ("d", b"4", 2, b""),
        ("e", b"5", 0, b'{"lifo":true}'),
        ("f", b"6", 0, b""),
    ]


def test_a_script_serves_so_many_jobs_at_most_that_others_are_served_too():
    assert (JOBS_AT_ONCE, MAX_DATA_BYTES) == (1_000, 983_040)


def test_a_list_may_be_empty_or_an_iterator():
    assert new_jobs([]) == []
    assert [job.data for job in new_jobs(("a", n) for n in range(3))] == [b"0", b"1", b"2"]


@pytest.mark.parametrize(
    ("entry", "kind", "message"),
    [
        (("a",), InvalidInput, "must be"),
        (("a", 1, None, 2), InvalidInput, "must be"),
        ("ab", InvalidInput, "must be"),
        (5, InvalidInput, "must be"),
        ({"name": "a", "data": 1}, InvalidInput, "must be"),
        (("a", 1, 5), InvalidInput, "options must be a mapping or JobOptions"),
        (("a", 1, "lifo"), InvalidInput, "options must be a mapping or JobOptions"),
        (("a", 1, {"attempts": 0}), InvalidInput, "attempts must be"),
        (("a", 1, {"atempts": 1}), UnknownOption, "did you mean 'attempts'"),
        (("a", 1, {5: 1}), UnknownOption, "option 5 is not known"),
        (("", 1), InvalidInput, "job name"),
        (("a", {1}), InvalidInput, "data cannot be written"),
    ],
    ids=str,
)
def test_an_error_says_which_entry_of_the_list_is_wrong(entry, kind, message):
    with pytest.raises(kind, match=f"job 2 of the list: .*{message}"):
        new_jobs([("a", 1), ("b", 2), entry])


@pytest.mark.parametrize("state", ["waiting", "delayed", "active"])
def test_a_job_that_has_not_ended_has_no_value_yet(state):
    assert ended_value("7", record(state, value=b"1")) == (False, None)


@pytest.mark.parametrize(
    ("fields", "value"),
    [({"value": b'{"w":64}'}, {"w": 64}), ({"value": b"null"}, None), ({}, None)],
)
def test_a_completed_job_has_its_value(fields, value):
    assert ended_value("7", record("completed", **fields)) == (True, value)


def test_a_failed_job_raises_its_failure_record():
    failure = b'{"kind":"timed_out","message":"late"}'

    with pytest.raises(JobFailed, match="job '7' failed: timed_out: late") as caught:
        ended_value("7", record("failed", failure=failure))

    assert caught.value.failure == {"kind": "timed_out", "message": "late"}


def test_a_failed_job_without_a_record_raises_too():
    with pytest.raises(JobFailed, match="job '7' failed: error") as caught:
        ended_value("7", record("failed"))

    assert caught.value.failure == {}


def test_a_cancelled_and_a_missing_job_raise():
    with pytest.raises(JobCancelled, match="job '7' was cancelled"):
        ended_value("7", record("cancelled"))
    with pytest.raises(JobMissing, match="job '7' does not exist"):
        ended_value("7", None)


@pytest.mark.parametrize(
    ("found", "result", "done"),
    [
        (None, JobResult("7", None), False),
        (record("waiting"), JobResult("7", JobState.WAITING), False),
        (
            record("delayed", failure=b'{"kind":"error"}'),
            JobResult("7", JobState.DELAYED, None, {"kind": "error"}),
            False,
        ),
        (record("active"), JobResult("7", JobState.ACTIVE), False),
        (record("completed"), JobResult("7", JobState.COMPLETED), True),
        (record("completed", value=b"null"), JobResult("7", JobState.COMPLETED), True),
        (record("completed", value=b"0"), JobResult("7", JobState.COMPLETED, 0), True),
        (record("completed", value=b'{"w":1}'), JobResult("7", JobState.COMPLETED, {"w": 1}), True),
        (
            record("failed", failure=b'{"kind":"error"}'),
            JobResult("7", JobState.FAILED, None, {"kind": "error"}),
            True,
        ),
        (record("cancelled"), JobResult("7", JobState.CANCELLED), True),
    ],
)
def test_a_result_tells_not_yet_from_returned_none_from_no_such_job(found, result, done):
    told = JobResult.of("7", found)

    assert told == result
    assert told.done is done
    assert (told.state is None) == (found is None)


def test_states_are_known_by_name_in_the_order_given():
    assert check_state_names(["failed", "waiting"]) == [JobState.FAILED, JobState.WAITING]
    assert check_state_names([JobState.ACTIVE]) == [JobState.ACTIVE]
    assert check_state_names([]) == []


@pytest.mark.parametrize("name", ["paused", "Waiting", "", "wait"])
def test_an_unknown_state_is_refused_with_all_known_ones(name):
    with pytest.raises(InvalidInput, match=f"state '{name}' is not known; known are: waiting, del"):
        check_state_names(["active", name])
