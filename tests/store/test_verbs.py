"""What may be done to jobs from outside: retry, cancel, remove, promote, update, discard, note."""

import pytest

from sandq.model.states import FINAL, JobState
from sandq.model.verdict import Action
from sandq.store import calls, reads, verbs

STATES = ["waiting", "delayed", "active", "completed", "failed", "cancelled"]


def bring(bench, state, job_id="a", **options):
    """A job that is in a state; its claim if it is active."""
    bench.add(bench.new(job_id, delay_ms=60_000 if state == "delayed" else 0, **options))
    match state:
        case "active":
            return bench.claim()[0]
        case "completed":
            bench.do()
        case "failed":
            bench.do(Action.FAIL)
        case "cancelled":
            cancel(bench, job_id)

    return None


def cancel(bench, *ids, reason="not needed"):
    return bench.run(verbs.cancel(ids, reason, str(bench.now)))


def retry(bench, *ids, reset=False):
    return bench.run(verbs.retry(ids, reset, str(bench.now)))


def remove(bench, *ids, force=False):
    return bench.run(verbs.remove(ids, force, str(bench.now)))


# ---- retry


@pytest.mark.parametrize("state", STATES)
def test_only_what_has_ended_is_retried(bench, state):
    bring(bench, state)
    before = bench.dump()

    answer = retry(bench, "a")

    assert answer == ["restarted" if state in {s.value for s in FINAL} else state]
    assert (bench.dump() == before) == (state not in {s.value for s in FINAL})
    assert retry(bench, "nobody") == ["missing"]


def test_a_manual_retry_keeps_the_priority_and_goes_to_the_back_of_its_rank(bench):
    # Bull pushes it to the far end, and out of the set of priorities
    bring(bench, "failed", "first", priority=1)
    bench.add(bench.new("p2", priority=2), bench.new("p1", priority=1), "none")

    retry(bench, "first")

    assert bench.ids("waiting") == ["p1", "first", "p2", "none"]
    assert bench.look("first").priority == 1


@pytest.mark.parametrize(("reset", "attempts"), [(False, 2), (True, 0)])
def test_a_retry_of_a_job_whose_attempts_are_used_up_counts_on_or_anew(bench, reset, attempts):
    bench.add(bench.new("a", opts=b'{"attempts":2}'))
    bench.do(Action.RETRY)
    bench.do(Action.FAIL)
    bench.now += 5

    retry(bench, "a", reset=reset)
    record = bench.look("a")
    (claim,) = bench.claim()

    assert (claim.attempts, claim.stalls) == (attempts, 0)
    assert (record.retried_ms, record.failure, record.finished_ms) == (bench.now, None, None)
    # the records of earlier attempts are told as long as these are counted
    assert len(bench.run(reads.failures("a"))) == attempts
    assert bench.hash("totals")["restarted"] == "1"
    assert "kinds" not in bench.names()


def test_a_retry_forgets_stalls_discards_and_cancellations(bench):
    bench.add("a")
    bench.claim()
    bench.now += bench.lease_ms
    bench.recover(max_stalls=0)
    bench.run(verbs.discard("a"))
    retry(bench, "a")

    bench.do(Action.RETRY)
    bench.claim()
    bench.now += bench.lease_ms

    assert [r.state for r in bench.recover(max_stalls=1)] == [JobState.WAITING]
    cancel(bench, "a")
    retry(bench, "a")
    assert bench.look("a").cancel is None
    assert bench.do() == "a"


def test_one_call_retries_a_job_that_it_names_twice_only_once(bench):
    bring(bench, "failed")

    assert retry(bench, "a", "a")[0] == "restarted"
    assert bench.ids("waiting") == ["a"]
    assert bench.events("a").count("waiting") == 2


def test_many_are_retried_oldest_first_and_none_twice(bench):
    for n in range(7):
        bring(bench, "failed", f"j{n}")
        bench.now += 1
    ended = str(bench.now)

    first, before = bench.run(verbs.retry_many(JobState.FAILED, False, 5, now=ended))
    # one that fails again meanwhile is not taken a second time
    bench.now += 1
    bench.do(Action.FAIL)
    rest, _ = bench.run(verbs.retry_many(JobState.FAILED, False, 5, before, now=str(bench.now)))

    assert first == [f"j{n}" for n in range(5)]
    assert before == ended
    assert rest == ["j5", "j6"]
    assert bench.ids("failed") == ["j0"]
    assert bench.events("j1")[-1] == "waiting", "Bull says nothing"


def test_only_failures_of_a_kind_are_retried_if_one_is_named(bench):
    bench.add("a", "b", "c")
    bench.do(Action.FAIL)
    bench.claim()
    bench.now += bench.lease_ms
    bench.recover(max_stalls=0)
    bench.do(Action.FAIL)

    ids, _ = bench.run(verbs.retry_many(JobState.FAILED, True, 9, kind="stalled"))

    assert ids == ["b"]
    assert bench.hash("kinds") == {"error": "2"}


# ---- cancel


@pytest.mark.parametrize("state", STATES)
def test_what_waits_or_failed_is_cancelled_at_once_what_runs_is_asked_to_stop(bench, state):
    bring(bench, state)

    answer = cancel(bench, "a", "nobody")
    record = bench.look("a")

    stays = {"active": "cancelling", "completed": "completed"}
    assert answer == [stays.get(state, "cancelled"), "missing"]
    if state in ("waiting", "delayed", "failed"):
        assert record.state is JobState.CANCELLED
        assert record.failure == {"kind": "cancelled", "message": "not needed"}
        assert bench.events("a")[-1] == "cancelled"
    assert bench.run(calls.heed()) == ({"a": "not needed"} if state == "active" else {})
    assert bench.hash("kinds") == {}


def test_cancelling_twice_says_the_first_reason(bench):
    claim = bring(bench, "active")

    answers = cancel(bench, "a", reason="first") + cancel(bench, "a", reason="second")
    bench.settle(claim, Action.RELEASE)

    assert answers == ["cancelling", "cancelling"]
    assert bench.look("a").failure["message"] == "first"
    assert bench.events("a") == ["waiting", "active", "cancelling", "cancelled"]


def test_what_nobody_asks_about_any_more_is_forgotten_after_a_minute(bench):
    bring(bench, "active")
    remove(bench, "a", force=True)
    bench.now += 60_000
    bench.tend()
    still = bench.run(calls.heed())
    bench.now += 1
    bench.tend()

    assert still == {"a": "removed"}
    assert bench.run(calls.heed()) == {}


# ---- remove, promote, update, discard, note


@pytest.mark.parametrize("state", STATES)
def test_a_job_that_runs_is_not_removed_unless_by_force(bench, state):
    claim = bring(bench, state)

    answer = remove(bench, "a", "nobody")

    assert answer == ["active" if state == "active" else "removed", "missing"]
    assert (bench.look("a") is None) == (state != "active")
    if state == "active":
        assert remove(bench, "a", force=True) == ["removed"]
        assert bench.run(calls.heed()) == {"a": "removed"}
        assert bench.settle(claim)[0] == "missing"
    metrics = {name for name in bench.names() if name.startswith("metrics:")}
    wake = set() if state == "delayed" and not bench.client.exists("sandq:{q}:wake") else {"wake"}
    assert bench.names() - metrics == {"meta", "events", "totals", *wake}


@pytest.mark.parametrize("state", STATES)
def test_only_a_delayed_job_is_promoted_and_it_keeps_its_place(bench, state):
    bring(bench, state)
    bench.add("later")

    answer = bench.run(verbs.promote(["a", "nobody", "a"]))

    expected = "promoted" if state == "delayed" else state
    assert answer == [expected, "missing", expected]
    if state == "delayed":
        assert bench.ids("waiting") == ["a", "later"]


def test_a_job_gets_other_data_and_one_that_is_not_there_stays_away(bench):
    bench.add("a")

    answers = [bench.run(verbs.update(job_id, b'{"n":[]}')) for job_id in ("a", "nobody")]

    assert answers == [True, False]
    assert bench.claim()[0].data == b'{"n":[]}'
    assert bench.look("nobody") is None
    assert bench.events("a") == ["waiting", "updated", "active"]


def test_a_discarded_job_is_not_tried_again(bench):
    claim = bring(bench, "active")

    answers = [bench.run(verbs.discard(job_id)) for job_id in ("a", "nobody")]
    bench.settle(claim, Action.RETRY, delay_ms=50)

    assert answers == [True, False]
    assert bench.look("a").state is JobState.FAILED
    assert bench.look("a").attempts == 1
    assert bench.look("nobody") is None


def test_a_note_is_kept_of_any_job_but_makes_none(bench):
    # bullrs makes a stub of a job by telling its progress
    bring(bench, "completed")

    answers = [
        bench.run(verbs.note(job_id, kind, text, str(bench.now)))
        for job_id in ("a", "nobody")
        for kind, text in (("progress", b"0.5"), ("log", b'{"message":"x"}'))
    ]

    assert answers == [True, True, False, False]
    assert bench.look("a").progress == b"0.5"
    assert bench.run(reads.logs("a", 0, -1))[1][0].text == b'{"message":"x"}'
    assert not {"job:nobody", "logs:nobody"} & bench.names()
