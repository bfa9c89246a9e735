"""The supervisor's side of the spawner: start children, signal them, hear of their ends."""

import ctypes
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandq.child.command import explain
from sandq.child.link import Exit, Link, StartFailed, WallsFailed, read_limit
from sandq.errors import SupervisorError
from sandq.isolation.confinement import Confinement
from sandq.model.handler import Channel, Handler
from sandq.model.limits import Limits
from sandq.model.outcome import LimitHit

__all__ = ["Exit", "Pipes", "Spawner", "StartFailed", "Started", "WallsFailed"]

_PROGRAM = Path(__file__).with_name("spawner")
_PR_SET_DUMPABLE = 4

#: Of what bubblewrap says when it fails, so many bytes are shown.
_SAID_BYTES = 2048


@dataclass(frozen=True, slots=True)
class Started:
    """A new child: its pid and our ends of its pipes; `private` is that of descriptor 3."""

    pid: int
    stdin: int
    stdout: int
    stderr: int
    private: int | None = None


class Spawner:
    """Owns the spawner process. `on_lost` is called once if it dies before `close`."""

    def __init__(self, on_lost: Callable[[], None]) -> None:
        self._on_lost = on_lost
        self._process: subprocess.Popen[bytes] | None = None
        self._link: Link | None = None
        # limits that were passed by processes which it watches, but has not started
        self._hits: dict[int, LimitHit] = {}

    def start(self) -> None:
        """Start the process; raises SupervisorError when that fails."""
        if not sys.platform.startswith("linux"):
            raise SupervisorError(
                "running handlers as processes needs Linux; jobs can be added from anywhere"
            )
        _become_undumpable()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(_PROGRAM), str(theirs.fileno())],
                env={},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
            )
        except OSError as error:
            ours.close()
            raise SupervisorError(f"the spawner process cannot be started: {error}") from error
        finally:
            theirs.close()

        self._link = Link(ours, "the spawner process", self._lost, self._told)

    @property
    def running(self) -> bool:
        """Whether children can be started."""
        return self._link is not None and self._link.open

    async def spawn(
        self,
        handler: Handler,
        path: str,
        env: dict[str, str],
        on_end: Callable[[Exit], None],
        confinement: Confinement | None = None,
    ) -> Started:
        """Start a child. `on_end` is called when it has ended, never before this returns.

        Raises StartFailed.
        """
        pipes = Pipes(handler)
        try:
            request = _request(handler, path, env, confinement)
            pid = await self.launch(handler, request, pipes.theirs, on_end)
        except WallsFailed as error:
            pipes.close(pipes.theirs)
            said = _read(pipes.ours[2])
            pipes.close(pipes.ours)
            raise WallsFailed(f"{error}: {said}" if said else str(error)) from None
        except BaseException:
            pipes.close(pipes.theirs)
            pipes.close(pipes.ours)
            raise
        pipes.close(pipes.theirs)

        return Started(pid, *pipes.ours)

    async def launch(
        self,
        handler: Handler,
        request: dict[str, Any],
        fds: tuple[int, ...],
        on_end: Callable[[Exit], None],
    ) -> int:
        """Have a program started as the request says; the answer is its pid. Raises StartFailed."""
        if self._link is None:
            raise StartFailed("the spawner process has ended")

        message = (await self._link.ask(request, fds)).message
        if "text" in message:
            raise WallsFailed(f"handler {handler} cannot be started: {message['text']}")
        if "errno" in message:
            step, code = message["step"], message["errno"]
            raise StartFailed(explain(handler, request["path"], step, code))

        pid: int = message["pid"]
        self._link.expect_end(pid, on_end)

        return pid

    def kill(self, pid: int, signum: int) -> None:
        """Send a signal to a child's process group; harmless when it has ended."""
        self._tell({"op": "kill", "pid": pid, "signal": signum})

    def freeze(self, pid: int) -> None:
        """Stop a child and all it has started, until `thaw`."""
        self._tell({"op": "freeze", "pid": pid})

    def thaw(self, pid: int) -> None:
        """Let a child that was frozen go on."""
        self._tell({"op": "thaw", "pid": pid})

    def watch(self, pid: int, confinement: Confinement) -> None:
        """Hold a process that another has started to the limits of all its processes together."""
        self._tell({"op": "watch", "pid": pid, "watch": confinement.watch})

    def unwatch(self, pid: int) -> LimitHit | None:
        """It has ended; the answer is the limit that it was killed for."""
        if self._link is not None:
            # what is told of it was sent before it was killed
            self._link.read()
            self._link.tell({"op": "unwatch", "pid": pid})

        return self._hits.pop(pid, None)

    def close(self) -> None:
        """End the spawner and with it every child; waits for neither longer than 5 s."""
        if self._link is not None:
            self._link.close()
        if self._process is not None:
            process, self._process = self._process, None
            try:
                process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _tell(self, message: dict[str, Any]) -> None:
        if self._link is not None:
            self._link.tell(message)

    def _told(self, message: dict[str, Any]) -> None:
        hit = read_limit(message.get("limit"))
        if hit is not None and "limit_hit" in message:
            self._hits[message["limit_hit"]] = hit

    def _lost(self) -> None:
        if self._process is not None:
            process, self._process = self._process, None
            process.kill()
            process.wait()
        self._on_lost()


class Pipes:
    """Pipes to a child, three or four: our ends do not block and are not inherited."""

    def __init__(self, handler: Handler) -> None:
        pairs: list[tuple[int, int]] = []
        try:
            count = 4 if handler.channel is Channel.FD3 else 3
            pairs.extend(os.pipe2(os.O_CLOEXEC) for _ in range(count))
        except OSError as error:
            self.close(tuple(fd for pair in pairs for fd in pair))
            advice = "; allow more open files (ulimit -n), or make the pool smaller"
            raise StartFailed(f"handler {handler} cannot be started: {error}{advice}") from error
        (theirs, ours), *outputs = pairs
        self.theirs = (theirs, *(write for _, write in outputs))
        self.ours = (ours, *(read for read, _ in outputs))
        for fd in self.ours:
            os.set_blocking(fd, False)

    def close(self, fds: tuple[int, ...]) -> None:
        """Close some of them."""
        for fd in fds:
            os.close(fd)


def _request(
    handler: Handler, path: str, env: dict[str, str], confinement: Confinement | None
) -> dict[str, Any]:
    if confinement is None:
        confinement = Confinement(cwd=handler.cwd, rlimits=_rlimits(handler.limits))

    return {
        "op": "spawn",
        "argv": list(handler.command),
        "path": path,
        "env": env,
        "cwd": confinement.cwd,
        "rlimits": confinement.rlimits,
        "no_new_privileges": confinement.no_new_privileges,
        "walls": confinement.walls,
        "watch": confinement.watch,
        "cgroup": confinement.cgroup,
    }


def _rlimits(limits: Limits) -> dict[str, int]:
    wanted = {
        "RLIMIT_CORE": 0,
        "RLIMIT_CPU": limits.cpu,
        "RLIMIT_DATA": limits.memory,
        "RLIMIT_FSIZE": limits.file_size,
        "RLIMIT_NOFILE": limits.open_files,
    }

    return {name: value for name, value in wanted.items() if value is not None}


def _become_undumpable() -> None:
    """No process of the same user may trace this one, or read its memory or its environment."""
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def _read(fd: int) -> str:
    """What is in a pipe now, as one line."""
    with suppress(BlockingIOError):
        return " ".join(os.read(fd, _SAID_BYTES).decode(errors="replace").split())

    return ""
