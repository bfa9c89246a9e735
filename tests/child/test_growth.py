"""Pools that grow when jobs wait, and shrink when there is nothing to do."""

import anyio
import pytest

from sandq.child import Pool, upkeep
from sandq.model.handler import Handler

pytestmark = pytest.mark.anyio


@pytest.fixture
def quick(monkeypatch):
    """What happens once a second happens all the time."""
    monkeypatch.setattr(upkeep, "LOOK_EVERY_S", 0.01)


async def test_a_pool_grows_while_jobs_wait_and_shrinks_to_its_least(flaky, quick, until):
    one = Handler(command=tuple(flaky), idle_ms=300)
    most = 0
    async with Pool(4, [one], least=1) as pool:
        await until(lambda: pool.ready == 1)
        begun = len(pool.pids())
        async with anyio.create_task_group() as group:
            for _ in range(12):
                group.start_soon(pool.call, one, {"sleep_s": 0.3})
            await until(lambda: len(pool.pids()) == 4)
            most = len(pool.pids())
        await until(lambda: len(pool.pids()) == 1)
        metrics = pool.metrics

    assert (begun, most) == (1, 4)
    assert metrics.jobs == {"completed": 12}
    assert metrics.recycled == {"idle": 3}


async def test_a_pool_may_be_empty_while_there_is_nothing_to_do(full, quick, until):
    one = full(idle_ms=50)
    async with Pool(2, [one], least=0) as pool:
        begun = pool.pids()
        value = await pool.call(one)
        await until(lambda: pool.pids() == [])

    assert begun == []
    assert isinstance(value, int)


async def test_short_waits_add_nobody(full, until):
    one = full()
    async with Pool(4, [one], least=1) as pool, anyio.create_task_group() as group:
        await until(lambda: pool.ready == 1)
        for _ in range(20):
            group.start_soon(pool.call, one)
        await until(lambda: pool.metrics.jobs == {"completed": 20})
        started = pool.metrics.started

    assert started == 1


async def test_a_pool_of_one_size_does_not_grow(flaky, until):
    one = Handler(command=tuple(flaky))
    async with Pool(2, [one]) as pool:
        async with anyio.create_task_group() as group:
            for _ in range(4):
                group.start_soon(pool.call, one, {"sleep_s": 0.2})
        started = pool.metrics.started
        pool.grow([one], 9, 9_000)

        assert len(pool.pids()) == started == 2


async def test_a_handler_without_a_child_has_one_started_at_once(flaky, full, until):
    """It has no child to wait for: its job would wait for ever."""
    one, other = full(), Handler(command=tuple(flaky))
    async with Pool(4, [one, other], least=1) as pool:
        await until(lambda: pool.ready == 1)
        async with anyio.create_task_group() as group:
            group.start_soon(pool.call, other, {"sleep_s": 0.2})
            await until(lambda: len(pool.pids()) == 2)
            value = await pool.call(one)

    assert isinstance(value, int)


async def test_one_shot_children_may_use_all_the_room(program, until):
    one = Handler(command=("/bin/sh", "-c", "cat > /dev/null; sleep 0.2; echo $$"), fresh=True)
    async with Pool(3, [one], least=1) as pool, anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(pool.call, one)
        await until(lambda: len(pool.pids()) == 3)
