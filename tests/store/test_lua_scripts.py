"""A job's straight way on real servers: the keys before, one call, the reply and all keys after."""

import pytest

from sandq.model.states import JobState
from sandq.model.verdict import Action, Verdict
from sandq.store import calls, scripts
from sandq.store.calls import Settlement


def test_add_gives_ids_in_order_and_keeps_every_field(bench):
    own = bench.new("own-1", priority=7)
    ids = bench.add(bench.new(data=b'{"a":[]}'), bench.new(opts=b'{"attempts":3}'), own)

    record = bench.look("own-1")

    assert ids == ["1", "2", "own-1"]
    assert bench.look("1").data == b'{"a":[]}'
    assert bench.look("2").opts == b'{"attempts":3}'
    assert (record.priority, record.state, record.created_ms) == (7, JobState.WAITING, bench.now)
    assert bench.ids("waiting") == ["own-1", "1", "2"]
    assert bench.events() == ["waiting"] * 3


def test_an_id_that_exists_adds_nothing_and_is_answered(bench):
    bench.add(bench.new("own", data=b"1"))

    again = bench.add(bench.new("own", data=b"2"), bench.new())

    assert again == ["own", "1"]
    assert bench.look("own").data == b"1"
    assert bench.ids("waiting") == ["own", "1"]
    assert bench.events("own") == ["waiting", "duplicated"]


def test_one_call_adds_an_id_that_it_brings_twice_only_once(bench):
    ids = bench.add(bench.new("own", data=b"1"), bench.new("own", data=b"2"))

    assert ids == ["own", "own"]
    assert bench.look("own").data == b"1"
    assert bench.hash("totals") == {"added": "1"}


@pytest.mark.parametrize("name", ["waiting", "meta", "job:1", "events", "{q}", "a:b:lock", "1x"])
def test_an_id_that_is_named_like_a_key_of_the_queue_meets_none_of_them(bench, name):
    # Bull's keys are beside those of its jobs
    bench.add("first", name)

    assert bench.take(5) == ["first", name]
    assert bench.look(name).state is JobState.ACTIVE


@pytest.mark.parametrize(
    ("delay_ms", "rings"), [(500, True), (2000, False)], ids=["earlier", "later"]
)
def test_only_an_earlier_delayed_job_rings_the_bell(bench, delay_ms, rings):
    bench.add(bench.new(delay_ms=1000))
    bench.client.delete("sandq:{q}:wake")

    bench.add(bench.new(delay_ms=delay_ms))

    assert bench.client.llen("sandq:{q}:wake") == int(rings)


def test_claim_takes_under_a_token_and_says_what_is_left(bench):
    bench.add(bench.new(data=b"[1]", opts=b'{"attempts":2}', priority=3), bench.new(), bench.new())

    claimed = bench.ask(2)
    one = claimed.claims[0]
    record = bench.look("1")
    lease_end = bench.now + bench.lease_ms

    assert (claimed.now_ms, claimed.lease_end_ms, claimed.left) == (bench.now, lease_end, 1)
    assert (one.id, one.token, one.data, one.opts, one.priority) == (
        "1",
        "t1",
        b"[1]",
        b'{"attempts":2}',
        3,
    )
    assert (record.state, record.worker, record.claims, record.started_ms, record.token) == (
        JobState.ACTIVE,
        "w1",
        1,
        bench.now,
        "t1",
    )
    assert bench.ids("active") == ["1", "2"]
    assert bench.client.zscore("sandq:{q}:active", "1") == lease_end
    assert bench.client.llen("sandq:{q}:wake") == 1


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
def test_a_verdict_moves_the_job_and_says_so(bench, name):
    verdict, state, kinds = VERDICTS[name]
    bench.add("1")
    (one,) = bench.claim()

    settlement = Settlement(one, verdict)
    call = calls.settle_and_claim("q", [settlement], 0, "t2", "w1", 1, str(bench.now))
    (status,), _ = bench.run(call)
    record = bench.look("1")

    assert status == "ok"
    assert bench.ids(state) == ["1"]
    assert bench.ids("active") == []
    assert bench.events("1") == ["waiting", "active", *kinds]
    assert record.state == state
    assert record.attempts == (1 if kinds[0] in ("failed", "retry-scheduled") else 0)
    assert record.value == (b'{"v":[]}' if name == "complete" else None)
    assert record.finished_ms == (bench.now if state in ("completed", "failed") else None)
    assert record.due_ms == (bench.now + 50 if state == "delayed" else None)
    assert (record.failure or {}).get("kind") == (
        "error" if kinds[0] in ("failed", "retry-scheduled") else None
    )


def test_settling_and_claiming_in_one_call_sees_the_retried_job(bench):
    bench.add("1")
    (one,) = bench.claim()

    _, claimed = bench.settle(one, Action.RETRY, n=3)

    assert [(c.id, c.token, c.attempts) for c in claimed.claims] == [("1", "t2", 1)]


def test_a_completed_job_has_no_stalls_and_no_failure_left(bench):
    bench.add("1")
    bench.do(Action.RETRY)
    bench.claim()
    bench.now += bench.lease_ms
    bench.recover()
    stalls_before = bench.look("1").stalls

    bench.do()
    record = bench.look("1")

    assert stalls_before == 1
    assert (record.stalls, record.failure, record.attempts, record.claims) == (0, None, 1, 3)


@pytest.mark.parametrize(
    ("first", "second"), [("waiting", "completed"), ("completed", "failed"), ("delayed", "active")]
)
def test_an_illegal_change_of_state_is_refused(bench, first, second):
    bench.add("1")
    text = scripts.script("promote").text.split("local reply")[0] + (
        f"Move.change(Move.read('1'), '{first}', '{second}', 1, {{}}) return 1"
    )
    before = bench.dump()

    with pytest.raises(Exception, match=f"illegal change of state {first} -> {second} of job 1"):
        bench.client.eval(text, 9, *bench.store.keys.ordered)

    assert bench.dump() == before


def test_the_server_clock_is_used_when_no_time_is_given(bench):
    seconds, _ = bench.client.time()

    bench.run(calls.add([bench.new("1")]))

    assert abs(bench.look("1").created_ms - seconds * 1000) < 60_000
