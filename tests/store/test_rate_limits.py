"""Rate limits of a queue and of its groups: how many jobs start in a span of time."""

from collections import Counter

import pytest

from sandq.model.rate_limit import RateLimit
from sandq.model.states import JobState
from sandq.model.verdict import Action
from sandq.store import reads, verbs

BY_GROUP = pytest.mark.parametrize("per_group", [False, True], ids=["queue", "group"])
BY_BOUNCE = pytest.mark.parametrize("bounce_back", [False, True], ids=["delays", "bounces"])


def most_in_a_window(times, duration_ms):
    """The most starts in one window; a window begins with the first start after the last one."""
    ends, counts = -1, []
    for time in times:
        if time >= ends:
            ends = time + duration_ms
            counts.append(0)
        counts[-1] += 1

    return max(counts)


def limit(bench, most, *, per_group=False, bounce_back=False, duration=1):
    rule = RateLimit(most, duration, bounce_back=bounce_back, per_group=per_group)
    bench.configure(rate_limit=rule)


@BY_GROUP
@BY_BOUNCE
def test_no_job_is_lost_to_a_rate_limit_and_no_window_has_too_many(bench, per_group, bounce_back):
    # Bull's bounceBack takes the job out of active and puts it nowhere
    limit(bench, 4, per_group=per_group, bounce_back=bounce_back)
    bench.add(*bench.many(30, "a"), *bench.many(10, "b"))

    starts = bench.run_all(40, step_ms=130, at_once=9)
    windows = [
        [time for time, job_id in starts if not per_group or job_id.startswith(group)]
        for group in "ab"
    ]

    assert Counter(job_id for _, job_id in starts) == Counter(
        [f"a{n}" for n in range(30)] + [f"b{n}" for n in range(10)]
    )
    assert [most_in_a_window(times, 1000) for times in windows] == [4, 4]
    assert bench.run(reads.counts())["completed"] == 40


@BY_GROUP
@BY_BOUNCE
def test_a_window_begins_with_the_first_start_in_it(bench, per_group, bounce_back):
    limit(bench, 1, per_group=per_group, bounce_back=bounce_back)
    bench.add(*bench.many(2, "g"))
    # claims that start nothing begin nothing
    bench.claim(0)
    bench.now += 700

    (first,) = bench.claim(2)
    began = bench.now
    due = bench.ask(2).next_due_ms
    bench.now += 999
    early = bench.take(2)
    bench.now += 1

    assert due == began + 1000
    assert (first.id, early) == ("g0", [])
    assert bench.take(2) == ["g1"]


@BY_GROUP
def test_jobs_over_the_limit_stay_at_their_place_when_they_bounce_back(bench, per_group):
    limit(bench, 1, per_group=per_group, bounce_back=True)
    bench.add(*bench.many(3, "g", priority=5))
    bench.claim(3)
    bench.add(bench.new("urgent", priority=1, group="g"))
    bench.claim(3)

    states = {bench.look(job_id).state for job_id in ("g1", "g2", "urgent")}
    taken = []
    for _ in range(3):
        bench.now += 1000
        taken += bench.take(3)

    assert states == {JobState.WAITING}
    assert taken == ["urgent", "g1", "g2"]
    assert bench.events("g1") == ["waiting", "active"]


@BY_GROUP
def test_jobs_over_the_limit_are_spread_over_the_windows_to_come(bench, per_group):
    limit(bench, 2, per_group=per_group)
    bench.add(*bench.many(7, "g"))
    bench.claim(7)
    ends = bench.now + 1000

    due = {job_id: bench.look(job_id).due_ms for job_id in bench.ids("delayed")}

    assert due == {"g2": ends, "g3": ends, "g4": ends + 1000, "g5": ends + 1000, "g6": ends + 2000}
    assert bench.events("g2") == ["waiting", "rate-limited"]
    # they come to their turns without another wait
    taken = []
    for _ in range(3):
        bench.now += 1000
        taken.append(bench.take(7))
    assert taken == [["g2", "g3"], ["g4", "g5"], ["g6"]]


@BY_GROUP
@BY_BOUNCE
def test_a_queue_with_jobs_that_a_limit_holds_back_is_not_drained(bench, per_group, bounce_back):
    # Bull says that it is
    limit(bench, 1, per_group=per_group, bounce_back=bounce_back)
    bench.add(*bench.many(2, "g"))
    bench.claim(5)
    early = bench.events().count("drained")
    bench.now += 1000
    bench.claim(5)

    assert (early, bench.events().count("drained")) == (0, 1)


@BY_BOUNCE
def test_one_tenant_does_not_use_up_the_windows_of_the_others(bench, bounce_back):
    limit(bench, 2, per_group=True, bounce_back=bounce_back)
    bench.add(*bench.many(500, "big"), *bench.many(3, "small"), *bench.many(3))

    taken = bench.take(1000)

    assert taken == ["big0", "big1", "small0", "small1", "j0", "j1", "j2"]


def test_a_job_that_would_be_delayed_by_a_limit_but_has_no_hash_comes_to_no_half_life(bench):
    limit(bench, 1)
    bench.add("a", "b")
    bench.client.delete("sandq:{q}:job:b")

    assert bench.take(5) == ["a"]
    assert bench.ids("delayed") == []


def test_both_limits_hold_at_once(bench):
    rule = RateLimit(3, 1, per_group=True, bounce_back=True)
    bench.configure(rate_limit=rule, group_concurrency=1)
    bench.add(*bench.many(8, "g"))

    claims, taken = bench.claim(8), []
    while claims:
        taken += [claim.id for claim in claims]
        _, claimed = bench.settle(claims[0], n=8)
        claims = claimed.claims
    bench.now += 1000

    assert taken == ["g0", "g1", "g2"]
    assert bench.take(8) == ["g3"]


@BY_GROUP
@BY_BOUNCE
def test_a_limit_that_is_lifted_leaves_nothing_behind_and_holds_nobody(
    bench, per_group, bounce_back
):
    limit(bench, 1, per_group=per_group, bounce_back=bounce_back)
    bench.add(*bench.many(4, "g"))
    bench.claim(4)
    bench.configure()
    bench.now += 10_000

    bench.tend()

    assert bench.take(4) == ["g1", "g2", "g3"]
    assert "windows" not in bench.names()
    # the window itself goes by itself
    lives = [bench.client.pttl(k) for k in bench.client.keys("sandq:{q}:limiter*")]
    assert lives
    assert all(0 < ms <= 61_000 for ms in lives)


@BY_GROUP
def test_jobs_that_were_put_off_need_not_wait_when_the_limit_is_lifted(bench, per_group):
    limit(bench, 1, per_group=per_group, duration=3600)
    bench.add(bench.new("later", delay_ms=10), *bench.many(4, "g"))
    first = bench.claim(9)[0]
    bench.settle(first, Action.RETRY, delay_ms=7)
    bench.configure()

    answer = bench.run(verbs.call_back(0))

    # those that wait for another reason go on waiting
    assert answer == (-1, 3)
    assert bench.ids("delayed") == ["g0", "later"]
    assert bench.take(9) == ["g1", "g2", "g3"]
    assert bench.run(verbs.call_back(0)) == (-1, 0)


def test_a_call_back_goes_on_where_it_was(bench, monkeypatch):
    monkeypatch.setattr(verbs, "LOOKED_AT", 7)
    limit(bench, 1, duration=10)
    bench.add(*(bench.new(delay_ms=10_000 * n + 1) for n in range(20)), *bench.many(20))
    bench.claim(20)

    begin, back, asked = 0, 0, 0
    while begin >= 0 and asked < 20:
        begin, came = bench.run(verbs.call_back(begin))
        back, asked = back + came, asked + 1

    assert (back, asked) == (19, 6)
    assert bench.count("delayed") == 20
