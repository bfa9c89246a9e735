"""A handler at the other end of its pipes, as the supervisor drives it: no Redis, no sandq."""

import os
import selectors
import subprocess
import sys
import time
from pathlib import Path

import orjson
import pytest

ROOT = Path(__file__).parents[2]
SDK = ROOT / "handlers" / "sdk"

#: Longest wait for anything, in seconds; only a hang comes near it.
DEADLINE_S = 20.0

#: Puts a pipe on descriptor 3 and becomes the program; a shell knows no descriptor above 9.
ON_DESCRIPTOR_3 = "import os, sys; os.dup2({0}, 3); os.execvp(sys.argv[1], sys.argv[1:])"


class Child:
    """A running handler; every read has a deadline.

    - `channel`: "stdout" or "fd3"; `stdout`, `stderr`: what it wrote there beside its messages.
    """

    def __init__(self, command, *, channel="stdout", sandq=True, **env):
        self.stdout = self.stderr = self._said = b""
        self._pipe = os.pipe() if channel == "fd3" else ()
        if self._pipe:
            command = [sys.executable, "-SEc", ON_DESCRIPTOR_3.format(self._pipe[1]), *command]
            env["SANDQ_FD"] = "3"
        self.process = subprocess.Popen(
            [str(word) for word in command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            pass_fds=self._pipe[1:],
            start_new_session=True,
            env={
                "PATH": os.environ["PATH"],
                **({"SANDQ_PROTOCOL": "1"} if sandq else {}),
                **{name: str(value) for name, value in env.items()},
            },
        )
        self._messages = self.process.stdout.fileno()
        if self._pipe:
            os.close(self._pipe[1])
            self._messages = self._pipe[0]
        self._open = selectors.DefaultSelector()
        for descriptor in {self._messages, self.process.stdout.fileno()}:
            self._open.register(descriptor, selectors.EVENT_READ)
        self._open.register(self.process.stderr.fileno(), selectors.EVENT_READ)

    # --- to the child

    def write(self, text):
        self.process.stdin.write(text)

    def say(self, **members):
        self.write(orjson.dumps({"sandq": 1, **members}) + b"\n")

    def send(self, data=None, job_id="7", **members):
        """Write one job line, as the supervisor does."""
        self.write(job_line(data, job_id, **members))

    def ask(self, data=None, **members):
        self.send(data, **members)

        return self.receive()

    # --- from the child

    def _pump(self, until):
        ready = self._open.select(max(0, until - time.monotonic()))
        assert ready, f"nothing came from the child; it wrote {self.stderr!r}"
        for key, _ in ready:
            chunk = os.read(key.fd, 65536)
            if not chunk:
                self._open.unregister(key.fd)
            if key.fd == self._messages:
                self._said += chunk
            elif key.fd == self.process.stderr.fileno():
                self.stderr += chunk
            else:
                self.stdout += chunk

    def read(self):
        """One line of the conversation, as bytes; b"" at its end."""
        until = time.monotonic() + DEADLINE_S
        while b"\n" not in self._said and self._messages in self._open.get_map():
            self._pump(until)

        line, newline, self._said = self._said.partition(b"\n")
        return line + newline

    def receive(self):
        """One message; the parser is the supervisor's, which is stricter than most."""
        line = self.read()
        assert line, f"the conversation has ended; it wrote {self.stderr!r}"

        return orjson.loads(line)

    def until_stderr(self, text):
        """Read until the child has written this to standard error."""
        until = time.monotonic() + DEADLINE_S
        while text not in self.stderr:
            self._pump(until)

    def end(self):
        """Close its input; what it still says, and its exit code."""
        if not self.process.stdin.closed:
            self.process.stdin.close()
        until = time.monotonic() + DEADLINE_S
        while self._open.get_map():
            self._pump(until)
        lines, self._said = self._said.splitlines(), b""

        return [orjson.loads(line) for line in lines], self.process.wait(DEADLINE_S)

    def close(self):
        self.process.kill()
        self.process.wait(DEADLINE_S)
        self._open.close()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            stream.close()
        for descriptor in self._pipe[:1]:
            os.close(descriptor)


def job_line(data=None, job_id="7", **members):
    job = {
        "sandq": 1, "type": "job", "id": job_id, "name": "resize", "queue": "images", "data": data,
        "timestamp": 1700000000000, "delay": 0, "priority": 0, "attempt": 1, "max_attempts": 3,
        "stalls": 0, "timeout_ms": None, "heartbeat_ms": None, "opts": {"attempts": 3}, **members,
    }  # fmt: skip
    return orjson.dumps(job) + b"\n"


@pytest.fixture
def line():
    return job_line


@pytest.fixture
def deadline_s():
    return DEADLINE_S


@pytest.fixture
def sdk():
    return SDK


@pytest.fixture
def spawn():
    """Start commands; they are gone when the test is over."""
    children = []

    def spawn(command, **options):
        children.append(child := Child(command, **options))
        return child

    yield spawn
    for child in children:
        child.close()
