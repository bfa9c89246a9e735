"""Which ended jobs are kept, and that what is kept of a job goes with it."""

import pytest

from sandq.model.keep import Keep, retain_text
from sandq.model.rate_limit import RateLimit
from sandq.model.states import JobState
from sandq.model.verdict import Action, Verdict
from sandq.store import calls, reads, verbs
from sandq.store.calls import Report, Settlement

ENDS = pytest.mark.parametrize(
    ("action", "state"), [(Action.COMPLETE, "completed"), (Action.FAIL, "failed")]
)


def finish(bench, job_id, action, keep, **more):
    bench.add(job_id)
    bench.do(action, retain=retain_text(keep, **more))


@ENDS
def test_every_ended_job_is_kept_unless_something_else_is_asked(bench, action, state):
    for n in range(20):
        finish(bench, f"j{n}", action, None)
        bench.now += 10**9

    assert bench.count(state) == 20


@ENDS
def test_a_job_may_go_at_once_and_its_event_tells_what_came_of_it(bench, action, state):
    payload = b'{"kind":"error","message":"no"}'
    bench.add("a")

    bench.do(action, retain=retain_text(Keep(count=0)), payload=payload)
    told, _ = bench.run(reads.ending("a"))

    assert bench.look("a") is None
    assert bench.count(state) == 0
    assert (told.ending, told.text) == (state, payload)
    assert bench.hash("totals")[state] == "1"
    assert bench.names() & {"job:a", "kinds", "logs:a", "failures:a"} == set()


@ENDS
def test_so_many_of_the_newest_are_kept(bench, action, state):
    for n in range(7):
        finish(bench, f"j{n}", action, Keep(count=3))
        bench.now += 1

    assert bench.ids(state) == ["j4", "j5", "j6"]
    jobs = {name for name in bench.names() if name.startswith("job:")}
    assert jobs == {"job:j4", "job:j5", "job:j6"}


@ENDS
def test_those_that_are_too_old_go_when_another_one_ends(bench, action, state):
    for n in range(5):
        finish(bench, f"j{n}", action, Keep(age=1))
        bench.now += 400

    assert bench.ids(state) == ["j2", "j3", "j4"]


@ENDS
def test_both_a_number_and_an_age_must_hold(bench, action, state):
    for n in range(6):
        finish(bench, f"j{n}", action, Keep(count=2, age=1))
        bench.now += 400
    by_number = bench.ids(state)
    bench.now += 5000
    finish(bench, "last", action, Keep(count=2, age=1))

    assert by_number == ["j4", "j5"]
    assert bench.ids(state) == ["last"]


def test_what_ended_in_another_way_stays(bench):
    finish(bench, "failed", Action.FAIL, None)
    finish(bench, "a", Action.COMPLETE, Keep(count=1))
    finish(bench, "b", Action.COMPLETE, Keep(count=1))

    assert (bench.ids("failed"), bench.ids("completed")) == (["failed"], ["b"])


def test_a_job_that_is_tried_again_is_not_removed(bench):
    finish(bench, "a", Action.RETRY, Keep(count=0))

    assert bench.ids("waiting") == ["a"]


def test_a_batch_of_ended_jobs_is_pruned_as_one(bench):
    bench.add(*(f"j{n}" for n in range(50)))
    claims = bench.claim(50)
    verdict = Verdict(Action.COMPLETE, payload=b"1")
    batch = [Settlement(claim, verdict, "3,,,") for claim in claims]

    bench.run(calls.settle_and_claim("q", batch, 0, "t", "w", 1, str(bench.now)))

    assert bench.count("completed") == 3


# ---- what goes with a job


def full_of_traces(bench):
    """A job with logs, failures of earlier attempts, tags and progress, that is claimed."""
    bench.add(bench.new("a", tags=["blue", "b/c"]), bench.new("other", tags=["blue"]))
    bench.do(Action.RETRY)
    bench.run(verbs.promote(["a"]))
    bench.run(verbs.remove(["other"], False, str(bench.now)))
    bench.do(Action.RETRY)
    (claim,) = bench.claim()
    said = [Report(claim, "log", b'{"message":"x"}'), Report(claim, "progress", b"1")]
    bench.run(calls.report(said, str(bench.now)))
    assert {"logs:a", "failures:a", "tag:blue", "tag:b/c", "job:a"} <= bench.names()

    return claim


@pytest.mark.parametrize(
    "how", ["complete", "fail", "pruned", "ttl", "remove", "force", "clean", "empty"]
)
def test_no_trace_is_left_of_a_job_that_goes(bench, how):
    # Bull's empty leaves hashes and logs behind, its automatic removal the tags
    claim = full_of_traces(bench)
    now = str(bench.now)
    match how:
        case "complete" | "fail":
            bench.settle(claim, Action(how), retain="0,,,")
        case "pruned":
            bench.settle(claim, retain="1,,,")
            bench.now += 1
            finish(bench, "next", Action.COMPLETE, Keep(count=1))
            bench.run(verbs.remove(["next"], False, now))
        case "ttl":
            bench.settle(claim, retain=",,50,")
            bench.now += 50
            bench.tend()
        case "remove":
            bench.settle(claim)
            bench.run(verbs.remove(["a"], False, now))
        case "force":
            bench.run(verbs.remove(["a"], True, now))
            bench.settle(claim)
        case "clean":
            bench.settle(claim, Action.FAIL)
            bench.run(verbs.clean("failed", 0, 0, 10, now))
        case "empty":
            bench.settle(claim, Action.RETRY)
            bench.run(verbs.empty([JobState.WAITING, JobState.DELAYED]))

    metrics = {name for name in bench.names() if name.startswith("metrics:")}
    assert bench.names() - metrics == {"meta", "wake", "events", "totals"}


def test_emptying_a_queue_leaves_no_hashes_and_no_logs_behind(bench):
    bench.add("waits", bench.new("later", delay_ms=99), bench.new("retried"))
    for job_id in ("waits", "later", "retried"):
        bench.run(verbs.note(job_id, "log", b"{}", str(bench.now)))

    gone = bench.run(verbs.empty([JobState.WAITING, JobState.DELAYED]))

    assert gone == (3, 0)
    assert bench.names() == {"meta", "wake", "events", "totals"}
    assert bench.run(reads.is_paused()) is False


def test_a_queue_is_emptied_in_steps_and_says_what_is_left(bench):
    for first in range(0, 2500, 500):
        bench.add(*(f"j{n}" for n in range(first, first + 500)))

    steps = [bench.run(verbs.empty([JobState.WAITING])) for _ in range(4)]

    assert steps == [(1000, 1500), (1000, 500), (500, 0), (0, 0)]


def test_what_is_left_of_a_queue_whose_jobs_have_all_gone(bench):
    bench.configure(rate_limit=RateLimit(2, 1, per_group=True, bounce_back=True))
    bench.add(*bench.many(5, "g", expires_at=bench.now + 10**6, tags=["t"]))
    bench.add(bench.new("d", dedup="k"), bench.new("e", dedup="k2", dedup_ttl_ms=10**6))
    bench.do(retain=",,99999,")
    bench.do(Action.FAIL)
    bench.claim(9)
    bench.run(verbs.cancel(["g3", "d"], "", str(bench.now)))

    bench.run(verbs.empty(list(JobState)))
    left = bench.names()
    lasting = {name for name in left if bench.client.pttl(bench.base + name) < 0}
    bench.now += 60_000
    bench.tend()

    metrics = {"metrics:completed", "metrics:failed"}
    assert lasting == {"meta", "events", "totals", "wake", "windows", *metrics}
    # the others go by themselves, as does the note of windows that have ended
    assert left - lasting == {"limiter:g", "dedup:k2"}
    assert "windows" not in bench.names()
