"""The supervisor's side of the spawner: start children, signal them, hear of their ends."""

import asyncio
import errno
import json
import os
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandq.child.command import explain
from sandq.errors import SupervisorError
from sandq.model.handler import Channel, Handler
from sandq.model.limits import Limits

_PROGRAM = Path(__file__).with_name("spawner.py")
_PACKET_BYTES = 1 << 20


class StartFailed(Exception):
    """A child could not be started; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Exit:
    """The end of a child: `status` as the system's wait gives it.

    `spawner_lost`: it ended because the spawner did, for no fault of its own. `oom`: the kernel
    has killed processes for want of memory at that time.
    """

    status: int
    cpu_s: float
    max_rss_kb: int
    spawner_lost: bool = False
    oom: bool = False


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
        self._socket: socket.socket | None = None
        self._numbered: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._ends: dict[int, Callable[[Exit], None]] = {}
        # a child can end before the one who asked for it has run again
        self._early: dict[int, Exit] = {}
        self._unsent: deque[tuple[bytes, tuple[int, ...]]] = deque()
        self._count = 0

    def start(self) -> None:
        """Start the process; raises SupervisorError when that fails."""
        if not sys.platform.startswith("linux"):
            raise SupervisorError(
                "running handlers as processes needs Linux; jobs can be added from anywhere"
            )
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

        ours.setblocking(False)
        self._socket = ours
        asyncio.get_running_loop().add_reader(ours, self._read)

    @property
    def running(self) -> bool:
        """Whether children can be started."""
        return self._socket is not None

    async def spawn(
        self, handler: Handler, path: str, env: dict[str, str], on_end: Callable[[Exit], None]
    ) -> Started:
        """Start a child. `on_end` is called when it has ended, never before this returns.

        Raises StartFailed.
        """
        pipes = _Pipes(handler)
        try:
            answer = await self._ask(handler, path, env, pipes)
        except BaseException:
            pipes.close(pipes.ours)
            raise
        finally:
            pipes.close(pipes.theirs)
        if "errno" in answer:
            pipes.close(pipes.ours)
            raise StartFailed(explain(handler, path, answer["step"], answer["errno"]))

        if not self.running:
            # it died between its answer and now, and the child with it
            pipes.close(pipes.ours)
            raise StartFailed("the spawner process has ended")

        pid = answer["pid"]
        early = self._early.pop(pid, None)
        if early is None:
            self._ends[pid] = on_end
        else:
            asyncio.get_running_loop().call_soon(on_end, early)

        return Started(pid, *pipes.ours)

    def kill(self, pid: int, signum: int) -> None:
        """Send a signal to a child's process group; harmless when it has ended."""
        if self._socket is not None:
            self._send(json.dumps({"op": "kill", "pid": pid, "signal": signum}).encode(), ())

    def close(self) -> None:
        """End the spawner and with it every child; waits for neither longer than 5 s."""
        self._drop_socket()
        if self._process is not None:
            process, self._process = self._process, None
            try:
                process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    async def _ask(
        self, handler: Handler, path: str, env: dict[str, str], pipes: "_Pipes"
    ) -> dict[str, Any]:
        self._count += 1
        number = self._count
        request = {
            "op": "spawn",
            "n": number,
            "argv": list(handler.command),
            "path": path,
            "env": env,
            "cwd": handler.cwd,
            "rlimits": _rlimits(handler.limits),
        }
        future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._numbered[number] = future
        try:
            self._send(json.dumps(request).encode(), pipes.theirs)
            return await future
        finally:
            self._numbered.pop(number, None)

    def _send(self, packet: bytes, fds: tuple[int, ...]) -> None:
        if self._socket is None:
            raise StartFailed("the spawner process has ended")

        self._unsent.append((packet, fds))
        if len(self._unsent) == 1:
            self._write()

    def _write(self) -> None:
        if self._socket is None:
            return

        loop = asyncio.get_running_loop()
        while self._unsent:
            packet, fds = self._unsent[0]
            try:
                socket.send_fds(self._socket, [packet], list(fds))
            except BlockingIOError:
                loop.add_writer(self._socket, self._write)
                return
            except OSError as error:
                self._unsent.popleft()
                if error.errno == errno.EMSGSIZE:
                    self._refuse(packet)
                    continue
                self._lost()
                return
            self._unsent.popleft()
        loop.remove_writer(self._socket)

    def _refuse(self, packet: bytes) -> None:
        future = self._numbered.get(json.loads(packet)["n"])
        if future is not None and not future.done():
            text = f"command and environment are {len(packet)} bytes long: too long to be passed on"
            future.set_exception(StartFailed(text))

    def _read(self) -> None:
        while self._socket is not None:
            try:
                packet = self._socket.recv(_PACKET_BYTES)
            except BlockingIOError:
                return
            except OSError:
                packet = b""
            if not packet:
                self._lost()
                return
            self._receive(json.loads(packet))

    def _receive(self, message: dict[str, Any]) -> None:
        if "exit" in message:
            end = Exit(
                message["status"],
                message["cpu_s"],
                message["max_rss_kb"],
                oom=message["oom"],
            )
            on_end = self._ends.pop(message["exit"], None)
            if on_end is None:
                self._early[message["exit"]] = end
            else:
                on_end(end)
            return

        future = self._numbered.get(message["n"])
        if future is not None and not future.done():
            future.set_result(message)
        elif "pid" in message:
            # who asked for it has gone: nobody will ever use this child
            self._ends[message["pid"]] = lambda _: None
            self.kill(message["pid"], 9)

    def _lost(self) -> None:
        """The spawner has died: its children die with it, killed by the kernel."""
        self._drop_socket()
        if self._process is not None:
            process, self._process = self._process, None
            process.kill()
            process.wait()
        # first another spawner, so that those who hear of the ends can start anew
        self._on_lost()
        for future in self._numbered.values():
            if not future.done():
                future.set_exception(StartFailed("the spawner process has ended"))
        ends, self._ends = self._ends, {}
        for on_end in ends.values():
            on_end(Exit(status=9, cpu_s=0.0, max_rss_kb=0, spawner_lost=True))

    def _drop_socket(self) -> None:
        if self._socket is not None:
            loop = asyncio.get_running_loop()
            loop.remove_reader(self._socket)
            loop.remove_writer(self._socket)
            self._socket.close()
            self._socket = None


class _Pipes:
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
        for fd in fds:
            os.close(fd)


def _rlimits(limits: Limits) -> dict[str, int]:
    wanted = {
        "RLIMIT_CORE": 0,
        "RLIMIT_CPU": limits.cpu,
        "RLIMIT_DATA": limits.memory,
        "RLIMIT_FSIZE": limits.file_size,
        "RLIMIT_NOFILE": limits.open_files,
    }

    return {name: value for name, value in wanted.items() if value is not None}
