"""What may be learned of a queue: pages, counts, figures, metrics, logs, failures, ranks."""

import inspect
import typing

import pytest

from sandq.model.states import JobState
from sandq.model.verdict import Action
from sandq.store import calls, reads, verbs
from sandq.store.calls import Call, Report

MINUTE_MS = 60_000
DAY_MS = 24 * 60 * MINUTE_MS


def page(bench, state, start=0, stop=-1, *, newest_first=False):
    call = reads.page(JobState(state), start, stop, newest_first)
    return [record.id for record in bench.run(call)]


def test_pages_and_counts_tell_of_each_state(bench):
    bench.add("a", "b", bench.new("c", delay_ms=9), bench.new("d", priority=1))
    bench.do()

    assert page(bench, "waiting") == ["a", "b"]
    assert page(bench, "waiting", 0, 0, newest_first=True) == ["b"]
    assert page(bench, "delayed") == ["c"]
    assert page(bench, "completed") == ["d"]
    assert bench.run(reads.counts()) == {
        "waiting": 2,
        "paused": 0,
        "delayed": 1,
        "active": 0,
        "completed": 1,
        "failed": 0,
        "cancelled": 0,
    }


def test_any_range_of_waiting_jobs_is_a_part_of_all_with_those_aside_last(bench):
    bench.configure(group_concurrency=1)
    bench.add(*bench.many(4, "g"), "x", "y")
    bench.claim(2)
    everything = ["y", "g1", "g2", "g3"]

    for start in range(-6, 7):
        for stop in range(-6, 7):
            first = max(0, start + 4) if start < 0 else start
            last = stop + 4 if stop < 0 else stop
            for newest_first in (False, True):
                ids = everything[::-1] if newest_first else everything
                found = page(bench, "waiting", start, stop, newest_first=newest_first)
                assert found == (ids[first : last + 1] if last >= 0 else []), (start, stop)


def test_reports_are_kept_only_of_a_claim_that_holds(bench):
    bench.add("1", "2")
    one, two = bench.claim(2)
    bench.settle(two, Action.RELEASE)
    bench.now += 5

    said = [
        Report(claim, kind, text)
        for claim in (one, two)
        for kind, text in (("progress", b"0.5"), ("log", b'{"message":"a"}'))
    ]
    kept = bench.run(calls.report(said, str(bench.now)))
    count, (row,) = bench.run(reads.logs("1", 0, -1))

    assert kept == 2
    assert (bench.look("1").progress, bench.look("2").progress) == (b"0.5", None)
    assert (count, row.text, row.at_ms) == (1, b'{"message":"a"}', bench.now)
    assert bench.run(reads.logs("2", 0, -1)) == (0, [])
    assert bench.events("1")[-1] == "progress"


def test_failures_of_all_attempts_are_told_oldest_first_as_many_as_are_kept(bench):
    bench.add("a")
    for n in range(6):
        action = Action.RETRY if n < 5 else Action.FAIL
        bench.do(action, payload=b'{"kind":"error","message":"%d"}' % n, retain=",,,3")

    told = [record["message"] for record in bench.run(reads.failures("a"))]

    assert told == ["2", "3", "4", "5"]
    assert bench.run(reads.failures("nobody")) == []


@pytest.mark.parametrize("end", ["complete", "cancel", "stall", "retry by hand"])
def test_no_failure_is_forgotten_by_what_comes_after_it(bench, end):
    bench.add("a")
    for n in range(2):
        bench.do(Action.RETRY, payload=b'{"kind":"error","message":"%d"}' % n)
    match end:
        case "complete":
            bench.do()
        case "cancel":
            bench.run(verbs.cancel(["a"], "why", str(bench.now)))
        case "stall":
            bench.claim()
            bench.now += bench.lease_ms
            bench.recover(max_stalls=0)
        case "retry by hand":
            bench.do(Action.FAIL, payload=b'{"kind":"error","message":"2"}')
            bench.run(verbs.retry(["a"], False, str(bench.now)))

    told = [record["message"] for record in bench.run(reads.failures("a"))]

    assert told[:2] == ["0", "1"]
    assert len(told) == (2 if end == "complete" else 3)


@pytest.mark.parametrize("kept", [0, 10])
def test_a_job_keeps_ten_failures_of_earlier_attempts_or_as_many_as_it_asks(bench, kept):
    bench.add("a")
    for _ in range(15):
        bench.do(Action.RETRY, retain="" if kept else ",,,0")

    assert len(bench.run(reads.failures("a"))) == kept + 1


def test_the_priorities_that_jobs_wait_at_are_counted(bench):
    bench.add("a", "b", bench.new("c", priority=3), bench.new("d", priority=2**31))

    assert bench.run(reads.ranks([0, 1, 3, 2**31])) == [2, 0, 1, 1]


def test_figures_tell_who_waits_longest_and_what_is_overdue(bench):
    bench.configure(group_concurrency=2)
    added = bench.now
    bench.add("a", bench.new("b", delay_ms=1000), *bench.many(2, "g"), "z")
    before = bench.run(reads.figures(str(bench.now)))
    bench.now += 5000
    bench.claim(3)
    bench.do(Action.FAIL)
    bench.now += bench.lease_ms
    figures = bench.run(reads.figures(str(bench.now)))

    assert (before.first_waiting_ms, before.first_due_ms) == (added, added + 1000)
    assert (before.stalled, before.groups) == (0, {})
    assert figures.now_ms == bench.now
    assert (figures.first_waiting_ms, figures.first_due_ms) == (added, None)
    assert (figures.groups, figures.kinds, figures.stalled) == ({"g": 1}, {"error": 1}, 3)
    assert figures.totals == {"added": 5, "failed": 1, "kind:error": 1}
    assert figures.counts["active"] == 3


def test_a_queue_that_never_was_has_figures_and_looking_makes_none(bench):
    figures = bench.run(reads.figures())

    assert (figures.first_waiting_ms, figures.first_due_ms, figures.totals) == (None, None, {})
    assert bench.names() == set()


# ---- metrics


def metrics(bench, state="completed"):
    return bench.run(reads.metrics(JobState(state), str(bench.now)))


def finish(bench, action=Action.COMPLETE):
    bench.add(bench.new())
    bench.do(action)


def test_ended_jobs_are_counted_by_the_minute(bench):
    first = bench.now // MINUTE_MS
    for n, action in enumerate([Action.COMPLETE, Action.COMPLETE, Action.FAIL, Action.COMPLETE]):
        finish(bench, action)
        bench.now += MINUTE_MS if n else 0

    assert metrics(bench) == (bench.now, 3, {first: 2, first + 2: 1})
    assert metrics(bench, "failed") == (bench.now, 1, {first + 1: 1})


@pytest.mark.parametrize("idle_minutes", [7999, 8000, 8001, 100_000])
def test_metrics_still_work_after_a_queue_was_idle_for_weeks(bench, idle_minutes):
    # after 8,000 idle minutes Bull's unpack fails, then and at every job from then on
    bench.configure(metrics_points=80_640)
    finish(bench)
    first = bench.now // MINUTE_MS
    bench.now += idle_minutes * MINUTE_MS

    finish(bench)
    finish(bench, Action.FAIL)
    bench.now += MINUTE_MS
    finish(bench)
    _, total, minutes = metrics(bench)

    assert total == 3
    assert minutes == {first: 1, first + idle_minutes: 1, first + idle_minutes + 1: 1}
    assert bench.events("3")[-1] == "failed"


def test_no_more_minutes_are_kept_than_the_queue_asks(bench):
    bench.configure(metrics_points=5)
    for _ in range(12):
        finish(bench)
        bench.now += MINUTE_MS
    _, total, minutes = metrics(bench)

    assert total == 12
    assert sorted(minutes) == [bench.now // MINUTE_MS - n for n in range(5, 0, -1)]


def test_a_full_ring_of_minutes_is_pruned_in_one_go_after_a_long_rest(one_bench):
    bench = one_bench
    minute = bench.now // MINUTE_MS
    ring = {minute - n: 1 for n in range(1440)}
    bench.client.hset("sandq:{q}:metrics:completed", mapping=ring)
    bench.now += DAY_MS

    finish(bench)

    assert metrics(bench)[2] == {minute + 1440: 1}


def test_a_queue_that_wants_no_metrics_keeps_none(bench):
    bench.configure(metrics_points=0)
    finish(bench)

    assert metrics(bench) == (bench.now, 1, {})
    assert "metrics:completed" not in bench.names()


# ---- looking changes nothing

ARGUMENTS = {
    "job_ids": ["a", "nobody"],
    "job_id": "a",
    "state": JobState.WAITING,
    "start": 0,
    "stop": -1,
    "newest_first": True,
    "now": "1700000000000",
    "tag": "t",
    "priorities": [0, 1],
    "most": 10,
    "asc": True,
    "before": "+",
}
LOOKS = {
    name: function
    for name, function in inspect.getmembers(reads, inspect.isfunction)
    if function.__module__ == reads.__name__
    and typing.get_origin(function.__annotations__["return"]) is Call
}


@pytest.mark.parametrize("name", LOOKS)
def test_looking_changes_nothing(bench, name):
    bench.configure(group_concurrency=1)
    bench.add(bench.new("a", tags=["t"]), *bench.many(3, "g"), bench.new(delay_ms=1))
    bench.do(Action.RETRY)
    bench.claim(3)
    bench.run(verbs.upsert_series("s", 1, 0, b"{}", bench.new(), str(bench.now)))
    bench.run(verbs.beat("w", b"{}", 60_000, str(bench.now)))
    before = bench.dump()
    parameters = inspect.signature(LOOKS[name]).parameters

    bench.run(LOOKS[name](**{parameter: ARGUMENTS[parameter] for parameter in parameters}))

    assert bench.dump() == before
