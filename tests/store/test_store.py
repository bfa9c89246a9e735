"""Connections: what is sent once, what each kind of trouble is called, and no password told."""

import socket

import anyio
import pytest

from sandq.errors import LayoutMismatch, StoreDenied, StoreError, StoreUnreachable
from sandq.model.building import new_job
from sandq.model.options import JobOptions
from sandq.store import calls, connect, reads
from sandq.store.find import find_queues
from sandq.store.store import Store, SyncStore

pytestmark = pytest.mark.anyio

JOB = new_job("work", None, JobOptions())


@pytest.fixture
def store(url):
    store = SyncStore("q", url)
    yield store
    store.close()


def test_a_script_is_sent_whole_once_and_by_its_hash_from_then_on(server, store):
    store.run(calls.add([JOB]))
    server.client.config_resetstat()

    store.run(calls.add([JOB]))
    by_hash = server.client.info("commandstats")
    server.client.script_flush()
    ids = store.run(calls.add([JOB]))

    assert by_hash["cmdstat_evalsha"]["calls"] == 1
    assert "cmdstat_eval" not in by_hash
    assert ids == ["3"]
    assert server.client.info("commandstats")["cmdstat_eval"]["calls"] == 1


async def test_the_async_store_does_the_same(server, url):
    store = Store("q", url)

    ids = [(await store.run(calls.add([JOB])))[0] for _ in range(2)]
    server.client.script_flush()
    ids += await store.run(calls.add([JOB]))
    await store.close()

    assert ids == ["1", "2", "3"]


def test_closing_twice_is_harmless_and_a_call_opens_again(store):
    store.run(calls.add([JOB]))
    store.close()
    store.close()

    assert store.run(reads.counts())["waiting"] == 1


async def test_the_async_store_closes_twice_as_well(url):
    store = Store("q", url)
    await store.run(reads.counts())
    await store.close()
    await store.close()

    assert (await store.run(reads.counts()))["waiting"] == 0
    await store.close()


def test_data_in_another_layout_is_refused(server, store):
    server.client.hset("sandq:{q}:meta", "layout", "99")

    with pytest.raises(LayoutMismatch, match="layout 99, this version knows 1"):
        store.run(calls.add([JOB]))

    assert not server.client.exists("sandq:{q}:waiting")


@pytest.fixture
def closed_port():
    """A port that nobody listens on."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


async def test_a_server_that_is_not_there_is_unreachable(closed_port):
    url = f"redis://user:secret@127.0.0.1:{closed_port}/0"

    with pytest.raises(StoreUnreachable, match="is the server running") as sync_error:
        SyncStore("q", url).run(reads.counts())
    with pytest.raises(StoreUnreachable) as async_error:
        await Store("q", url).run(reads.counts())

    for error in (sync_error, async_error):
        assert "secret" not in str(error.value)
        assert f"127.0.0.1:{closed_port}" in str(error.value)


async def test_a_wrong_password_is_denied(server):
    server.client.config_set("requirepass", "right")
    try:
        url = f"unix://:wrong@{server.socket}"
        with pytest.raises(StoreDenied, match="check the user name and the password") as error:
            SyncStore("q", url).run(reads.counts())
        with pytest.raises(StoreDenied):
            await Store("q", url).run(reads.counts())
        with pytest.raises(StoreDenied):
            SyncStore("q", server.url).run(reads.counts())
    finally:
        server.client.config_set("requirepass", "")

    assert "wrong@" not in str(error.value)


def test_a_url_that_is_none_is_refused():
    with pytest.raises(StoreError, match="cannot be used"):
        SyncStore("q", "http://localhost").run(reads.counts())


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://localhost:6379/0", "redis://localhost:6379/0"),
        ("redis://:pw@host:1", "redis://:***@host:1"),
        ("rediss://me:p%40w@host/3?x=1", "rediss://me:***@host/3?x=1"),
        ("unix://:pw@/run/redis.sock", "unix://:***@/run/redis.sock"),
    ],
)
def test_a_url_is_shown_without_its_password(url, shown):
    assert connect.safe_url(url) == shown


def test_the_url_comes_from_the_environment_then_from_the_embedded_server(monkeypatch, tmp_path):
    monkeypatch.setenv("REDIS_URL", "redis://second")
    second = connect.resolve_url(None)
    monkeypatch.setenv("SANDQ_REDIS_URL", "redis://first")

    assert second == "redis://second"
    assert connect.resolve_url(None) == "redis://first"
    assert connect.resolve_url("redis://given") == "redis://given"


def test_without_any_url_the_embedded_server_is_started(monkeypatch, tmp_path):
    from sandq.store.embedded import EmbeddedServer

    monkeypatch.setenv("SANDQ_DIR", str(tmp_path / "own"))
    embedded = EmbeddedServer(tmp_path / "own")
    store = SyncStore("q")
    try:
        ids = store.run(calls.add([JOB]))
        store.close()
        again = SyncStore("q")
        counts = again.run(reads.counts())
        again.close()
    finally:
        embedded.stop()

    assert ids == ["1"]
    assert counts["waiting"] == 1


async def test_the_bell_wakes_and_its_silence_ends_in_time(server, url):
    store = Store("q", url)
    await store.run(calls.ring())
    await store.run(calls.ring())

    rung = [await store.wait_for_wake(0.05) for _ in range(2)]
    await store.close()

    assert rung == [True, False]


async def test_a_thousand_calls_at_once_share_some_connections(server, url):
    store = Store("q", url)
    ids = []

    async def add():
        ids.extend(await store.run(calls.add([JOB])))

    async with anyio.create_task_group() as group:
        for _ in range(1000):
            group.start_soon(add)
    clients = len(server.client.client_list())
    await store.close()

    assert sorted(map(int, ids)) == list(range(1, 1001))
    assert clients <= connect.CONNECTIONS + 2


async def test_events_are_read_from_an_id_on(url):
    store = Store("q", url)
    first = await store.last_event_id()
    await store.run(calls.add([JOB, JOB]))

    events = await store.events_after(first, 1)
    none = await store.events_after(events[-1].id, 0.01)
    await store.close()

    assert first == "0-0"
    assert [(event.kind, event.job_id) for event in events] == [("waiting", "1"), ("waiting", "2")]
    assert none == []


def test_queues_are_found_by_their_prefix(url):
    for prefix, name in (("sandq", "b"), ("sandq", "a"), ("other", "c")):
        store = SyncStore(name, url, prefix)
        store.run(calls.add([JOB]))
        store.close()

    assert find_queues(url, "sandq") == ["a", "b"]
    assert find_queues(url, "other") == ["c"]
