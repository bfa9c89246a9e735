"""Children that are replaced by rule: after so many jobs, when old, when large, when idle."""

import contextlib
import os
from collections import Counter

import anyio
import pytest

from sandq.child import children, pulse, upkeep
from sandq.child.pool import Pool
from sandq.child.spawn import StartFailed
from sandq.model.handler import Handler
from sandq.model.limits import to_bytes

pytestmark = pytest.mark.anyio


class Watched:
    """A pool whose children are counted at each change."""

    def __init__(self, size, handlers, **settings):
        self.size = size
        self.fewest, self.most = size, 0
        self.full = False
        self.pool = Pool(size, handlers, on_change=self.count, **settings)

    def count(self):
        alive, ready = len(self.pool._keeper.alive), self.pool.ready
        self.full |= ready >= self.size
        self.most = max(self.most, alive)
        if self.full:
            self.fewest = min(self.fewest, ready)

    async def __aenter__(self):
        await self.pool.__aenter__()
        return self

    async def __aexit__(self, *error):
        await self.pool.__aexit__(*error)


async def work(watched, run, one, count, callers):
    """Run jobs by several callers at once; the answer is how many each process served."""
    served = Counter()
    numbers = iter(range(count))

    async def call():
        for number in numbers:
            outcome = await run(watched.pool, one, number, job_id=str(number))
            assert outcome.value is not None, outcome
            served[int(outcome.value)] += 1
            watched.count()

    async with anyio.create_task_group() as group:
        for _ in range(callers):
            group.start_soon(call)

    return served


async def test_a_child_serves_so_many_jobs_and_no_more(full, run, until):
    one = full(max_jobs=10)
    async with Watched(4, [one]) as watched:
        await until(lambda: watched.pool.ready == 4)
        served = await work(watched, run, one, 9_900, callers=4)
        # one by one, those that have served some jobs are used up first
        for _ in range(100):
            await until(lambda: watched.pool.ready == len(watched.pool._keeper.alive))
            served += await work(watched, run, one, 1, callers=1)
        metrics = watched.pool.metrics

    assert set(served.values()) == {10}
    assert len(served) == 1_000
    assert watched.fewest >= 3
    assert watched.most == 5
    assert metrics.recycled == {"jobs": 1_000}
    assert metrics.jobs == {"completed": 10_000}
    assert metrics.ended["retired"] >= 999
    assert set(metrics.ended) == {"retired"}


async def test_with_one_job_each_every_job_has_a_process_of_its_own(full, run):
    one = full(max_jobs=1)
    async with Watched(2, [one]) as watched:
        served = await work(watched, run, one, 30, callers=2)

    assert set(served.values()) == {1}
    assert watched.most == 3
    assert watched.fewest >= 1


def living_children_of(pid):
    """How many processes a process has started that have not ended."""
    with open(f"/proc/{pid}/task/{pid}/children") as children:
        pids = children.read().split()
    states = []
    for child in pids:
        with contextlib.suppress(OSError), open(f"/proc/{child}/stat") as stat:
            states.append(stat.read().rpartition(")")[2].split()[0])

    return sum(state != "Z" for state in states)


async def test_there_is_never_more_than_one_process_beyond_the_size(full, run):
    one = full(max_jobs=2)
    most = 0
    async with Watched(2, [one]) as watched:
        spawner = watched.pool._keeper.starter._spawner._process.pid
        async with anyio.create_task_group() as group:

            async def count():
                nonlocal most
                while True:
                    most = max(most, living_children_of(spawner))
                    await anyio.lowlevel.checkpoint()

            group.start_soon(count)
            await work(watched, run, one, 100, callers=2)
            group.cancel_scope.cancel()

    assert most == 3


@pytest.fixture
def quick(monkeypatch):
    """What happens once a second happens all the time."""
    monkeypatch.setattr(upkeep, "LOOK_EVERY_S", 0.01)


@pytest.fixture
def gate(tmp_path):
    """Children that are started while it is closed are not ready before it is opened."""
    return Gate(tmp_path / "gate")


class Gate:
    def __init__(self, path):
        self.path = path
        self.words = f"if [ -e {path} ]; then read -r word < {path}; fi"

    def close(self):
        os.mkfifo(self.path)

    def open(self):
        with open(self.path, "w") as gate:
            gate.write("come\n")


async def test_the_last_job_waits_for_the_successor(full, run, until, gate):
    one = full(gate.words, max_jobs=2)
    async with Pool(1, [one]) as pool:
        await until(lambda: pool.ready == 1)
        gate.close()
        values = [(await run(pool, one)).value]
        places = pool.places([one])
        async with anyio.create_task_group() as group:

            async def call():
                values.append((await run(pool, one)).value)

            group.start_soon(call)
            await until(lambda: len(pool.pids()) == 2)
            waited = len(values) == 1 and pool.ready == 1
            gate.open()
        values.append((await run(pool, one)).value)

    assert places == 0
    assert waited
    assert values[0] == values[1] != values[2]


async def test_a_successor_that_does_not_start_is_not_waited_for(full, run, until, tmp_path):
    broken = tmp_path / "broken"
    one = full(f"[ ! -e {broken} ] || exit 3", max_jobs=2)
    async with Pool(1, [one]) as pool:
        await until(lambda: pool.ready == 1)
        broken.touch()
        first = await run(pool, one)
        second = await run(pool, one)
        broken.unlink()
        third = await run_when_it_serves(pool, run, until, one)

    assert first.value == second.value != third.value


async def run_when_it_serves(pool, run, until, one):
    await until(lambda: pool.places([one]))

    return await run(pool, one)


async def test_a_successor_that_is_long_in_coming_is_not_waited_for(
    full, run, until, gate, quick, monkeypatch
):
    monkeypatch.setattr(children, "HELD_MOST_S", 0.05)
    one = full(gate.words, max_jobs=2)
    async with Pool(1, [one]) as pool:
        await until(lambda: pool.ready == 1)
        gate.close()
        first = await run(pool, one)
        second = await run(pool, one)
        gate.open()
        third = await run(pool, one)

    assert first.value == second.value != third.value


async def test_an_old_child_is_replaced_though_it_has_no_job(full, until, quick):
    one = full(max_age_ms=50)
    async with Watched(2, [one]) as watched:
        await until(lambda: watched.pool.ready == 2)
        before = set(watched.pool.pids())
        await until(lambda: watched.pool.metrics.recycled.get("age", 0) >= 4)
        after = set(watched.pool.pids())

    assert not before & after
    assert watched.fewest == 2
    assert watched.most == 3


@pytest.mark.parametrize(("limit", "same"), [("64M", True), ("4M", False)])
async def test_a_child_that_has_grown_is_replaced_after_its_job(full, run, until, limit, same):
    one = full("x=$(head -c 8000000 /dev/zero | tr '\\0' x)", max_rss=to_bytes(limit, ""))
    async with Pool(1, [one]) as pool:
        first = await run(pool, one)
        await until(lambda: same or pool.metrics.recycled == {"rss": 1})
        second = await run(pool, one)

    assert (first.value == second.value) == same


async def test_a_child_that_is_too_large_from_the_start_is_not_replaced_before_its_job(
    full, until, quick
):
    one = full(max_rss=1)
    async with Pool(1, [one]) as pool:
        looked = 0
        await until(lambda: pool.ready == 1)
        look = pool._upkeep._look

        def count():
            nonlocal looked
            looked += 1
            return look()

        pool._upkeep._look = count
        await until(lambda: looked >= 5)
        recycled = pool.metrics.recycled

    assert recycled == {}


async def test_a_child_that_has_become_smaller_while_its_successor_came_is_replaced(
    full, run, until, quick, monkeypatch
):
    sizes = iter([9])
    monkeypatch.setattr(children, "rss_of", lambda _: next(sizes, 0))
    one = full(max_rss=5)
    async with Pool(1, [one]) as pool:
        await run(pool, one)
        await until(lambda: pool.metrics.recycled == {"rss": 1} and len(pool.pids()) == 1)
        await run(pool, one)

        assert pool.metrics.recycled == {"rss": 1}


async def test_a_busy_child_that_has_become_old_is_replaced_after_its_job(
    full, run, until, quick, flaky
):
    one = Handler(command=tuple(flaky), max_age_ms=50)
    async with Pool(1, [one]) as pool:
        await until(lambda: pool.ready == 1)
        [pid] = pool.pids()
        outcome = await run(pool, one, {"sleep_s": 0.2, "value": 1})
        await until(lambda: pool.metrics.recycled.get("age"))
        await until(lambda: pid not in pool.pids())

    assert outcome.value == b"1"


async def test_children_beyond_the_least_are_let_go_when_idle(full, run, until, quick):
    one = full(idle_ms=60)
    async with Pool(4, [one], least=1) as pool:
        await until(lambda: pool.ready == 1)
        pool.grow([one], 3, 500)
        await until(lambda: pool.ready == 2)
        pool.grow([one], 3, 500)
        await until(lambda: pool.ready == 4)
        await until(lambda: len(pool.pids()) == 1)
        recycled = pool.metrics.recycled

    assert recycled == {"idle": 3}


async def test_all_children_of_a_pool_that_does_not_grow_stay(full, run, until, quick):
    one = full(idle_ms=1)
    async with Pool(2, [one]) as pool:
        looked = 0
        await until(lambda: pool.ready == 2)
        look = pool._upkeep._look

        def count():
            nonlocal looked
            looked += 1
            return look()

        pool._upkeep._look = count
        await until(lambda: looked >= 10)
        ready, recycled = pool.ready, pool.metrics.recycled

    assert (ready, recycled) == (2, {})


async def test_an_idle_child_that_does_not_answer_a_ping_is_replaced(
    until, quick, monkeypatch, caplog
):
    monkeypatch.setattr(upkeep, "PING_EVERY_S", 0.05)
    monkeypatch.setattr(pulse, "PONG_WITHIN_S", 0.05)
    hello = '{"sandq":1,"type":"hello","version":1,"caps":["ping"]}'
    one = Handler(command=("/bin/sh", "-c", f"echo '{hello}'; while read -r line; do :; done"))
    async with Pool(1, [one]) as pool:
        await until(lambda: pool.ready == 1)
        [deaf] = pool.pids()
        await until(lambda: deaf not in pool.pids())

    assert "did not answer a ping" in caplog.text


async def test_all_children_are_renewed_busy_ones_after_their_job(run, until, flaky):
    one = Handler(command=tuple(flaky))
    async with Pool(2, [one]) as pool:
        await until(lambda: pool.ready == 2)
        before = pool.pids()
        async with anyio.create_task_group() as group:
            outcomes = []

            async def call():
                outcomes.append(await run(pool, one, {"sleep_s": 0.2, "value": 1}))

            group.start_soon(call)
            await until(lambda: pool.places([one]) == 1)
            pool.renew_all("watch")
        await until(lambda: pool.ready == 2 and not set(before) & set(pool.pids()))
        recycled = pool.metrics.recycled

    assert outcomes[0].value == b"1"
    assert recycled == {"watch": 2}


async def test_a_child_that_was_starting_when_all_were_renewed_serves_no_job(
    full, run, until, gate
):
    gate.close()
    one = full(gate.words)
    async with Pool(1, [one]) as pool:
        await until(lambda: pool.pids())
        [old] = pool.pids()
        pool.renew_all("watch")
        gate.open()
        gate.path.unlink()
        outcome = await run(pool, one)

    assert int(outcome.value) != old


async def test_a_pool_counts_what_happens(run, until, flaky):
    one = Handler(command=tuple(flaky))
    noisy = Handler(command=("/bin/sh", "-c", "read -r job; echo loud; echo louder; echo 1"))
    lost = Handler(command=("/bin/sh", "-c", "exit 4"))
    async with Pool(1, [one, noisy, lost], kill_grace_ms=200) as pool:
        await run(pool, one, {"value": 1})
        await run(pool, one, {"fail": "no"})
        await run(pool, one, {"exit": 3})
        await run(pool, noisy)
        with pytest.raises(StartFailed):
            await pool.obtain(lost)
        metrics = pool.metrics

    assert metrics.jobs == {"completed": 2, "error": 1, "crashed": 1}
    assert metrics.noise_lines == 2
    assert metrics.failed_starts >= 1
    assert metrics.started >= 3
    assert metrics.ended["itself"] >= 2
