"""The fixtures: the only part of this package that needs pytest.

They are plain fixtures, so that they serve async tests of any plugin and those that call
`asyncio.run`; and nothing is started for a test that does not ask for them.

PYTEST_DONT_REWRITE: nothing is asserted here, and a file may import it before it is a plugin.
"""

from collections.abc import Iterator
from itertools import count

import pytest

from sandq import sync
from sandq.queue import Queue
from sandq.testing.manual_clock import Clock
from sandq.testing.private_server import Server

_numbers = count(1)


@pytest.fixture(scope="session")
def sandq_server() -> Iterator[Server]:
    """A private Redis server, started when a test first asks for it and ended with the tests.

    `sandq_server.url` is its URL.
    """
    with Server() as server:
        yield server


@pytest.fixture
def sandq_queue(sandq_server: Server, _sandq_queue_name: str) -> Iterator[Queue]:
    """A `sandq.Queue` for this test alone, on the private server; everything in it goes with the
    test. A test that asks for `sandq_sync_queue` too gets the same queue by both faces."""
    queue = Queue(_sandq_queue_name, sandq_server.url)
    yield queue
    _close(queue)


@pytest.fixture
def sandq_sync_queue(sandq_server: Server, _sandq_queue_name: str) -> Iterator[sync.Queue]:
    """A `sandq.sync.Queue` for this test alone; see `sandq_queue`."""
    with sync.Queue(_sandq_queue_name, sandq_server.url) as queue:
        yield queue


@pytest.fixture
def sandq_clock(sandq_server: Server) -> Iterator[Clock]:
    """The time of all queues of the test: it stands still until `sandq_clock.advance("5m")`."""
    with Clock(sandq_server) as clock:
        yield clock


@pytest.fixture
def _sandq_queue_name(sandq_server: Server) -> Iterator[str]:
    """The name of the test's queue; what is stored under it goes with the test."""
    name = f"test-{next(_numbers)}"
    yield name
    with sync.Queue(name, sandq_server.url) as queue:
        queue.obliterate(force=True)


def _close(queue: Queue) -> None:
    """Close the connections. A loop that has ended has done so; one that is held for other tests
    is idle between them, and does it now."""
    loop = queue._store._loop
    if loop is not None and not loop.is_closed() and not loop.is_running():
        loop.run_until_complete(queue.close())
