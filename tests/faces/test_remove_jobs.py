"""Removing jobs by a pattern of their ids."""

import pytest

from sandq import Repeat
from sandq.errors import InvalidInput

pytestmark = pytest.mark.anyio

IDS = ["a[1]", "a1", "a*", "ab", "{a}", "a{1}", "a\\b", "ä", "a-1", "a^", "job:a"]


@pytest.fixture
async def queue(face):
    return face.queue()


@pytest.mark.parametrize(
    ("pattern", "ids"),
    [
        ("a1", {"a1"}),
        ("a?", {"a1", "a*", "ab", "a^"}),
        ("a\\*", {"a*"}),
        ("a\\[1\\]", {"a[1]"}),
        ("a[12]", {"a1"}),
        ("a[^1]", {"a*", "ab", "a^"}),
        ("*{*", {"{a}", "a{1}"}),
        ("{a}", {"{a}"}),
        ("a\\\\b", {"a\\b"}),
        ("ä", {"ä"}),
        ("job:*", {"job:a"}),
        ("b*", set()),
    ],
)
async def test_jobs_are_removed_by_a_glob_of_their_ids(queue, pattern, ids):
    await queue.add_bulk(("work", i, {"job_id": job_id}) for i, job_id in enumerate(IDS))
    removed = await queue.remove_jobs(pattern)

    assert set(removed) == ids
    assert len(removed) == len(ids)
    assert {job.id for job in await queue.get_waiting()} == set(IDS) - ids


@pytest.mark.parametrize("pattern", ["*", "**", "?*", "", None])
async def test_a_pattern_of_all_jobs_is_refused(queue, pattern):
    await queue.add("work")
    with pytest.raises(InvalidInput, match="pattern"):
        await queue.remove_jobs(pattern)

    assert await queue.count() == 1


async def test_jobs_in_every_state_are_found_and_running_ones_are_left_unless_forced(queue, server):
    done, running, later, *_ = await queue.add_bulk(
        ("work", i, {"job_id": f"x{i}", "priority": i + 1}) for i in range(4)
    )
    await (await queue.get_next_job()).move_to_completed(1)
    await queue.get_next_job()
    await later.cancel()

    assert set(await queue.remove_jobs("x*")) == {"x0", "x2", "x3"}
    assert await running.get_state() == "active"
    assert await queue.remove_jobs("x[01]", force=True) == ["x1"]
    assert await done.get_state() is None
    assert [
        job.id for state in ("active", "waiting") for job in await queue.get_jobs([state])
    ] == []


async def test_thousands_of_jobs_and_no_others_are_removed(queue, server):
    await queue.add_bulk(("work", i, {"job_id": f"old-{i}"}) for i in range(3000))
    await queue.add_bulk(("work", i) for i in range(100))
    await queue.upsert_repeatable("old-series", Repeat.every(3600), "work")

    assert len(await queue.remove_jobs("old-*")) == 3000
    assert await queue.count() == 101
    assert await queue.get_repeatable_count() == 1
