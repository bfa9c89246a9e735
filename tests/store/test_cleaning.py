"""Old jobs are cleaned away, and queues emptied, in steps; what is left is in order."""

import pytest

from sandq.model.states import JobState
from sandq.model.verdict import Action
from sandq.store import reads, verbs

STATES = ["waiting", "delayed", "active", "completed", "failed", "cancelled"]


def clean(bench, state, grace_ms=0, begin=0, removals=1000):
    return bench.run(verbs.clean(state, grace_ms, begin, removals, str(bench.now)))


def bring(bench, state, *ids):
    """Jobs that are in a state by now."""
    for job_id in ids:
        bench.add(bench.new(job_id, delay_ms=10**6 if state == "delayed" else 0))
        match state:
            case "active":
                bench.claim()
            case "completed":
                bench.do()
            case "failed":
                bench.do(Action.FAIL)
            case "cancelled":
                bench.run(verbs.cancel([job_id], "", str(bench.now)))


@pytest.mark.parametrize("state", [state for state in STATES if state != "active"])
def test_only_jobs_of_the_state_that_are_older_than_the_grace_go(bench, state):
    other = "failed" if state != "failed" else "completed"
    bring(bench, other, "other")
    bring(bench, state, "old")
    bench.now += 1000
    bring(bench, state, "young")

    early = clean(bench, state, 1001)
    answer = clean(bench, state, 1000)

    assert early == (-1, [])
    assert answer == (-1, ["old"])
    assert bench.ids(state) == ["young"]
    assert bench.ids(other) == ["other"]
    assert bench.events().count("cleaned") == 1


def test_a_job_that_is_being_run_is_not_cleaned_away_until_its_lease_has_ended(bench):
    bring(bench, "active", "a")
    bench.now += bench.lease_ms - 1
    held = clean(bench, "active")
    bench.now += 1

    assert held == (-1, [])
    assert clean(bench, "active") == (-1, ["a"])
    assert bench.hash("groups") == {}


def test_a_job_is_as_old_as_its_last_start_not_as_its_adding(bench):
    bench.add("retried", "never")
    bench.now += 1000
    bench.do(Action.RETRY)

    assert clean(bench, "waiting", 1000) == (-1, ["never"])


@pytest.mark.parametrize("state", ["completed", "waiting"])
def test_cleaning_goes_on_where_it_was_and_misses_none(bench, state):
    for first in range(0, 60, 20):
        bring(bench, state, *(f"j{n:02}" for n in range(first, first + 20)))
        bench.now += 1000
    # every second one is young, wherever it stands
    for n in range(0, 60, 2):
        field = "finished" if state == "completed" else "created"
        bench.client.hset(f"sandq:{{q}}:job:j{n:02}", field, bench.now)
        if state == "completed":
            bench.client.zadd("sandq:{q}:completed", {f"j{n:02}": bench.now})

    gone, begin, calls = [], 0, 0
    while begin >= 0 and calls < 20:
        begin, ids = clean(bench, state, 500, begin, 7)
        gone += ids
        calls += 1

    assert sorted(gone) == [f"j{n:02}" for n in range(1, 60, 2)]
    assert calls == 5
    assert bench.count(state) == 30


@pytest.mark.parametrize("paused", [False, True])
def test_emptying_a_queue_does_not_change_whether_it_is_paused(bench, paused):
    # Bull deletes one of its two marks: the queue says that it is paused while it is not
    bench.run(verbs.pause(paused))
    bring(bench, "waiting", "a")

    bench.run(verbs.empty([JobState.WAITING, JobState.DELAYED]))
    bench.add("b")

    assert bench.run(reads.is_paused()) is paused
    assert bench.take() == ([] if paused else ["b"])


def test_emptying_takes_the_states_that_are_named_and_no_others(bench):
    bring(bench, "completed", "done")
    bring(bench, "failed", "failed")
    bring(bench, "delayed", "later")

    assert bench.run(verbs.empty([JobState.FAILED, JobState.DELAYED])) == (2, 0)
    assert bench.run(reads.counts())["completed"] == 1
    assert bench.hash("kinds") == {}


def test_entries_without_a_job_are_emptied_as_well(bench):
    bring(bench, "completed", "a")
    bring(bench, "waiting", "b")
    bench.client.delete("sandq:{q}:job:a", "sandq:{q}:job:b")

    assert bench.run(verbs.empty([JobState.COMPLETED, JobState.WAITING])) == (2, 0)
    assert {"completed", "waiting"} & bench.names() == set()


@pytest.mark.parametrize("at_once", [1, 50, 1000])
def test_a_big_queue_is_emptied_whatever_is_in_it(one_bench, at_once, monkeypatch):
    bench = one_bench
    monkeypatch.setattr(verbs, "AT_ONCE", at_once)
    count = 40 if at_once == 1 else 2000
    bench.configure(group_concurrency=1)
    bench.add(*bench.many(count // 2, "g", tags=["t"]))
    bench.add(*(bench.new(delay_ms=5, dedup=f"k{n}") for n in range(count // 2)))
    bench.claim(10)

    steps, left = 0, 1
    while left and steps < 3 * count:
        _, left = bench.run(verbs.empty(list(JobState)))
        steps += 1

    assert steps == -(-count // at_once)
    assert bench.names() == {"meta", "events", "totals", "wake"}
