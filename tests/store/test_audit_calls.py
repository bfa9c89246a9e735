"""The calls of an audit: each is short, and none tells what is not so while jobs move."""

import random

import pytest

from sandq.model.verdict import Action
from sandq.store import audit as auditing
from sandq.store import verbs
from sandq.store.audit import Auditor, audit_sync
from sandq.store.audit_calls import START, audit, audit_set
from sandq.store.calls import Call
from tests.store.broken import key, member, put

#: Most ids that any call may judge.
MOST_AT_ONCE = 500


@pytest.fixture
def bench(one_bench):
    """The bench by the server's own clock, which is what an audit goes by."""
    one_bench.now = ""
    return one_bench


def go(bench, fix=False, meanwhile=None):
    """Go the way of an audit: what was found, and (call, what it answered) for each call.

    `meanwhile` is called with every call before it is sent.
    """
    auditor = Auditor(bench.base, fix)
    way, made, reply = auditor.way(), [], None
    keys = bench.store.scan(auditor.pattern, auditing.PAGE)
    while True:
        try:
            step = way.send(reply)
        except StopIteration:
            return auditor.findings, made
        if meanwhile:
            meanwhile(step)
        reply = next(keys, None) if step is None else bench.run(step)
        made.append((step, reply))


def fail(bench, count):
    """Let `count` jobs fail."""
    bench.add(*(bench.new() for _ in range(count)))
    for claim in bench.claim(count):
        bench.settle(claim, Action.FAIL)


def fail_long_ago(bench, count):
    """Let `count` jobs fail at one moment each."""
    for n in range(count):
        bench.now = 1_700_000_000_000 + n
        fail(bench, 1)
    bench.now = ""


def pairs(call):
    """What a call gives to be judged."""
    return list(zip(call.args[2::2], call.args[3::2], strict=True))


def sizes(made):
    """How many ids each call judged, keys it was given, or members it saw."""
    for call, reply in made:
        if call is None:
            yield len(reply or ())
        elif call.script in ("audit", "audit_keys"):
            yield len(pairs(call))
        elif call.script == "audit_set":
            yield reply[1]


def fill(bench, count):
    """Jobs of every state, with tags, dedup keys and dates."""
    for start in range(0, count, 1000):
        bench.add(*(
            bench.new(f"j{n}", delay_ms=n % 3 * 10**6, tags=["blue"], dedup=f"d{n}",
                      expires_at=10**13, group=f"g{n % 5}")
            for n in range(start, start + 1000)
        ))  # fmt: skip
    for n, claim in enumerate(bench.claim(900)):
        if n % 3:
            bench.settle(claim, [Action.COMPLETE, Action.FAIL][n % 2])


@pytest.mark.parametrize("listed", [128, 100_000], ids=["as usual", "in one piece"])
def test_no_call_judges_many(bench, listed):
    bench.client.config_set("zset-max-listpack-entries", listed)
    bench.client.config_set("set-max-intset-entries", listed)
    try:
        fill(bench, 3000)
        found, made = go(bench)
    finally:
        bench.client.config_set("zset-max-listpack-entries", 128)

    assert found == []
    assert 100 < max(sizes(made)) <= MOST_AT_ONCE
    audits = [call for call, _ in made if call and call.script == "audit"]
    assert {what for call in audits for where, what in pairs(call) if where == "job"} == {
        b"j%d" % n for n in range(3000)
    }


def test_nothing_is_read_of_other_queues_and_prefixes(bench):
    put(bench, "waiting")
    for strange in ("sandq:{r}:job:x", "sandq:{qq}:job:x", "other:{q}:job:x", "sandq:{q}x:job:y"):
        bench.client.hset(strange, "name", "work")
    found, made = go(bench)
    bench.client.delete(*bench.client.keys("*x:job:y"), *bench.client.keys("*:job:x"))

    assert found == []
    assert [pairs(call) for call, _ in made if call and call.script == "audit"] == [[("job", b"a")]]


def test_the_pattern_matches_the_letters_of_a_name_alone():
    assert Auditor("a*b?[c]^-\\:{q}:").pattern == "a\\*b\\?\\[c\\]\\^\\-\\\\:{q}:*"


def test_members_that_come_and_go_hide_none(bench):
    bench.add(*(bench.new(f"j{n}", delay_ms=10**6) for n in range(1000)))
    lost = member(bench, "j700")
    bench.client.delete(key(bench, "job:j700"))
    seen, pages, cursor = [], 0, START
    while pages == 0 or cursor != START:
        cursor, _, suspects = bench.run(audit_set("delayed", cursor, 100))
        seen += suspects
        pages += 1
        bench.run(verbs.promote([f"j{n}" for n in range(40 * pages, 40 * pages + 30)]))
        bench.add(*(bench.new(delay_ms=10**6) for _ in range(50)))
    found = bench.run(audit([("delayed", suspect) for suspect in seen], True))

    assert pages > 5
    assert lost in seen
    assert [(f.problem, f.subject) for f in found] == [("dangling", "j700")]


def test_a_member_that_has_gone_before_it_is_judged_is_no_finding(bench):
    put(bench, "waiting")
    suspect = member(bench)
    bench.take()

    assert bench.run(audit([("waiting", suspect), ("waiting", b"0" * 14 + b"b")], False)) == []


def test_a_job_that_has_gone_before_it_is_judged_is_no_finding(bench):
    put(bench, "waiting")
    removed = []

    def remove(step):
        if step and step.script == "audit":
            removed.extend(bench.run(verbs.remove(["a"], False)))

    assert go(bench, meanwhile=remove)[0] == []
    assert removed == ["removed"]


# ---- counters


@pytest.fixture
def small(monkeypatch):
    """Blocks of few jobs, so that few jobs make many."""
    monkeypatch.setattr(auditing, "BLOCK", 3)
    monkeypatch.setattr(auditing, "MOST_COUNTED", 6)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("told", [None, 5, 26])
def test_failed_jobs_are_counted_in_blocks(bench, told):
    fail_long_ago(bench, 25)
    if told:
        bench.client.hset(key(bench, "kinds"), "error", told)
    found, made = go(bench, fix=True)

    scripts = [call.script for call, _ in made if call]
    assert scripts.count("audit_failed") >= 9
    assert [f.problem for f in found] == (["kinds_differ"] if told else [])
    assert bench.hash("kinds") == {"error": "25"}


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("wrong", [0, 2])
def test_failed_jobs_are_compared_while_they_come_and_go(bench, wrong):
    fail_long_ago(bench, 40)
    bench.client.hincrby(key(bench, "kinds"), "error", wrong)
    chance = random.Random(5)
    moved = []

    def move(step):
        """Some jobs are run again, and one more fails, at every call for a while."""
        if step and step.script in ("audit_failed", "audit_kinds") and len(moved) < 30:
            ids = chance.sample(bench.ids("failed"), 2)
            bench.run(verbs.retry(ids, False))
            bench.run(verbs.remove(ids, True))
            fail(bench, 1)
            moved.extend(ids)

    found, made = go(bench, meanwhile=move)

    assert len(moved) == 30
    rounds = [reply for call, reply in made if call and call.script == "audit_kinds"]
    assert [compared.done for compared in rounds] == [False] * (len(rounds) - 1) + [True]
    assert len(rounds) > 1
    assert [f.problem for f in found] == (["kinds_differ"] if wrong else [])
    bench.client.hincrby(key(bench, "kinds"), "error", -wrong)


@pytest.mark.usefixtures("small")
def test_failed_jobs_that_never_rest_are_not_compared(bench, caplog):
    fail(bench, 20)
    bench.client.hincrby(key(bench, "kinds"), "error", 1)

    def move(step):
        if step and step.script == "audit_kinds":
            fail(bench, 7)

    found, _ = go(bench, meanwhile=move)
    bench.client.hincrby(key(bench, "kinds"), "error", -1)

    assert found == []
    assert "too fast to be compared" in caplog.text


@pytest.mark.usefixtures("small")
def test_many_active_jobs_are_not_compared_with_their_groups(bench, caplog):
    bench.add(*bench.many(7, "g"))
    bench.take(7)
    bench.client.hset(key(bench, "groups"), "g", 2)
    found, _ = go(bench)
    bench.client.hset(key(bench, "groups"), "g", 7)

    assert found == []
    assert "7 jobs are active" in caplog.text


def test_an_audit_of_both_faces_is_the_same_way(bench):
    put(bench, "waiting")
    bench.client.zrem(key(bench, "waiting"), member(bench))

    found, made = go(bench)

    assert found == audit_sync(bench.store) != []
    assert all(isinstance(call, Call) for call, _ in made if call is not None)
    audit_sync(bench.store, fix=True)
