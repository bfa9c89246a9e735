"""Clients for the primary that Sentinels name: every new connection asks them who it is.

redis-py's pools do it, but they ask with SENTINEL MASTERS. That names a dead primary until the
very end of a failover, and takes the new one for dead for a second more; so we ask with the
command that is made for clients.
"""

from typing import Any

import redis
import redis.asyncio
import redis.asyncio.sentinel
import redis.sentinel
from redis import exceptions
from redis.connection import parse_url

from sandq.store.url import Address

_ERRORS = (exceptions.RedisError, OSError)


class NoPrimary(exceptions.ConnectionError):
    """No Sentinel that answers knows a primary of this name."""


class SentinelDenied(exceptions.AuthenticationError):
    """A Sentinel refused the login."""


class _Asked:
    """What the Sentinels said, one after the other."""

    def __init__(self, service: str) -> None:
        self._unknown = NoPrimary(f"the Sentinels know no primary of the name {service!r}")
        self._failed: Exception | None = None

    def answered(self, reply: Any) -> Address | None:
        """The primary's address in a reply; None if the Sentinel does not know it."""
        if reply is None:
            self._failed = self._unknown
            return None

        host, port = reply

        return host.decode(), int(port)

    def failed(self, error: Exception) -> None:
        """A Sentinel could not be asked. What one of them said tells more than that."""
        if isinstance(error, exceptions.AuthenticationError):
            self._failed = SentinelDenied(f"a Sentinel says: {error}")
        elif not isinstance(self._failed, (SentinelDenied, NoPrimary)):
            self._failed = error

    def trouble(self) -> Exception:
        """Why there is no answer."""
        return self._failed or self._unknown


class _AsyncSentinels(redis.asyncio.sentinel.Sentinel):
    async def discover_master(self, service_name: str) -> Address:
        asked = _Asked(service_name)
        for sentinel in self.sentinels:
            try:
                reply = await sentinel.sentinel_get_master_addr_by_name(service_name)
            except _ERRORS as error:
                asked.failed(error)
            else:
                if (address := asked.answered(reply)) is not None:
                    self.sentinels = _first(sentinel, self.sentinels)
                    return address

        raise asked.trouble()


class _SyncSentinels(redis.sentinel.Sentinel):
    def discover_master(self, service_name: str) -> Address:
        asked = _Asked(service_name)
        for sentinel in self.sentinels:
            try:
                reply = sentinel.sentinel_get_master_addr_by_name(service_name)
            except _ERRORS as error:
                asked.failed(error)
            else:
                if (address := asked.answered(reply)) is not None:
                    self.sentinels = _first(sentinel, self.sentinels)
                    return address

        raise asked.trouble()


class _AsyncPool(
    redis.asyncio.sentinel.SentinelConnectionPool, redis.asyncio.BlockingConnectionPool
):
    """Calls wait for a connection, as they do for a single server."""


class _AsyncPrimary(redis.asyncio.Redis):
    """Closes the connections to the Sentinels with its own."""

    connection_pool: Any

    async def aclose(self, close_connection_pool: bool | None = None) -> None:
        await super().aclose(close_connection_pool)
        await self.connection_pool.sentinel_manager.aclose()


class _SyncPrimary(redis.Redis):
    """Closes the connections to the Sentinels with its own."""

    connection_pool: Any

    def close(self) -> None:
        super().close()
        self.connection_pool.sentinel_manager.close()


def async_primary(
    service: str, sentinels: list[redis.asyncio.Redis], server: str, options: dict[str, Any]
) -> redis.asyncio.Redis:
    """A client for the primary of `service`.

    `server` is a URL with the login, the database and the options of the primary; its host is
    not used. `options` are those of the connection pool, where the URL has none.
    """
    asked: Any = _AsyncSentinels([])  # type: ignore[no-untyped-call]
    asked.sentinels = sentinels
    client: redis.asyncio.Redis = asked.master_for(
        service, _AsyncPrimary, _AsyncPool, **{**options, **_read(server)}
    )

    return client


def sync_primary(
    service: str, sentinels: list[redis.Redis], server: str, options: dict[str, Any]
) -> redis.Redis:
    """The same for synchronous code."""
    asked: Any = _SyncSentinels([])  # type: ignore[no-untyped-call]
    asked.sentinels = sentinels
    client: redis.Redis = asked.master_for(service, _SyncPrimary, **{**options, **_read(server)})

    return client


def _first(sentinel: Any, sentinels: list[Any]) -> list[Any]:
    """The Sentinel that answered is asked first the next time."""
    return [sentinel, *(each for each in sentinels if each is not sentinel)]


def _read(server: str) -> dict[str, Any]:
    options = dict(parse_url(server))  # type: ignore[no-untyped-call]
    # the pools have connection classes of their own
    options["ssl"] = options.pop("connection_class", None) is redis.SSLConnection

    return options
