"""Private servers for the tests, and what every test of stored jobs must leave behind."""

import logging
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import redis

from sandq.store.embedded import find_binary
from tests.audit import audit

REPOSITORY = Path(__file__).parent.parent

#: Longest wait for anything that a test waits for, in seconds; only a hang comes near it.
DEADLINE_S = 30


@pytest.fixture
def anyio_backend():
    return "asyncio"


def pytest_configure(config):
    # the tests run in an environment that names no server
    for name in ("SANDQ_REDIS_URL", "REDIS_URL", "SANDQ_DIR"):
        os.environ.pop(name, None)
    if hasattr(config, "workerinput"):
        # one of several processes of pytest-xdist has a thread that talks to the others; a test
        # that forks is not to blame for it
        config.addinivalue_line(
            "filterwarnings", "ignore:This process .* is multi-threaded:DeprecationWarning"
        )


@pytest.fixture(autouse=True)
def _logging_as_it_was():
    """A command that a test runs in this process sets up logging for a process of its own."""
    yield
    logger = logging.getLogger("sandq")
    logger.setLevel(logging.NOTSET)
    for handler in list(logger.handlers):
        logger.removeHandler(handler)


def need(program, package):
    """The path of a program that a test cannot do without."""
    found = shutil.which(program)
    if found is None:
        message = f"{program} is not installed: apt-get install {package}"
        if os.environ.get("SANDQ_CI"):
            pytest.fail(message)
        pytest.skip(message)

    return found


class Server:
    """A server of the test's own, without persistence, on a unix socket."""

    def __init__(self, binary, folder, *options):
        self.binary = str(binary)
        self.socket = folder / "s"
        self.url = f"unix://{self.socket}"
        self.options = options
        self.start()

    def start(self):
        self.process = subprocess.Popen(
            [
                self.binary,
                "--port",
                "0",
                "--unixsocket",
                str(self.socket),
                "--save",
                "",
                *self.options,
            ],
            stdout=subprocess.DEVNULL,
        )
        self.client = redis.Redis.from_url(self.url, protocol=2)
        wait_until(self.answers, "the server answers")

    def answers(self):
        try:
            return self.client.ping()
        except redis.ConnectionError:
            return False

    def stop(self):
        self.client.close()
        self.process.terminate()
        self.process.wait(DEADLINE_S)


def wait_until(condition, what, deadline_s=DEADLINE_S):
    """Ask again and again until the condition holds; for what sends no event."""
    until = time.monotonic() + deadline_s
    while not (answer := condition()):
        assert time.monotonic() < until, f"waited in vain until {what}"
        time.sleep(0.002)

    return answer


@pytest.fixture(scope="session")
def redis_binary():
    return need("redis-server", "redis-server")


@pytest.fixture(scope="session")
def redis_server(redis_binary, tmp_path_factory):
    server = Server(redis_binary, tmp_path_factory.mktemp("redis"))
    yield server
    server.stop()


@pytest.fixture(scope="session")
def bundled_server(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", "")
        binary = find_binary()
    server = Server(binary, tmp_path_factory.mktemp("bundled"))
    yield server
    server.stop()


@pytest.fixture(params=["redis", "bundled"])
def each_server(request):
    """Debian's redis-server and the bundled Valkey, one after the other, empty."""
    server = request.getfixturevalue(f"{request.param}_server")
    server.client.flushall()
    yield server
    audit(server.client)


@pytest.fixture
def server(redis_server):
    """A server, empty; what a test leaves in it must be in order."""
    redis_server.client.flushall()
    redis_server.client.script_flush()
    yield redis_server
    audit(redis_server.client)


@pytest.fixture
def url(server):
    return server.url


@pytest.fixture
def program(tmp_path):
    """Write a handler program of the test's own and get the command that runs it."""

    def write(text, name="handler.py", *, mode=0o755):
        path = tmp_path / name
        path.write_text(text)
        path.chmod(mode)
        return [sys.executable, str(path)] if name.endswith(".py") else [str(path)]

    return write


@pytest.fixture
def flaky():
    return [sys.executable, str(REPOSITORY / "handlers" / "flaky.py")]


@pytest.fixture
def wait():
    return wait_until


@pytest.fixture
def deadline_s():
    return DEADLINE_S


@pytest.fixture
def need_program():
    return need
