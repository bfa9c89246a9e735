"""The spawner's loop: requests come in, walls go up, limits are watched, ends are reported."""

import json
import os
import select
import signal
import socket
import time
from typing import Any

from . import report, signals, sweep, tree
from .becoming import fork
from .cgroup import Group, Groups
from .living import Child
from .oom import OomKills
from .poller import Poller
from .staging import Staging
from .system import PR_SET_CHILD_SUBREAPER, prctl, prepare_for_children
from .walls import Walls
from .watchdog import LOOK_EVERY_S
from .watching import Watching

PACKET_BYTES = 1 << 20

#: Walls that do not stand after this are given up, in seconds: a mount that hangs, say.
STAND_WITHIN_S = 30


class Spawner:
    """Serves one supervisor, for as long as it is there."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.children: dict[int, Child] = {}
        # whose leader is dead, and the first process of whose walls is dying
        self.ending: dict[int, Child] = {}
        self.staging, self.groups = Staging(), Groups()
        self.spawned = 0
        self.oom_kills = OomKills()
        self.left: list[Group] = []
        self.poller = Poller()
        self.watching = Watching(self.children, self.send)
        self.gone = False

    def run(self) -> None:
        """Serve until the supervisor is gone; then nothing of its children is left."""
        prctl(PR_SET_CHILD_SUBREAPER, 1)
        prepare_for_children()
        self.wake_read, wake_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self.poller.hear(self.sock.fileno(), select.POLLIN, self.serve)
        self.poller.hear(self.wake_read, select.POLLIN, self.reap)
        next_s = 0.0
        try:
            while not self.gone:
                self.poller.turn(LOOK_EVERY_S if self.busy() else None)
                if self.busy() and time.monotonic() >= next_s:
                    self.look()
                    next_s = time.monotonic() + LOOK_EVERY_S
        except (BrokenPipeError, ConnectionResetError):
            pass
        finally:
            self.end_all()

    def busy(self) -> bool:
        """Whether anything is to be looked at from time to time."""
        rising = any(not child.up for child in self.children.values())

        return bool(rising or self.ending or self.left) or self.watching.busy()

    def send(self, message: dict[str, Any]) -> None:
        """Tell the supervisor."""
        self.sock.send(json.dumps(message).encode())

    # what the supervisor asks for

    def serve(self) -> None:
        """One request, or the end of the supervisor."""
        packet, fds, _, _ = socket.recv_fds(self.sock, PACKET_BYTES, 4)
        if not packet:
            self.gone = True
            return

        request = json.loads(packet)
        if request["op"] != "spawn":
            self.handle(request)
            return

        try:
            answer = self.spawn(request, fds)
        finally:
            for fd in fds:
                os.close(fd)
        if answer is not None:
            self.send({"n": request["n"], **answer})

    def handle(self, request: dict[str, Any]) -> None:
        """What is to be done to a process; one that is none of ours is passed over."""
        pid = request["pid"]
        child = self.children.get(pid)
        match request["op"]:
            case "watch":
                self.watching.name(pid, request["watch"])
            case "unwatch":
                self.watching.forget(pid)
            case "kill" if child is not None:
                signals.send(child, request["signal"])
            case "freeze" if child is not None:
                signals.freeze(child)
            case "thaw" if child is not None:
                signals.thaw(child)

    def spawn(self, request: dict[str, Any], fds: list[int]) -> dict[str, Any] | None:
        """Start a child; the answer is its pid, or the step that failed; None while walls go up."""
        self.spawned += 1
        self.oom_kills.forget()
        # nobody can guess it, and so be taken for another's
        child = Child(request, f"{os.getpid()}-{self.spawned}-{os.urandom(8).hex()}")
        taken = [*self.children.values(), *self.ending.values()]
        try:
            ours = {other.uid.number for other in taken if other.uid is not None}
            child.prepare(request, fds, self.staging, self.groups, ours)
            failure = fork(request, fds, child)
        except OSError as error:
            where = f": {error.filename}" if error.filename else ""
            failure = {"step": "walls", "text": f"{error.strerror}{where}"}
        if failure is not None:
            self.close(child)
            return failure

        self.children[child.pid] = child
        if child.walls is not None:
            child.until_s = time.monotonic() + STAND_WITHIN_S
            self.poller.hear(child.walls.status, select.POLLIN, lambda: self.walls_told(child))
            return None

        child.up = True

        return {"pid": child.pid}

    # walls going up

    def walls_told(self, child: Child) -> None:
        """bubblewrap has told something, or has ended without a word."""
        walls = _walls(child)
        told = walls.hear()
        if walls.init:
            self.poller.forget(walls.status)
            try:
                walls.open_gate()
            except OSError as error:
                self.give_up(child, f"limits inside: {error}")
            else:
                # no event but that nobody can read from it any more
                self.poller.hear(walls.gate, 0, lambda: self.walls_stand(child))
        elif not told:
            self.poller.forget(walls.status)

    def walls_stand(self, child: Child) -> None:
        """The first process in the walls has gone through the gate, or has ended."""
        walls = _walls(child)
        self.poller.forget(walls.gate)
        if walls.stand():
            self.tell_up(child)

    def tell_up(self, child: Child) -> None:
        """The answer to the request: it is there."""
        child.up = True
        self.send({"n": child.number, "pid": child.pid})

    def give_up(self, child: Child, why: str) -> None:
        """Its walls are not to be had: what is there of it dies."""
        child.trouble = why
        signals.kill(child)

    # limits

    def look(self) -> None:
        """What is done from time to time while there is something to be watched."""
        now_s = time.monotonic()
        for child in self.children.values():
            if not child.up and now_s > child.until_s:
                self.give_up(child, f"bubblewrap was killed after {STAND_WITHIN_S} s")
        self.watching.look()
        for child in list(self.ending.values()):
            if now_s > child.until_s:
                for message in self.last_words(child):
                    self.send(message)
        self.left = [group for group in self.left if not group.remove()]

    # ends

    def reap(self) -> None:
        """Wait for whatever has ended, and report children once all that they started is dead."""
        os.read(self.wake_read, 4096)
        while True:
            try:
                ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                ended = None
            if ended is None:
                return

            child = self.children.get(ended.si_pid)
            if child is not None:
                # the dead leader still reserves its group's number: no stranger can have it
                signals.kill(child)
                self.sweep(child)
            _, status, usage = os.wait4(ended.si_pid, 0)
            if child is not None:
                child.used(usage)
                self.ended(child, status)
            elif ended.si_pid in self.ending:
                child = self.ending.pop(ended.si_pid)
                child.used(usage)
                self.finish(child)

    def sweep(self, child: Child) -> None:
        """Kill what has left a dead child's group."""
        if child.walls is None:
            tags = [other.tag for other in self.children.values() if other is not child]
            for usage in sweep.kill_strays(tags, {*self.children, *self.ending}):
                child.used(usage)

    def ended(self, child: Child, status: int) -> None:
        """The leader is dead; with walls their first process may take a moment longer."""
        del self.children[child.pid]
        child.status = status
        init = child.walls.init if child.walls is not None else 0
        if init in tree.our_children():
            child.until_s = time.monotonic() + sweep.STRAY_WAIT_S
            self.ending[init] = child
        else:
            self.finish(child)

    def finish(self, child: Child) -> None:
        """All of it is dead, and when that is told nothing of it is left."""
        messages = self.last_words(child)
        self.close(child)
        for message in messages:
            self.send(message)

    def last_words(self, child: Child) -> list[dict[str, Any]]:
        """What is to be told of the end of a child; nothing the second time."""
        if child.pid == 0:
            return []
        if child.group is not None:
            child.group.empty()
        if not child.up and child.walls is not None and child.walls.began():
            # its end was quicker than we
            self.tell_up(child)
        if child.up:
            killed = report.outcome(child, child.status) == signal.SIGKILL
            message = report.report(child, killed and self.oom_kills.more())
        else:
            message = report.failed_walls(child)
        child.pid = 0

        return [message]

    def close(self, child: Child) -> None:
        """Give back what a dead child had."""
        if child.walls is not None:
            self.poller.forget(child.walls.status)
            self.poller.forget(child.walls.gate)
        child.close()
        if child.group is not None and not child.group.remove():
            self.left.append(child.group)

    def end_all(self) -> None:
        """Kill every child and everything they started."""
        for child in self.children.values():
            signals.kill(child)
        while pids := tree.our_children():
            sweep.end_all(pids)
        for child in (*self.children.values(), *self.ending.values()):
            if child.group is not None and child.group.empty():
                child.group.remove()


def _walls(child: Child) -> Walls:
    assert child.walls is not None

    return child.walls


def main(number: int) -> None:
    """Serve the supervisor at the other end of a descriptor until it goes."""
    # a Ctrl-C in the terminal is the supervisor's business; unlike an ignored signal, one that
    # is handled here is back to its default in a child
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, lambda *_: None)
    Spawner(socket.socket(fileno=number)).run()
