"""URLs and errors: what a URL says, what is made of it, what goes wrong, and no password told."""

import anyio
import pytest
import redis
import redis.asyncio
from redis import exceptions
from redis.asyncio.sentinel import SentinelManagedSSLConnection

from sandq.errors import StoreDenied, StoreError, StoreUnreachable
from sandq.model.building import new_job
from sandq.model.options import JobOptions
from sandq.store import calls, connect
from sandq.store.cluster import AsyncCluster, SyncCluster
from sandq.store.store import Store, SyncStore
from sandq.store.url import read_url, safe_url

pytestmark = pytest.mark.anyio

JOB = new_job("work", None, JobOptions())


@pytest.mark.parametrize(
    ("url", "nodes", "service", "server", "sentinel"),
    [
        (
            "redis+cluster://one",
            [("one", 6379)],
            "",
            "redis://one:6379/0",
            None,
        ),
        (
            "rediss+cluster://me:p%40w@one:7000,two,[::1]:7001/?ssl_ca_certs=/ca.pem",
            [("one", 7000), ("two", 6379), ("::1", 7001)],
            "",
            "rediss://me:p%40w@one:7000/0?ssl_ca_certs=%2Fca.pem",
            None,
        ),
        (
            "redis+sentinel://one,two:7000/jobs",
            [("one", 26379), ("two", 7000)],
            "jobs",
            "redis://one:26379/0",
            "redis://one:26379/",
        ),
        (
            "REDISS+SENTINEL://:pw@one/my%20jobs/3?sentinel_password=p%40w&socket_timeout=2",
            [("one", 26379)],
            "my jobs",
            "rediss://:pw@one:26379/3?socket_timeout=2",
            "rediss://one:26379/?password=p%40w&socket_timeout=2",
        ),
        (
            "redis+sentinel://one/jobs/?username=me&password=pw&sentinel_username=you",
            [("one", 26379)],
            "jobs",
            "redis://one:26379/0?username=me&password=pw",
            "redis://one:26379/?username=you",
        ),
    ],
)
def test_a_url_of_many_servers_is_read(url, nodes, service, server, sentinel):
    many = read_url(url)

    assert list(many.nodes) == nodes
    assert many.service == service
    assert many.server(many.nodes[0]) == server
    if sentinel is not None:
        assert many.sentinel(many.nodes[0]) == sentinel
    assert many.server(("::1", 5)).startswith(server.partition("one")[0] + "[::1]:5/")


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("http://localhost", r"must begin with redis://.*redis\+sentinel://"),
        ("unix+cluster:///socket", "must begin with"),
        ("redis+other://one", "must begin with"),
        ("redis+cluster:one", "must begin with"),
        ("redis+cluster://", "a host is missing"),
        ("redis+cluster://one,,two", "a host is missing"),
        ("redis+cluster://:7000", "a host is missing"),
        ("redis+cluster://one:many", "a port must be a number"),
        ("redis+cluster://one:70000", "a port must be a number"),
        ("redis+cluster://[::1:7000", "is a bracket missing"),
        ("redis+cluster://one/1", "no numbered databases"),
        ("redis+cluster://one?db=1", "db is for a single server"),
        ("redis+sentinel://one", "must follow the hosts, as /NAME"),
        ("redis+sentinel://one/", "must follow the hosts, as /NAME"),
        ("redis+sentinel://one/jobs/x", "only the number of a database"),
        ("redis+sentinel://one/jobs/1/2", "only the number of a database"),
        ("redis+cluster://one?socket_timeout=soon", "socket_timeout"),
        ("redis+sentinel://one/jobs?nonsense=1", "option 'nonsense' is not known"),
        ("redis://one?nonsense=1", "option 'nonsense' is not known"),
        ("redis://me:sec/ret@one:6379", "in a password write %2F"),
        ("redis+cluster://me:sec/ret@one:6379", "in a password write %2F"),
        ("redis://me:sec#ret@one:6379", "in a password write %2F"),
        ("redis://me:sec?ret@one:6379", "in a password write %2F"),
        ("redis://me:12/sec@one", "an @ stands behind the host"),
        ("redis://me:12#sec@one", "an @ stands behind the host"),
        ("redis+cluster://me:12?sec@one", "an @ stands behind the host"),
        ("redis://me:sec[ret@one:6379", "is a bracket missing"),
        ("redis://me:sec℀ret@one:6379", "is a bracket missing"),
    ],
)
def test_a_url_that_cannot_be_used_is_told_without_its_password(url, says):
    for client in (connect.async_client, connect.sync_client):
        with pytest.raises(StoreError, match=says) as error:
            client(url)

        assert "Redis URL " in str(error.value)
        assert "cannot be used: " in str(error.value)
        assert "sec" not in str(error.value)
        assert "ret@" not in str(error.value)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis+cluster://me:pw@one,two:1/0", "redis+cluster://me:***@one,two:1/0"),
        ("redis+sentinel://:p@w@one/jobs", "redis+sentinel://:***@one/jobs"),
        ("redis://one?password=a&b=1", "redis://one?password=***&b=1"),
        (
            "redis+sentinel://one/jobs?b=1&sentinel_password=a@b:c",
            "redis+sentinel://one/jobs?b=1&sentinel_password=***",
        ),
        ("rediss://one?ssl_password=a", "rediss://one?ssl_password=***"),
        ("redis://me:a/b?c#d@one:1/2", "redis://me:***@one:1/2"),
        ("unix:///tmp/a@b/socket", "unix:///tmp/a@b/socket"),
        ("redis://me@one", "redis://me@one"),
        ("nonsense", "nonsense"),
    ],
)
def test_a_url_is_shown_without_any_password(url, shown):
    assert safe_url(url) == shown


async def test_every_kind_of_url_has_its_clients():
    one = connect.async_client("redis://one"), connect.sync_client("redis://one")
    slot = connect.async_client("redis+cluster://one"), connect.sync_client("redis+cluster://one")
    tls = connect.async_client("rediss+sentinel://one/jobs/2?socket_timeout=3")

    assert [type(client) for client in one] == [redis.asyncio.Redis, redis.Redis]
    assert [type(client) for client in slot] == [AsyncCluster, SyncCluster]
    assert tls.connection_pool.connection_class is SentinelManagedSSLConnection
    assert tls.connection_pool.connection_kwargs["db"] == 2
    assert tls.connection_pool.connection_kwargs["socket_timeout"] == 3
    assert tls.connection_pool.connection_kwargs["socket_connect_timeout"] == 5


@pytest.mark.parametrize(
    ("error", "kind", "says"),
    [
        (exceptions.MovedError("7 10.0.0.1:5"), StoreError, "on another server, 10.0.0.1:5"),
        (exceptions.MovedError("7 10.0.0.1:5"), StoreError, r"write the URL as redis\+cluster://"),
        (exceptions.TryAgainError("Multiple keys"), StoreUnreachable, "the cluster is changing"),
        (exceptions.ClusterDownError("Hash slot"), StoreUnreachable, "the cluster is changing"),
        (exceptions.MasterDownError("Link with"), StoreUnreachable, "the cluster is changing"),
        (exceptions.ReadOnlyError("You can't"), StoreUnreachable, "this is a replica"),
        (
            exceptions.ResponseError("Error running script: -READONLY You can't"),
            StoreUnreachable,
            "this is a replica",
        ),
        (exceptions.ResponseError("NOREPLICAS Not enough"), StoreUnreachable, "enough replicas"),
        (exceptions.BusyLoadingError("is loading"), StoreUnreachable, "is the server running"),
        (exceptions.NoPermissionError("cannot"), StoreDenied, "the user name and the password"),
        (exceptions.OutOfMemoryError("maxmemory"), StoreError, "the server is full"),
        (exceptions.ResponseError("what else"), StoreError, "see the server's log"),
        (exceptions.ConnectionError("no p@w and no p%40w"), StoreUnreachable, r"no \*+ and no \*"),
    ],
)
def test_errors_of_the_client_become_ours(error, kind, says):
    with pytest.raises(kind, match=says) as told:
        raise connect.translate(error, "redis://me:p%40w@one:1")

    assert told.type is kind
    assert "Redis at redis://me:***@one:1: " in str(told.value)
    assert "p@w" not in str(told.value)


async def test_the_keys_of_a_queue_are_walked_over_and_deleted(url):
    store, twin = Store("q", url), SyncStore("q", url)
    neighbour = SyncStore("p", url)
    ids = await store.run(calls.add([JOB] * 30))
    neighbour.run(calls.add([JOB]))

    batches = [batch async for batch in store.scan("sandq:{q}:job:*", 10)]
    same = {key for batch in twin.scan("sandq:{q}:job:*", 10) for key in batch}
    jobs = {key for batch in batches for key in batch}
    gone = await store.unlink(sorted(jobs)[:20]), twin.unlink(sorted(jobs)[10:])
    none = await store.unlink([]), twin.unlink([])
    left = [batch async for batch in store.scan("sandq:{q}:job:*")]
    await store.unlink([key for batch in twin.scan("sandq:{q}:*") for key in batch])
    others = [key for batch in twin.scan("*") for key in batch]
    await store.close()
    twin.close()
    neighbour.close()

    assert jobs == same == {f"sandq:{{q}}:job:{job_id}".encode() for job_id in ids}
    assert len(batches) > 1
    assert all(batches)
    assert gone == (20, 10)
    assert none == (0, 0)
    assert left == []
    assert {key.partition(b"}")[0] for key in others} == {b"sandq:{p"}


async def test_a_primary_that_is_made_a_replica_ends_the_waiting(tcp_server, closed_port, wait):
    server = tcp_server()
    url = f"redis://{server.address}"
    store = Store("q", url)
    troubles = []

    async def listen():
        with pytest.raises(StoreUnreachable) as trouble:
            await store.wait_for_wake(9)
        troubles.append(str(trouble.value))

    async with anyio.create_task_group() as group:
        group.start_soon(listen)
        await anyio.to_thread.run_sync(
            wait, lambda: server.client.info("clients")["blocked_clients"], "somebody waits"
        )
        server.client.replicaof("127.0.0.1", closed_port)
    with pytest.raises(StoreUnreachable, match=r"this is a replica: .*redis\+sentinel://"):
        await store.run(calls.add([JOB]))
    await store.close()

    assert "UNBLOCKED" in troubles[0]
