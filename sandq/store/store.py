"""The stores: one queue's calls, sent over a connection. Async and sync differ in awaits only.

Several stores may share one client (seed 0); the store that made its client closes it.
"""

import asyncio
import threading
from collections.abc import AsyncGenerator, Iterator, Sequence
from functools import partial
from typing import Any, TypeVar

import anyio
import anyio.to_thread
from redis.exceptions import NoScriptError

from sandq import clock
from sandq.errors import LayoutMismatch, StoreError
from sandq.model.events import Event
from sandq.store import calls, commands, connect, scripts
from sandq.store.calls import Call
from sandq.store.keys import DEFAULT_PREFIX, LAYOUT, QueueKeys

T = TypeVar("T")


class Store:
    """One queue's store for asyncio code.

    `url` None means the environment's, or the embedded server. Every method raises StoreError
    or one of its kinds; `run` also what a script refuses: InvalidInput, QueueFull. Nothing is sent
    before the first call.

    It may be used in one event loop after the other (`asyncio.run` called again and again): the
    connections of a loop end with it, and the next loop opens its own.
    """

    def __init__(
        self,
        queue: str,
        url: str | None = None,
        prefix: str = DEFAULT_PREFIX,
        via: "Store | None" = None,
    ) -> None:
        self.keys = QueueKeys(queue, prefix)
        self._url = url
        #: The store whose connections are used, and which closes them; None: its own.
        self._via = via
        self._client: connect.AsyncClient | None = None
        #: The event loop the client belongs to, and what closes the client at its end.
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closing: AsyncGenerator[None, None] | None = None
        self._connecting = anyio.Lock()
        self._opened = False
        #: The version and the text of the queue's settings, as they were last learned.
        self.version, self.settings = "", b""

    async def run(self, call: Call[T]) -> T:
        """Send `call` and read its reply."""
        if not self._opened:
            await self.open()

        return call.read(await self._send(call))

    async def open(self) -> None:
        """Check the layout of the queue's data and learn its settings, anew if need be."""
        opening = calls.open_queue()
        layout, version, settings = opening.read(await self._send(opening))
        check_layout(layout, self.keys)
        self.version, self.settings = version, settings
        self._opened = True

    async def learn(self, anew: bool) -> tuple[str, bytes]:
        """The version and the text of the queue's settings; what is known, unless `anew`."""
        if anew or not self._opened:
            await self.open()

        return self.version, self.settings

    async def wait_for_wake(self, timeout_s: float) -> bool:
        """Block until work may have come (True) or `timeout_s` have passed (False)."""
        return await self._command("BLPOP", self.keys.wake, max(timeout_s, 0.001)) is not None

    async def last_event_id(self) -> str:
        """The stream id of the newest event; "0-0" if there is none."""
        return commands.read_last_id(
            await self._command("XREVRANGE", self.keys.events, "+", "-", "COUNT", 1)
        )

    async def events_after(self, event_id: str, timeout_s: float) -> list[Event]:
        """The events after `event_id`; blocks up to `timeout_s` until there is one."""
        reply = await self._command(*commands.xread(self.keys.events, event_id, timeout_s))

        return commands.read_events(reply)

    async def scan(self, pattern: str, count: int = 1000) -> AsyncGenerator[list[bytes], None]:
        """The keys that match `pattern`, in batches; one may come twice.

        A batch takes one command, which looks at about `count` keys: of the server, or of the
        node of a cluster that has the queue. A key that is there from the beginning to the end is
        not missed, unless a server is restarted or replaced meanwhile.
        """
        cursor: Any = 0
        while True:
            cursor, keys = await self._command(*commands.scan(cursor, pattern, count))
            if keys:
                yield keys
            if cursor == 0:
                return

    async def unlink(self, keys: Sequence[bytes]) -> int:
        """Delete keys of the queue with one command, so not too many; how many there were."""
        return int(await self._command("UNLINK", *keys)) if keys else 0

    async def close(self) -> None:
        """Close the connections; a later call opens new ones. Closing twice is harmless."""
        closing, self._closing, self._client = self._closing, None, None
        if closing is not None:
            await closing.aclose()

    async def _send(self, call: Call[Any]) -> Any:
        script = scripts.script(call.script)
        try:
            return await self._command("EVALSHA", script.sha, *arguments(self.keys, call))
        except NoScriptError:
            return await self._command("EVAL", script.text, *arguments(self.keys, call))

    async def _connected(self) -> connect.AsyncClient:
        loop = asyncio.get_running_loop()
        if self._loop is not None and self._loop is not loop and self._loop.is_running():
            raise StoreError(
                "this queue is being used in another event loop, and connections cannot be shared "
                "between two; make a Queue for each of them, or share a sandq.sync.Queue"
            )
        # many first calls at once make one client
        async with self._connecting:
            if self._client is None or self._loop is not loop:
                # may start the embedded server, which blocks
                self._url = await anyio.to_thread.run_sync(partial(connect.resolve_url, self._url))
                self._client = connect.async_client(self._url, self.keys.base)
                self._loop, self._closing = loop, close_at_the_end(self._client)
                await anext(self._closing)

            return self._client

    async def _command(self, *words: Any) -> Any:
        if self._via is not None:
            return await self._via._command(*words)
        client = self._client
        if client is None or self._loop is not asyncio.get_running_loop():
            client = await self._connected()
        try:
            return await client.execute_command(*words)
        except NoScriptError:
            raise
        except connect.CLIENT_ERRORS as error:
            raise connect.translate(error, self._url or "") from error


class SyncStore:
    """One queue's store for synchronous code; otherwise as `Store`."""

    def __init__(
        self,
        queue: str,
        url: str | None = None,
        prefix: str = DEFAULT_PREFIX,
        via: "SyncStore | None" = None,
    ) -> None:
        self.keys = QueueKeys(queue, prefix)
        self._url = url
        #: The store whose connections are used, and which closes them; None: its own.
        self._via = via
        self._client: connect.SyncClient | None = None
        self._connecting = threading.Lock()
        self._opened = False
        #: The version and the text of the queue's settings, as they were last learned.
        self.version, self.settings = "", b""

    def run(self, call: Call[T]) -> T:
        """Send `call` and read its reply."""
        if not self._opened:
            self.open()

        return call.read(self._send(call))

    def open(self) -> None:
        """Check the layout of the queue's data and learn its settings, anew if need be."""
        opening = calls.open_queue()
        layout, version, settings = opening.read(self._send(opening))
        check_layout(layout, self.keys)
        self.version, self.settings = version, settings
        self._opened = True

    def learn(self, anew: bool) -> tuple[str, bytes]:
        """The version and the text of the queue's settings; what is known, unless `anew`."""
        if anew or not self._opened:
            self.open()

        return self.version, self.settings

    def last_event_id(self) -> str:
        """The stream id of the newest event; "0-0" if there is none."""
        return commands.read_last_id(
            self._command("XREVRANGE", self.keys.events, "+", "-", "COUNT", 1)
        )

    def events_after(self, event_id: str, timeout_s: float) -> list[Event]:
        """The events after `event_id`; blocks up to `timeout_s` until there is one."""
        return commands.read_events(
            self._command(*commands.xread(self.keys.events, event_id, timeout_s))
        )

    def scan(self, pattern: str, count: int = 1000) -> Iterator[list[bytes]]:
        """The keys that match `pattern`, in batches; see `Store.scan`."""
        cursor: Any = 0
        while True:
            cursor, keys = self._command(*commands.scan(cursor, pattern, count))
            if keys:
                yield keys
            if cursor == 0:
                return

    def unlink(self, keys: Sequence[bytes]) -> int:
        """Delete keys of the queue with one command, so not too many; how many there were."""
        return int(self._command("UNLINK", *keys)) if keys else 0

    def close(self) -> None:
        """Close the connections; a later call opens new ones. Closing twice is harmless."""
        if self._client is not None:
            client, self._client = self._client, None
            client.close()

    def _send(self, call: Call[Any]) -> Any:
        script = scripts.script(call.script)
        try:
            return self._command("EVALSHA", script.sha, *arguments(self.keys, call))
        except NoScriptError:
            return self._command("EVAL", script.text, *arguments(self.keys, call))

    def _connected(self) -> connect.SyncClient:
        # many first calls at once make one client
        with self._connecting:
            if self._client is None:
                self._url = connect.resolve_url(self._url)
                self._client = connect.sync_client(self._url, self.keys.base)

            return self._client

    def _command(self, *words: Any) -> Any:
        if self._via is not None:
            return self._via._command(*words)
        client = self._client or self._connected()
        try:
            return client.execute_command(*words)
        except NoScriptError:
            raise
        except connect.CLIENT_ERRORS as error:
            raise connect.translate(error, self._url or "") from error


def arguments(keys: QueueKeys, call: Call[Any]) -> tuple[Any, ...]:
    """What a script is sent: the keys of the queue, and the arguments of the call."""
    args = call.args
    # a call that says the time itself is left as it is
    if clock.told_ms is not None and scripts.takes_time(call.script) and args[0] == "":
        args = (clock.told_ms, *args[1:])

    return (len(keys.ordered), *keys.ordered, *args)


async def close_at_the_end(client: connect.AsyncClient) -> AsyncGenerator[None, None]:
    """Begun, and then held, it closes the client when the event loop ends: a loop that ends closes
    all its generators."""
    try:
        yield
    finally:
        await client.aclose()


def check_layout(found: int, keys: QueueKeys) -> None:
    """Refuse data in a layout this version does not know."""
    if found != LAYOUT:
        raise LayoutMismatch(
            f"the data of {keys.base}* is in layout {found}, this version knows {LAYOUT}; "
            "run the version of sandq that wrote it, or choose another prefix"
        )
