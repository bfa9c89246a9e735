"""Jobs that are added once under a key: while the first one has not ended, or for a time."""

import pytest

from sandq.model.verdict import Action
from sandq.store import verbs

HOUR_MS = 3600 * 1000


def test_another_job_under_the_key_adds_nothing_and_gets_the_id_of_the_first(bench):
    first = bench.add(bench.new(dedup="k", data=b"1"))
    second = bench.add(bench.new(dedup="k", data=b"2"), bench.new("own", dedup="k"))

    assert (first, second) == (["1"], ["1", "1"])
    assert bench.look("1").data == b"1"
    assert bench.look("own") is None
    assert bench.count("waiting") == 1
    assert bench.events("1") == ["waiting", "duplicated", "duplicated"]


def test_two_of_one_call_are_one_job(bench):
    assert bench.add(bench.new("a", dedup="k"), bench.new("b", dedup="k")) == ["a", "a"]
    assert bench.ids("waiting") == ["a"]


def test_keys_do_not_meddle_with_one_another(bench):
    assert bench.add(bench.new("a", dedup="k"), bench.new("b", dedup="k2"), "c") == ["a", "b", "c"]


@pytest.mark.parametrize("state", ["waiting", "delayed", "active", "retried"])
def test_the_key_holds_until_the_job_has_ended(bench, state):
    bench.add(bench.new("a", dedup="k", delay_ms=50 if state == "delayed" else 0))
    if state == "retried":
        bench.do(Action.RETRY, delay_ms=99)
    elif state == "active":
        bench.claim()

    assert bench.add(bench.new("b", dedup="k")) == ["a"]


@pytest.mark.parametrize("how", ["complete", "fail", "cancel", "remove", "expire", "stall", "gone"])
def test_the_key_is_free_when_the_job_has_ended_however_it_did(bench, how):
    bench.add(bench.new("a", dedup="k", expires_at=bench.now + 50))
    now = str(bench.now)
    match how:
        case "complete" | "fail":
            bench.do(Action(how))
        case "gone":
            bench.do(retain="0,,,")
        case "cancel":
            bench.run(verbs.cancel(["a"], "", now))
        case "remove":
            bench.run(verbs.remove(["a"], False, now))
        case "expire":
            bench.now += 50
            bench.tend()
        case "stall":
            bench.claim()
            bench.now += bench.lease_ms
            bench.recover(max_stalls=0)

    assert "dedup:k" not in bench.names()
    assert bench.add(bench.new("b", dedup="k")) == ["b"]


def test_the_end_of_an_older_job_does_not_free_a_key_that_is_another_jobs(bench):
    bench.add(bench.new("a", dedup="k"))
    bench.do(Action.FAIL)
    bench.add(bench.new("b", dedup="k"))
    # its key is taken by now, and stays with who has it
    bench.run(verbs.retry(["a"], False, str(bench.now)))
    bench.run(verbs.cancel(["a"], "", str(bench.now)))

    assert bench.add(bench.new("c", dedup="k")) == ["b"]


def test_a_job_that_is_retried_by_hand_takes_its_key_again(bench):
    bench.add(bench.new("a", dedup="k"))
    bench.do(Action.FAIL)

    bench.run(verbs.retry(["a"], False, str(bench.now)))

    assert bench.add(bench.new("b", dedup="k")) == ["a"]


@pytest.mark.parametrize("delay_ms", [0, HOUR_MS])
def test_a_key_with_a_time_holds_so_long_after_the_job_may_start(bench, delay_ms):
    bench.add(bench.new("a", dedup="k", dedup_ttl_ms=HOUR_MS, delay_ms=delay_ms))

    left = bench.client.pttl("sandq:{q}:dedup:k")

    assert HOUR_MS + delay_ms - 60_000 < left <= HOUR_MS + delay_ms


@pytest.mark.parametrize("how", ["complete", "remove"])
def test_a_key_with_a_time_outlives_its_job(bench, how):
    # Bull forgets a job's id when the job is removed
    bench.add(bench.new("a", dedup="k", dedup_ttl_ms=HOUR_MS))
    if how == "complete":
        bench.do(retain="0,,,")
    else:
        bench.run(verbs.remove(["a"], False, str(bench.now)))

    assert bench.look("a") is None
    assert bench.add(bench.new("b", dedup="k")) == ["a"]
    assert bench.look("b") is None


def test_a_key_whose_job_was_deleted_by_hand_holds_nobody(bench):
    bench.add(bench.new("a", dedup="k"))
    bench.client.delete("sandq:{q}:job:a", "sandq:{q}:waiting")

    assert bench.add(bench.new("b", dedup="k")) == ["b"]


def test_a_job_that_is_not_added_does_not_fill_the_queue(bench):
    bench.configure(max_size=1)
    bench.add(bench.new("a", dedup="k"))

    assert bench.add(bench.new("b", dedup="k"), bench.new("a")) == ["a", "a"]
