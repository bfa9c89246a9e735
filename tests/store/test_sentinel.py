"""A primary that Sentinel watches: it is found, it dies, its replica takes over."""

from collections import Counter
from contextlib import closing, suppress

import anyio
import pytest

import sandq
from sandq.errors import StoreDenied, StoreError, StoreUnreachable
from sandq.model.building import new_job
from sandq.model.options import JobOptions
from sandq.store import calls, connect
from sandq.store.find import find_queues
from sandq.store.store import Store, SyncStore

pytestmark = pytest.mark.anyio

JOB = new_job("work", None, JobOptions())


class Watched:
    """A primary, its replica, and the Sentinel that watches both."""

    def __init__(self, tcp_server, sentinel_server, wait):
        self.primary = tcp_server()
        self.replica = tcp_server("--replicaof", "127.0.0.1", str(self.primary.port))
        # a Sentinel asks the primary for its replicas at once, and then not for ten seconds
        wait(self.is_linked, "the replica is one")
        self.sentinel = sentinel_server(self.primary)
        wait(self.is_known, "the Sentinel knows the replica")
        self.url = f"redis+sentinel://{self.sentinel.address}/jobs"

    def is_linked(self):
        link = self.primary.client.info("replication").get("slave0", {})
        return link.get("state") == "online"

    def is_known(self):
        """Whether the Sentinel could name the replica as the next primary."""
        replicas = self.sentinel.client.sentinel_slaves("jobs")
        return any(each["master-link-status"] == "ok" for each in replicas)

    def give_up_after(self, silent_ms):
        """How long the primary may be silent until the replica takes over."""
        self.sentinel.client.sentinel_set("jobs", "down-after-milliseconds", silent_ms)

    def takes_over(self):
        """Whether the Sentinel names the replica as the primary, and it is one."""
        _, port = self.sentinel.client.sentinel_get_master_addr_by_name("jobs")
        role = self.replica.client.info("replication")["role"]
        return (port, role) == (self.replica.port, "master")


@pytest.fixture
def watched(tcp_server, sentinel_server, wait):
    return Watched(tcp_server, sentinel_server, wait)


async def both(url, job=JOB, queue="q"):
    """The ids of a job added by each face."""
    store = Store(queue, url)
    ids = await store.run(calls.add([job]))
    await store.close()
    with closing(SyncStore(queue, url)) as twin:
        return ids + twin.run(calls.add([job]))


async def fails(url, error, match, hidden="secret"):
    """Both faces fail in the same way and hide the password."""
    store = Store("q", url)
    with pytest.raises(error, match=match) as one:
        await store.run(calls.add([JOB]))
    await store.close()
    with closing(SyncStore("q", url)) as twin, pytest.raises(error, match=match) as two:
        twin.run(calls.add([JOB]))
    for raised in (one, two):
        assert raised.type is error
        assert hidden not in str(raised.value)


async def test_the_primary_is_found_and_used(watched, closed_port):
    seeds = f"127.0.0.1:{closed_port},{watched.sentinel.address}"
    primary = watched.primary.client

    ids = await both(watched.url) + await both(f"redis+sentinel://{seeds}/jobs")
    await both(f"{watched.url}/3", queue="third")
    with closing(SyncStore("q", watched.url)) as twin:
        keys = [key for batch in twin.scan("sandq:{q}:job:*", 1) for key in batch]

    assert ids == ["1", "2", "3", "4"]
    assert len(keys) == 4
    assert primary.exists("sandq:{q}:waiting")
    assert primary.info("keyspace")["db3"]["keys"] > 0
    assert find_queues(watched.url, "sandq") == ["q"]
    assert find_queues(f"{watched.url}/3", "sandq") == ["third"]


async def test_many_calls_at_once_share_some_connections(watched):
    store = Store("q", watched.url)
    ids = []

    async def add():
        ids.extend(await store.run(calls.add([JOB])))

    async with anyio.create_task_group() as group:
        for _ in range(300):
            group.start_soon(add)
    clients = len(watched.primary.client.client_list(_type="normal"))
    await store.close()

    assert len(ids) == 300
    assert clients <= connect.CONNECTIONS + 2


async def test_what_goes_wrong_is_told(watched, closed_port):
    place, primary = watched.sentinel.address, watched.primary
    primary.client.acl_setuser(
        "me", enabled=True, passwords="+secret", keys="*", commands=["+@all"]
    )

    assert await both(f"redis+sentinel://me:secret@{place}/jobs") == ["1", "2"]
    await fails(f"redis+sentinel://me:secret2@{place}/jobs", StoreDenied, "and the password")
    await fails(f"redis+sentinel://{place}/none", StoreUnreachable, "'none'; is the name in")
    await fails(f"redis+sentinel://127.0.0.1:{closed_port}/jobs", StoreUnreachable, "running")
    await fails(f"redis+sentinel://{primary.address}/jobs", StoreError, "this is no Sentinel")
    await fails(f"redis://{watched.replica.address}", StoreUnreachable, "this is a replica")

    watched.sentinel.client.acl_setuser("default", enabled=True, passwords="+secret")
    await fails(f"redis+sentinel://{place}/jobs", StoreDenied, "add .sentinel_password=")
    ids = await both(f"redis+sentinel://{place}/jobs?sentinel_password=secret")

    assert ids == ["3", "4"]


async def test_the_jobs_go_on_when_the_primary_has_died(watched, wait):
    runs = Counter()
    reached, dead = anyio.Event(), anyio.Event()
    store, twin = Store("other", watched.url), SyncStore("other", watched.url)
    await store.run(calls.add([JOB]))
    twin.run(calls.add([JOB]))

    async def work(job):
        runs[job.id] += 1
        if len(runs) > 100:
            reached.set()
            await dead.wait()

    async with sandq.Queue("q", watched.url) as queue:
        queue.set_handler("work", work)
        jobs = await queue.add_bulk([("work", number) for number in range(300)])
        # replication does not wait for anybody: what is not there yet dies with the primary
        assert watched.primary.is_replicated()
        async with queue.run(concurrency=4):
            await reached.wait()
            watched.primary.kill()
            dead.set()
            with pytest.raises(StoreUnreachable):
                await store.run(calls.add([JOB]))
            with pytest.raises(StoreUnreachable):
                twin.run(calls.add([JOB]))
            watched.give_up_after(500)
            await anyio.to_thread.run_sync(wait, watched.takes_over, "the replica takes over")
            for job in jobs:
                await job.finished(20)
        done = await queue.get_jobs(["completed"])

    ids = await store.run(calls.add([JOB])) + twin.run(calls.add([JOB]))
    await store.close()
    twin.close()
    assert {job.id for job in done} == {job.id for job in jobs} == set(runs)
    assert {(job.stalls, job.attempts) for job in done} == {(0, 0)}
    assert ids == ["3", "4"]


async def test_a_primary_that_was_made_a_replica_is_left(watched, wait):
    store, twin = Store("q", watched.url), SyncStore("q", watched.url)
    await store.run(calls.add([JOB]))
    twin.run(calls.add([JOB]))
    assert watched.primary.is_replicated()

    watched.sentinel.client.execute_command("SENTINEL", "FAILOVER", "jobs")
    wait(watched.takes_over, "the replica takes over")
    # the Sentinel would do it some seconds later
    watched.primary.client.replicaof("127.0.0.1", watched.replica.port)
    ids = []
    for _ in range(2):
        # a connection that was not cut learns it by its first command
        with suppress(StoreUnreachable):
            ids += await store.run(calls.add([JOB]))
        with suppress(StoreUnreachable):
            ids += twin.run(calls.add([JOB]))
    await store.close()
    twin.close()

    assert len(ids) >= 2
    assert ids == [str(number + 3) for number in range(len(ids))]
    assert watched.replica.client.zcard("sandq:{q}:waiting") == 2 + len(ids)
