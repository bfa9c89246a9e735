"""Jobs that must not be started after a moment, and values that are kept for a time."""

import pytest

from sandq.model.job import JobRecord
from sandq.model.states import JobState
from sandq.model.verdict import Action
from sandq.store import reads, verbs


def test_a_job_that_was_not_started_in_time_fails_as_expired(bench):
    bench.add(bench.new("late", expires_at=bench.now + 100), bench.new("patient"))
    bench.now += 100

    taken = bench.take(2)
    record = bench.look("late")

    assert taken == ["patient"]
    assert (record.state, record.finished_ms, record.claims) == (JobState.FAILED, bench.now, 0)
    assert record.failure["kind"] == "expired"
    assert "was not started before" in record.failure["message"]
    assert bench.events("late") == ["waiting", "failed"]
    assert bench.hash("kinds") == {"expired": "1"}


@pytest.mark.parametrize("left_ms", [1, 50])
def test_a_job_may_start_until_its_last_moment_and_then_run_for_as_long_as_it_takes(bench, left_ms):
    bench.add(bench.new("a", expires_at=bench.now + 100))
    bench.now += 100 - left_ms
    (claim,) = bench.claim()
    bench.now += 10_000
    bench.tend()

    assert bench.settle(claim)[0] == "ok"
    assert bench.look("a").state is JobState.COMPLETED


@pytest.mark.parametrize("state", ["waiting", "delayed", "paused"])
def test_jobs_expire_without_anybody_to_run_them(bench, state):
    delay_ms = 5000 if state == "delayed" else 0
    bench.add(bench.new("a", expires_at=bench.now + 100, delay_ms=delay_ms))
    if state == "paused":
        bench.run(verbs.pause(True))
    bench.now += 100

    bench.tend()

    assert bench.ids("failed") == ["a"]
    assert bench.ids("waiting") == bench.ids("delayed") == []


def test_an_idle_supervisor_is_told_when_a_job_expires_but_not_too_often(bench):
    bench.add(bench.new("soon", expires_at=bench.now + 10, delay_ms=99_000))
    soon = bench.ask().next_due_ms
    bench.run(verbs.remove(["soon"], False))
    bench.add(bench.new("later", expires_at=bench.now + 5000, delay_ms=99_000))

    assert soon - bench.now == 250
    assert bench.ask().next_due_ms == bench.now + 5000


def test_a_failed_attempt_is_not_followed_by_another_after_the_moment(bench):
    bench.add(bench.new("a", expires_at=bench.now + 100))
    (claim,) = bench.claim()
    bench.now += 100
    bench.tend()

    _, claimed = bench.settle(claim, Action.RETRY, n=1)

    assert claimed.claims == []
    assert bench.look("a").failure["kind"] == "expired"
    assert bench.look("a").attempts == 1


def test_a_job_retried_by_hand_expires_no_more(bench):
    bench.add(bench.new("a", expires_at=bench.now + 100))
    bench.now += 100
    bench.tend()

    bench.run(verbs.retry(["a"], False, str(bench.now)))

    assert bench.look("a").expires_ms is None
    assert bench.take() == ["a"]


def test_many_jobs_expire_in_steps_so_that_no_call_is_long(bench):
    bench.add(*(bench.new(f"j{n}", expires_at=bench.now + 1, delay_ms=9) for n in range(250)))
    bench.now += 1

    failed = []
    for _ in range(3):
        bench.tend()
        failed.append(bench.count("failed"))

    assert failed == [100, 200, 250]


def test_a_job_that_is_past_its_moment_is_not_started_even_before_the_sweep_came_to_it(bench):
    bench.add(*(bench.new(f"j{n}", expires_at=bench.now + 1) for n in range(250)))
    bench.now += 1

    assert bench.take(250) == []
    assert bench.count("failed") == 250


def test_a_job_called_off_before_its_moment_leaves_no_entry_behind(bench):
    bench.add(bench.new("a", expires_at=bench.now + 100))

    bench.run(verbs.remove(["a"], False, str(bench.now)))

    assert "expiry" not in bench.names()


# ---- values


def completed(bench, ttl_ms, job_id="a"):
    bench.add(job_id)
    bench.do(retain=f",,{ttl_ms},")


def test_a_completed_job_goes_with_its_value_when_the_time_is_over(bench):
    completed(bench, 1000)
    bench.now += 999
    bench.tend()
    before = bench.look("a")
    bench.now += 1
    bench.tend()

    assert isinstance(before, JobRecord)
    assert bench.look("a") is None
    assert bench.ids("completed") == []
    assert bench.events("a") == ["waiting", "active", "completed", "removed"]
    assert "expiry" not in bench.names()


def test_only_a_completed_job_goes_by_its_time_to_live(bench):
    bench.add("a")
    bench.do(Action.FAIL, retain=",,1000,")
    bench.now += 5000
    bench.tend()

    assert bench.look("a").state is JobState.FAILED


def test_a_retried_job_is_not_removed_by_the_time_its_first_value_had(bench):
    completed(bench, 1000)
    bench.run(verbs.retry(["a"], False, str(bench.now)))
    bench.do()
    bench.now += 1000
    bench.tend()

    assert bench.look("a").state is JobState.COMPLETED


@pytest.mark.parametrize("how", ["remove", "clean", "empty"])
def test_a_new_job_is_not_removed_by_the_time_that_an_older_one_of_its_id_had(bench, how):
    completed(bench, 1000)
    match how:
        case "remove":
            bench.run(verbs.remove(["a"], False, str(bench.now)))
        case "clean":
            bench.run(verbs.clean("completed", 0, 0, 10, str(bench.now)))
        case "empty":
            bench.run(verbs.empty([JobState.COMPLETED]))
    left = bench.names() & {"expiry"}
    bench.add("a")
    bench.do()
    bench.now += 1000

    bench.tend()

    assert left == set()
    assert bench.run(reads.counts())["completed"] == 1
