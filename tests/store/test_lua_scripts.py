"""The scripts on real servers: the keys before, one call, the reply and all keys after."""

import pytest

from sandq.errors import StoreError
from sandq.model.job import NewJob
from sandq.model.states import JobState
from sandq.model.verdict import Action, Verdict
from sandq.store import calls, scripts
from sandq.store.calls import Report, Settlement
from sandq.store.store import SyncStore

NOW = 1_700_000_000_000
LEASE_MS = 30_000


def new(job_id="", *, data=b"1", priority=0, delay_ms=0, lifo=False, opts=b""):
    return NewJob(job_id, "work", data, opts, priority, delay_ms, lifo)


@pytest.fixture
def store(each_server):
    store = SyncStore("q", each_server.url)
    yield store
    store.close()


@pytest.fixture
def keys(each_server):
    """The members of a state's set, in order, places left out."""

    def members(state):
        found = [m.decode() for m in each_server.client.zrange(f"sandq:{{q}}:{state}", 0, -1)]
        return [m[14:] for m in found] if state in ("waiting", "delayed") else found

    return members


@pytest.fixture
def events(each_server):
    def kinds(job_id=None):
        entries = [fields for _, fields in each_server.client.xrange("sandq:{q}:events")]
        return [e[b"e"].decode() for e in entries if job_id in (None, e[b"id"].decode())]

    return kinds


def add(store, *jobs, now=NOW):
    return store.run(calls.add(jobs or [new()], str(now)))


def claim(store, n=1, token="t1", now=NOW):
    return store.run(calls.claim("q", n, token, "w1", LEASE_MS, str(now)))


def settle(store, claim, verdict, n=0, now=NOW):
    call = calls.settle_and_claim(
        "q", [Settlement(claim, verdict)], n, "t2", "w1", LEASE_MS, str(now)
    )
    (status,), claimed = store.run(call)

    return status, claimed


def look(store, job_id):
    return store.run(calls.look([job_id]))[0]


def test_add_gives_ids_in_order_and_keeps_every_field(store, keys, events):
    ids = add(store, new(data=b'{"a":[]}'), new(opts=b'{"attempts":3}'), new("own-1", priority=7))

    record = look(store, "own-1")

    assert ids == ["1", "2", "own-1"]
    assert look(store, "1").data == b'{"a":[]}'
    assert look(store, "2").opts == b'{"attempts":3}'
    assert (record.priority, record.state, record.created_ms) == (7, JobState.WAITING, NOW)
    assert keys("waiting") == ["own-1", "1", "2"]
    assert events() == ["waiting"] * 3


def test_an_id_that_exists_adds_nothing_and_is_answered(store, keys, events):
    add(store, new("own", data=b"1"))

    again = add(store, new("own", data=b"2"), new())

    assert again == ["own", "1"]
    assert look(store, "own").data == b"1"
    assert keys("waiting") == ["own", "1"]
    assert events("own") == ["waiting", "duplicated"]


def test_jobs_come_by_priority_then_by_age_and_lifo_before_its_rank(store, keys):
    add(store, new("a"), new("b", priority=2), new("c", priority=1), new("d", priority=2))
    add(store, new("e", lifo=True), new("f", lifo=True), new("g", priority=2, lifo=True))

    assert keys("waiting") == ["c", "g", "b", "d", "f", "e", "a"]
    assert [c.id for c in claim(store, 9).claims] == ["c", "g", "b", "d", "f", "e", "a"]


def test_a_delayed_job_waits_for_its_time_and_keeps_its_place(store, keys):
    add(store, new("late", delay_ms=1000), new("now"))

    before = claim(store, 5, now=NOW + 999)
    add(store, new("young"), now=NOW + 999)
    after = claim(store, 5, now=NOW + 1000)

    assert [c.id for c in before.claims] == ["now"]
    assert before.next_due_ms == NOW + 1000
    assert [c.id for c in after.claims] == ["late", "young"]
    assert after.next_due_ms is None


@pytest.mark.parametrize(
    ("delay_ms", "rings"), [(500, True), (2000, False)], ids=["earlier", "later"]
)
def test_only_an_earlier_delayed_job_rings_the_bell(store, each_server, delay_ms, rings):
    add(store, new(delay_ms=1000))
    each_server.client.delete("sandq:{q}:wake")

    add(store, new(delay_ms=delay_ms))

    assert each_server.client.llen("sandq:{q}:wake") == int(rings)


def test_claim_takes_under_a_token_and_says_what_is_left(store, keys, each_server):
    add(store, new(data=b"[1]", opts=b'{"attempts":2}', priority=3), new(), new())

    claimed = claim(store, 2)
    one = claimed.claims[0]
    record = look(store, "1")

    assert (claimed.now_ms, claimed.lease_end_ms, claimed.left) == (NOW, NOW + LEASE_MS, 1)
    assert (one.id, one.token, one.data, one.opts, one.priority) == (
        "1",
        "t1",
        b"[1]",
        b'{"attempts":2}',
        3,
    )
    assert (record.state, record.worker, record.claims, record.started_ms) == (
        JobState.ACTIVE,
        "w1",
        1,
        NOW,
    )
    assert keys("active") == ["1", "2"]
    assert each_server.client.zscore("sandq:{q}:active", "1") == NOW + LEASE_MS
    assert each_server.client.llen("sandq:{q}:wake") == 1


def test_nothing_is_claimed_from_a_paused_queue(store, keys, each_server):
    add(store)
    each_server.client.hset("sandq:{q}:meta", "paused", "1")

    assert claim(store, 5).claims == []
    assert store.run(calls.counts())["paused"] == 1
    assert keys("waiting") == ["1"]


VERDICTS = {
    "complete": (Verdict(Action.COMPLETE, payload=b'{"v":[]}'), "completed", ["completed"]),
    "fail": (Verdict(Action.FAIL, kind="error", payload=b'{"kind":"error"}'), "failed", ["failed"]),
    "retry": (
        Verdict(Action.RETRY, kind="error", payload=b'{"kind":"error"}'),
        "waiting",
        ["retry-scheduled"],
    ),
    "retry later": (
        Verdict(Action.RETRY, 50, "error", b'{"kind":"error"}'),
        "delayed",
        ["retry-scheduled"],
    ),
    "release": (Verdict(Action.RELEASE), "waiting", ["released"]),
    "release later": (Verdict(Action.RELEASE, 50), "delayed", ["released"]),
}


@pytest.mark.parametrize("name", VERDICTS)
def test_a_verdict_moves_the_job_and_says_so(store, keys, events, name):
    verdict, state, kinds = VERDICTS[name]
    add(store)
    one = claim(store).claims[0]

    status, _ = settle(store, one, verdict)
    record = look(store, "1")

    assert status == "ok"
    assert keys(state) == ["1"]
    assert keys("active") == []
    assert events("1") == ["waiting", "active", *kinds]
    assert record.state == state
    assert record.attempts == (1 if kinds[0] in ("failed", "retry-scheduled") else 0)
    assert record.value == (b'{"v":[]}' if name == "complete" else None)
    assert record.finished_ms == (NOW if state in ("completed", "failed") else None)
    assert record.due_ms == (NOW + 50 if state == "delayed" else None)
    assert (record.failure or {}).get("kind") == (
        "error" if kinds[0] in ("failed", "retry-scheduled") else None
    )


@pytest.mark.parametrize("action", [Action.RETRY, Action.RELEASE])
def test_a_retried_job_goes_to_the_back_a_released_one_to_its_place(store, keys, action):
    add(store, new("a", priority=5), new("b", priority=5), new("c"))
    one = claim(store).claims[0]

    settle(store, one, Verdict(action, kind="error", payload=b"{}"))

    assert keys("waiting") == (["b", "a", "c"] if action is Action.RETRY else ["a", "b", "c"])


def test_a_retried_lifo_job_stays_before_the_others(store, keys):
    add(store, new("a"), new("b", lifo=True))
    one = claim(store).claims[0]
    settle(store, one, Verdict(Action.RETRY, kind="error", payload=b"{}"))

    assert keys("waiting") == ["b", "a"]


def test_settling_and_claiming_in_one_call_sees_the_retried_job(store):
    add(store)
    one = claim(store).claims[0]

    _, claimed = settle(store, one, Verdict(Action.RETRY, kind="error", payload=b"{}"), n=3)

    assert [(c.id, c.token, c.attempts) for c in claimed.claims] == [("1", "t2", 1)]


def test_only_the_newest_claim_can_settle(store, events):
    add(store)
    first = claim(store, token="t1").claims[0]
    settle(store, first, Verdict(Action.RELEASE))
    second = claim(store, token="t9").claims[0]

    stale = settle(store, first, Verdict(Action.COMPLETE, payload=b"1"))[0]
    good = settle(store, second, Verdict(Action.COMPLETE, payload=b"2"))[0]
    again = settle(store, second, Verdict(Action.COMPLETE, payload=b"3"))[0]

    assert (stale, good, again) == ("lost", "ok", "done")
    assert look(store, "1").value == b"2"
    assert events("1").count("completed") == 1


def test_settling_a_job_that_is_gone_is_told_and_harmless(store, each_server):
    add(store)
    one = claim(store).claims[0]
    each_server.client.delete("sandq:{q}:job:1")
    each_server.client.zrem("sandq:{q}:active", "1")

    assert settle(store, one, Verdict(Action.COMPLETE, payload=b"1"))[0] == "missing"


def test_a_completed_job_has_no_stalls_and_no_failure_left(store):
    add(store, new(opts=b'{"attempts":2}'))
    settle(store, claim(store).claims[0], Verdict(Action.RETRY, kind="error", payload=b"{}"))
    claim(store, token="t3")
    store.run(calls.recover(10, 1, str(NOW + LEASE_MS)))
    one = claim(store, token="t4", now=NOW + LEASE_MS).claims[0]
    stalls_before = look(store, "1").stalls

    settle(store, one, Verdict(Action.COMPLETE, payload=b"1"))
    record = look(store, "1")

    assert stalls_before == 1
    assert (record.stalls, record.failure, record.attempts, record.claims) == (0, None, 1, 3)


def test_renew_prolongs_what_is_held_and_names_what_is_lost(store, each_server):
    add(store, new(), new())
    one, two = claim(store, 2).claims
    settle(store, two, Verdict(Action.RELEASE))

    lost = store.run(calls.renew([one, two], LEASE_MS, str(NOW + 10_000)))

    assert lost == {"2"}
    assert each_server.client.zscore("sandq:{q}:active", "1") == NOW + 10_000 + LEASE_MS


def test_a_stalled_job_goes_back_to_its_place_then_fails(store, keys, events):
    add(store, new("a", priority=3), new("b", priority=3))
    claim(store)

    early = store.run(calls.recover(10, 1, str(NOW + LEASE_MS - 1)))
    first = store.run(calls.recover(10, 1, str(NOW + LEASE_MS)))
    order = keys("waiting")
    claim(store, now=NOW + LEASE_MS, token="t5")
    second = store.run(calls.recover(10, 1, str(NOW + 2 * LEASE_MS)))
    record = look(store, "a")

    assert early == []
    assert [(r.id, r.state, r.worker) for r in first] == [("a", JobState.WAITING, "w1")]
    assert order == ["a", "b"]
    assert [r.state for r in second] == [JobState.FAILED]
    assert (record.state, record.stalls, record.attempts) == (JobState.FAILED, 2, 0)
    assert record.failure["kind"] == "stalled"
    assert "w1" in record.failure["message"]
    assert events("a") == [
        "waiting",
        "active",
        "stalled",
        "waiting",
        "active",
        "stalled",
        "failed",
    ]


def test_a_late_answer_after_recovery_is_refused(store):
    add(store)
    one = claim(store).claims[0]
    store.run(calls.recover(10, 1, str(NOW + LEASE_MS)))

    assert settle(store, one, Verdict(Action.COMPLETE, payload=b"1"))[0] == "lost"
    assert look(store, "1").state is JobState.WAITING


def test_recover_forgets_an_active_job_whose_hash_is_gone(store, each_server, keys):
    add(store)
    claim(store)
    each_server.client.delete("sandq:{q}:job:1")

    assert store.run(calls.recover(10, 1, str(NOW + LEASE_MS))) == []
    assert keys("active") == []


def test_promote_moves_what_is_due_at_most_so_many(store, keys):
    add(store, *(new(f"j{n}", delay_ms=n) for n in range(1, 6)))

    moved = store.run(calls.promote(2, str(NOW + 4)))

    assert moved == 2
    assert keys("waiting") == ["j1", "j2"]
    assert keys("delayed") == ["j3", "j4", "j5"]


def test_disclaim_gives_back_what_a_lost_reply_had_claimed(store, keys):
    add(store, new("a"), new("b"), new("c"))
    claim(store, 2, token="lost")
    claim(store, 1, token="kept")

    ids = store.run(calls.disclaim(["lost", "never-was"]))

    assert sorted(ids) == ["a", "b"]
    assert keys("waiting") == ["a", "b"]
    assert keys("active") == ["c"]
    assert look(store, "a").stalls == 0


def test_reports_are_kept_only_of_a_claim_that_holds(store, events):
    add(store, new(), new())
    one, two = claim(store, 2).claims
    settle(store, two, Verdict(Action.RELEASE))

    kept = store.run(
        calls.report(
            [
                Report(one, "progress", b"0.5"),
                Report(one, "log", b'{"message":"a"}'),
                Report(two, "progress", b"0.9"),
                Report(two, "log", b'{"message":"b"}'),
            ],
            str(NOW + 5),
        )
    )

    assert kept == 2
    assert look(store, "1").progress == b"0.5"
    assert look(store, "2").progress is None
    assert store.run(calls.logs("1", 0, -1))[1][0].text == b'{"message":"a"}'
    assert store.run(calls.logs("1", 0, -1))[1][0].at_ms == NOW + 5
    assert store.run(calls.logs("2", 0, -1)) == (0, [])
    assert events("1")[-1] == "progress"


def test_old_log_rows_go_when_there_are_too_many(store):
    add(store)
    one = claim(store).claims[0]
    rows = [Report(one, "log", b"%d" % n) for n in range(calls.LOG_ROWS_KEPT + 5)]

    store.run(calls.report(rows))
    count, kept = store.run(calls.logs("1", 0, 0))

    assert count == calls.LOG_ROWS_KEPT
    assert kept[0].text == b"5"


def test_pages_and_counts_tell_of_each_state(store):
    add(store, new("a"), new("b"), new("c", delay_ms=9), new("d", priority=1))
    settle(store, claim(store).claims[0], Verdict(Action.COMPLETE, payload=b"1"))

    def ids(state, *range_):
        return [r.id for r in store.run(calls.page(JobState(state), *range_))]

    assert ids("waiting", 0, -1, False) == ["a", "b"]
    assert ids("waiting", 0, 0, True) == ["b"]
    assert ids("delayed", 0, -1, False) == ["c"]
    assert ids("completed", 0, -1, False) == ["d"]
    assert store.run(calls.counts()) == {
        "waiting": 2,
        "paused": 0,
        "delayed": 1,
        "active": 0,
        "completed": 1,
        "failed": 0,
        "cancelled": 0,
    }


BAD = {
    "add": [
        [],
        ["", "", "n", "1", "", "x", "0", "0"],
        ["", "", "n", "1", "", "0", "-1", "0"],
        [""],
    ],
    "settle_and_claim": [
        ["", 0, "t", "w", 1, "1", "t"],
        ["", 0, "t", "w", 1, "1", "t", "explode", 0, "", ""],
        ["", 0, "t", "w", 1, "1", "t", "retry", "soon", "", ""],
    ],
    "report": [["", 10, "1", "t", "rumour", "x"]],
    "page": [["nowhere", 0, -1, 0]],
}


@pytest.mark.parametrize(("name", "args"), [(n, a) for n, rows in BAD.items() for a in rows])
def test_bad_arguments_are_refused_before_anything_is_written(store, each_server, name, args):
    add(store)
    client = each_server.client
    before = sorted(client.keys("*")), client.xlen("sandq:{q}:events")

    with pytest.raises(StoreError, match="SANDQ_INVALID"):
        store.run(calls.Call(name, args, lambda reply: reply))

    assert (sorted(client.keys("*")), client.xlen("sandq:{q}:events")) == before


def test_an_illegal_change_of_state_is_refused(store, each_server):
    add(store)
    text = scripts.script("renew").text.split("local CHUNK")[0] + (
        "\n"
        + scripts.script("recover").text.split("local now")[0]
        + "Move.change('1', 'p', 'waiting', 'completed', 1, {}) return 1"
    )

    with pytest.raises(Exception, match="illegal change of state waiting -> completed"):
        each_server.client.eval(text, 9, *store.keys.ordered)


def test_the_server_clock_is_used_when_no_time_is_given(store, each_server):
    seconds, _ = each_server.client.time()

    store.run(calls.add([new()]))

    assert abs(look(store, "1").created_ms - seconds * 1000) < 60_000
