"""Supervisors as processes of their own, to be signalled and killed."""

import json
import os
import signal
import subprocess
import sys

import pytest


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
