"""Leases, vanished supervisors, lost replies: who may still write, and where the jobs go."""

import pytest

from sandq.model.states import JobState
from sandq.model.verdict import Action
from sandq.store import calls, verbs
from sandq.store.calls import Report


def renew(bench, *claims):
    return bench.run(calls.renew(claims, bench.lease_ms, str(bench.now)))


def test_only_the_newest_claim_can_settle(bench):
    bench.add("1")
    (first,) = bench.claim()
    bench.settle(first, Action.RELEASE)
    (second,) = bench.claim()

    stale = bench.settle(first, payload=b"1")[0]
    good = bench.settle(second, payload=b"2")[0]
    again = bench.settle(second, payload=b"3")[0]

    assert (stale, good, again) == ("lost", "ok", "done")
    assert bench.look("1").value == b"2"
    assert bench.events("1").count("completed") == 1


@pytest.mark.parametrize("action", Action)
def test_a_worker_that_lost_its_job_writes_nothing(bench, action):
    # Bull writes the attempt, the reason and the stack trace before it checks the lock
    bench.add("1")
    (loser,) = bench.claim()
    bench.now += bench.lease_ms
    bench.recover()
    bench.claim()
    before = bench.dump()

    status, _ = bench.settle(loser, action, delay_ms=5, retain="0,,,")
    reported = bench.run(
        calls.report([Report(loser, "progress", b"1"), Report(loser, "log", b"{}")], str(bench.now))
    )
    lost = renew(bench, loser)

    assert (status, reported, lost) == ("lost", 0, {"1"})
    assert bench.dump() == before


@pytest.mark.parametrize("action", Action)
def test_a_late_answer_for_a_job_that_is_gone_makes_no_stub_of_it(bench, action):
    # bullrs makes a hash anew for the progress of a job that was removed
    bench.add("1")
    (claim,) = bench.claim()
    bench.run(verbs.remove(["1"], True, str(bench.now)))
    bench.run(calls.report([Report(claim, "progress", b"1")], str(bench.now)))

    status, _ = bench.settle(claim, action)

    assert status == "missing"
    assert bench.client.exists("sandq:{q}:job:1") == 0
    assert bench.run(calls.heed()) == {}


def test_settling_a_job_whose_hash_is_gone_is_told_and_harmless(bench):
    bench.add("1")
    (one,) = bench.claim()
    bench.client.delete("sandq:{q}:job:1")
    bench.client.zrem("sandq:{q}:active", "1")

    assert bench.settle(one)[0] == "missing"


def test_renew_prolongs_what_is_held_and_names_what_is_lost(bench):
    bench.add("1", "2")
    one, two = bench.claim(2)
    bench.settle(two, Action.RELEASE)
    bench.now += 10_000

    assert renew(bench, one, two) == {"2"}
    assert bench.client.zscore("sandq:{q}:active", "1") == bench.now + bench.lease_ms


def test_a_job_that_runs_for_longer_than_a_lease_is_not_run_twice(bench):
    # seed 3 delivers every job again that runs for longer than 30 s
    bench.add("long")
    (claim,) = bench.claim()
    for _ in range(10):
        bench.now += bench.lease_ms - 1
        lost = renew(bench, claim)
        assert (lost, bench.recover(), bench.take()) == (set(), [], [])

    assert bench.settle(claim)[0] == "ok"
    assert bench.look("long").claims == 1


def test_a_stalled_job_goes_back_to_its_place_then_fails(bench):
    bench.add(bench.new("a", priority=3), bench.new("b", priority=3))
    bench.claim()
    bench.now += bench.lease_ms - 1
    early = bench.recover()
    bench.now += 1
    first = bench.recover()
    order = bench.ids("waiting")
    bench.claim()
    bench.now += bench.lease_ms
    second = bench.recover()
    record = bench.look("a")

    assert early == []
    assert [(r.id, r.state, r.worker) for r in first] == [("a", JobState.WAITING, "w1")]
    assert order == ["a", "b"]
    assert [r.state for r in second] == [JobState.FAILED]
    assert (record.state, record.stalls, record.attempts) == (JobState.FAILED, 2, 0)
    assert record.failure["kind"] == "stalled"
    assert "w1" in record.failure["message"]
    assert bench.events("a") == [
        "waiting",
        "active",
        "stalled",
        "waiting",
        "active",
        "stalled",
        "failed",
    ]


@pytest.mark.parametrize("max_stalls", [0, 1, 3])
def test_a_job_that_always_kills_its_supervisor_does_not_loop_for_ever(bench, max_stalls):
    # seed 1 does not count it: such a job goes round for ever
    bench.add(bench.new("killer", opts=b'{"attempts":1000}'))
    starts = 0
    while bench.claim():
        starts += 1
        bench.now += bench.lease_ms
        bench.recover(max_stalls=max_stalls)

    assert starts == max_stalls + 1
    assert bench.ids("failed") == ["killer"]
    assert bench.hash("kinds") == {"stalled": "1"}


def test_a_job_that_only_waits_is_never_taken_for_stalled(bench):
    # seed 1 may reclaim a job in the moment of its claim, because it has waited for long
    bench.add("old")
    bench.now += 100 * bench.lease_ms
    bench.claim()

    assert bench.recover() == []
    assert bench.ids("active") == ["old"]


def test_at_most_so_many_stalled_jobs_are_recovered_by_one_call(bench):
    bench.add(*(f"j{n}" for n in range(5)))
    bench.claim(5)
    bench.now += bench.lease_ms

    assert [len(bench.recover(most=2)) for _ in range(4)] == [2, 2, 1, 0]


def test_recover_forgets_an_active_job_whose_hash_is_gone(bench):
    bench.add("1")
    bench.claim()
    bench.client.delete("sandq:{q}:job:1")
    bench.now += bench.lease_ms

    assert bench.recover() == []
    assert bench.ids("active") == []


def test_disclaim_gives_back_what_a_lost_reply_had_claimed(bench):
    bench.add("a", "b", "c")
    lost = bench.claim(2)[0].token
    bench.claim()

    ids = bench.run(calls.disclaim([lost, "never-was"], str(bench.now)))

    assert sorted(ids) == ["a", "b"]
    assert bench.ids("waiting") == ["a", "b"]
    assert bench.ids("active") == ["c"]
    assert bench.look("a").stalls == 0
    assert bench.look("a").token is None


@pytest.mark.parametrize("how", ["disclaim", "recover", "release", "retry", "fail"])
def test_a_job_that_is_to_be_cancelled_is_not_run_again_however_its_claim_ends(bench, how):
    bench.add("a")
    (claim,) = bench.claim()
    bench.run(verbs.cancel(["a"], "not needed", str(bench.now)))

    match how:
        case "disclaim":
            bench.run(calls.disclaim([claim.token], str(bench.now)))
        case "recover":
            bench.now += bench.lease_ms
            (recovered,) = bench.recover()
            assert recovered.state is JobState.CANCELLED
        case _:
            bench.settle(claim, Action(how), delay_ms=0 if how == "fail" else 50)
    record = bench.look("a")

    assert record.state is JobState.CANCELLED
    assert record.failure == {"kind": "cancelled", "message": "not needed"}
    assert record.finished_ms == bench.now
    assert bench.run(calls.heed()) == {}
    assert bench.events("a")[-2:] == (
        ["stalled", "cancelled"] if how == "recover" else ["cancelling", "cancelled"]
    )
    assert bench.hash("totals")["cancelled"] == "1"


def test_a_job_that_completes_before_its_cancelling_is_heeded_has_completed(bench):
    bench.add("a")
    (claim,) = bench.claim()
    bench.run(verbs.cancel(["a"], "late", str(bench.now)))

    bench.settle(claim, payload=b"42")

    assert bench.look("a").state is JobState.COMPLETED
    assert bench.look("a").value == b"42"
    assert bench.run(calls.heed()) == {}
