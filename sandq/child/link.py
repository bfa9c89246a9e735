"""Our side of a conversation with a process that has children: the spawner, or a fork server.

Requests have numbers, answers bear them; the ends of its children come by themselves. Nothing here
waits: what cannot be sent yet is sent when the socket takes it.
"""

import asyncio
import errno
import json
import os
import socket
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sandq.model.outcome import FailureKind, LimitHit

_PACKET_BYTES = 1 << 20


class StartFailed(Exception):
    """A child could not be started; the message says why and what to do. `kind` is how jobs fail
    that have waited for it for too long."""

    kind = FailureKind.START_FAILED

    @classmethod
    def again(cls, message: str, kind: FailureKind) -> "StartFailed":
        """The same failure, told to somebody else."""
        error = cls(message)
        error.kind = kind

        return error


class WallsFailed(StartFailed):
    """Its walls could not be built; the program has never run."""

    kind = FailureKind.SANDBOX_UNAVAILABLE


@dataclass(frozen=True, slots=True)
class Exit:
    """The end of a child: `status` as the system's wait gives it.

    `spawner_lost`: it ended because the process that started it did, for no fault of its own.
    `oom`: the kernel has killed processes for want of memory at that time. `limit`: what its
    processes had passed together, and were killed for. `began`: its program was run at all.
    """

    status: int
    cpu_s: float
    max_rss_kb: int
    spawner_lost: bool = False
    oom: bool = False
    limit: LimitHit | None = None
    began: bool = True


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back for a request, and a descriptor that came with it; its taker closes that."""

    message: dict[str, Any]
    fd: int | None = None


def read_limit(told: dict[str, Any] | None) -> LimitHit | None:
    """The limit that a packet tells of, if it does."""
    return None if told is None else LimitHit(told["name"], told["value"], round(told["peak"]))


class Link:
    """The conversation with `peer`, as it is called in messages.

    `on_lost` is called once if the peer ends it, before anybody hears that it is lost. `on_other`
    is told what is neither an answer nor an end.
    """

    def __init__(
        self,
        sock: socket.socket,
        peer: str,
        on_lost: Callable[[], None],
        on_other: Callable[[dict[str, Any]], None] | None = None,
    ) -> None:
        self._peer = peer
        self._on_lost = on_lost
        self._on_other = on_other
        self._socket: socket.socket | None = sock
        self._numbered: dict[int, asyncio.Future[Answer]] = {}
        self._ends: dict[int, Callable[[Exit], None]] = {}
        # a child can end before the one who asked for it has run again
        self._early: dict[int, Exit] = {}
        self._unsent: deque[tuple[bytes, tuple[int, ...]]] = deque()
        self._count = 0
        sock.setblocking(False)
        asyncio.get_running_loop().add_reader(sock, self.read)

    @property
    def open(self) -> bool:
        """Whether the peer is there, as far as is known."""
        return self._socket is not None

    async def ask(self, message: dict[str, Any], fds: tuple[int, ...] = ()) -> Answer:
        """Send a request and wait for its answer; raises StartFailed."""
        self._count += 1
        number = self._count
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._numbered[number] = future
        try:
            self._send({**message, "n": number}, fds)
            return await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled() and future.exception() is None:
                # it came just before who asked went
                self._drop(future.result())
            raise
        finally:
            self._numbered.pop(number, None)

    def tell(self, message: dict[str, Any]) -> None:
        """Send what needs no answer; nothing is done when the peer has gone."""
        if self._socket is not None:
            self._send(message, ())

    def expect_end(self, pid: int, on_end: Callable[[Exit], None]) -> None:
        """Have `on_end` called when a child has ended, never at once. Raises StartFailed when the
        peer has gone since it answered, and the child with it."""
        early = self._early.pop(pid, None)
        if early is not None:
            asyncio.get_running_loop().call_soon(on_end, early)
        elif self._socket is None:
            raise self._gone()
        else:
            self._ends[pid] = on_end

    def disown(self, pid: int) -> None:
        """Nobody will ever use this child: it is killed."""
        if self._early.pop(pid, None) is None:
            self._ends[pid] = lambda _: None
            self.tell({"op": "kill", "pid": pid, "signal": 9})

    def read(self) -> None:
        """Take what has come."""
        while self._socket is not None:
            try:
                packet, fds, _, _ = socket.recv_fds(self._socket, _PACKET_BYTES, 1)
            except BlockingIOError:
                return
            except OSError:
                packet, fds = b"", []
            if not packet:
                self._lost()
                return
            self._receive(json.loads(packet), *fds)

    def close(self) -> None:
        """End it; nobody is told."""
        if self._socket is not None:
            loop = asyncio.get_running_loop()
            loop.remove_reader(self._socket)
            loop.remove_writer(self._socket)
            self._socket.close()
            self._socket = None

    def _send(self, message: dict[str, Any], fds: tuple[int, ...]) -> None:
        if self._socket is None:
            raise self._gone()

        self._unsent.append((json.dumps(message).encode(), fds))
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
                if error.errno in (errno.EMSGSIZE, errno.ETOOMANYREFS):
                    self._refuse(packet, error)
                    continue
                self._lost()
                return
            self._unsent.popleft()
        loop.remove_writer(self._socket)

    def _refuse(self, packet: bytes, error: OSError) -> None:
        future = self._numbered.get(json.loads(packet)["n"])
        if future is not None and not future.done():
            text = f"command and environment are {len(packet)} bytes long: too long to be passed on"
            if error.errno == errno.ETOOMANYREFS:
                text = "too many descriptors of this user are on their way; allow more open files"
            future.set_exception(StartFailed(text))

    def _receive(self, message: dict[str, Any], fd: int | None = None) -> None:
        if "exit" in message:
            self._ended(message)
        elif "n" not in message:
            if self._on_other is not None:
                self._on_other(message)
        else:
            answer = Answer(message, fd)
            future = self._numbered.get(message["n"])
            if future is not None and not future.done():
                future.set_result(answer)
            else:
                # who asked has gone
                self._drop(answer)

    def _drop(self, answer: Answer) -> None:
        if answer.fd is not None:
            os.close(answer.fd)
        if "pid" in answer.message:
            self.disown(answer.message["pid"])

    def _ended(self, message: dict[str, Any]) -> None:
        end = Exit(
            message["status"],
            message["cpu_s"],
            message["max_rss_kb"],
            oom=message["oom"],
            limit=read_limit(message.get("limit")),
            began=message.get("began", True),
        )
        on_end = self._ends.pop(message["exit"], None)
        if on_end is None:
            self._early[message["exit"]] = end
        else:
            on_end(end)

    def _lost(self) -> None:
        """The peer has died: its children die with it, killed by the kernel."""
        self.close()
        # first another one, so that those who hear of the ends can start anew
        self._on_lost()
        for future in self._numbered.values():
            if not future.done():
                future.set_exception(self._gone())
        ends, self._ends = self._ends, {}
        for on_end in ends.values():
            on_end(Exit(status=9, cpu_s=0.0, max_rss_kb=0, spawner_lost=True))

    def _gone(self) -> StartFailed:
        return StartFailed(f"{self._peer} has ended")
