"""Our side of a fork server: it is started, has children forked inside its walls, and is ended.

sandq/child/forkserver tells what it does. It is a child of the spawner, which holds the children
that are forked to the limits of all their processes together.
"""

import asyncio
import os
import signal
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio

from sandq.child.link import Exit, Link, StartFailed, WallsFailed
from sandq.child.spawn import Pipes, Spawner, Started
from sandq.child.tail import Tail
from sandq.isolation.confine import inodes
from sandq.isolation.confinement import Confinement
from sandq.isolation.place import FORK_SERVER
from sandq.isolation.program import python_command
from sandq.model.handler import Handler
from sandq.model.outcome import LimitHit
from sandq.model.sandbox import Net

_PROGRAM = Path(__file__).with_name("forkserver")

#: A server whose modules take longer to load is given up, in seconds.
READY_WITHIN_S = 60

#: Most children are gone by then: those that are not are held to the limits of all their processes
#: together from then on, in seconds.
WATCH_AFTER_S = 0.05

#: Of what a server writes to its standard error, the last so many bytes are shown when it fails.
_SAID_BYTES = 2048

#: The number of its end of the socket.
_SOCKET = 3

# these are of one child; and under them the helper for handlers would take the server's streams
_NOT_OF_THE_SERVER = ("SANDQ_PROTOCOL", "SANDQ_FD", "SANDQ_RESULT_FILE", "SANDQ_POOL_KEY")


class ForkServer:
    """The fork server of one handler, from before its start on."""

    def __init__(
        self, spawner: Spawner, handler: Handler, path: str, confinement: Confinement
    ) -> None:
        self._spawner = spawner
        self._handler = handler
        self._path = path
        self._confinement = confinement
        self._turn = anyio.Lock()
        self._link: Link | None = None
        self._failure: StartFailed | None = None
        self._said = Tail(_SAID_BYTES)
        # whose its children are, where that is another user than ours
        self._uid: int | None = None
        # a child's pid for us -> for the server
        self._inner: dict[int, int] = {}
        self._busy = 0
        self._retired = False

    def fits(self, path: str, confinement: Confinement) -> bool:
        """Whether it makes such children, and is not dead."""
        lives = self._link is None or self._link.open

        return lives and self._path == path and self._confinement == confinement

    async def be_ready(self, env: dict[str, str]) -> None:
        """Start it unless it runs; raises StartFailed, for all who wait for the same start."""
        if self._link is not None:
            return

        async with self._turn:
            if self._failure is not None:
                raise self._failure
            if self._link is None:
                try:
                    self._link = await self._start(env)
                except StartFailed as error:
                    self._failure = error
                    raise

    async def spawn(self, env: dict[str, str], on_end: Callable[[int, Exit], None]) -> Started:
        """Start a child. `on_end` is told its pid and its end. Raises StartFailed."""
        assert self._link is not None
        self._busy += 1
        try:
            pipes = Pipes(self._handler)
            try:
                if self._uid is not None:
                    for fd in pipes.theirs:
                        os.fchown(fd, self._uid, self._uid)
                pid = await self._fork(self._link, env, pipes.theirs, on_end)
            except BaseException:
                pipes.close(pipes.ours)
                raise
            finally:
                pipes.close(pipes.theirs)
        finally:
            self._left()

        return Started(pid, *pipes.ours)

    def kill(self, pid: int, signum: int) -> None:
        """Send a signal to a child's process group."""
        if self._link is not None and pid in self._inner:
            self._link.tell({"op": "kill", "pid": self._inner[pid], "signal": signum})

    def retire(self) -> None:
        """End when the last child has ended."""
        self._busy += 1
        self._retired = True
        self._left()

    def close(self) -> None:
        """End, and every child with it."""
        self._said.close()
        if self._link is not None:
            self._link.close()

    def _left(self) -> None:
        self._busy -= 1
        if self._retired and not self._busy:
            self.close()

    async def _start(self, env: dict[str, str]) -> Link:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        link = Link(ours, f"the fork server of handler {self._handler}", self._said.close)
        try:
            with theirs, anyio.fail_after(READY_WITHIN_S):
                pid = await self._launch(env, theirs.fileno())
                theirs.close()
                answer = (await link.ask(self._order())).message
            if "text" in answer:
                raise WallsFailed(f"handler {self._handler} cannot be started: {answer['text']}")
            self._uid = _other_user(pid)
        except TimeoutError:
            link.close()
            raise StartFailed(
                f"handler {self._handler} cannot be started: its fork server was not ready within "
                f"{READY_WITHIN_S} s; is anything in `preload` slow?"
            ) from None
        except StartFailed as error:
            said = self._said.read()
            link.close()
            raise type(error)(f"{error}: {said}" if said else str(error)) from None
        except BaseException:
            link.close()
            raise

        return link

    async def _launch(self, env: dict[str, str], number: int) -> int:
        # pipes, as its children have: what it knows of its streams is so of theirs
        nothing, nobody = os.pipe2(os.O_CLOEXEC)
        said = self._said.open()
        try:
            fds = (nothing, said, said, number)
            return await self._spawner.launch(self._handler, self._request(env), fds, _let_go)
        finally:
            for fd in (nothing, nobody, said):
                os.close(fd)

    def _request(self, env: dict[str, str]) -> dict[str, Any]:
        walls = self._confinement.walls
        folder = str(_PROGRAM)
        if walls is not None:
            # the filter and the limits are for its children
            walls, folder = {**walls, "seccomp": None, "inside": {}}, FORK_SERVER

        return {
            "op": "spawn",
            "argv": [self._path, *_flags(self._handler), folder, str(_SOCKET)],
            "path": self._path,
            "env": {name: env[name] for name in env if name not in _NOT_OF_THE_SERVER},
            "cwd": self._confinement.cwd,
            "rlimits": {"RLIMIT_CORE": 0},
            "no_new_privileges": True,
            "walls": walls,
            "watch": {},
            "cgroup": None,
        }

    def _order(self) -> dict[str, Any]:
        confinement, sandbox = self._confinement, self._handler.sandbox

        return {
            "op": "open",
            "preload": confinement.preload,
            "words": confinement.fork,
            "rlimits": confinement.rlimits,
            "disk": sandbox.disk,
            "inodes": None if sandbox.disk is None else inodes(sandbox.disk),
            "net": sandbox.net is Net.HOST,
            "seccomp": (confinement.walls or {}).get("seccomp"),
        }

    async def _fork(
        self,
        link: Link,
        env: dict[str, str],
        fds: tuple[int, ...],
        on_end: Callable[[int, Exit], None],
    ) -> int:
        answer = await link.ask({"op": "spawn", "env": env}, fds)
        if "text" in answer.message:
            text = answer.message["text"]
            raise WallsFailed(f"handler {self._handler} cannot be started: {text}")

        inner = answer.message["pid"]
        pid = _pid_of(answer.fd)
        watched = False

        def watch() -> None:
            nonlocal watched
            watched = True
            self._spawner.watch(pid, self._confinement)

        def ended(end: Exit) -> None:
            self._inner.pop(pid, None)
            watching.cancel()
            limit = self._spawner.unwatch(pid) if watched else None
            self._left()
            on_end(pid, replace(end, limit=limit or self._past_processor_time(end)))

        watching = asyncio.get_running_loop().call_later(WATCH_AFTER_S, watch)
        try:
            link.expect_end(inner, ended)
        except StartFailed:
            watching.cancel()
            raise
        self._busy += 1
        if pid:
            self._inner[pid] = inner
        else:
            watching.cancel()

        return pid

    def _past_processor_time(self, end: Exit) -> LimitHit | None:
        """The limit that the kernel has ended a child for; it kills the first process of a
        namespace with SIGKILL alone."""
        limit = self._confinement.rlimits.get("RLIMIT_CPU")
        if limit is not None and end.status == signal.SIGKILL and end.cpu_s >= limit:
            return LimitHit("cpu", limit, round(end.cpu_s))

        return None


def _flags(handler: Handler) -> tuple[str, ...]:
    """Those of its interpreter."""
    parts = python_command(handler.command)
    if parts is None:
        raise StartFailed(f"handler {handler} cannot be forked: it is no command of Python")

    return parts[0]


def _pid_of(pidfd: int | None) -> int:
    """The process behind a descriptor, which is closed; 0 when it is gone."""
    if pidfd is None:
        return 0
    try:
        with open(f"/proc/self/fdinfo/{pidfd}") as stream:
            number = next(int(line[4:]) for line in stream if line.startswith("Pid:"))
    finally:
        os.close(pidfd)

    return max(number, 0)


def _other_user(pid: int) -> int | None:
    """The user of a process, where that is another than ours."""
    with open(f"/proc/{pid}/status", encoding="latin-1", newline="\n") as stream:
        uid = next(int(line.split()[1]) for line in stream if line.startswith("Uid:"))

    return uid if uid != os.getuid() else None


def _let_go(_: Exit) -> None:
    """The end of a server is heard on its socket."""
