"""What the claimer tells Redis, in which order: all that a job has said before its end."""

from types import SimpleNamespace

import orjson
import pytest

from sandq.errors import StoreUnreachable
from sandq.flow import settler
from sandq.flow.claimer import Claimer
from sandq.flow.desk import Desk
from sandq.flow.lane import Lane, Served
from sandq.model.job import NewJob
from sandq.model.outcome import FailureKind, Outcome
from sandq.model.states import JobState
from sandq.model.supervision import Supervision
from sandq.protocol.messages import Captured, Emit, Log, Progress
from sandq.store import calls, reads, said
from sandq.store.store import Store

pytestmark = pytest.mark.anyio


class Watched(Store):
    """A store that notes which scripts are called, and lets a test act before each of them."""

    def __init__(self, url):
        super().__init__("q", url)
        self.called = []
        self.before = {}

    async def run(self, call):
        self.called.append(call.script)
        act = self.before.pop(call.script, None)
        if act is not None:
            act()
        return await super().run(call)


@pytest.fixture
async def store(url):
    one = Watched(url)
    yield one
    await one.close()


@pytest.fixture
async def lane(store):
    pool = SimpleNamespace(places=lambda handlers: 4, serves=lambda handlers: True, elastic=False)
    return Lane("q", Served(store, {}), pool, 4)


@pytest.fixture
async def claimer(lane):
    return Claimer(lane, Desk(Supervision()), "w", 30_000)


@pytest.fixture
async def held(store, lane, claimer):
    """The claim on a job."""
    await store.run(calls.add([NewJob("a", "n", b"1", b"", 0, 0, b"")]))
    await exchange(claimer)
    store.called.clear()
    # nothing else is claimed, so that what is given back stays where it is
    claimer._desk.paused = True
    return lane.in_hand["a"]


async def exchange(claimer):
    while await claimer._exchange():
        pass


def say_all(held, number):
    held.say(Progress("a", b"%d" % number))
    held.say(Log("a", b'{"level":"info","message":"%d"}' % number))
    held.say(Captured("stderr", f"line {number}"))
    held.say(Emit("a", b"%d" % number))


ENDS = {
    "completes": (Outcome.returned(b"1"), JobState.COMPLETED),
    "fails": (Outcome.failed(FailureKind.ERROR, "no"), JobState.FAILED),
    "is given back": (Outcome.give_back("no"), JobState.WAITING),
}


async def check(store, count, state):
    (record,) = await store.run(reads.look(["a"]))
    _, rows = await store.run(reads.logs("a", 0, -1))
    parts = await store.run(said.emitted("a", 0))

    assert record.state is state
    assert record.progress == b"%d" % (count - 1)
    assert [orjson.loads(row.text) for row in rows] == [
        row
        for n in range(count)
        for row in (
            {"level": "info", "message": str(n)},
            {"stream": "stderr", "text": f"line {n}"},
        )
    ]
    assert parts.chunks == [b"%d" % n for n in range(count)]


@pytest.mark.parametrize("end", ENDS)
async def test_all_that_a_job_says_is_told_before_its_end(store, lane, claimer, held, end):
    outcome, state = ENDS[end]
    say_all(held, 0)
    held.end(outcome)
    await exchange(claimer)

    assert store.called == ["report", "settle_and_claim"]
    await check(store, 1, state)


@pytest.mark.parametrize("end", ENDS)
async def test_what_is_said_while_redis_is_told_is_not_lost_with_the_claim(
    store, lane, claimer, held, end
):
    """The job says more, and ends, while the call is under way that tells what it said before."""
    outcome, state = ENDS[end]
    say_all(held, 0)

    def go_on():
        say_all(held, 1)
        held.end(outcome)

    store.before["report"] = go_on
    await exchange(claimer)
    # what nudges the claimer in a supervisor
    assert lane.nudged.is_set()
    await exchange(claimer)

    assert store.called == ["report", "report", "settle_and_claim"]
    await check(store, 2, state)


async def test_what_could_not_be_told_is_told_later_and_once(store, lane, claimer, held):
    say_all(held, 0)
    held.end(Outcome.returned(b"1"))

    def fail():
        raise StoreUnreachable("away")

    for script in ("report", "settle_and_claim"):
        store.before[script] = fail
        with pytest.raises(StoreUnreachable):
            await exchange(claimer)
    await exchange(claimer)

    # nothing is settled before what was said is told
    assert store.called == ["report", "report", "settle_and_claim", "settle_and_claim"]
    await check(store, 1, JobState.COMPLETED)


async def test_a_call_brings_only_so_many_reports(store, claimer, held, monkeypatch):
    monkeypatch.setattr(settler, "REPORTS_AT_ONCE", 3)
    for number in range(4):
        held.say(Log("a", b'{"level":"info","message":"%d"}' % number))
    held.say(Progress("a", b"3"))

    def fail():
        raise StoreUnreachable("away")

    def fail_next_time():
        store.before["report"] = fail

    store.before["report"] = fail_next_time
    with pytest.raises(StoreUnreachable):
        await exchange(claimer)
    # the first three are told already
    await exchange(claimer)
    _, rows = await store.run(reads.logs("a", 0, -1))

    assert store.called[:3] == ["report"] * 3
    assert [orjson.loads(row.text)["message"] for row in rows] == ["0", "1", "2", "3"]


async def test_a_job_that_says_nothing_costs_no_call(store, claimer, held):
    held.end(Outcome.returned(b"1"))
    await exchange(claimer)

    assert store.called == ["settle_and_claim"]
