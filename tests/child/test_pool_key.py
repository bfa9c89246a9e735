"""Children serve jobs of one key alone."""

import anyio
import pytest

from sandq.child import Pool
from sandq.model.handler import Handler

pytestmark = pytest.mark.anyio

# every answer names the process and the keys of all jobs that it has had, as far as it knows
REMEMBER = """
import os, sys
from sandq.handler import serve

seen = []

def remember(job):
    seen.append(job.data)
    return {"pid": os.getpid(), "seen": seen, "key": os.environ.get("SANDQ_POOL_KEY")}

serve(remember)
"""


@pytest.fixture
def one(program):
    return Handler(command=tuple(program(REMEMBER)))


async def test_a_child_that_served_a_key_never_serves_another(one):
    keys = ["a", "b", "a", "", "b", "", "c", "a", "a", "", "b"] * 3
    async with Pool(2, [one]) as pool:
        answers = [await pool.call(one, key, key=key) for key in keys]

    for key, answer in zip(keys, answers, strict=True):
        assert set(answer["seen"]) == {key}
        assert answer["key"] == (key or None)


async def test_jobs_of_one_key_share_a_warm_child(one):
    async with Pool(2, [one]) as pool:
        pids = {(await pool.call(one, "a", key="a"))["pid"] for _ in range(5)}

    assert len(pids) == 1


async def test_idle_children_of_other_keys_give_way_the_one_used_longest_ago_first(one, until):
    async with Pool(3, [one]) as pool:
        pids = {key: (await pool.call(one, key, key=key))["pid"] for key in "abc"}
        await until(lambda: sorted(pids.values()) == pool.pids())
        await pool.call(one, "a", key="a")
        pids["d"] = (await pool.call(one, "d", key="d"))["pid"]
        await until(lambda: len(pool.pids()) == 3)
        left = pool.pids()

    assert left == sorted(pids[key] for key in "acd")


async def test_many_keys_at_once_are_never_mixed_and_never_too_many(one):
    most = 0
    async with Pool(3, [one]) as pool:

        async def call(key):
            nonlocal most
            for _ in range(3):
                answer = await pool.call(one, key, key=key)
                most = max(most, len(pool.pids()))
                assert set(answer["seen"]) == {key}

        async with anyio.create_task_group() as group:
            for number in range(6):
                group.start_soon(call, f"tenant {number}")

    assert most <= 3


async def test_keys_that_nobody_uses_are_forgotten(one, until):
    async with Pool(1, [one]) as pool:
        for number in range(5):
            await pool.call(one, number, key=str(number))
        await pool.call(one)
        await until(lambda: len(pool.pids()) == 1)
        keys = [line.key for line in pool._crew.lines()]

    assert keys == [""]


async def test_a_handler_that_does_not_start_backs_off_whatever_the_key(tmp_path):
    note = tmp_path / "tries"
    lost = Handler(command=("/bin/sh", "-c", f"echo x >> {note}; exit 1"))
    async with Pool(2, [lost]) as pool:
        for number in range(20):
            with pytest.raises(Exception, match="exit code 1"):
                await pool.call(lost, key=str(number))

    assert len(note.read_text().split()) <= 8
