"""The audit: every thing that can be broken is found, called by its name, and repaired."""

import re
from pathlib import Path

import pytest

from sandq.model.states import FINAL, JobState
from sandq.model.verdict import Action
from sandq.store import calls, reads, scripts, verbs
from sandq.store.audit import audit_sync
from sandq.store.problems import PROBLEMS
from tests.store import broken_places, broken_rest
from tests.store.broken import CASES, change, key, member, park, put, series

LATER = str(10**13)


@pytest.fixture
def bench(bench):
    """The bench by the server's own clock, which is what an audit goes by."""
    bench.now = ""
    return bench


def audit(bench, fix=False):
    return audit_sync(bench.store, fix)


def words(findings):
    return [finding.problem for finding in findings]


def work_off(bench):
    """Run every job to its end, whatever it has gone through."""
    ids = [name.removeprefix("job:") for name in bench.names() if name.startswith("job:")]
    bench.run(verbs.promote([i for i in ids if bench.look(i).state is JobState.DELAYED]))
    bench.run(verbs.retry([i for i in ids if bench.look(i).state in FINAL], False))
    bench.run(calls.recover(100, 9, LATER))
    while claims := bench.claim(50):
        for claim in claims:
            assert bench.settle(claim)[0] == "ok"

    return {job_id: bench.look(job_id).state for job_id in ids}


@pytest.mark.parametrize(
    ("problem", "subject", "breaks", "also"),
    CASES,
    ids=[f"{problem}-{breaks.__name__}" for problem, _, breaks, _ in CASES],
)
def test_what_is_broken_is_found_repaired_and_runs_on(bench, problem, subject, breaks, also):
    breaks(bench)
    before = bench.dump()
    found = audit(bench)
    untouched = bench.dump() == before
    repaired = audit(bench, fix=True)
    again = audit(bench)
    states = work_off(bench)

    assert untouched
    assert [(f.problem, f.subject, f.fixed) for f in found[:1]] == [(problem, subject, False)]
    assert set(words(found[1:])) == set(also)
    assert problem in words(repaired)
    assert all(finding.fixed for finding in repaired)
    assert again == []
    assert set(states.values()) <= {JobState.COMPLETED, JobState.CANCELLED}
    assert audit(bench) == []


def test_every_problem_is_tried():
    assert {function.__module__ for _, _, function, _ in CASES} == {
        broken_places.__name__, broken_rest.__name__,
    }  # fmt: skip
    tried = {problem for problem, *_ in CASES} | {"series_unmade"}

    assert tried == set(PROBLEMS)
    assert all(problem.meaning and problem.repair for problem in PROBLEMS.values())


def test_the_problems_are_those_that_the_scripts_tell():
    text = "\n".join(path.read_text() for path in scripts._FOLDER.glob("audit*.lua"))
    told = set(re.findall(r"(?:Findings\.add\(|^    return )'(\w+)', ", text, re.MULTILINE))
    told |= set(re.findall(r"Census\.compare\(.*'(\w+)', fix\)", text))

    assert told == set(PROBLEMS)


def test_the_problems_are_told_in_the_contract():
    page = (Path(__file__).parents[2] / "spec" / "cli.md").read_text()
    section = page.partition("\n## sandq audit\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| (.*) \| (.*) \|$", section, re.MULTILINE)

    assert rows == [(word, p.meaning, p.repair) for word, p in PROBLEMS.items()]


def test_a_queue_that_is_not_there_is_in_order(bench):
    assert audit(bench, fix=True) == []
    assert bench.names() == set()


def test_a_queue_of_everything_is_in_order(bench):
    park(bench)
    series(bench)
    for state in ("delayed", "completed", "failed", "cancelled"):
        put(bench, state, state, tags=["blue"], dedup=state, expires_at=10**13, group="h")
    bench.run(verbs.cancel(["b"], "no more"))
    bench.run(verbs.note("failed", "log", b"{}"))
    bench.run(verbs.beat("w", b"{}", 1000))

    assert audit(bench) == []


# ---- what a repair makes of it


@pytest.mark.parametrize(
    ("breaks", "state"),
    [
        ("a_waiting_job_is_in_no_set", "waiting"),
        ("a_delayed_job_is_in_no_set", "delayed"),
        ("a_active_job_is_in_no_set", "active"),
        ("a_failed_job_is_in_no_set", "failed"),
        ("a_stuck_job_says_nonsense", "waiting"),
        ("a_stuck_job_was_run_by_nobody", "waiting"),
        ("a_waiting_job_says_active", "waiting"),
        ("an_active_job_says_waiting", "active"),
        ("a_completed_job_says_waiting", "completed"),
        ("a_waiting_job_says_that_it_has_completed", "completed"),
        ("a_waiting_job_is_active", "waiting"),
        ("an_active_job_is_waiting", "active"),
        ("a_completed_job_is_failed", "completed"),
        ("a_parked_job_waits_as_well", "waiting"),
        ("a_waiting_job_has_created_None", "waiting"),
        ("a_claim_has_no_token", "waiting"),
    ],
)
def test_a_job_goes_where_it_does_the_least_harm(bench, breaks, state):
    (function,) = [function for _, _, function, _ in CASES if function.__name__ == breaks]
    function(bench)
    audit(bench, fix=True)

    assert bench.look("a").state == state


def test_a_stuck_job_keeps_its_place_and_wakes_a_supervisor(bench):
    bench.add("a", "b")
    bench.client.zrem(key(bench, "waiting"), member(bench))
    bench.client.delete(key(bench, "wake"))

    audit(bench, fix=True)

    assert bench.client.llen(key(bench, "wake")) == 1
    assert bench.events("a") == ["waiting", "waiting"]
    assert bench.take(2) == ["a", "b"]


def test_a_claim_that_was_lost_from_its_set_is_still_good(bench):
    bench.add("a")
    (claim,) = bench.claim()
    bench.client.zrem(key(bench, "active"), "a")

    audit(bench, fix=True)

    assert bench.settle(claim)[0] == "ok"
    assert audit(bench) == []


def test_a_claim_that_a_repair_took_away_is_lost(bench):
    bench.add("a")
    (claim,) = bench.claim()
    bench.client.zrem(key(bench, "active"), "a")
    bench.client.zadd(key(bench, "waiting"), {member(bench): 2**32})

    audit(bench, fix=True)

    assert bench.settle(claim)[0] == "lost"
    assert bench.take() == ["a"]


def test_how_a_job_failed_is_read_from_its_record(bench):
    bench.add("a")
    payload = b'{"message":"said \\"kind\\":\\"odd\\"","kind":"timed_out"}'
    bench.do(Action.FAIL, payload=payload)
    change(bench, kind=None)

    audit(bench, fix=True)

    assert bench.hash("job:a")["kind"] == "timed_out"
    assert bench.hash("kinds") == {"timed_out": "1"}


def test_a_job_with_nothing_to_run_goes_with_all_that_is_kept_of_it(bench):
    put(bench, "active", group="g", tags=["blue"], dedup="k", expires_at=10**13)
    change(bench, name=None)

    audit(bench, fix=True)

    assert bench.names() <= {"meta", "events", "totals", "wake"}
    assert bench.events("a")[-1] == "removed"


def test_several_wrongs_of_a_job_are_repaired_in_one_go(bench):
    put(bench, "waiting", group="g", tags=["blue"], dedup="k", expires_at=10**13)
    bench.client.zrem(key(bench, "waiting"), member(bench))
    bench.client.delete(*(key(bench, name) for name in ("tag:blue", "dedup:k", "expiry")))
    change(bench, extra=None, created=None, place="nowhere")

    found, repaired = audit(bench), audit(bench, fix=True)

    assert words(found) == ["malformed"]
    assert set(words(repaired)) == {
        "malformed", "unmarked", "tag_missing", "dedup_lost", "expiry_missing",
    }  # fmt: skip
    assert audit(bench) == []


def test_a_series_that_was_stopped_is_due_at_once(bench):
    series(bench)
    bench.client.delete(key(bench, "repeat"))

    found, repaired = audit(bench), audit(bench, fix=True)
    _, due = bench.run(reads.due_series(9))

    assert words(found) == words(repaired) == ["series_stopped"]
    assert [row.key for row in due] == ["s"]
    assert audit(bench) == []


def test_a_series_without_its_next_job_is_told_of_and_left(bench):
    bench.run(verbs.remove([series(bench)], False))

    found = audit(bench, fix=True)

    assert words(found) == ["series_unmade"]
    assert not found[0].fixed


def test_a_job_that_was_retried_does_without_its_dedup_key(bench):
    put(bench, "completed", dedup="k")
    put(bench, "waiting", "b", dedup="k")
    bench.run(verbs.retry(["a"], False))

    assert audit(bench) == []
    assert bench.do() == "b"
    assert audit(bench) == []
