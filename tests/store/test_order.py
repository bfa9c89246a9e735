"""In which order jobs are taken: by priority, by age, by when they are due."""

import pytest

from sandq.model.states import JobState
from sandq.model.verdict import Action


def test_jobs_come_by_priority_then_by_age_and_lifo_before_its_rank(bench):
    bench.add("a", bench.new("b", priority=2), bench.new("c", priority=1))
    bench.add(bench.new("d", priority=2), bench.new("e", lifo=True), bench.new("f", lifo=True))
    bench.add(bench.new("g", priority=2, lifo=True))

    assert bench.ids("waiting") == ["c", "g", "b", "d", "f", "e", "a"]
    assert bench.take(9) == ["c", "g", "b", "d", "f", "e", "a"]


def test_lifo_next_to_prioritised_jobs_does_not_shift_later_priorities(bench):
    # Bull counts a prioritised job's position from the end where lifo jobs are pushed
    bench.add(bench.new("p1", priority=1), bench.new("p3", priority=3))
    bench.add(*(bench.new(f"lifo{n}", lifo=True) for n in range(3)))
    bench.add(bench.new("p2", priority=2), bench.new("p3 lifo", priority=3, lifo=True), "plain")

    assert bench.take(9) == ["p1", "p2", "p3 lifo", "p3", "lifo2", "lifo1", "lifo0", "plain"]


def test_equal_priorities_are_first_in_first_out(bench):
    # seed 4 gives them random ids and takes them in the order of these
    names = [f"job-{n * 7919 % 1000:03}" for n in range(300)]
    bench.add(*(bench.new(name, priority=1 + n % 2) for n, name in enumerate(names)))

    assert bench.take(300) == names[::2] + names[1::2]


def test_equal_due_times_are_first_in_first_out_however_many(bench):
    # Bull keeps the order of 4,096 jobs at most
    names = [f"job-{n * 7919 % 10_000:04}" for n in range(5000)]
    for first in range(0, 5000, 1000):
        bench.add(*(bench.new(name, delay_ms=500) for name in names[first : first + 1000]))
    bench.now += 500

    taken = [job for _ in range(5) for job in bench.take(1000)]

    assert taken == names


def test_a_delayed_job_waits_for_its_time_and_keeps_its_place(bench):
    bench.add(bench.new("late", delay_ms=1000), "now")

    bench.now += 999
    before = bench.ask(5)
    bench.add("young")
    bench.now += 1
    after = bench.ask(5)

    assert [c.id for c in before.claims] == ["now"]
    assert before.next_due_ms == bench.now
    assert [c.id for c in after.claims] == ["late", "young"]
    assert after.next_due_ms is None


def test_a_moment_to_run_at_is_kept_and_one_that_has_passed_means_now(bench):
    bench.add(bench.new("later", run_at=bench.now + 700), bench.new("past", run_at=bench.now - 1))

    assert bench.ids("waiting") == ["past"]
    assert bench.look("later").due_ms == bench.now + 700
    assert bench.events() == ["delayed", "waiting"]


@pytest.mark.parametrize("due", [2_240_543_999_999, 4_102_444_800_123, 99_999_999_999_999])
def test_a_due_time_far_ahead_is_kept_to_the_millisecond(bench, due):
    # Bull multiplies it by 4,096, which a double does not hold from 2039 on
    bench.add(bench.new("a", run_at=due), bench.new("b", run_at=due + 1))
    bench.now = due

    assert bench.ask(0).next_due_ms == due + 1
    assert bench.take(5) == ["a"]


def test_a_due_job_is_promoted_once_whoever_looks(bench):
    # in seed 4 two workers may promote the same job
    bench.add(bench.new("a", delay_ms=5))
    bench.now += 5

    assert [bench.tend()[0] for _ in range(3)] == [1, 0, 0]
    assert bench.take(5) == ["a"]
    assert bench.events("a") == ["delayed", "waiting", "active"]


@pytest.mark.parametrize("waits_ms", [25 * 3600 * 1000, 400 * 24 * 3600 * 1000])
def test_a_job_that_waits_for_longer_than_any_time_to_live_is_not_lost(bench, waits_ms):
    # seed 4 keeps a job's payload for 24 hours from its adding on
    bench.add("waits", bench.new("delayed", delay_ms=waits_ms))

    lives = [bench.client.pttl(bench.base + f"job:{name}") for name in ("waits", "delayed")]
    bench.now += waits_ms

    assert lives == [-1, -1]
    assert bench.take(2) == ["waits", "delayed"]


@pytest.mark.parametrize("action", [Action.RETRY, Action.RELEASE])
def test_a_retried_job_goes_to_the_back_a_released_one_to_its_place(bench, action):
    bench.add(bench.new("a", priority=5), bench.new("b", priority=5), "c")

    bench.do(action)

    assert bench.ids("waiting") == (["b", "a", "c"] if action is Action.RETRY else ["a", "b", "c"])


def test_a_retried_lifo_job_stays_before_the_others(bench):
    bench.add("a", bench.new("b", lifo=True))

    bench.do(Action.RETRY)

    assert bench.ids("waiting") == ["b", "a"]


def test_the_waits_of_a_delay_list_are_waited_out_to_the_end(bench):
    # seed 2 ends a job whose wait is not over when its sweep comes by
    bench.add("a")
    for delay_ms in (1000, 60_000, 60_000):
        bench.do(Action.RETRY, delay_ms=delay_ms)
        due = bench.look("a").due_ms
        bench.now += delay_ms - 1
        bench.tend()
        bench.recover()
        early = bench.take()
        bench.now += 1

        assert (early, bench.look("a").state, due) == ([], JobState.DELAYED, bench.now)

    assert bench.do() == "a"
    assert bench.look("a").attempts == 3


def test_events_that_are_trimmed_take_no_job_with_them(one_bench):
    # in seed 3 the stream is the queue, and what nobody has read yet may be trimmed away
    bench = one_bench
    for first in range(0, 12_000, 1000):
        bench.add(*(f"j{n}" for n in range(first, first + 1000)))

    taken = [job for _ in range(12) for job in bench.take(1000)]

    assert taken == [f"j{n}" for n in range(12_000)]
    assert bench.client.xlen("sandq:{q}:events") < 11_000
