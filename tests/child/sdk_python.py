"""What tests of the Python SDK share: a real child at the end of its pipes."""

import os
import select
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import orjson

ROOT = Path(__file__).parents[2]
DEADLINE_S = 20.0

HELLO = (
    b'{"sandq":1,"type":"hello","version":1,"sdk":"python",'
    b'"caps":["progress","log","heartbeat","emit","call","ping","welcome"]}\n'
)
#: Of a handler that ends a job when it is told to.
HELLO_CANCELLABLE = HELLO.replace(b'"caps":[', b'"caps":["cancel",')

ECHO = """
from sandq.handler import serve
serve(lambda job: job.data)
"""


class Child:
    """A handler driven as the supervisor drives it; every read has a deadline.

    `channel` is where its answers come from: "stdout", "fd" or "file".
    """

    def __init__(self, folder, source, *, sandq=True, channel="stdout", **env):
        program = folder / "program.py"
        program.write_text(textwrap.dedent(source))
        self._log = folder / "stderr"
        self.file = folder / "answer"
        inner = -1
        if channel == "fd":
            self._answers, inner = os.pipe()
            env["SANDQ_FD"] = str(inner)
        elif channel == "file":
            self.file.touch()
            env["SANDQ_RESULT_FILE"] = str(self.file)
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, program],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                bufsize=0,
                pass_fds=[inner] if channel == "fd" else [],
                env={
                    "PATH": os.environ["PATH"],
                    "PYTHONPATH": str(ROOT),
                    **({"SANDQ_PROTOCOL": "1"} if sandq else {}),
                    **env,
                },
            )
        if channel == "fd":
            os.close(inner)
        else:
            self._answers = os.dup(self.process.stdout.fileno())
        self._rest = b""

    def write(self, text):
        view = memoryview(text)
        while view:
            view = view[self.process.stdin.write(view) :]

    def send(self, data=None, job_id="7", **members):
        """Write one job line, as the supervisor does."""
        self.write(job_line(data, job_id, **members))

    def say(self, **members):
        """Write one message."""
        self.write(message(**members))

    def cancel(self, reason="cancel", job_id="7", grace_ms=4000):
        self.say(type="cancel", id=job_id, reason=reason, grace_ms=grace_ms)

    def reply(self, call, value):
        """Carry out a call that was received."""
        self.say(type="reply", id=call["id"], re=call["re"], ok=True, value=value)

    def refuse(self, call, kind, text="no"):
        error = {"type": kind, "message": text}
        self.say(type="reply", id=call["id"], re=call["re"], ok=False, error=error)

    def waiting(self, timeout_s=0.0):
        """Whether the child has said something that was not read yet."""
        return bool(self._rest) or bool(select.select([self._answers], [], [], timeout_s)[0])

    def read(self):
        """One line, as bytes; b"" at the end of the stream."""
        deadline = time.monotonic() + DEADLINE_S
        while b"\n" not in self._rest:
            ready, _, _ = select.select(
                [self._answers], [], [], max(0, deadline - time.monotonic())
            )
            assert ready, f"no line from the child; its log: {self.log()}"
            chunk = os.read(self._answers, 65536)
            if not chunk:
                break
            self._rest += chunk

        line, newline, self._rest = self._rest.partition(b"\n")
        return line + newline

    def receive(self):
        """One message; the parser is the supervisor's, which is stricter than Python's own."""
        return orjson.loads(self.read())

    def ask(self, data=None, **members):
        self.send(data, **members)
        return self.receive()

    def end(self):
        """Close its input; what it still writes, and its exit code."""
        self.process.stdin.close()
        rest = []
        while line := self.read():
            rest.append(line)

        return rest, self.process.wait(DEADLINE_S)

    def hang_up(self):
        """Be gone, as far as its answers can tell."""
        self.process.stdout.close()
        os.close(self._answers)
        self._answers = -1

    def log(self):
        return self._log.read_text("utf-8", "replace")

    def close(self):
        self.process.kill()
        self.process.wait(DEADLINE_S)
        self.process.stdin.close()
        self.process.stdout.close()
        if self._answers >= 0:
            os.close(self._answers)


def children(tmp_path):
    """Start a handler from its source; its hello has been read unless the test wants it.

    A module makes it a fixture of its own: `sdk_child = pytest.fixture(children)`.
    """
    started = []

    def start(source, *, hello=True, **options):
        folder = tmp_path / f"child-{len(started)}"
        folder.mkdir()
        started.append(child := Child(folder, source, **options))
        if hello and options.get("channel") != "file":
            assert child.read() in (HELLO, HELLO_CANCELLABLE), child.log()
        return child

    yield start
    for child in started:
        child.close()


def message(**members):
    return orjson.dumps({"sandq": 1, **members}) + b"\n"


def job_line(data=None, job_id="7", **members):
    job = {
        "type": "job", "id": job_id, "name": "resize", "queue": "images", "data": data,
        "timestamp": 1700000000000, "delay": 0, "priority": 0, "attempt": 1, "max_attempts": 3,
        "stalls": 0, "timeout_ms": None, "heartbeat_ms": None, "opts": {"attempts": 3}, **members,
    }  # fmt: skip
    return message(**job)


def run_python(source, **env):
    """What a program prints that has the SDK and no conversation."""
    return subprocess.run(
        [sys.executable, "-S", "-c", textwrap.dedent(source)],
        env={"PYTHONPATH": str(ROOT), **env},
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=True,
    ).stdout
