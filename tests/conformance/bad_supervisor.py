"""A small supervisor of one child, right about the cases it is tried with, unless it is told to
make a mistake: `python bad_supervisor.py [FAULT]`. A check that never fails proves nothing."""

import array
import contextlib
import ctypes
import fcntl
import json
import os
import resource
import selectors
import signal
import subprocess
import sys
import tempfile
import termios
import threading
import time
from collections import Counter

from sandq.protocol import messages
from sandq.protocol.machine import Conversation, Spoiled, State

FAULT = sys.argv[1] if len(sys.argv) > 1 else ""
LIMIT = (100 if FAULT == "no-line-bound" else 1) << 20
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 1, 36, 38
LIBC = ctypes.CDLL(None)
KEPT = []  # what a supervisor that leaks holds on to


def before_the_program():
    if FAULT != "dies-alone":
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    LIBC.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


class Child:
    """A process and its conversation."""

    def __init__(self, handler):
        environment = {
            "PATH": os.environ["PATH"], "SANDQ": "1", "SANDQ_PROTOCOL": "1",
            "SANDQ_MAX_LINE": str(LIMIT), "SANDQ_CHILD": f"{os.getpid()}-{time.monotonic_ns()}",
            **handler.get("env", {}),
        }  # fmt: skip
        if FAULT == "inherits-environment":
            environment = {**os.environ, **environment}
        if FAULT == "inherits-descriptors":
            os.set_inheritable(os.dup(0), True)
        if FAULT == "leaves-files":
            KEPT.append(tempfile.mkstemp())
        if FAULT == "leaves-threads":
            threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
        self.process = subprocess.Popen(
            handler["command"], env=environment, start_new_session=True, bufsize=0,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            preexec_fn=before_the_program,
            close_fds=FAULT != "inherits-descriptors",
        )  # fmt: skip
        self.talk = Conversation(LIMIT, strict=handler.get("strict", False))
        self.pidfd = os.pidfd_open(self.process.pid)
        self.began_s = time.monotonic()
        self.unsent, self.length = b"", 0
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            os.set_blocking(pipe.fileno(), False)
        if FAULT == "blocks":
            os.set_blocking(self.process.stdin.fileno(), True)

    def write(self, data=b""):
        self.unsent += data
        try:
            while self.unsent:
                self.unsent = self.unsent[os.write(self.process.stdin.fileno(), self.unsent) :]
        except BlockingIOError:
            pass
        except BrokenPipeError:
            self.length = len(self.unsent)

    def lend(self, line):
        self.length = len(line)
        self.write(line)

    def has_read(self):
        """Whether it has read anything of its job's line."""
        unread = array.array("i", [0])
        fcntl.ioctl(self.process.stdin.fileno(), termios.FIONREAD, unread)
        return unread[0] < self.length - len(self.unsent)

    def read(self):
        """What it has said; None when its output has ended."""
        try:
            data = os.read(self.process.stdout.fileno(), 65536)
        except BlockingIOError:
            return []
        return self.talk.receive(data) if data else None

    def signal(self, number):
        (os.kill if FAULT == "kills-the-leader" else os.killpg)(self.process.pid, number)
        os.kill(self.process.pid, signal.SIGCONT)

    def close(self):
        """Kill all that is left of it: its group, and what has become ours."""
        if FAULT not in ("kills-the-leader", "dies-alone"):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        while FAULT != "kills-the-leader" and (strays := ours()):
            for pid in strays:
                with contextlib.suppress(ProcessLookupError, ChildProcessError):
                    os.kill(pid, signal.SIGKILL)
                    os.waitpid(pid, 0)
        os.close(self.pidfd)
        if FAULT == "leaves-pipes":
            KEPT.append(self.process)
        else:
            for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
                pipe.close()


def ours():
    with open(f"/proc/self/task/{os.getpid()}/children") as children:
        return [int(word) for word in children.read().split()]


class Supervisor:
    def __init__(self, settings):
        self.handler, self.grace_s = settings["handler"], settings["kill_grace_ms"] / 1000
        self.child = None
        self.states, self.kinds = Counter(), Counter()
        self.releases = self.started = self.failed = 0

    def fresh(self):
        """A child that has lived long enough to be ready, or none."""
        if FAULT == "storms" and self.started:
            for child in [Child(self.handler) for _ in range(10)]:
                child.process.wait()
                child.close()
        self.child, self.started = Child(self.handler), self.started + 1
        while time.monotonic() < self.child.began_s + 0.05 and not self.child.talk.full:
            if self.look(0.01) == "gone":
                self.failed += 1
                self.drop()
                time.sleep(min(1, 0.1 * 2**self.failed))
                return False
        return True

    def drop(self):
        if self.child is not None:
            child, self.child = self.child, None
            if child.process.poll() is None and FAULT != "lets-go":
                child.process.kill()
            if FAULT != "lets-go":
                child.close()
                self.code = child.process.returncode

    def look(self, wait_s):
        """Wait for the child, its pipes or its end; the answer is what was seen."""
        child = self.child
        with selectors.DefaultSelector() as selector:
            selector.register(child.process.stdout, selectors.EVENT_READ)
            selector.register(child.process.stderr, selectors.EVENT_READ)
            if FAULT != "waits-for-the-pipe":
                selector.register(child.pidfd, selectors.EVENT_READ)
            if child.unsent:
                selector.register(child.process.stdin, selectors.EVENT_WRITE)
            seen = {key.fileobj for key, _ in selector.select(wait_s)}
        if child.process.stderr in seen:
            data = os.read(child.process.stderr.fileno(), 65536)
            KEPT.append(data) if FAULT == "keeps-everything" else None
        if child.process.stdin in seen:
            child.write()
        events = child.read() if child.process.stdout in seen else []
        if events is None:
            if FAULT == "waits-for-the-pipe":
                return "gone"
            events = []
            self.mute = time.monotonic() if self.mute is None else self.mute
            if time.monotonic() - self.mute > 0.5 and FAULT != "likes-silence":
                return "gone"
        if child.pidfd in seen:
            while more := child.read():
                events += more
            return events or "gone"
        return events

    mute = None

    def run(self, job):
        for tries in range(4):
            told = self.attempt(job)
            if told[0] != "released" or tries == 3:
                break
        state, kind, message, value = told
        self.releases += tries + (state == "released")
        self.states[state] += 1
        self.kinds[kind] += kind is not None
        line = {"id": job["id"], "state": state, "kind": kind, "value": value, "message": message}
        releases = tries + (state == "released")
        dead = state == "failed" and kind != "error" and self.code is not None and self.code < 0
        death = {"signal": signal.Signals(-self.code).name} if dead else None
        tell({**line, "death": death, "releases": releases, "progress": self.progress})

    progress = code = None

    def attempt(self, job):
        if self.child is not None and FAULT != "trusts-the-idle" and not self.idle():
            self.drop()
        if self.child is None and not self.fresh():
            return ("released", None, "it does not start", None)
        child, timeout_ms = self.child, job.get("timeout_ms")
        self.progress = self.mute = None
        if FAULT == "reuses-the-spoiled" and child.talk.state is State.SPOILED:
            child.talk.state = State.IDLE
        child.talk.lend(job["id"])
        job = {"sandq": 1, "type": "job", **job}
        child.lend(json.dumps(job, separators=(",", ":")).encode() + b"\n")
        end_s = None if timeout_ms is None else time.monotonic() + timeout_ms / 1000
        ended = self.work(job, end_s)
        if ended is None:
            self.drop()
            return ("failed", "timed_out", f"no answer within {timeout_ms} ms", None)
        return ended

    def idle(self):
        """Whether the child is still there, and has kept silent."""
        while (seen := self.look(0)) != "gone":
            if any(isinstance(event, Spoiled) for event in seen):
                return FAULT == "reuses-the-spoiled"
            if not seen:
                return True
        return False

    def work(self, job, end_s):
        """What comes of the job; None: its time is over, and the grace as well."""
        told = killed = False
        while True:
            now_s = time.monotonic()
            if end_s is not None and now_s >= end_s and FAULT != "has-no-clock":
                late_s = 5 if FAULT == "is-late" else 0
                if not told:
                    self.child.signal(signal.SIGTERM)
                    told = True
                elif now_s >= end_s + self.grace_s + late_s and not killed:
                    killed = True
                    if FAULT != "is-polite":
                        self.child.signal(signal.SIGKILL)
            seen = self.look(0.005)
            if seen == "gone":
                return None if told else self.gone()
            ended = self.heard(seen, job)
            if ended is not None and not told:
                return ended

    def heard(self, events, job):
        """What comes of the job by what was said; an answer counts when no second one follows."""
        ended = None
        for event in events:
            if ended is None or (isinstance(event, Spoiled) and FAULT != "keeps-no-probation"):
                ended = self.hear(event, job) or ended
        if ended is not None and self.child is not None and not self.child.talk.full:
            time.sleep(0.005)
            for event in self.child.read() or []:
                if isinstance(event, Spoiled) and FAULT != "keeps-no-probation":
                    return self.hear(event, job)
        return ended

    def gone(self):
        has_read = self.child.has_read()
        self.drop()
        if not has_read and FAULT != "eats-jobs":
            return ("released", None, "it has not read", None)
        return ("failed", "crashed", f"exit code {self.code}", None)

    def hear(self, event, job):
        match event:
            case messages.Answer(value=value, failure=None):
                return ("completed", None, None, json.loads(value))
            case messages.Answer(failure=failure):
                if FAULT == "hides-errors":
                    return ("completed", None, None, failure.message)
                kind = failure.kind.value
                return ("failed", kind, failure.message, None)
            case messages.Progress(value=value):
                self.progress = json.loads(value)
            case messages.Noise(line=line) if FAULT == "believes-noise":
                return ("completed", None, None, line.decode("utf-8", "replace"))
            case messages.Ask() if FAULT != "never-replies":
                refusal = messages.refusal_line(event, "sandq.not_allowed", "no")
                self.child.write(refusal)
            case Spoiled(kind=kind, reason=reason):
                if FAULT == "reuses-the-spoiled":
                    self.child.talk.state = State.IDLE
                else:
                    self.drop()
                return ("failed", kind.value, reason, None)
        return None

    def metrics(self):
        failures = {kind: count for kind, count in self.kinds.items() if count}
        lie = 1 if FAULT == "miscounts" else 0
        return {
            "jobs": dict(self.states), "failures": failures, "releases": self.releases + lie,
            "children": self.started, "failed_starts": self.failed,
        }  # fmt: skip


def tell(line):
    print(json.dumps(line), flush=True)


def main():
    if FAULT != "dies-alone":
        LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1)
    supervisor = Supervisor(json.loads(sys.stdin.readline()))
    for text in sys.stdin:
        line = json.loads(text)
        if "cancel" not in line:
            supervisor.run(line)
    supervisor.drop()
    tell({"metrics": supervisor.metrics()})


main()
