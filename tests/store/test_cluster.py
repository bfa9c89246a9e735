"""A real cluster: queues on every node, a slot that moves, a node that dies."""

import logging
import signal
from collections import Counter
from contextlib import ExitStack, closing, contextmanager
from itertools import combinations

import anyio
import anyio.lowlevel
import pytest
from redis.crc import key_slot
from redis.exceptions import (
    AskError,
    AuthenticationError,
    ClusterDownError,
    ConnectionError,
    MovedError,
)

import sandq
import sandq.sync
from sandq.errors import StoreDenied, StoreError, StoreUnreachable
from sandq.model.building import new_job
from sandq.model.options import JobOptions
from sandq.model.verdict import Action, Verdict
from sandq.store import calls, connect
from sandq.store.cluster import AsyncCluster
from sandq.store.find import find_queues
from sandq.store.slot import Slot, worse
from sandq.store.store import Store, SyncStore

pytestmark = pytest.mark.anyio

SLOTS = 16384
#: How long a node may be silent until it is given up, in milliseconds: usually, and where that
#: is waited for.
PATIENT_MS, IMPATIENT_MS = 30_000, 1_000

#: Slots of which every node has one, wherever a few have moved.
SAMPLES = range(0, SLOTS, 1000)

VERDICT = Verdict(Action.COMPLETE, payload=b"2")
JOB = new_job("work", None, JobOptions())


class Cluster:
    """Three primaries with a third of the slots each, and a replica of the last of them."""

    def __init__(self, start, wait):
        # on a busy machine no node is soon given up
        words = ("--cluster-enabled", "yes", "--cluster-node-timeout", str(PATIENT_MS))
        self.nodes = [start(*words) for _ in range(4)]
        *self.primaries, self.replica = self.nodes
        for number, node in enumerate(self.primaries):
            share = range(SLOTS * number // 3, SLOTS * (number + 1) // 3)
            node.client.execute_command("CLUSTER", "ADDSLOTS", *share)
            # without one of its own, a node's word counts no more than another's
            node.client.execute_command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        # each with each: quicker than rumours
        for one, other in combinations(self.nodes, 2):
            one.client.execute_command("CLUSTER", "MEET", "127.0.0.1", other.port)
        wait(self.all_know_all, "the nodes have met")
        self.replica.client.execute_command("CLUSTER", "REPLICATE", self.id_of(self.primaries[2]))
        wait(self.is_ready, "the cluster is ready")
        self.url = f"redis+cluster://{self.primaries[0].address}"

    def all_know_all(self):
        known = [node.client.execute_command("CLUSTER NODES") for node in self.nodes]
        return all(
            len(nodes) == 4 and not any("handshake" in node["flags"] for node in nodes.values())
            for nodes in known
        )

    def is_ready(self):
        states = [node.client.execute_command("CLUSTER INFO") for node in self.nodes]
        link = self.replica.client.info("replication").get("master_link_status")
        return {state["cluster_state"] for state in states} == {"ok"} and link == "up"

    def id_of(self, node):
        return node.client.execute_command("CLUSTER", "MYID").decode()

    def give_up_after(self, silent_ms):
        """How long a node may be silent until its replica takes over."""
        for node in self.alive():
            node.client.config_set("cluster-node-timeout", silent_ms)

    def alive(self):
        return [node for node in self.nodes if node.process.poll() is None]

    def owners(self):
        """The three nodes that have slots now."""
        return [node for node in self.alive() if any(self.has(node, slot) for slot in SAMPLES)]

    @contextmanager
    def moving(self, slot, source, target):
        """A slot is on the move from here to there; what is given moves the keys it has now."""
        setslot = ("CLUSTER", "SETSLOT", slot)
        target.client.execute_command(*setslot, "IMPORTING", self.id_of(source))
        source.client.execute_command(*setslot, "MIGRATING", self.id_of(target))

        def move_keys():
            while keys := source.client.execute_command("CLUSTER", "GETKEYSINSLOT", slot, 100):
                source.client.migrate("127.0.0.1", target.port, keys, 0, 5000)

        yield move_keys
        move_keys()
        for node in (target, source):
            node.client.execute_command(*setslot, "NODE", self.id_of(target))

    def names(self, node, slot, owner):
        """Whether `node` says that `slot` is `owner`'s."""
        return any(
            first <= slot <= last and told[1] == owner.port
            for first, last, told, *_ in node.client.execute_command("CLUSTER", "SLOTS")
        )

    def has(self, node, slot):
        return self.names(node, slot, node)

    def queue_on(self, node, name="q"):
        """The name of a queue that is kept by `node`."""
        names = (f"{name}{number}" for number in range(1000))
        return next(each for each in names if self.has(node, slot_of(each)))

    def keys(self, node):
        return [key for key in node.client.scan_iter(count=1000) if key.startswith(b"sandq:")]


class Noticed(logging.Handler):
    """Sets `told` when a message with these words is logged by `sandq`."""

    def __init__(self, words):
        super().__init__()
        self.words = words
        self.told = anyio.Event()

    def emit(self, record):
        if self.words in record.getMessage():
            self.told.set()

    def __enter__(self):
        logging.getLogger("sandq").addHandler(self)
        return self.told

    def __exit__(self, *_):
        logging.getLogger("sandq").removeHandler(self)


def slot_of(queue):
    return key_slot(f"sandq:{{{queue}}}:".encode())


@pytest.fixture(scope="module")
def formed():
    """The cluster of this module, once a test has needed it."""
    return []


@pytest.fixture
def cluster(formed, tcp_server, wait):
    """The cluster, without any key or script."""
    if not formed:
        formed.append(Cluster(tcp_server, wait))
    for node in formed[0].alive():
        if node.client.info("replication")["role"] == "master":
            node.client.flushall()
            node.client.script_flush()
    return formed[0]


@pytest.fixture
def url(cluster):
    return cluster.url


@pytest.fixture
def queues(cluster):
    """The names of three queues, each on a node of its own."""
    return [cluster.queue_on(node) for node in cluster.owners()]


async def test_every_call_finds_the_node_of_its_queue(url, queues):
    for name in queues:
        async with sandq.Queue(name, url) as queue:
            store = Store(name, url)
            first = await store.last_event_id()
            job = await queue.add("work", [1])
            taken = await store.run(calls.claim(name, 1, "a" * 16, "me", 30_000))
            await store.run(
                calls.report([calls.Report(taken.claims[0], "log", b'{"message":"m"}')])
            )
            settled = calls.Settlement(taken.claims[0], VERDICT)
            statuses, _ = await store.run(
                calls.settle_and_claim(name, [settled], 1, "b" * 16, "me", 30_000)
            )
            events = await store.events_after(first, 1)
            rung = await store.wait_for_wake(0.01)
            await store.close()

            assert statuses == ["ok"]
            assert await job.finished(5) == 2
            assert (await queue.get_job_counts())["completed"] == 1
            assert (await queue.get_job_logs(job.id))[0] == 1
            assert job.id in [event.job_id for event in events]
            assert rung in (True, False)


def test_every_call_of_the_synchronous_face_as_well(url, queues):
    for name in queues:
        with sandq.sync.Queue(name, url) as queue, closing(SyncStore(name, url)) as store:
            first = store.last_event_id()
            job = queue.add("work", [1])
            taken = store.run(calls.claim(name, 1, "a" * 16, "me", 30_000))
            settled = calls.Settlement(taken.claims[0], VERDICT)
            store.run(calls.settle_and_claim(name, [settled], 1, "b" * 16, "me", 30_000))
            events = store.events_after(first, 1)

            assert job.finished(5) == 2
            assert queue.get_job_counts()["completed"] == 1
            assert job.id in [event.job_id for event in events]


async def test_three_queues_on_three_nodes_run_their_jobs(cluster, url, queues):
    runs = Counter()

    async def run(name):
        async def work(job):
            runs[name, job.data] += 1
            return job.data

        async with sandq.Queue(name, url) as queue:
            queue.set_handler("work", work)
            jobs = await queue.add_bulk([("work", number) for number in range(200)])
            async with queue.run(concurrency=4):
                values = [await job.finished(20) for job in jobs]

        assert values == list(range(200))

    async with anyio.create_task_group() as group:
        for name in queues:
            group.start_soon(run, name)

    assert runs == {(name, number): 1 for name in queues for number in range(200)}
    for node, name in zip(cluster.owners(), queues, strict=True):
        keys = cluster.keys(node)
        slots = {node.client.execute_command("CLUSTER", "KEYSLOT", key) for key in keys}
        assert slots == {slot_of(name)}
        assert len(keys) > 200


def test_the_synchronous_face_runs_them_too(url, queues):
    with ExitStack() as stack:
        jobs = []
        for name in queues:
            queue = stack.enter_context(sandq.sync.Queue(name, url))
            queue.set_handler("work", lambda job: job.data)
            stack.enter_context(queue.run(concurrency=4))
            jobs += queue.add_bulk([("work", number) for number in range(200)])
        values = [job.finished(20) for job in jobs]

    assert values == [*range(200)] * 3


def test_queues_are_found_on_every_node(url, queues):
    for name in queues:
        with closing(SyncStore(name, url)) as store:
            store.run(calls.add([JOB]))

    assert find_queues(url, "sandq") == sorted(queues)


async def test_the_keys_of_a_queue_are_walked_over_and_deleted(url, queues):
    for name in queues:
        store, twin = Store(name, url), SyncStore(name, url)
        ids = await store.run(calls.add([JOB] * 30))
        batches = [batch async for batch in store.scan(f"{store.keys.base}job:*", 10)]
        same = {key for batch in twin.scan(f"{store.keys.base}job:*", 10) for key in batch}
        jobs = {key for batch in batches for key in batch}
        gone = await store.unlink(sorted(jobs)[:20]), twin.unlink(sorted(jobs)[10:])
        none = await store.unlink([]), twin.unlink([])
        left = [batch async for batch in store.scan(f"{store.keys.base}job:*")]
        await store.close()
        twin.close()

        assert jobs == same == {store.keys.job(job_id).encode() for job_id in ids}
        assert len(batches) > 1
        assert gone == (20, 10)
        assert none == (0, 0)
        assert left == []


async def test_a_thousand_calls_at_once_share_some_connections(cluster, url):
    node = cluster.owners()[0]
    store = Store(cluster.queue_on(node), url)
    ids = []

    async def add():
        ids.extend(await store.run(calls.add([JOB])))

    async with anyio.create_task_group() as group:
        for _ in range(1000):
            group.start_soon(add)
    clients = len(node.client.client_list(_type="normal"))
    await store.close()

    assert sorted(map(int, ids)) == list(range(1, 1001))
    assert clients <= connect.CONNECTIONS + 2


async def test_while_a_slot_is_on_the_move_no_script_is_run(cluster, url):
    """Not even where every key it names is still there: others would be missing half-way."""
    source, target, _ = cluster.owners()
    name = cluster.queue_on(source)
    store, twin = Store(name, url), SyncStore(name, url)
    await store.run(calls.add([JOB]))
    twin.run(calls.add([JOB]))
    for key in store.keys.ordered:
        if not source.client.exists(key):
            source.client.zadd(key, {"x": 1})
    before = {key: source.client.dump(key) for key in cluster.keys(source)}

    with cluster.moving(slot_of(name), source, target):
        for _ in range(3):
            with pytest.raises(StoreUnreachable, match="the cluster is changing"):
                await store.run(calls.add([JOB]))
            with pytest.raises(StoreUnreachable, match="the cluster is changing"):
                twin.run(calls.add([JOB]))
        with pytest.raises(StoreUnreachable, match="the cluster is changing"):
            [batch async for batch in store.scan("*")]
        after = {key: source.client.dump(key) for key in cluster.keys(source)}

    await store.close()
    twin.close()
    assert after == before


async def test_while_a_slot_is_on_the_move_its_events_are_read_where_they_are(cluster, url):
    source, target, _ = cluster.owners()
    name = cluster.queue_on(source)
    store, twin = Store(name, url), SyncStore(name, url)
    await store.run(calls.add([JOB] * 3))
    newest = twin.last_event_id()
    seen = []

    async def read():
        seen.append([event.job_id for event in await store.events_after("0-0", 1)])

    with cluster.moving(slot_of(name), source, target) as move_keys:
        move_keys()
        # with several connections to a node ASKING must go over the one the call goes over
        for _ in range(3):
            async with anyio.create_task_group() as group:
                for _ in range(3):
                    group.start_soon(read)
        ids = await store.last_event_id(), twin.last_event_id()
        rung = await store.wait_for_wake(1)

    await store.close()
    twin.close()
    assert seen == [["1", "2", "3"]] * 9
    assert ids == (newest, newest)
    assert rung


async def test_a_walk_begins_anew_where_its_keys_have_gone(cluster, url):
    source, target, _ = cluster.owners()
    name = cluster.queue_on(source)
    store, twin = Store(name, url), SyncStore(name, url)
    ids = await store.run(calls.add([JOB] * 100))
    begun, begun_twin = store.scan("sandq:*", 10), twin.scan("sandq:*", 10)
    found, found_twin = set(await anext(begun)), set(next(begun_twin))

    with cluster.moving(slot_of(name), source, target):
        pass
    async for batch in begun:
        found |= set(batch)
    for batch in begun_twin:
        found_twin |= set(batch)
    await store.close()
    twin.close()

    assert found == found_twin >= {store.keys.job(job_id).encode() for job_id in ids}


async def test_a_supervisor_goes_on_when_its_queue_has_moved(cluster, url):
    source, target, _ = cluster.owners()
    name = cluster.queue_on(source)
    twin = SyncStore(name, url)
    runs = Counter()
    halfway, moving = anyio.Event(), anyio.Event()

    async def work(job):
        runs[job.id] += 1
        if len(runs) > 100:
            halfway.set()
            await moving.wait()

    async with sandq.Queue(name, url) as queue:
        queue.set_handler("work", work)
        jobs = await queue.add_bulk([("work", None)] * 200)
        twin.run(calls.ring())
        async with queue.run(concurrency=4):
            await halfway.wait()
            with cluster.moving(slot_of(name), source, target) as move_keys:
                moving.set()
                with Noticed("trying again until it works") as told:
                    await told.wait()
                move_keys()
            for job in jobs:
                await job.finished(20)
        ids = twin.run(calls.add([JOB]))
        batches = [len(batch) for batch in twin.scan(f"sandq:{{{name}}}:job:*")]
        twin.close()
        counts = await queue.get_job_counts()

    assert set(runs.values()) == {1}
    assert counts["completed"] == 200
    assert ids == ["201"]
    assert sum(batches) == 201
    assert cluster.keys(source) == []


async def test_a_replica_that_takes_over_is_found(cluster, wait):
    lost, replica = cluster.primaries[2], cluster.replica
    slot = slot_of(name := cluster.queue_on(lost))
    other = cluster.queue_on(cluster.primaries[0])
    # so that the death of one node is no matter to the queues of another
    for node in cluster.nodes:
        node.client.config_set("cluster-require-full-coverage", "no")
    store, twin, neighbour = (
        Store(name, cluster.url),
        SyncStore(name, cluster.url),
        Store(other, cluster.url),
    )
    await store.run(calls.add([JOB]))
    twin.run(calls.add([JOB]))
    await neighbour.run(calls.add([JOB]))
    assert lost.is_replicated(f"{{{name}}}mark")

    lost.kill()
    with pytest.raises(StoreUnreachable):
        await store.run(calls.add([JOB]))
    with pytest.raises(StoreUnreachable):
        twin.run(calls.add([JOB]))
    for _ in range(3):
        assert len(await neighbour.events_after("0-0", 1)) == 1
    cluster.give_up_after(IMPATIENT_MS)
    # whichever node is asked must know, or it names the dead one
    wait(lambda: all(cluster.names(node, slot, replica) for node in cluster.alive()), "all know")
    cluster.give_up_after(PATIENT_MS)

    ids = await store.run(calls.add([JOB])), twin.run(calls.add([JOB]))
    events = await store.events_after("0-0", 1)
    for each in (store, neighbour):
        await each.close()
    twin.close()
    assert ids == (["3"], ["4"])
    assert [event.job_id for event in events] == ["1", "2", "3", "4"]


async def test_a_node_that_is_silent_is_not_waited_for_longer_than_is_said(cluster):
    node = cluster.owners()[0]
    name, url = cluster.queue_on(node), f"{cluster.url}?socket_timeout=0.2"
    store, twin = Store(name, url), SyncStore(name, url)
    await store.run(calls.add([JOB]))
    twin.run(calls.add([JOB]))

    node.process.send_signal(signal.SIGSTOP)
    try:
        for _ in range(2):
            with pytest.raises(StoreUnreachable):
                await store.run(calls.add([JOB]))
            with pytest.raises(StoreUnreachable):
                twin.run(calls.add([JOB]))
    finally:
        node.process.send_signal(signal.SIGCONT)
        assert node.client.ping()
    ids = await store.run(calls.add([JOB])) + twin.run(calls.add([JOB]))
    await store.close()
    twin.close()

    assert ids == sorted(ids)


async def test_the_nodes_of_the_url_are_asked_in_turn(cluster, closed_port):
    seeds = ",".join([f"127.0.0.1:{closed_port}", *(node.address for node in cluster.owners())])
    url = f"redis+cluster://{seeds}"

    with closing(SyncStore("q", url)) as twin:
        assert twin.run(calls.add([JOB])) == ["1"]
    store = Store("q", url)
    assert await store.run(calls.add([JOB])) == ["2"]
    await store.close()


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


async def test_the_url_of_a_node_is_no_url_of_the_cluster(cluster):
    stranger = next(node for node in cluster.owners() if not cluster.has(node, slot_of("q")))

    await fails(f"redis://{stranger.address}", StoreError, r"redis\+cluster://")


async def test_a_cluster_that_is_none_is_told_apart(tcp_server, closed_port):
    lone, unready = tcp_server(), tcp_server("--cluster-enabled", "yes")

    await fails(f"redis+cluster://{lone.address}", StoreError, "this is no cluster")
    await fails(f"redis+cluster://{unready.address}", StoreUnreachable, "no node has slot")
    await fails(
        f"redis+cluster://me:secret@127.0.0.1:{closed_port}", StoreUnreachable, "server running"
    )


async def test_a_password_is_used_for_every_node_and_never_shown(cluster):
    for node in cluster.alive():
        node.client.acl_setuser(
            "me", enabled=True, passwords="+secret", keys="*", commands=["+@all"]
        )
    first = cluster.owners()[0].address
    names = [cluster.queue_on(node) for node in cluster.owners()]

    for name in names:
        with closing(SyncStore(name, f"redis+cluster://me:secret@{first}")) as twin:
            assert twin.run(calls.add([JOB])) == ["1"]
        store = Store(name, f"redis+cluster://me:secret@{first}")
        assert await store.run(calls.add([JOB])) == ["2"]
        await store.close()
    await fails(f"redis+cluster://me:secret2@{first}", StoreDenied, "user name and the password")


A, B, C = (("10.0.0.1", 1), ("10.0.0.1", 2), ("10.0.0.1", 3))


def slots_reply(*nodes, first=0):
    """What CLUSTER SLOTS says when the first node has all slots and the others follow it."""
    return [[first, SLOTS - 1, *([host.encode(), port, b"id", []] for host, port in nodes)]]


class Nodes:
    """Nodes of which a test says how each answers: by a reply, or an error to be raised."""

    def __init__(self, **replies):
        self.replies = replies
        self.sent = []
        self.closed = []

    def connect(self, node):
        return FakeClient(self, node)


class FakeClient:
    """The client of one of them."""

    def __init__(self, nodes, node):
        self.nodes, self.node = nodes, node

    async def execute_command(self, *words):
        await anyio.lowlevel.checkpoint()
        self.nodes.sent.append((self.node, words[0]))
        reply = self.nodes.replies[words[0]][self.node]
        if isinstance(reply, Exception):
            raise reply
        return reply

    async def aclose(self):
        self.nodes.closed.append(self.node)


async def test_nodes_that_disagree_are_not_asked_for_ever():
    moved = {A: MovedError("0 10.0.0.1:2"), B: MovedError("0 10.0.0.1:1")}
    nodes = Nodes(CLUSTER={A: slots_reply(A, B)}, GET=moved)

    with pytest.raises(ClusterDownError, match="disagree about slot"):
        await AsyncCluster(Slot("q", [A]), nodes.connect).execute_command("GET", "q")

    assert nodes.sent == [
        (A, "CLUSTER"),
        (A, "GET"),
        (B, "GET"),
        (A, "GET"),
        (B, "GET"),
        (A, "GET"),
    ]


async def test_calls_at_the_same_time_ask_once_for_the_node():
    silent = {A: ConnectionError("no A"), B: ConnectionError("no B")}
    nodes = Nodes(CLUSTER=silent, GET={A: b"1"})
    client = AsyncCluster(Slot("q", [A, B]), nodes.connect)
    replies = []

    async def call():
        try:
            replies.append(await client.execute_command("GET", "q"))
        except ConnectionError as error:
            replies.append(str(error))

    async def calls_at_once():
        async with anyio.create_task_group() as group:
            for _ in range(10):
                group.start_soon(call)

    await calls_at_once()
    silent[B] = slots_reply(A)
    await calls_at_once()

    assert replies == ["no B"] * 10 + [b"1"] * 10
    assert [node for node, word in nodes.sent if word == "CLUSTER"] == [A, B, A, B]


async def test_nodes_that_have_left_are_closed():
    gone = ConnectionError("gone")
    nodes = Nodes(CLUSTER={A: slots_reply(A, B), B: slots_reply(B, C)}, GET={A: b"1", B: b"2"})
    client = AsyncCluster(Slot("q", [A]), nodes.connect)

    replies = [await client.execute_command("GET", "q")]
    nodes.closed.clear()
    nodes.replies["GET"][A] = gone
    with pytest.raises(ConnectionError, match="gone"):
        await client.execute_command("GET", "q")
    replies.append(await client.execute_command("GET", "q"))

    assert replies == [b"1", b"2"]
    # the node that has failed is the last that is asked where the slot is
    assert nodes.sent[-2:] == [(B, "CLUSTER"), (B, "GET")]
    assert nodes.closed == [A, B]


@pytest.mark.parametrize("unknown", [None, b"", b"?"])
def test_a_node_that_does_not_know_its_own_host_is_where_it_was_asked(unknown):
    slot = Slot("q", [A])

    slot.learn([[0, SLOTS - 1, [unknown, 7, b"id"], [b"10.0.0.2", 8, b"id"]]], A)
    once = slot.sent_on(AskError("0 :9"), slot.at)
    for_good = slot.sent_on(MovedError("0 10.0.0.3:5"), slot.at)

    assert slot.nodes == [("10.0.0.1", 7), ("10.0.0.2", 8)]
    assert (once, for_good) == (("10.0.0.1", 9), None)
    assert slot.at == ("10.0.0.3", 5)


def test_nodes_that_failed_are_asked_last():
    slot = Slot("q", [C, A])
    slot.learn(slots_reply(A, B), C)
    first = slot.to_ask()
    slot.lose(B)
    kept = slot.at
    slot.lose(A)
    second = slot.to_ask()
    slot.learn(slots_reply(A, B), A)

    assert (first, kept) == ([A, B, C], A)
    assert second == [C, A, B]
    assert slot.to_ask() == [A, C, B]
    with pytest.raises(ClusterDownError, match="no node has slot"):
        slot.learn(slots_reply(A, first=SLOTS - 1), B)


def test_what_a_node_said_tells_more_than_silence():
    said, silent = AuthenticationError("no"), ConnectionError("gone")

    assert worse(None, silent) is silent
    assert worse(silent, said) is said
    assert worse(said, silent) is said
