"""Limits of a queue, seen by supervisors that work it: concurrency, groups, rates."""

from collections import Counter

import anyio
import pytest

from sandq import Queue, QueueSettings, RateLimit

pytestmark = pytest.mark.anyio

DEADLINE_S = 30


class Gauge:
    """A handler that counts how many jobs run at once, in all and of each group."""

    def __init__(self, *queues):
        self.now, self.most = Counter(), Counter()
        self.ended = []
        for queue in queues:
            queue.set_handler("*", self.run)

    async def run(self, job):
        for what in ("all", job.data):
            self.now[what] += 1
            self.most[what] = max(self.most[what], self.now[what])
        await anyio.sleep(0.001)
        for what in ("all", job.data):
            self.now[what] -= 1
        self.ended.append(job.data)


@pytest.fixture
async def queue(url):
    async with Queue("q", url) as queue:
        yield queue


@pytest.fixture
async def other(url):
    """The same queue, as another process has it."""
    async with Queue("q", url) as queue:
        yield queue


async def all_ended(queue, until):
    async def nothing_left():
        return await queue.count() + await queue.get_active_count() == 0

    await until(nothing_left, "all jobs have ended")


def calls(server):
    stats = server.client.info("commandstats")

    return sum(stats.get(f"cmdstat_{name}", {"calls": 0})["calls"] for name in ("eval", "evalsha"))


# ---- concurrency


async def test_two_supervisors_together_never_run_more_jobs_than_the_queue_allows(
    queue, other, until
):
    gauge = Gauge(queue, other)
    await queue.set_settings(QueueSettings(concurrency=3))
    await queue.add_bulk([("work", n % 5) for n in range(300)])
    async with queue.run(concurrency=4), other.run(concurrency=4):
        await all_ended(queue, until)

    assert gauge.most["all"] == 3
    assert await queue.get_completed_count() == 300


async def test_one_tenant_with_2000_jobs_in_front_cannot_take_every_slot(queue, until):
    gauge = Gauge(queue)
    await queue.set_settings(QueueSettings(group_concurrency=2))
    await queue.add_bulk([("work", "big", {"group": "big"}) for _ in range(2000)])
    others = [f"small {n}" for n in range(5)]
    await queue.add_bulk([("work", name, {"group": name}) for name in others for _ in range(10)])
    await queue.add_bulk([("work", "none") for _ in range(10)])
    async with queue.run(concurrency=4):
        await all_ended(queue, until)

    assert all(gauge.most[name] <= 2 for name in ("big", *others))
    assert gauge.most["all"] == 4
    last_of_others = max(n for n, name in enumerate(gauge.ended) if name != "big")
    # 60 jobs of others, and of the big tenant about as many as had a slot of its two meanwhile
    assert gauge.ended[: last_of_others + 1].count("big") < 300
    assert Counter(gauge.ended) == {"big": 2000, "none": 10, **dict.fromkeys(others, 10)}
    assert (await queue.stats()).groups == {}


async def test_groups_keep_priority_and_order_among_their_own_jobs(queue, until):
    ended = []
    queue.set_handler("*", lambda job: ended.append(job.data))
    await queue.set_settings(QueueSettings(group_concurrency=1, group_key="tenant"))
    await queue.add_bulk(
        [
            ("work", {"tenant": tenant, "n": n}, {"priority": 2 - n % 2})
            for n in range(20)
            for tenant in ("a", "b")
        ]
    )
    async with queue.run(concurrency=4):
        await all_ended(queue, until)

    for tenant in ("a", "b"):
        order = [data["n"] for data in ended if data["tenant"] == tenant]
        assert order == [*range(1, 20, 2), *range(0, 20, 2)]


# ---- rates

RATES = [(per_group, bounce) for per_group in (False, True) for bounce in (False, True)]
RATE_IDS = [
    f"{'per group' if per_group else 'per queue'}, {'bounce back' if bounce else 'delayed'}"
    for per_group, bounce in RATES
]


def starts_in_windows(starts, duration):
    """How many jobs started in each window: one begins with the first start in it."""
    counts, ends = [], -1.0
    for start in sorted(starts):
        if start >= ends:
            counts.append(0)
            ends = round(start + duration, 3)
        counts[-1] += 1

    return counts


@pytest.mark.parametrize(("per_group", "bounce"), RATES, ids=RATE_IDS)
async def test_a_rate_limit_loses_no_job_as_bull_does_and_no_window_has_too_many_starts(
    queue, other, until, per_group, bounce
):
    for one in (queue, other):
        one.set_handler("*", lambda job: job.data)
    limit = RateLimit(7, 0.2, bounce_back=bounce, per_group=per_group)
    await queue.set_settings(QueueSettings(rate_limit=limit))
    jobs = await queue.add_bulk([("work", n, {"group": f"g{n % 2}"}) for n in range(40)])
    async with queue.run(concurrency=3), other.run(concurrency=3):
        await all_ended(queue, until)

    found = await queue.get_completed()
    assert {job.id for job in found} == {job.id for job in jobs}
    assert [job.claims for job in found] == [1] * 40
    starts = {}
    for job in found:
        starts.setdefault(job.group if per_group else "", []).append(job.started_at)
    counts = [starts_in_windows(times, 0.2) for times in starts.values()]
    assert all(count <= 7 for windows in counts for count in windows)
    # nor are there more windows than it takes, but for one or two that were begun too late
    assert all(len(windows) <= (20 if per_group else 40) // 7 + 4 for windows in counts)


@pytest.mark.parametrize(("per_group", "bounce"), RATES, ids=RATE_IDS)
async def test_a_supervisor_does_not_spin_while_the_window_is_full(
    queue, server, until, per_group, bounce
):
    queue.set_handler("*", lambda job: None)
    limit = RateLimit(1, 0.5, bounce_back=bounce, per_group=per_group)
    await queue.set_settings(QueueSettings(rate_limit=limit))
    jobs = await queue.add_bulk([("work", n, {"group": "g"}) for n in range(4)])
    server.client.config_resetstat()
    async with queue.run(concurrency=4):
        for job in jobs:
            # one wait at a time: their own looks are few
            await job.finished(DEADLINE_S)
        count = calls(server)

    # three windows of half a second; a loop without a pause would make thousands of calls
    assert count < 60


@pytest.mark.parametrize(("per_group", "bounce"), RATES, ids=RATE_IDS)
async def test_jobs_that_a_rate_limit_holds_back_go_at_once_when_it_is_lifted(
    queue, until, per_group, bounce
):
    queue.set_handler("*", lambda job: None)
    limit = RateLimit(1, "1h", bounce_back=bounce, per_group=per_group)
    await queue.set_settings(QueueSettings(rate_limit=limit))
    await queue.add_bulk([("work", n, {"group": "g"}) for n in range(20)])
    own = await queue.add("work", delay="2h", group="g")
    async with queue.run(concurrency=4):
        await until(lambda: completed(queue, 1), "one has run")
        await queue.set_settings(QueueSettings())
        await until(lambda: completed(queue, 20), "the others have run")

    # a delay of one's own is no matter of limits
    assert await own.get_state() == "delayed"


async def completed(queue, count):
    return await queue.get_completed_count() == count


async def test_a_limit_that_is_changed_holds_by_its_new_numbers_at_once(queue, until):
    queue.set_handler("*", lambda job: None)
    await queue.set_settings(QueueSettings(rate_limit=RateLimit(1, "1h")))
    await queue.add_bulk([("work", n) for n in range(12)])
    async with queue.run(concurrency=4):
        await until(lambda: completed(queue, 1), "one has run")
        await queue.set_settings(QueueSettings(rate_limit=RateLimit(1000, "1h")))
        await all_ended(queue, until)

    assert await queue.get_completed_count() == 12


async def test_parked_jobs_of_many_groups_go_at_once_when_the_limit_is_lifted(queue, until):
    await queue.set_settings(QueueSettings(group_concurrency=1))
    await queue.add_bulk([("work", n, {"group": f"g{n % 250}"}) for n in range(500)])
    held = [await queue.get_next_job() for _ in range(250)]
    assert await queue.get_next_job() is None
    await queue.set_settings(QueueSettings())
    queue.set_handler("*", lambda job: None)
    async with queue.run(concurrency=4):
        await until(lambda: completed(queue, 250), "the others have run")

    assert len({job.group for job in held}) == 250
    assert await queue.get_active_count() == 250


async def test_a_parked_job_goes_as_soon_as_its_group_has_room(queue, until):
    await queue.set_settings(QueueSettings(group_concurrency=1))
    first, second = await queue.add_bulk([("work", n, {"group": "g"}) for n in range(2)])
    held = await queue.get_next_job()
    queue.set_handler("*", lambda job: None)
    async with queue.run():
        await until(lambda: parked(queue), "it is put aside")
        await held.move_to_completed()
        await second.finished(5)

    assert held.id == first.id


async def parked(queue):
    return (await queue.audit()) == [] and await queue.get_waiting_count() == 1


async def test_a_window_of_an_earlier_limit_does_not_outlast_one_of_the_new(queue, until):
    queue.set_handler("*", lambda job: None)
    await queue.set_settings(QueueSettings(rate_limit=RateLimit(1, "1h", bounce_back=True)))
    await queue.add_bulk([("work", n) for n in range(5)])
    async with queue.run(concurrency=4):
        await until(lambda: completed(queue, 1), "one has run")
        await queue.set_settings(QueueSettings(rate_limit=RateLimit(1, 0.02, bounce_back=True)))
        await until(lambda: completed(queue, 5), "the others have run")
