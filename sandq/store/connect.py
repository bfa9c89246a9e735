"""Connections to Redis, and the one table that turns its errors into ours."""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any, Protocol

import redis
import redis.asyncio
from redis import exceptions
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry

from sandq import settings
from sandq.errors import (
    InvalidInput,
    QueueFull,
    SandqError,
    StoreDenied,
    StoreError,
    StoreUnreachable,
    from_code,
)
from sandq.store.cluster import AsyncCluster, SyncCluster
from sandq.store.embedded import EmbeddedServer
from sandq.store.sentinel import NoPrimary, SentinelDenied, async_primary, sync_primary
from sandq.store.slot import Slot
from sandq.store.url import ManyServers, read_url, safe_url, secrets

#: How long a command may take before the connection is given up, in seconds. Blocking reads
#: ask for less than this, so a half-open connection is noticed.
COMMAND_TIMEOUT_S = 10.0

#: How long connecting may take, in seconds.
CONNECT_TIMEOUT_S = 5.0

#: Most connections of one client; to a cluster, of one client to one node.
CONNECTIONS = 32


class AsyncClient(Protocol):
    """What a store uses of `redis.asyncio.Redis`; a cluster has no more than this."""

    async def execute_command(self, *words: Any) -> Any:
        """Send a command and return its reply."""

    async def aclose(self) -> None:
        """Close the connections; the next command opens new ones."""


class SyncClient(Protocol):
    """The same of `redis.Redis`."""

    def execute_command(self, *words: Any) -> Any:
        """Send a command and return its reply."""

    def scan_iter(self, match: str, count: int) -> Iterator[Any]:
        """All keys that match, `count` of them looked at by one command."""

    def close(self) -> None:
        """Close the connections; the next command opens new ones."""


_SOCKETS = {
    "protocol": 2,
    "socket_timeout": COMMAND_TIMEOUT_S,
    "socket_connect_timeout": CONNECT_TIMEOUT_S,
}
# a script is never sent twice behind our back: a claim must not be made twice
_SYNC: dict[str, Any] = {**_SOCKETS, "retry": Retry(NoBackoff(), 0)}
# a call that finds all connections busy waits for one: a thousand calls at once are no reason
# for a thousand connections
_ASYNC: dict[str, Any] = {
    **_SOCKETS,
    "retry": AsyncRetry(NoBackoff(), 0),
    "max_connections": CONNECTIONS,
    "timeout": None,
}

#: What may come out of the client; everything here goes through `translate`.
CLIENT_ERRORS = (exceptions.RedisError, OSError)

_LOGIN = "check the user name and the password in the URL"
_REPLICA = (
    "this is a replica: give the URL of the primary, or one that finds it, "
    "redis+sentinel://host:port/NAME or redis+cluster://host:port"
)

#: Their errors, ours, and what to do. The first that fits counts; all else is a StoreError.
_ERRORS: tuple[tuple[tuple[type[BaseException], ...], type[StoreError], str], ...] = (
    (
        (SentinelDenied,),
        StoreDenied,
        "Sentinels have a login of their own: add ?sentinel_password=… to the URL",
    ),
    (
        (
            exceptions.AuthenticationError,
            exceptions.AuthorizationError,
            exceptions.NoPermissionError,
        ),
        StoreDenied,
        _LOGIN,
    ),
    (
        (exceptions.AskError,),
        StoreError,
        "this is a node of a cluster: write the URL as redis+cluster://host:port",
    ),
    (
        (exceptions.TryAgainError, exceptions.ClusterDownError),
        StoreUnreachable,
        "the cluster is changing, or a part of it is down; try again",
    ),
    ((exceptions.ReadOnlyError,), StoreUnreachable, _REPLICA),
    ((NoPrimary,), StoreUnreachable, "is the name in the URL right?"),
    (
        (exceptions.ConnectionError, exceptions.TimeoutError, OSError),
        StoreUnreachable,
        "is the server running, and is the URL right?",
    ),
    (
        (exceptions.OutOfMemoryError,),
        StoreError,
        "the server is full: give it more memory, or remove jobs",
    ),
)

#: The same for errors that have no class of their own, by words in their text.
_TEXTS: tuple[tuple[str, type[StoreError], str], ...] = (
    # a server with a password to a long command that came without one
    ("unauthenticated", StoreDenied, _LOGIN),
    # a replica before Redis 7, in an error of the script
    ("READONLY", StoreUnreachable, _REPLICA),
    # a primary that is made a replica, to a call that blocks
    ("UNBLOCKED", StoreUnreachable, "try again"),
    ("NOREPLICAS", StoreUnreachable, "it takes writes again when enough replicas follow it"),
    ("cluster support disabled", StoreError, "this is no cluster: write the URL as redis://…"),
    ("command 'SENTINEL'", StoreError, "this is no Sentinel; its port is usually 26379"),
)


def resolve_url(url: str | None) -> str:
    """The URL to use: the given one, else the environment's, else the embedded server's.

    May start the embedded server, so it can block for some seconds. Raises StoreError.
    """
    given = url or settings.redis_url()

    return given if given is not None else EmbeddedServer(Path(settings.folder())).ensure()


def shared_url(url: str | None, shared: str | None) -> str | None:
    """The URL of a queue that uses the connections of another; raises InvalidInput."""
    if url is not None and url != shared:
        raise InvalidInput("a queue that shares connections has the URL of the other; give no url")
    if is_cluster(shared):
        raise InvalidInput(
            "queues of a cluster cannot share connections: each follows its own slot; leave share "
            "out"
        )

    return shared


def is_cluster(url: str | None) -> bool:
    """Whether the URL, or that of the environment, names a cluster: there each queue has a client
    of its own, that follows its slot."""
    given = url or settings.redis_url() or ""

    return given.partition("://")[0].endswith("+cluster")


def async_client(url: str, key: str = "") -> AsyncClient:
    """A client for `url`; it connects on first use. Raises StoreError for a bad URL.

    `key` is any key in the slot of those it is for: a client for a cluster is one for a slot.
    """
    many = _read(url)
    if many is None:
        return _async_server(url)
    if many.service:
        sentinels = [_async_server(many.sentinel(node)) for node in many.nodes]
        return async_primary(many.service, sentinels, many.server(many.nodes[0]), _ASYNC)

    return AsyncCluster(Slot(key, many.nodes), lambda node: _async_server(many.server(node)))


def sync_client(url: str, key: str = "") -> SyncClient:
    """The same for synchronous code."""
    many = _read(url)
    if many is None:
        return _sync_server(url)
    if many.service:
        sentinels = [_sync_server(many.sentinel(node)) for node in many.nodes]
        return sync_primary(many.service, sentinels, many.server(many.nodes[0]), _SYNC)

    return SyncCluster(Slot(key, many.nodes), lambda node: _sync_server(many.server(node)))


#: What to do about an error that a script replies, where its own words do not say it.
_ADVICE: dict[type[SandqError], str] = {
    QueueFull: "; wait until some of them have run, or raise the queue's max_size",
}


def translate(error: BaseException, url: str) -> SandqError:
    """Our error for one of the client's: what a script refuses in the script's own words, any
    other trouble with the address but without the password."""
    code, _, words = str(error).partition(" ")
    refused = from_code(code) if isinstance(error, exceptions.ResponseError) else None
    if refused is not None:
        return refused(words + _ADVICE.get(refused, ""))

    # the asyncio client puts a refused password inside a connection error
    errors = (error, error.__cause__, error.__context__)
    kind, hint = next(
        chain(
            ((ours, hint) for part, ours, hint in _TEXTS if part in str(error)),
            (
                (ours, hint)
                for theirs, ours, hint in _ERRORS
                if any(isinstance(e, theirs) for e in errors)
            ),
        ),
        (StoreError, "see the server's log"),
    )
    text = str(error)
    if isinstance(error, exceptions.AskError):
        text = f"the queue is on another server, {error.host}:{error.port}"
    for secret in secrets(url):
        text = text.replace(secret, "***")

    return kind(f"Redis at {safe_url(url)}: {text}; {hint}")


def _read(url: str) -> ManyServers | None:
    """What the URL says, checked as far as it can be without connecting. Raises StoreError."""
    try:
        many = read_url(url)
        one = url if many is None else many.server(many.nodes[0])
        pool = redis.ConnectionPool.from_url(one)
        pool.connection_class(**pool.connection_kwargs)
    except ValueError as error:
        raise StoreError(f"Redis URL {safe_url(url)!r} cannot be used: {error}") from error
    except TypeError as error:
        name = str(error).rpartition("argument ")[2]
        raise StoreError(
            f"Redis URL {safe_url(url)!r} cannot be used: the option {name} is not known"
        ) from error

    return many


def _async_server(url: str) -> redis.asyncio.Redis:
    pool = redis.asyncio.BlockingConnectionPool.from_url(url, **_ASYNC)

    return redis.asyncio.Redis.from_pool(pool)


def _sync_server(url: str) -> redis.Redis:
    return redis.Redis.from_url(url, **_SYNC)
