"""Clients for one slot of a Redis Cluster: they follow the slot from node to node.

A queue is one slot, so all it needs is the one node that has it. The cluster client of redis-py
(8.1 was looked at) is not used, because it
- asks a node of its choice where the keys of an XREAD are, for ever, even if that node is dead;
- sends ASKING over one connection and the command itself over another;
- refuses calls while all connections are busy, where `BlockingConnectionPool` lets them wait.
"""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import anyio
from redis import exceptions

from sandq.store.slot import Slot, Words, worse
from sandq.store.url import Address

#: Makes the client of one node: a `redis.asyncio.Redis`, or a `redis.Redis` for `SyncCluster`.
#: Any, because their `execute_command` has no types.
Connect = Callable[[Address], Any]

#: Most nodes one call is sent to, one after the other.
HOPS = 5

#: After these the node is not taken any more for the one that has the slot.
_LOST = (
    exceptions.ConnectionError,
    exceptions.TimeoutError,
    exceptions.ClusterDownError,
    exceptions.ReadOnlyError,
    OSError,
)


class AsyncCluster:
    """What a store uses of `redis.asyncio.Redis`, for one slot of a cluster."""

    def __init__(self, slot: Slot, connect: Connect) -> None:
        self._slot = slot
        self._connect = connect
        self._clients: dict[Address, Any] = {}
        self._looking = anyio.Lock()
        self._looks = 0
        self._trouble: Exception | None = None

    async def execute_command(self, *words: Any) -> Any:
        """Send a command whose keys, if it has any, are in the slot.

        It is sent again only after a node has refused to carry it out. SCAN walks over the keys
        of the slot's node; its cursor is to be given back as it came, and is 0 at the end.
        """
        asked: Address | None = None
        for _ in range(HOPS):
            node = asked or self._slot.at or await self._find()
            try:
                return await self._send(node, words, asking=asked is not None)
            except exceptions.AskError as refusal:
                asked = self._slot.sent_on(refusal, node)
            except _LOST:
                self._slot.lose(node)
                raise

        raise self._slot.not_found()

    async def aclose(self) -> None:
        """Close the connections to all nodes."""
        while self._clients:
            await self._clients.popitem()[1].aclose()

    async def _send(self, node: Address, words: Words, asking: bool) -> Any:
        client = self._clients.get(node)
        if client is None:
            client = self._clients[node] = self._connect(node)
        before, words = self._slot.prepared(words, node, asking)
        if before is None:
            return await client.execute_command(*words)

        async with client.pipeline(transaction=False) as pipe:
            pipe.execute_command(*before)
            pipe.execute_command(*words)
            replies = await pipe.execute(raise_on_error=False)

        return self._slot.read(replies, words, node)

    async def _find(self) -> Address:
        """Learn where the slot is; calls that want to know at the same time ask once."""
        looks = self._looks
        async with self._looking:
            if looks == self._looks:
                self._trouble = await self._look()
                self._looks += 1
        if self._slot.at is None:
            raise self._trouble or self._slot.not_found()

        return self._slot.at

    async def _look(self) -> Exception | None:
        trouble: Exception | None = None
        for node in self._slot.to_ask():
            client = self._connect(node)
            try:
                self._slot.learn(await client.execute_command("CLUSTER", "SLOTS"), node)
            except (exceptions.RedisError, OSError) as error:
                trouble = worse(trouble, error)
                self._slot.lose(node)
            else:
                await self._forget()
                return None
            finally:
                await client.aclose()

        return trouble

    async def _forget(self) -> None:
        """Close the connections to nodes that have left the cluster."""
        for node in self._clients.keys() - set(self._slot.nodes):
            await self._clients.pop(node).aclose()


class SyncCluster:
    """The same for synchronous code; threads may share it."""

    def __init__(self, slot: Slot, connect: Connect) -> None:
        self._slot = slot
        self._connect = connect
        self._clients: dict[Address, Any] = {}
        self._looking = threading.Lock()
        self._looks = 0
        self._trouble: Exception | None = None

    def execute_command(self, *words: Any) -> Any:
        """See `AsyncCluster.execute_command`."""
        asked: Address | None = None
        for _ in range(HOPS):
            node = asked or self._slot.at or self._find()
            try:
                return self._send(node, words, asking=asked is not None)
            except exceptions.AskError as refusal:
                asked = self._slot.sent_on(refusal, node)
            except _LOST:
                self._slot.lose(node)
                raise

        raise self._slot.not_found()

    def scan_iter(self, match: str, count: int) -> Iterator[bytes]:
        """The keys of the whole cluster that match."""
        self._find()
        for node in self._slot.primaries:
            with self._connect(node) as client:
                yield from client.scan_iter(match, count)

    def close(self) -> None:
        """Close the connections to all nodes."""
        while self._clients:
            self._clients.popitem()[1].close()

    def _send(self, node: Address, words: Words, asking: bool) -> Any:
        client: Any = self._clients.get(node)
        if client is None:
            client = self._clients.setdefault(node, self._connect(node))
        before, words = self._slot.prepared(words, node, asking)
        if before is None:
            return client.execute_command(*words)

        with client.pipeline(transaction=False) as pipe:
            pipe.execute_command(*before)
            pipe.execute_command(*words)
            replies = pipe.execute(raise_on_error=False)

        return self._slot.read(replies, words, node)

    def _find(self) -> Address:
        looks = self._looks
        with self._looking:
            if looks == self._looks:
                self._trouble = self._look()
                self._looks += 1
        if self._slot.at is None:
            raise self._trouble or self._slot.not_found()

        return self._slot.at

    def _look(self) -> Exception | None:
        trouble: Exception | None = None
        for node in self._slot.to_ask():
            with self._connect(node) as client:
                try:
                    self._slot.learn(client.execute_command("CLUSTER", "SLOTS"), node)
                except (exceptions.RedisError, OSError) as error:
                    trouble = worse(trouble, error)
                    self._slot.lose(node)
                else:
                    self._forget()
                    return None

        return trouble

    def _forget(self) -> None:
        for node in self._clients.keys() - set(self._slot.nodes):
            self._clients.pop(node).close()
