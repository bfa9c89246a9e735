"""Deadlines of many children with one timer."""

import asyncio

import anyio
import pytest

from sandq.child.watch import Watch

pytestmark = pytest.mark.anyio


class Clocked:
    """A child as the watch sees it."""

    def __init__(self, fired, name):
        self.deadline_s = None
        self.watched_s = None
        self.fired = fired
        self.name = name

    def time_out(self):
        self.fired.append(self.name)


@pytest.fixture
async def watch():
    watch = Watch()
    yield watch
    watch.close()


@pytest.fixture
def fired():
    return []


def now_s():
    return asyncio.get_running_loop().time()


async def until(fired, count):
    with anyio.fail_after(10):
        while len(fired) < count:
            await anyio.lowlevel.checkpoint()


async def test_deadlines_fire_in_their_order(watch, fired):
    for name, delay_s in (("late", 0.03), ("early", 0.01), ("middle", 0.02)):
        watch.set(Clocked(fired, name), now_s() + delay_s)
    await until(fired, 3)

    assert fired == ["early", "middle", "late"]


async def test_a_deadline_taken_back_does_not_fire(watch, fired):
    gone, stays = Clocked(fired, "gone"), Clocked(fired, "stays")
    watch.set(gone, now_s() + 0.005)
    watch.set(stays, now_s() + 0.02)
    gone.deadline_s = None
    await until(fired, 1)

    assert fired == ["stays"]


async def test_a_deadline_can_be_moved_both_ways(watch, fired):
    one, two = Clocked(fired, "later"), Clocked(fired, "sooner")
    watch.set(one, now_s() + 0.005)
    # far enough apart for a machine that is busy with other work
    watch.set(one, now_s() + 1)
    watch.set(two, now_s() + 60)
    watch.set(two, now_s() + 0.01)
    await until(fired, 2)

    assert fired == ["sooner", "later"]


async def test_a_child_that_serves_many_jobs_has_one_entry(watch, fired):
    child = Clocked(fired, "child")
    for _ in range(10_000):
        watch.set(child, now_s() + 60)
        child.deadline_s = None

    assert len(watch._heap) == 1


async def test_nothing_fires_after_close(fired):
    watch = Watch()
    watch.set(Clocked(fired, "never"), now_s() + 0.005)
    watch.close()
    other = Watch()
    other.set(Clocked(fired, "other"), now_s() + 0.02)
    await until(fired, 1)
    other.close()

    assert fired == ["other"]
