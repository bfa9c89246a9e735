"""What a child asks of us: allowed verbs are carried out, everything else is refused in words."""

import sys

import anyio
import orjson
import pytest

from sandq.child.asking import CallRefused
from sandq.child.pool import Pool
from sandq.model.limits import Limits
from sandq.model.outcome import FailureKind
from tests.child.lending import GRACE_MS, full, lend, outcome_of, run, until

pytestmark = pytest.mark.anyio

# it calls what its data says, and answers with the reply
CALLS = """
while True:
    say(type="call", id=job["id"], re=7, verb=job["data"]["verb"], args=job["data"].get("args", {}))
    reply = hear()
    answer(job, {name: reply.get(name) for name in ("id", "re", "ok", "value", "error")})
    job = next_job()
"""


def caller(*calls, **settings):
    return full(sys.executable, CALLS, ["call"], calls=calls, **settings)


async def reply_to(one, data, perform=None):
    outcome = await outcome_of(one, data, perform=perform)

    return orjson.loads(outcome.value)


async def echo(verb, args):
    return b'{"verb": "%b",\n"args": %b}' % (verb.encode(), args)


async def test_an_allowed_call_is_carried_out_and_its_value_comes_back():
    reply = await reply_to(caller("mine"), {"verb": "mine", "args": {"a": [1]}}, echo)

    assert reply == {
        "id": "1", "re": 7, "ok": True, "error": None,
        "value": {"verb": "mine", "args": {"a": [1]}},
    }  # fmt: skip


async def refuses(verb, args):
    raise CallRefused("sandq.bad_args", "a is missing")


async def breaks(verb, args):
    raise ZeroDivisionError("by zero")


async def returns_much(verb, args):
    return b'"' + b"x" * 5_000 + b'"'


REFUSED = {
    "not allowed": ("other", echo, "sandq.not_allowed", "its calls are: mine"),
    "nobody there": ("mine", None, "sandq.unknown_verb", "nobody here carries out 'mine'"),
    "refused": ("mine", refuses, "sandq.bad_args", "a is missing"),
    "broken": ("mine", breaks, "sandq.failed", "mine failed: by zero"),
    "too long": ("mine", returns_much, "sandq.failed", "bytes long; a line has 4096 at most"),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_a_call_that_is_not_carried_out_says_why(name, caplog):
    verb, perform, kind, words = REFUSED[name]

    reply = await reply_to(caller("mine", limits=Limits(line=4096)), {"verb": verb}, perform)

    assert (reply["ok"], reply["error"]["type"]) == (False, kind)
    assert words in reply["error"]["message"]


async def test_by_default_nothing_may_be_called():
    reply = await reply_to(caller(), {"verb": "update_data"}, echo)

    assert "its calls are: none" in reply["error"]["message"]


async def test_one_call_at_a_time():
    script = """
say(type="call", id=job["id"], re=1, verb="mine")
say(type="call", id=job["id"], re=2, verb="mine")
answer(job, [hear(), hear()])
hear()
"""
    go_on = anyio.Event()

    async def slow(verb, args):
        await go_on.wait()
        return b"1"

    one = full(sys.executable, script, ["call"], calls=("mine",))
    async with Pool(1, [one]) as pool:
        child, job = await lend(pool, one, perform=slow)
        await until(lambda: child._work and child._work.asks)
        go_on.set()
        first, second = orjson.loads((await job).value)
        pool.give_back(child)

    assert (first["re"], first["error"]["type"]) == (2, "sandq.busy")
    assert (second["re"], second["value"]) == (1, 1)


async def test_a_job_that_ends_without_waiting_for_its_reply_spoils_nothing():
    script = """
while True:
    say(type="call", id=job["id"], re=1, verb="mine")
    answer(job, job["data"])
    job = next_job()
"""
    one = full(sys.executable, script, ["call"], calls=("mine",))
    async with Pool(1, [one]) as pool:
        values = [(await run(pool, one, n, job_id=str(n), perform=echo)).value for n in range(20)]

    assert values == [str(n).encode() for n in range(20)]


async def test_more_time_is_more_time():
    script = """
say(type="call", id=job["id"], re=1, verb="extend_timeout", args={})
reply = hear()
time.sleep(0.6)
answer(job, reply["value"])
hear()
"""
    one = full(sys.executable, script, ["call"], calls=("extend_timeout",))
    async with Pool(1, [one], kill_grace_ms=GRACE_MS) as pool:

        async def more(verb, args):
            return str(child.extend(60_000)).encode()

        child, job = await lend(pool, one, timeout_ms=500, perform=more)
        outcome = await job
        pool.give_back(child)

    assert 60_000 <= int(outcome.value) <= 60_500


async def test_a_job_that_is_being_ended_gets_no_more_time():
    one = full(sys.executable, "hear(); hear()", ["call", "cancel"], calls=("extend_timeout",))
    async with Pool(1, [one], kill_grace_ms=GRACE_MS) as pool:
        child, job = await lend(pool, one)
        child.stop("timeout")
        with pytest.raises(CallRefused, match="is being ended"):
            child.extend(1_000)
        await job
        pool.give_back(child)


async def test_who_calls_without_the_capability_breaks_the_protocol():
    outcome = await outcome_of(full(sys.executable, CALLS, [], calls=("mine",)), {"verb": "mine"})

    assert outcome.failure.kind is FailureKind.PROTOCOL_ERROR
    assert "has not named the capability call" in outcome.failure.message


async def test_a_welcome_tells_what_may_be_called():
    # it may come before the first job, or after it
    script = """
while not (welcomes := [message for message in heard if message["type"] == "welcome"]): hear()
answer(job, welcomes[0])
hear()
"""
    one = full(sys.executable, script, ["welcome"], calls=("mine", "add_job"))

    welcome = orjson.loads((await outcome_of(one)).value)

    assert welcome["type"] == "welcome"
    assert welcome["calls"] == ["add_job", "mine"]
    assert welcome["limits"]["line"] == 1024 * 1024


PINGED = """
while True:
    answer(job, seen)
    message = hear()
    if message["type"] == "ping":
        seen.append(message["n"])
        if job["data"] != "deaf": say(type="pong", n=message["n"])
        message = next_job()
    job = message
"""


async def test_an_idle_child_that_answers_a_ping_is_kept(monkeypatch):
    monkeypatch.setattr("sandq.child.pulse.PONG_WITHIN_S", 0.3)
    one = full(sys.executable, "seen = []\n" + PINGED, ["ping"])
    async with Pool(1, [one]) as pool:
        child, job = await lend(pool, one)
        await job
        pool.give_back(child)
        child.ping()
        await until(lambda: child._pulse._answered == 1)
        outcome = await run(pool, one)

    assert outcome.value == b"[1]"


async def test_an_idle_child_that_does_not_is_replaced(monkeypatch):
    monkeypatch.setattr("sandq.child.pulse.PONG_WITHIN_S", 0.1)
    one = full(sys.executable, "seen = []\n" + PINGED, ["ping"])
    async with Pool(1, [one], kill_grace_ms=GRACE_MS) as pool:
        child, job = await lend(pool, one, "deaf")
        await job
        pool.give_back(child)
        child.ping()
        await until(lambda: child.gone)
        outcome = await run(pool, one)

    assert "did not answer a ping" in child.end_note
    assert outcome.value == b"[]"


# it calls, and calls, and reads no reply
DEAF = """
while True:
    say(type="call", id=job["id"], re="x" * 250, verb="any")
"""


async def test_a_child_that_calls_and_does_not_read_is_ended_before_the_replies_pile_up():
    outcome = await outcome_of(full(sys.executable, DEAF, ["call"]))

    assert outcome.failure.kind is FailureKind.PROTOCOL_ERROR
    assert "calls, and does not read the replies: 100 wait for it" in outcome.failure.message
