"""Queues that share the connections of another (seeds 0 and 1)."""

import pytest

from sandq import Queue, sync
from sandq.errors import InvalidInput

pytestmark = pytest.mark.anyio


def connections(server):
    # one of them is that of the test itself
    return len(server.client.client_list()) - 1


async def test_many_queues_share_the_connections_of_one(server, url):
    async with Queue("first", url) as first:
        await first.add("a")
        before = connections(server)
        others = [Queue(f"other-{n}", share=first) for n in range(20)]
        jobs = [await other.add("b", n) for n, other in enumerate(others)]

        assert connections(server) == before
        assert [await job.get_state() for job in jobs] == ["waiting"] * 20
        assert await first.get_job_counts(["waiting"]) == {"waiting": 1}


async def test_closing_a_queue_leaves_the_connections_to_the_one_it_has_them_from(server, url):
    async with Queue("first", url) as first:
        async with Queue("second", share=first) as second:
            await second.add("a")
        before = connections(server)

        assert before > 0
        await first.add("a")
        assert connections(server) == before


async def test_a_run_has_connections_of_its_own_because_it_blocks_them(server, url):
    async with Queue("first", url) as first, Queue("second", share=first) as second:
        second.set_handler("*", lambda job: job.data)
        job = await second.add("a", 7)
        async with second.run():
            assert await job.finished(30) == 7


def test_synchronous_queues_share_too(server, url):
    with sync.Queue("first", url) as first:
        first.add("a")
        before = connections(server)
        second = sync.Queue("second", share=first)
        second.add("b")

        assert connections(server) == before
        assert second.count() == 1


@pytest.mark.parametrize("face", [Queue, sync.Queue])
def test_what_cannot_be_shared_is_refused(face, url):
    with pytest.raises(InvalidInput, match="give no url"):
        face("second", "redis://elsewhere", share=face("first", url))
    with pytest.raises(InvalidInput, match="each follows its own slot"):
        face("second", share=face("first", "redis+cluster://127.0.0.1:1"))
