"""The fixtures, as the tests of others use them: small test files are run by a pytest of their own.

They run with all warnings as errors, so that nothing is left open.
"""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import redis

from sandq import Queue, sync
from sandq.store.store import SyncStore
from sandq.testing import plugin

pytest_plugins = ["sandq.testing"]

REPOSITORY = Path(__file__).parents[2]

CONFTEST = 'pytest_plugins = ["sandq.testing"]\n'


@pytest.fixture
def command(tmp_path):
    """The command that runs test files in a folder of their own; files are name -> text."""

    def words(*options, **files):
        (tmp_path / "conftest.py").write_text(CONFTEST)
        (tmp_path / "pytest.ini").write_text(
            "[pytest]\naddopts = --strict-config -p no:cacheprovider\n"
        )
        for name, text in files.items():
            (tmp_path / f"{name}.py").write_text(text)
        # the timeouts and the warnings of this project are not theirs
        return [sys.executable, "-W", "error", "-m", "pytest", "-q", "-rA", *options, str(tmp_path)]

    return words


@pytest.fixture
def run(command, tmp_path, deadline_s):
    """Run test files: how many of their tests passed. A failure is the failure of this test."""

    def run_them(*options, **files):
        done = subprocess.run(
            command(*options, **files),
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
            capture_output=True,
            text=True,
            timeout=deadline_s,
            check=False,
        )

        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.count("\nPASSED ")

    return run_them


SYNC = """
from sandq.testing import assert_enqueued, run_inline, wait_for_event

def test_work(sandq_sync_queue, sandq_clock):
    queue = sandq_sync_queue
    queue.set_handler("double", lambda job: 2 * job.data)
    job = queue.add("double", 21, delay="1h")
    assert_enqueued(queue, "double", data=21)
    sandq_clock.advance("1h")
    (ran,) = run_inline(queue)
    assert ran.value == job.finished(timeout=10) == 42
    assert wait_for_event(queue, "completed", job.id).kind == "completed"

def test_other(sandq_sync_queue):
    assert sandq_sync_queue.count() == 0
    assert sandq_sync_queue.add("double").id == "1"
"""

ASYNC = """
import pytest
from sandq.testing import assert_enqueued, run_inline, wait_for_event

pytestmark = pytest.mark.anyio

@pytest.fixture
def anyio_backend():
    return "asyncio"

@pytest.fixture
async def queue(sandq_queue):
    sandq_queue.set_handler("double", lambda job: 2 * job.data)
    await sandq_queue.add("double", 21, delay="1h")
    return sandq_queue

async def test_work(queue, sandq_clock):
    (job,) = await assert_enqueued(queue, "double", data=21)
    sandq_clock.advance("1h")
    (ran,) = await run_inline(queue)
    assert ran.value == await job.finished(timeout=10) == 42
    assert (await wait_for_event(queue, "completed", job.id)).kind == "completed"

async def test_supervisor(queue):
    async with queue.run():
        job = await queue.add("double", 4)
        assert await job.finished(timeout=10) == 8

async def test_other(sandq_queue):
    assert await sandq_queue.count() == 0
"""

# the loop lives as long as the fixture of the module: it is not over when the queue goes
LONG_LOOP = (
    ASYNC.replace("@pytest.fixture\ndef", '@pytest.fixture(scope="module")\ndef')
    + """
@pytest.fixture(scope="module", autouse=True)
async def held(anyio_backend):
    yield
"""
)

PLAIN = """
import asyncio, unittest
from sandq import Queue, sync
from sandq.testing import Clock, Server, run_inline

def test_with_a_loop_of_its_own(sandq_queue):
    sandq_queue.set_handler("double", lambda job: 2 * job.data)
    async def main():
        await sandq_queue.add("double", 21)
        (ran,) = await run_inline(sandq_queue)
        assert ran.value == 42
    for _ in range(2):
        asyncio.run(main())

class TestWithoutFixtures(unittest.TestCase):
    def setUp(self):
        self.server = self.enterContext(Server())
        self.clock = self.enterContext(Clock(self.server))

    def test_work(self):
        with sync.Queue("q", self.server.url) as queue:
            queue.set_handler("*", lambda job: job.data)
            queue.add("work", 1, delay=60)
            self.clock.advance(60)
            self.assertEqual([ran.value for ran in run_inline(queue)], [1])
"""

LAZY = """
import psutil, sys

def test_nothing_is_started_for_those_who_do_not_ask():
    assert "sandq.testing.plugin" in sys.modules
    assert psutil.Process().children() == []
"""


@pytest.mark.parametrize(
    ("text", "passes"),
    [(SYNC, 2), (ASYNC, 3), (LONG_LOOP, 3), (PLAIN, 2), (LAZY, 1)],
    ids=["sync", "anyio", "anyio with a long loop", "plain", "lazy"],
)
def test_the_tests_of_others_pass(run, text, passes):
    assert run(test_it=text) == passes


def test_a_test_file_can_ask_for_it_itself(run, tmp_path):
    (tmp_path / "sub").mkdir()

    assert run("--confcutdir", str(tmp_path), test_it=CONFTEST + SYNC, conftest="") == 2


def test_the_fixtures_are_told(run, command, tmp_path):
    done = subprocess.run(
        [*command(test_it=SYNC), "--fixtures"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=True,
    )

    for name in ("sandq_server", "sandq_queue", "sandq_sync_queue", "sandq_clock"):
        assert f"\n{name}" in done.stdout
    assert "no docstring available" not in done.stdout.partition("sandq.testing.plugin")[2]


INTERRUPTED = """
import redis

def test_that_is_interrupted(sandq_server, sandq_sync_queue):
    sandq_sync_queue.add("work")
    pid = redis.Redis.from_url(sandq_server.url, protocol=2).info("server")["process_id"]
    with open("ready", "w") as ready:
        ready.write(str(pid))
    open("never").read()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_the_server_ends_when_the_run_is_interrupted(command, tmp_path, wait, number):
    os.mkfifo(tmp_path / "ready")
    os.mkfifo(tmp_path / "never")
    tests = subprocess.Popen(
        command(test_it=INTERRUPTED),
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        stdout=subprocess.PIPE,
    )
    with tests:
        pid = int((tmp_path / "ready").read_text())

        assert psutil.pid_exists(pid)
        tests.send_signal(number)
        tests.communicate()

    wait(lambda: not psutil.pid_exists(pid), "the server is gone")
    assert tests.returncode == (2 if number == signal.SIGINT else -signal.SIGKILL)


# ---- what they are


def test_each_test_has_a_queue_of_its_own(sandq_server, sandq_queue, sandq_sync_queue):
    assert isinstance(sandq_queue, Queue)
    assert isinstance(sandq_sync_queue, sync.Queue)
    assert sandq_queue.name == sandq_sync_queue.name

    sandq_sync_queue.add("work")

    assert asyncio.run(sandq_queue.count()) == 1
    assert sandq_sync_queue.count() == 1


@pytest.mark.parametrize("number", range(2))
def test_nothing_of_an_earlier_test_is_there(sandq_server, sandq_sync_queue, number):
    store = SyncStore("none", sandq_server.url)
    try:
        assert [key for keys in store.scan("*") for key in keys] == []
    finally:
        store.close()
    sandq_sync_queue.add("work", dedup="once", tags=["a"])
    job = sandq_sync_queue.get_next_job()
    job.log("it is being run as the test ends")


def test_connections_are_closed_though_the_loop_goes_on(sandq_server):
    def connections():
        with redis.Redis.from_url(sandq_server.url, protocol=2) as client:
            return len(client.client_list())

    before, loop = connections(), asyncio.new_event_loop()
    queue = Queue("q", sandq_server.url)
    loop.run_until_complete(queue.count())

    assert connections() == before + 1

    plugin._close(queue)

    assert connections() == before

    loop.close()
    plugin._close(queue)


def loaded_by(statement):
    program = f"import sys; {statement}; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=REPOSITORY
    )

    return set(done.stdout.split())


@pytest.mark.parametrize("module", ["sandq", "sandq.queue", "sandq.sync", "sandq.testing"])
def test_pytest_is_loaded_for_its_plugin_alone(module):
    assert "pytest" not in loaded_by(f"import {module}")
    assert "pytest" in loaded_by("import sandq.testing.plugin")
