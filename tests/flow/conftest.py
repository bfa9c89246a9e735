"""Supervisors as processes of their own, to be signalled and killed, and some of this process."""

import json
import os
import signal
import subprocess
import sys
from contextlib import AsyncExitStack

import anyio
import pytest

from sandq import Queue

DEADLINE_S = 30


class Supervisor:
    """`sandq run` with the options given; `started` is what it said when it had begun."""

    def __init__(self, url, queue, command, *options):
        words = ["run", *queue.split(), "--url", url, "--json", *options, "--", *command]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "sandq", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        self.started = json.loads(self.process.stdout.readline())
        self.worker = self.started["worker"]

    def signal(self, number):
        os.kill(self.process.pid, number)

    def wait(self, timeout=30):
        """Its exit code and its error output, once it has ended."""
        _, errors = self.process.communicate(timeout=timeout)
        return self.process.returncode, errors.decode()


@pytest.fixture
def supervisor(url):
    """Start a supervisor; what is still running when the test ends is killed."""
    running = []

    def start(queue, command, *options):
        running.append(Supervisor(url, queue, command, *options))
        return running[-1]

    yield start
    for one in running:
        if one.process.poll() is None:
            one.signal(signal.SIGKILL)
        one.process.communicate()


@pytest.fixture
def processes_of():
    """The pids whose environment names a worker: its children, and what they started."""

    def find(worker):
        wanted = f"SANDQ_WORKER={worker}".encode()
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/environ", "rb") as environment:
                    if wanted in environment.read().split(b"\0"):
                        found.append(int(pid))
            except OSError:
                continue
        return found

    return find


class Ran:
    """A handler that notes which occurrences of a series ran: their due times, in ms."""

    def __init__(self):
        self.due_ms = []
        self.data = []
        self._more = anyio.Event()

    async def __call__(self, job):
        self.due_ms.append(int(job.id.rpartition(":")[2]))
        self.data.append(job.data)
        self._more.set()
        return job.data

    async def at_least(self, count):
        """Return when so many have run."""
        with anyio.fail_after(DEADLINE_S):
            while len(self.due_ms) < count:
                self._more = anyio.Event()
                await self._more.wait()

    def without_gap(self, every_ms):
        """Whether each occurrence came from the first one on, and none twice."""
        first = min(self.due_ms)
        end = first + len(self.due_ms) * every_ms

        return sorted(self.due_ms) == list(range(first, end, every_ms))


@pytest.fixture
async def ran():
    return Ran()


@pytest.fixture
async def supervisors(url, ran):
    """Run supervisors of queue q in this process, with `ran` for their handler."""
    async with AsyncExitStack() as stack:

        async def start(count=1):
            handles = []
            for _ in range(count):
                queue = await stack.enter_async_context(Queue("q", url))
                queue.set_handler("*", ran)
                handles.append(await stack.enter_async_context(queue.run(concurrency=4)))
            return handles

        yield start


@pytest.fixture
async def until():
    """Ask again and again until an awaited condition holds; for what sends no event."""

    async def wait(condition):
        with anyio.fail_after(DEADLINE_S):
            while not (answer := await condition()):
                await anyio.lowlevel.checkpoint()

        return answer

    return wait
