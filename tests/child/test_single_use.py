"""Children that are started ahead and serve one job, and what a job leaves to the next."""

import os

import anyio
import pytest

from sandq.child.pool import Pool
from sandq.model.outcome import FailureKind
from sandq.model.sandbox import Sandbox
from tests.child.lending import GRACE_MS, alive, lend, run, shell, until

pytestmark = pytest.mark.anyio

ONE_JOB = Sandbox(profile="limits", fresh="job")
PID = "while read -r job; do echo $$; done"


async def test_each_job_has_a_process_of_its_own_which_is_gone_afterwards(wait):
    one = shell(PID, sandbox=ONE_JOB)
    async with Pool(2, [one], kill_grace_ms=GRACE_MS) as pool:
        outcomes = [await run(pool, one) for _ in range(12)]
        pids = {int(outcome.value) for outcome in outcomes}
        await until(lambda: pool.places([one]) == 2)

        assert len(pids) == 12
        assert not pids & set(pool.pids())
        wait(lambda: not any(alive(pid) for pid in pids), "they are gone")


async def test_they_wait_for_their_job_before_it_comes():
    one = shell(PID, sandbox=ONE_JOB)
    async with Pool(3, [one], kill_grace_ms=GRACE_MS) as pool:
        await until(lambda: pool.places([one]) == 3)
        parked = set(pool.pids())
        outcome = await run(pool, one)

    assert int(outcome.value) in parked


async def test_there_are_never_more_of_them_than_the_pool_may_have():
    one = shell(PID, sandbox=ONE_JOB)
    most = 0
    async with Pool(3, [one], kill_grace_ms=GRACE_MS) as pool:

        async def runner():
            nonlocal most
            for _ in range(10):
                await run(pool, one)
                most = max(most, len(pool.pids()))

        async with anyio.create_task_group() as group:
            for _ in range(5):
                group.start_soon(runner)

    assert most <= 3


async def test_what_a_job_leaves_running_does_not_see_the_next_one(tmp_path, wait):
    script = f"read -r job; (while :; do sleep 0.05; done) & echo $! > {tmp_path}/pid; echo 1"
    one = shell(script, sandbox=ONE_JOB)
    async with Pool(1, [one], kill_grace_ms=GRACE_MS) as pool:
        await run(pool, one)
        left = int((tmp_path / "pid").read_text())
        await until(lambda: pool.places([one]) == 1)

    assert not alive(left)


async def test_its_answer_counts_at_once_and_a_second_one_at_once_spoils_it():
    good = shell("read -r job; echo 1; sleep 60", sandbox=ONE_JOB)
    twice = shell("read -r job; printf '1\\n2\\n'; sleep 60", sandbox=ONE_JOB)
    async with Pool(2, [good, twice], kill_grace_ms=GRACE_MS) as pool:
        first, second = await run(pool, good), await run(pool, twice)

    assert first.value == b"1"
    assert second.failure.kind == FailureKind.PROTOCOL_ERROR


async def test_with_key_only_jobs_without_a_key_have_a_child_of_their_own():
    one = shell(PID, sandbox=Sandbox(profile="limits", fresh="key"))
    async with Pool(2, [one], kill_grace_ms=GRACE_MS) as pool:
        keyed = [await _with_key(pool, one, "tenant") for _ in range(3)]
        without = [await _with_key(pool, one, "") for _ in range(3)]

    assert len(set(keyed)) == 1
    assert len(set(without)) == 3


async def _with_key(pool, one, key):
    child = pool.lend(one, key) or await pool.obtain(one, None, key)
    outcome = await child.run("1", b'{"type":"job"}\n', 5_000, lambda _: None)
    pool.give_back(child)

    return int(outcome.value)


async def test_one_that_dies_while_it_waits_is_replaced():
    one = shell(PID, sandbox=ONE_JOB)
    async with Pool(1, [one], kill_grace_ms=GRACE_MS) as pool:
        await until(lambda: pool.places([one]) == 1)
        (parked,) = pool.pids()
        os.kill(parked, 9)
        await until(lambda: pool.pids() not in ([], [parked]))
        outcome = await run(pool, one)

    assert int(outcome.value) != parked


async def test_a_timeout_ends_it_and_the_next_job_has_another():
    one = shell("read -r job; case $job in *slow*) exec sleep 60;; esac; echo $$", sandbox=ONE_JOB)
    async with Pool(1, [one], kill_grace_ms=GRACE_MS) as pool:
        slow = await run(pool, one, "slow", timeout_ms=200)
        fine = await run(pool, one, "fine")

    assert (slow.failure.kind, slow.failure.limit.value) == ("timed_out", 200)
    assert fine.value is not None


async def test_no_call_lets_a_job_pass_the_wall_of_its_sandbox():
    one = shell("sleep 60", sandbox=Sandbox(profile="limits", wall=2))
    async with Pool(1, [one], kill_grace_ms=GRACE_MS) as pool:
        child, job = await lend(pool, one, timeout_ms=1_000)

        assert child.extend(1_000) >= 1_000
        with pytest.raises(Exception, match="allows 2000 ms"):
            child.extend(2_500)
        child.stop("cancel")
        await job
        pool.give_back(child)


async def test_rules_for_shared_children_do_not_hold_them_back():
    one = shell(PID, sandbox=ONE_JOB, max_jobs=1, max_rss=1)
    async with Pool(1, [one], kill_grace_ms=GRACE_MS) as pool:
        pids = {(await run(pool, one)).value for _ in range(4)}

    assert len(pids) == 4
