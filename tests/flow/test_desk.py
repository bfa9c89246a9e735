"""The desk between claimers and slots, without Redis and without children."""

import asyncio

import anyio
import pytest

from sandq import clock
from sandq.flow.desk import HELD_MOST_S, Desk, Held
from sandq.model.job import Claim
from sandq.model.outcome import Outcome
from sandq.model.supervision import Supervision

pytestmark = pytest.mark.anyio


class Lane:
    """What the desk needs of a lane; outcomes are kept to be looked at."""

    serves = True

    def __init__(self):
        self.in_hand = {}
        self.settled = []
        self.nudged = asyncio.Event()

    def settle(self, held, outcome):
        self.settled.append((held.claim.id, outcome))


def claim(job_id, opts=b""):
    return Claim("q", job_id, "t", "work", b"1", opts, 0, 0, 0, 0)


@pytest.fixture
def lane():
    return Lane()


@pytest.fixture
async def desk():
    desk = Desk(Supervision(pool=2))
    yield desk
    desk.close()


async def test_as_many_claims_are_asked_for_as_can_start(desk, lane):
    first = desk.reserve(lane, 2)
    meanwhile = desk.reserve(lane, 2)
    desk.cancel(first)
    again = desk.reserve(lane, 1)

    assert (first, meanwhile, again) == (2, 0, 1)


async def test_no_more_than_there_are_slots(desk, lane):
    assert desk.reserve(lane, 50) == 2


async def test_lanes_that_got_no_place_take_turns(desk, lane):
    busy, late, later = lane, Lane(), Lane()
    desk.deliver(busy, desk.reserve(busy, 2), [claim("1"), claim("2")])
    running = [await desk.take() for _ in range(2)]
    asked = [desk.reserve(one, 2) for one in (late, later)]
    turns = []
    for _ in range(4):
        desk.ended(running.pop(0), Outcome.returned(b"1"))
        for name, one in (("busy", busy), ("late", late), ("later", later)):
            if reserved := desk.reserve(one, 1):
                turns.append(name)
                desk.deliver(one, reserved, [claim(f"{name}-{len(turns)}")])
        running.append(await desk.take())

    assert asked == [0, 0]
    assert late.nudged.is_set()
    assert later.nudged.is_set()
    assert turns == ["late", "later", "busy", "late"]


async def test_a_lane_without_work_keeps_no_place_from_others(desk, lane):
    other = Lane()
    desk.deliver(lane, desk.reserve(lane, 2), [claim("1"), claim("2")])
    held = await desk.take()
    desk.reserve(other, 2)
    desk.is_fed(other)
    desk.ended(held, Outcome.returned(b"1"))

    assert desk.reserve(lane, 2) == 1


async def test_none_without_a_place_and_none_when_closed(desk, lane):
    without_place = desk.reserve(lane, 0)
    desk.close()

    assert (without_place, desk.reserve(lane, 2)) == (0, 0)


async def test_a_claim_given_to_a_slot_takes_its_place_at_once(desk, lane):
    async with anyio.create_task_group() as group:
        taken = []

        async def slot():
            taken.append(await desk.take())

        group.start_soon(slot)
        await anyio.wait_all_tasks_blocked()
        desk.deliver(lane, desk.reserve(lane, 1), [claim("1")])
        # the slot has not woken up yet: the idle child is as good as lent
        before = desk.reserve(lane, 1)
        await anyio.wait_all_tasks_blocked()
        after = desk.reserve(lane, 1)

    assert [held.claim.id for held in taken] == ["1"]
    assert (before, after) == (0, 1)
    assert list(lane.in_hand) == ["1"]


async def test_claims_wait_in_order_for_slots_that_come_later(desk, lane):
    desk.deliver(lane, desk.reserve(lane, 2), [claim("1"), claim("2")])

    assert [(await desk.take()).claim.id for _ in range(2)] == ["1", "2"]
    assert {held.claim.id for held in desk.running} == {"1", "2"}


async def test_a_claim_that_waits_too_long_is_given_back(desk, lane):
    desk.deliver(lane, desk.reserve(lane, 2), [claim("1")])
    with anyio.fail_after(10 + HELD_MOST_S):
        while not lane.settled:
            await anyio.lowlevel.checkpoint()

    assert lane.settled == [("1", Outcome.give_back("held too long"))]


async def test_a_claim_that_waited_too_long_is_not_begun(desk, lane, monkeypatch):
    """As after the whole process was stopped for a while: no timer has run meanwhile."""
    desk.deliver(lane, desk.reserve(lane, 2), [claim("1")])
    now_s = clock.monotonic_s() + HELD_MOST_S
    monkeypatch.setattr(clock, "monotonic_s", lambda: now_s)
    desk.deliver(lane, 0, [claim("2")])

    assert (await desk.take()).claim.id == "2"
    assert lane.settled == [("1", Outcome.give_back("held too long"))]


async def test_closing_gives_back_what_waits_and_what_comes_late(desk, lane):
    reserved = desk.reserve(lane, 2)
    desk.deliver(lane, 1, [claim("1")])
    desk.close()
    desk.deliver(lane, reserved - 1, [claim("2")])

    assert [job_id for job_id, _ in lane.settled] == ["1", "2"]
    assert {outcome.released for _, outcome in lane.settled} == {"shutdown"}
    assert desk.drained.is_set()


async def test_the_desk_is_drained_when_the_last_job_has_ended(desk, lane):
    desk.deliver(lane, desk.reserve(lane, 1), [claim("1")])
    held = await desk.take()
    desk.close()
    before = desk.drained.is_set()
    desk.ended(held, Outcome.returned(b"1"))

    assert not before
    assert desk.drained.is_set()
    assert lane.settled == [("1", Outcome.returned(b"1"))]


async def test_what_was_given_up_is_settled_once(desk, lane):
    desk.deliver(lane, desk.reserve(lane, 1), [claim("1")])
    held = await desk.take()
    desk.give_up(held)
    desk.ended(held, Outcome.returned(b"1"))

    assert lane.settled == [("1", Outcome.give_back("shutdown"))]


async def test_claims_are_asked_for_ahead_while_jobs_are_quick(lane):
    desk = Desk(Supervision(pool=1))
    before = desk.reserve(lane, 0)
    loop = asyncio.get_running_loop()
    until_s = loop.time() + 5
    ahead = 0
    while not ahead and loop.time() < until_s:
        for _ in range(200):
            desk.pace.ended(loop.time())
        ahead = desk.reserve(lane, 0)
    desk.cancel(ahead)
    lane.serves = False
    unserved = desk.reserve(lane, 0)
    desk.close()

    assert before == 0
    assert 0 < ahead <= Supervision().ahead_most
    assert unserved == 0


async def test_options_that_cannot_be_read_are_noted_not_raised(lane):
    held = Held(lane, claim("1", b"{"), 0.0)

    assert "not JSON" in held.unreadable
    assert held.options.attempts == 1
