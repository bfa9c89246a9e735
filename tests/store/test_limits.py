"""Limits of a queue and of its groups: how many jobs run at once."""

from collections import Counter

import pytest

from sandq.model.states import JobState
from sandq.model.verdict import Action
from sandq.store import calls, reads, verbs


def test_no_more_jobs_of_a_queue_run_at_once_than_its_concurrency(bench):
    bench.configure(concurrency=3)
    bench.add(*bench.many(10))

    first = bench.claim(2)
    second = bench.claim(5)
    none = bench.ask(5)
    _, claimed = bench.settle(first[0], n=5)

    assert [len(first), len(second), len(none.claims), len(claimed.claims)] == [2, 1, 0, 1]
    assert none.left == 7
    assert bench.count("active") == 3


def test_a_bell_that_nobody_could_follow_is_not_rung(bench):
    bench.configure(concurrency=1)
    bench.add("a", "b")
    (claim,) = bench.claim()
    bench.client.delete("sandq:{q}:wake")

    bench.claim()
    silent = bench.client.llen("sandq:{q}:wake")
    # its supervisor stops and claims no more: somebody else has to come
    bench.settle(claim, n=0)

    assert silent == 0
    assert bench.client.llen("sandq:{q}:wake") == 1


def test_one_tenant_cannot_take_every_slot_with_ten_thousand_jobs_in_front(bench):
    bench.configure(group_concurrency=2)
    big = bench.many(10_000, "big")
    for first in range(0, 10_000, 1000):
        bench.add(*big[first : first + 1000])
    bench.add(*bench.many(3, "small"), "nobody's")

    taken, asked = [], 0
    while len(taken) < 5 and asked < 20:
        taken += bench.take(5 - len(taken))
        asked += 1

    # a call looks at 1,000 jobs, and rings the bell for the next one
    assert taken == ["big0", "big1", "small0", "small1", "nobody's"]
    assert asked <= 11
    assert bench.run(reads.counts())["waiting"] == 10_004 - 5
    assert bench.hash("groups") == {"big": "2", "small": "2"}


def test_jobs_that_stepped_aside_are_waiting_and_none_is_lost(bench):
    bench.configure(group_concurrency=1)
    bench.add(*bench.many(30, "a"), *bench.many(30, "b"))
    bench.claim(10)

    counted = bench.run(reads.counts())["waiting"]
    shown = bench.run(reads.page(JobState.WAITING, 0, -1, False))
    bench.now += bench.lease_ms
    bench.recover()
    starts = bench.run_all(60, step_ms=1, at_once=7)

    assert bench.count("parked") == 0
    assert counted == len(shown) == 58
    assert Counter(job_id for _, job_id in starts) == Counter(
        f"{group}{n}" for group in "ab" for n in range(30)
    )


def test_priority_is_kept_among_the_jobs_that_may_start(bench):
    bench.configure(group_concurrency=1)
    order = [5, 1, 4, 0, 2, 3]
    bench.add(*(bench.new(f"p{n}", priority=n, group="g") for n in order))
    bench.add(bench.new("other", priority=9))

    claims = bench.claim(7)
    taken = [claim.id for claim in claims]
    while claims:
        _, claimed = bench.settle(claims[0], n=1)
        claims = claimed.claims
        taken += [claim.id for claim in claims]

    assert taken == ["p1", "other", "p2", "p3", "p4", "p5", "p0"]


def test_groups_whose_names_look_alike_do_not_share_their_room(bench):
    # Bull reads the group from the id, after the last colon
    groups = ["a", "a:b", "b", "a b", "a0", "A", "ä", "undefined"]
    bench.configure(group_concurrency=1)
    bench.add(*(bench.new(f"{group}{n}", group=group) for n in range(2) for group in groups))

    claims = bench.claim(99)
    assert [claim.id for claim in claims] == [f"{group}0" for group in groups]
    for claim, group in zip(claims, groups, strict=True):
        _, claimed = bench.settle(claim, n=99)
        assert [c.id for c in claimed.claims] == [f"{group}1"]


@pytest.mark.parametrize("how", ["cancel", "remove", "clean", "expire", "empty"])
def test_a_job_that_stepped_aside_can_be_called_off_like_any_other(bench, how):
    bench.configure(group_concurrency=1)
    bench.add(*bench.many(2, "g", expires_at=bench.now + 50))
    bench.claim(2)
    now = str(bench.now)
    parked = bench.ids("parked")

    match how:
        case "cancel":
            assert bench.run(verbs.cancel(["g1"], "", now)) == ["cancelled"]
        case "remove":
            assert bench.run(verbs.remove(["g1"], False, now)) == ["removed"]
        case "clean":
            assert bench.run(verbs.clean("parked", 0, 0, 10, now)) == (-1, ["g1"])
        case "empty":
            assert bench.run(verbs.empty([JobState.WAITING])) == (1, 0)
        case "expire":
            bench.now += 50
            bench.tend()
            assert bench.look("g1").failure["kind"] == "expired"

    states = [e.get(b"state") for _, e in bench.client.xrange("sandq:{q}:events")]

    assert b"parked" not in states, "it is nobody's word"
    assert parked == ["g1"]
    assert bench.ids("parked") == bench.ids("waiting") == []


@pytest.mark.parametrize("end", [Action.COMPLETE, Action.RETRY, Action.FAIL, Action.RELEASE])
def test_a_group_has_room_again_however_its_job_ends(bench, end):
    bench.configure(group_concurrency=1)
    bench.add(*bench.many(2, "g"))
    (claim,) = bench.claim(2)

    _, claimed = bench.settle(claim, end, delay_ms=5, n=2)

    assert [c.id for c in claimed.claims] == ["g1"]


def test_jobs_come_back_from_the_side_when_the_limit_is_lifted(bench):
    bench.configure(group_concurrency=1)
    bench.add(*bench.many(5, "g"))
    bench.claim(5)
    bench.configure()

    bench.tend()

    assert bench.take(5) == ["g1", "g2", "g3", "g4"]


def test_a_counter_that_was_lost_with_its_key_does_not_count_against_later_jobs(bench):
    bench.configure(group_concurrency=1)
    bench.add(*bench.many(4, "g"))
    (claim,) = bench.claim(1)
    bench.client.delete("sandq:{q}:groups")

    bench.settle(claim)

    assert "groups" not in bench.names()
    assert bench.take(3) == ["g1"]


def test_what_is_recovered_counts_for_its_group_once(bench):
    bench.configure(group_concurrency=1)
    bench.add(*bench.many(2, "g"))
    bench.claim(2)
    bench.now += bench.lease_ms
    bench.recover()

    (claim,) = bench.claim(2)
    bench.run(calls.disclaim([claim.token], str(bench.now)))

    assert bench.hash("groups") == {}
    assert bench.take(2) == ["g0"]
