"""Connections to Redis, and the one table that turns its errors into ours."""

from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import redis
import redis.asyncio
from redis import exceptions
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry

from sandq import settings
from sandq.errors import StoreDenied, StoreError, StoreUnreachable
from sandq.store.embedded import EmbeddedServer

#: How long a command may take before the connection is given up, in seconds. Blocking reads
#: ask for less than this, so a half-open connection is noticed.
COMMAND_TIMEOUT_S = 10.0

#: How long connecting may take, in seconds.
CONNECT_TIMEOUT_S = 5.0

#: Most connections of one client.
CONNECTIONS = 32

#: First match wins; anything else is a StoreError.
_ERRORS: tuple[tuple[tuple[type[BaseException], ...], type[StoreError]], ...] = (
    ((exceptions.AuthenticationError, exceptions.NoPermissionError), StoreDenied),
    ((exceptions.AuthorizationError,), StoreDenied),
    ((exceptions.BusyLoadingError, exceptions.ReadOnlyError), StoreUnreachable),
    ((exceptions.ConnectionError, exceptions.TimeoutError, OSError), StoreUnreachable),
)

#: What may come out of the client; everything here goes through `translate`.
CLIENT_ERRORS = (exceptions.RedisError, OSError)


def resolve_url(url: str | None) -> str:
    """The URL to use: the given one, else the environment's, else the embedded server's.

    May start the embedded server, so it can block for some seconds. Raises StoreError.
    """
    given = url or settings.redis_url()

    return given if given is not None else EmbeddedServer(Path(settings.folder())).ensure()


def async_client(url: str) -> redis.asyncio.Redis:
    """A client for `url`; it connects on first use. Raises StoreError for a bad URL."""
    try:
        # a call that finds all connections busy waits for one: a thousand calls at once are no
        # reason for a thousand connections
        pool = redis.asyncio.BlockingConnectionPool.from_url(
            url,
            protocol=2,
            # a script is never sent twice behind our back: a claim must not be made twice
            retry=AsyncRetry(NoBackoff(), 0),
            socket_timeout=COMMAND_TIMEOUT_S,
            socket_connect_timeout=CONNECT_TIMEOUT_S,
            max_connections=CONNECTIONS,
            timeout=None,
        )
        return redis.asyncio.Redis.from_pool(pool)
    except ValueError as error:
        raise StoreError(f"Redis URL {safe_url(url)!r} cannot be used: {error}") from error


def sync_client(url: str) -> redis.Redis:
    """The same for synchronous code."""
    try:
        return redis.Redis.from_url(
            url,
            protocol=2,
            retry=Retry(NoBackoff(), 0),
            socket_timeout=COMMAND_TIMEOUT_S,
            socket_connect_timeout=CONNECT_TIMEOUT_S,
        )
    except ValueError as error:
        raise StoreError(f"Redis URL {safe_url(url)!r} cannot be used: {error}") from error


def translate(error: BaseException, url: str) -> StoreError:
    """Our error for one of the client's, with the address but without the password."""
    # the asyncio client puts a refused password inside a connection error
    chain = [error, *(e for e in (error.__cause__, error.__context__) if e is not None)]
    kind = next(
        (ours for theirs, ours in _ERRORS if any(isinstance(e, theirs) for e in chain)), StoreError
    )
    if "unauthenticated" in str(error):
        # what a server with a password says to a long command that came without one
        kind = StoreDenied
    hint = {
        StoreDenied: "check the user name and the password in the URL",
        StoreUnreachable: "is the server running, and is the URL right?",
    }.get(kind, "see the server's log")
    if isinstance(error, exceptions.OutOfMemoryError):
        hint = "the server is full: give it more memory, or remove jobs"

    return kind(f"Redis at {safe_url(url)}: {error}; {hint}")


def safe_url(url: str) -> str:
    """`url` without the password."""
    parts = urlsplit(url)
    if parts.password is None:
        return url

    host = parts.netloc.rpartition("@")[2]
    user = f"{parts.username or ''}:***@"

    return urlunsplit(parts._replace(netloc=user + host))
