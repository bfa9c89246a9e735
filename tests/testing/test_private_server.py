"""The private server: it serves, keeps nothing, and does not outlive whoever started it."""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil
import pytest
import redis

from sandq.errors import EmbeddedServerError
from sandq.store.embedded import find_binary
from sandq.sync import Queue
from sandq.testing import Server

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(params=["redis-server", "bundled"])
def binary(request, redis_binary, monkeypatch):
    """Debian's redis-server, and the one that is installed with sandq."""
    if request.param == "redis-server":
        return Path(redis_binary)
    with monkeypatch.context() as patch:
        patch.setenv("PATH", "")
        return find_binary()


def settings_of(url):
    with redis.Redis.from_url(url, decode_responses=True, protocol=2) as client:
        pid = client.info("server")["process_id"]
        names = ("save", "appendonly", "port", "unixsocketperm")
        return pid, [client.config_get(name)[name] for name in names]


def test_it_serves_and_keeps_nothing(binary):
    with Server(binary) as server:
        folder = Path(server.url.removeprefix("unix://")).parent
        pid, told = settings_of(server.url)
        with Queue("q", server.url) as queue:
            queue.add("work")

            assert queue.count() == 1
        assert told == ["", "no", "0", "600"]
        assert psutil.Process(pid).ppid() == os.getpid()
        assert [path.name for path in folder.iterdir()] == ["s"]
        assert repr(server) == f"<Server {server.url}>"

    assert not psutil.pid_exists(pid)
    assert not folder.exists()
    assert repr(server) == "<Server stopped>"


def test_without_a_binary_there_is_one_all_the_same(monkeypatch):
    # what is bundled is found without any PATH; the shell that starts it is not
    monkeypatch.setattr("shutil.which", lambda name: None)
    with Server() as server, Queue("q", server.url) as queue:
        assert queue.count() == 0


def test_it_can_be_started_again_and_is_empty_then():
    server = Server()
    for _ in range(2):
        server.start()
        with Queue("q", server.url) as queue:
            assert queue.add("work").id == "1"
        server.stop()
    server.stop()

    with pytest.raises(EmbeddedServerError, match="use it as `with Server"):
        _ = server.url


def test_two_are_two():
    with Server() as one, Server() as other:
        for server in (one, other):
            with Queue("q", server.url) as queue:
                assert queue.add("work").id == "1"


def test_a_program_that_is_no_server_is_an_error(program):
    (file,) = program("#!/bin/sh\necho this is no server\nexit 3\n", "odd")
    server = Server(Path(file))
    with pytest.raises(EmbeddedServerError, match=r"odd does not come up.*\n.*this is no server"):
        server.start()

    assert repr(server) == "<Server stopped>"


def test_nothing_is_left_when_its_start_is_interrupted(monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    server, folders = Server(), []
    made = tempfile.TemporaryDirectory
    monkeypatch.setattr(
        tempfile, "TemporaryDirectory", lambda **words: folders.append(made(**words)) or folders[-1]
    )
    monkeypatch.setattr(Server, "_answers", interrupted)
    with pytest.raises(KeyboardInterrupt):
        server.start()

    assert repr(server) == "<Server stopped>"
    assert [os.path.exists(folder.name) for folder in folders] == [False]


def test_a_folder_with_an_odd_name_is_one(monkeypatch):
    with tempfile.TemporaryDirectory(prefix="50% off, über ") as odd:
        monkeypatch.setattr(tempfile, "tempdir", odd)
        with Server() as server, Queue("q", server.url) as queue:
            assert queue.count() == 0


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_it_ends_with_whoever_started_it(number, wait):
    program = (
        "import redis\n"
        "from sandq.testing import Server\n"
        "with Server() as server:\n"
        "    client = redis.Redis.from_url(server.url, protocol=2)\n"
        "    print(client.info('server')['process_id'], flush=True)\n"
        "    input()\n"
    )
    tests = subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=REPOSITORY,
    )
    with tests:
        pid = int(tests.stdout.readline())

        assert psutil.pid_exists(pid)
        tests.send_signal(number)

    wait(lambda: not psutil.pid_exists(pid), "the server is gone")
