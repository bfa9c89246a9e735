"""The stores: one queue's calls, sent over a connection. Async and sync differ in awaits only.

Several stores may share one client (seed 0); the store that made its client closes it.
"""

from functools import partial
from typing import Any, TypeVar

import anyio
import anyio.to_thread
import redis
import redis.asyncio
from redis.exceptions import NoScriptError

from sandq.errors import LayoutMismatch
from sandq.model.events import Event
from sandq.store import calls, connect, scripts
from sandq.store.calls import Call
from sandq.store.keys import DEFAULT_PREFIX, LAYOUT, QueueKeys

T = TypeVar("T")

#: Most entries taken from the event stream at once.
EVENTS_AT_ONCE = 1000


class Store:
    """One queue's store for asyncio code.

    `url` None means the environment's, or the embedded server. Every method raises StoreError
    or one of its kinds. Nothing is sent before the first call.
    """

    def __init__(self, queue: str, url: str | None = None, prefix: str = DEFAULT_PREFIX) -> None:
        self.keys = QueueKeys(queue, prefix)
        self._url = url
        self._client: redis.asyncio.Redis | None = None
        self._connecting = anyio.Lock()
        self._opened = False

    async def run(self, call: Call[T]) -> T:
        """Send `call` and read its reply."""
        if not self._opened:
            opening = calls.open_queue()
            check_layout(opening.read(await self._send(opening)), self.keys)
            self._opened = True

        return call.read(await self._send(call))

    async def wait_for_wake(self, timeout_s: float) -> bool:
        """Block until work may have come (True) or `timeout_s` have passed (False)."""
        return await self._command("BLPOP", self.keys.wake, max(timeout_s, 0.001)) is not None

    async def last_event_id(self) -> str:
        """The stream id of the newest event; "0-0" if there is none."""
        return read_last_id(
            await self._command("XREVRANGE", self.keys.events, "+", "-", "COUNT", 1)
        )

    async def events_after(self, event_id: str, timeout_s: float) -> list[Event]:
        """The events after `event_id`; blocks up to `timeout_s` until there is one."""
        reply = await self._command(*_xread(self.keys.events, event_id, timeout_s))

        return read_events(reply)

    async def close(self) -> None:
        """Close the connections; a later call opens new ones. Closing twice is harmless."""
        if self._client is not None:
            client, self._client = self._client, None
            await client.aclose()

    async def _send(self, call: Call[Any]) -> Any:
        script = scripts.script(call.script)
        try:
            return await self._command("EVALSHA", script.sha, *self._arguments(call))
        except NoScriptError:
            return await self._command("EVAL", script.text, *self._arguments(call))

    async def _connected(self) -> redis.asyncio.Redis:
        # many first calls at once make one client
        async with self._connecting:
            if self._client is None:
                # may start the embedded server, which blocks
                self._url = await anyio.to_thread.run_sync(partial(connect.resolve_url, self._url))
                self._client = connect.async_client(self._url)

            return self._client

    def _arguments(self, call: Call[Any]) -> tuple[Any, ...]:
        return (len(self.keys.ordered), *self.keys.ordered, *call.args)

    async def _command(self, *words: Any) -> Any:
        client = self._client or await self._connected()
        try:
            return await client.execute_command(*words)  # type: ignore[no-untyped-call]
        except NoScriptError:
            raise
        except connect.CLIENT_ERRORS as error:
            raise connect.translate(error, self._url or "") from error


class SyncStore:
    """One queue's store for synchronous code; otherwise as `Store`."""

    def __init__(self, queue: str, url: str | None = None, prefix: str = DEFAULT_PREFIX) -> None:
        self.keys = QueueKeys(queue, prefix)
        self._url = url
        self._client: redis.Redis | None = None
        self._opened = False

    def run(self, call: Call[T]) -> T:
        """Send `call` and read its reply."""
        if not self._opened:
            opening = calls.open_queue()
            check_layout(opening.read(self._send(opening)), self.keys)
            self._opened = True

        return call.read(self._send(call))

    def last_event_id(self) -> str:
        """The stream id of the newest event; "0-0" if there is none."""
        return read_last_id(self._command("XREVRANGE", self.keys.events, "+", "-", "COUNT", 1))

    def events_after(self, event_id: str, timeout_s: float) -> list[Event]:
        """The events after `event_id`; blocks up to `timeout_s` until there is one."""
        return read_events(self._command(*_xread(self.keys.events, event_id, timeout_s)))

    def close(self) -> None:
        """Close the connections; a later call opens new ones. Closing twice is harmless."""
        if self._client is not None:
            client, self._client = self._client, None
            client.close()

    def _send(self, call: Call[Any]) -> Any:
        script = scripts.script(call.script)
        arguments = (len(self.keys.ordered), *self.keys.ordered, *call.args)
        try:
            return self._command("EVALSHA", script.sha, *arguments)
        except NoScriptError:
            return self._command("EVAL", script.text, *arguments)

    def _command(self, *words: Any) -> Any:
        if self._client is None:
            self._url = connect.resolve_url(self._url)
            self._client = connect.sync_client(self._url)
        try:
            return self._client.execute_command(*words)  # type: ignore[no-untyped-call]
        except NoScriptError:
            raise
        except connect.CLIENT_ERRORS as error:
            raise connect.translate(error, self._url or "") from error


def check_layout(found: int, keys: QueueKeys) -> None:
    """Refuse data in a layout this version does not know."""
    if found != LAYOUT:
        raise LayoutMismatch(
            f"the data of {keys.base}* is in layout {found}, this version knows {LAYOUT}; "
            "run the version of sandq that wrote it, or choose another prefix"
        )


def read_last_id(reply: Any) -> str:
    """The id in a reply of XREVRANGE … COUNT 1."""
    return reply[0][0].decode() if reply else "0-0"


def read_events(reply: Any) -> list[Event]:
    """The events in a reply of XREAD."""
    if not reply:
        return []

    return [
        Event(entry_id.decode(), fields[b"e"].decode(), fields[b"id"].decode())
        for entry_id, fields in reply[0][1]
    ]


def _xread(key: str, event_id: str, timeout_s: float) -> tuple[Any, ...]:
    block_ms = max(1, int(timeout_s * 1000))
    return ("XREAD", "COUNT", EVENTS_AT_ONCE, "BLOCK", block_ms, "STREAMS", key, event_id)
