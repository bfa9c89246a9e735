"""What a shared child does between two jobs: behind walls nothing, elsewhere it waits."""

import logging
import sys
import time

import psutil
import pytest

from sandq.child.pool import Pool
from sandq.model.sandbox import Sandbox
from tests.child.lending import GRACE_MS, alive, handler, run, until

pytestmark = pytest.mark.anyio

# a thread and a process of its own go on after every answer
BUSY = """
import os, sys, threading, time
count = 0
def forever():
    global count
    while True:
        count += 1
        time.sleep(0.001)
threading.Thread(target=forever, daemon=True).start()
if os.fork() == 0:
    while True: time.sleep(0.001)
for line in sys.stdin:
    print(count, flush=True)
"""


def tree(pool):
    (pid,) = pool.pids()
    one = psutil.Process(pid)

    return [one, *one.children(recursive=True)]


def all_stopped(pool):
    # bubblewrap's own two processes may go on: nothing of the job's is in them
    return all(
        process.status() == psutil.STATUS_STOPPED
        for process in tree(pool)
        if process.name() != "bwrap"
    )


@pytest.mark.parametrize("fresh", ["never", "key"])
async def test_behind_walls_nothing_of_a_job_goes_on_until_the_next(fresh, caplog):
    sandbox = Sandbox(profile="untrusted", fresh=fresh)
    one = handler([sys.executable, "-u", "-c", BUSY], sandbox=sandbox)
    counts = []
    async with Pool(1, [one], kill_grace_ms=GRACE_MS) as pool:
        for _ in range(3):
            child = pool.lend(one, "tenant") or await pool.obtain(one, None, "tenant")
            outcome = await child.run("1", b'{"type":"job"}\n', 20_000, lambda _: None)
            pool.give_back(child)
            await until(lambda: all_stopped(pool))
            counts.append(int(outcome.value))
            # if its thread went on it would count some hundred by then
            left = [process.cpu_times() for process in tree(pool)]
            await until(idle_for(0.3))
            assert [process.cpu_times() for process in tree(pool)] == left
        pids = pool.pids()

    assert len(pids) == 1
    assert counts[2] - counts[0] < 200
    assert not any(alive(pid) for pid in pids)
    said = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert len(said) == 1
    assert "poison" in said[0].getMessage()


def idle_for(seconds):
    end = time.monotonic() + seconds

    return lambda: time.monotonic() > end


async def test_a_frozen_child_can_be_ended(wait):
    sandbox = Sandbox(profile="untrusted", fresh="never")
    one = handler([sys.executable, "-u", "-c", BUSY], sandbox=sandbox)
    async with Pool(1, [one], kill_grace_ms=GRACE_MS) as pool:
        await run(pool, one)
        await until(lambda: all_stopped(pool))
        processes = tree(pool)

    wait(lambda: not any(process.is_running() for process in processes), "all are gone")


async def test_elsewhere_a_child_is_left_alone():
    one = handler([sys.executable, "-u", "-c", BUSY], sandbox=Sandbox(profile="limits"))
    async with Pool(1, [one], kill_grace_ms=GRACE_MS) as pool:
        first = await run(pool, one)
        await until(idle_for(0.2))
        second = await run(pool, one)
        child = next(iter(pool.pids()))
        status = psutil.Process(child).status()

    assert status != psutil.STATUS_STOPPED
    assert int(second.value) - int(first.value) > 10
