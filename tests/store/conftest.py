"""Servers on TCP ports of their own: the nodes of clusters, primaries, replicas, Sentinels."""

import contextlib
import random
import signal
import socket
import subprocess
import time

import pytest
import redis

from tests.store.bench import Bench

#: The bus of a cluster's node is this far above its port.
BUS = 10_000

#: Longest wait for a server to answer, in seconds; only a hang comes near it.
DEADLINE_S = 30


def free_port():
    """A port below those the system gives away by itself, whose bus port is free as well."""
    while True:
        port = random.randrange(12_000, 22_000)
        try:
            for number in (port, port + BUS):
                with socket.socket() as tried:
                    tried.bind(("127.0.0.1", number))
        except OSError:
            continue
        return port


class TcpServer:
    """One server, without persistence; `words` are its options. Killed when the test ends."""

    def __init__(self, binary, folder, *words):
        until = time.monotonic() + DEADLINE_S
        while True:
            assert time.monotonic() < until, f"no server starts with {words}"
            self.port = free_port()
            self.folder = folder / str(self.port)
            self.folder.mkdir()
            self.process = subprocess.Popen(
                [binary, *self.options(), *words],
                cwd=self.folder,
                stdout=subprocess.DEVNULL,
            )
            self.client = redis.Redis(port=self.port, protocol=2)
            if self.answers(until):
                return
            self.stop()

    def options(self):
        return (
            *("--port", str(self.port), "--bind", "127.0.0.1", "--save", ""),
            # a replica is served when it comes
            *("--repl-diskless-sync-delay", "0"),
        )

    def answers(self, until):
        """Whether this very process answers; not so if another one was first at its port."""
        while self.process.poll() is None and time.monotonic() < until:
            try:
                return self.client.info("server")["process_id"] == self.process.pid
            except redis.ConnectionError:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self.process.wait(0.01)
        return False

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def is_replicated(self, key="mark"):
        """Whether its replica has all that was written until now; writes a key for that."""
        # WAIT waits for what its own connection has written
        self.client.set(key, 1)
        return self.client.wait(1, DEADLINE_S * 1000) == 1

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(DEADLINE_S)

    def stop(self):
        self.client.close()
        if self.process.poll() is None:
            self.kill()


class SentinelServer(TcpServer):
    """A Sentinel that watches one primary, alone; on a busy machine nobody is soon given up."""

    def __init__(self, binary, folder, primary, name="jobs"):
        self.watched = (primary, name)
        super().__init__(binary, folder)

    def options(self):
        primary, name = self.watched
        lines = (
            f"port {self.port}",
            "bind 127.0.0.1",
            f"sentinel monitor {name} 127.0.0.1 {primary.port} 1",
            f"sentinel down-after-milliseconds {name} {DEADLINE_S * 1000}",
            f"sentinel failover-timeout {name} 2000",
        )
        # a Sentinel keeps what it learns in its configuration
        (self.folder / "sentinel.conf").write_text("\n".join(lines))

        return ("sentinel.conf", "--sentinel")


@pytest.fixture(scope="module")
def tcp_server(redis_binary, tmp_path_factory):
    """Start a server with these options, or another kind of it; all are killed at the end."""
    folder = tmp_path_factory.mktemp("servers")
    running = []

    def start(*words, kind=TcpServer):
        running.append(kind(redis_binary, folder, *words))
        return running[-1]

    yield start
    for server in running:
        server.stop()


@pytest.fixture(scope="module")
def sentinel_server(tcp_server):
    """Start a Sentinel that watches a primary."""
    return lambda primary: tcp_server(primary, kind=SentinelServer)


@pytest.fixture
def closed_port():
    """A port that nobody listens on."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


@pytest.fixture
def bench(each_server):
    """Queue q on each server, under a clock that the test sets."""
    bench = Bench(each_server)
    yield bench
    bench.store.close()


@pytest.fixture
def one_bench(server):
    """The same on one server only, for what is not cheap."""
    bench = Bench(server)
    yield bench
    bench.store.close()
