"""The loop of the fork server: requests come in, children are forked, their ends go out."""

from __future__ import annotations

import array
import json
import os
import select
import signal
import socket
import sys
import time

from . import preload, program
from .kernel import Cloner
from .room import Room, take

TYPE_CHECKING = False  # type checkers know the name; the module typing is dear to load
if TYPE_CHECKING:
    from typing import Any, NoReturn

PACKET_BYTES = 1 << 20

#: Room for the four descriptors that come with a request.
CONTROLS_BYTES = socket.CMSG_LEN(4 * array.array("i").itemsize)

#: How often the kernel's count of those it killed for want of memory is read, in seconds.
OOM_EVERY_S = 1.0


class Child:
    """A forked child; `told` is where it tells of its way in, `number` that of the request."""

    def __init__(self, pid: int, pidfd: int, told: int, number: int) -> None:
        self.pid, self.pidfd, self.told, self.number = pid, pidfd, told, number
        self.arriving = self.came_in = True
        self.killed = False


class Server:
    def __init__(self, sock: socket.socket, order: dict[str, Any]) -> None:
        self.sock = sock
        # a new one for each request would be dear
        self.buffer = bytearray(PACKET_BYTES)
        self.room = Room(order)
        self.program = program.Program(order["words"])
        self.cloner = Cloner(self.room.flags)
        self.children: dict[int, Child] = {}
        # a child by either of its descriptors here
        self.watched: dict[int, Child] = {}
        self.oom_kills, self.counted_s = count_oom_kills(), time.monotonic()
        self.poll = select.poll()
        self.poll.register(sock, select.POLLIN)

    def run(self) -> None:
        """Serve until the supervisor is gone."""
        while True:
            ready = [fd for fd, _ in self.poll.poll()]
            for fd in ready:
                child = self.watched.get(fd)
                if child is not None:
                    self.look(child, fd)
            # last: a new child may have the descriptors of one that was just reported
            if self.sock.fileno() in ready and not self.serve():
                return

    def serve(self) -> bool:
        """One request; False when the supervisor is gone."""
        size, controls, _, _ = self.sock.recvmsg_into([self.buffer], CONTROLS_BYTES)
        if not size:
            return False

        request = json.loads(self.buffer[:size])
        fds = array.array("i")
        for _, _, data in controls:
            fds.frombytes(data)
        if request["op"] == "kill":
            self.kill(request["pid"], request["signal"])
            return True

        try:
            self.spawn(request["n"], request["env"], fds)
        except OSError as error:
            refuse(self.sock, request["n"], str(error))
        finally:
            # at once: a later child must never find them
            for fd in fds:
                os.close(fd)

        return True

    def spawn(self, number: int, environment: dict[str, str], fds: array.array[int]) -> None:
        """Fork a child, which is answered for when it has come in."""
        self.count_now_and_then()
        # here, where it is the same for nearly every child, instead of in each
        program.set_environment(environment)
        told_read, told_write = os.pipe2(os.O_CLOEXEC)
        try:
            pid, pidfd = self.cloner.fork()
            if pid == 0:
                self.become(fds, told_write)
        except OSError:
            os.close(told_read)
            raise
        finally:
            os.close(told_write)

        child = self.children[pid] = Child(pid, pidfd, told_read, number)
        for fd in (told_read, pidfd):
            self.watched[fd] = child
            self.poll.register(fd, select.POLLIN)

    def become(self, fds: array.array[int], told: int) -> NoReturn:
        """In the child: come in, tell if that fails, and become the program. Never returns."""
        try:
            take([*fds, told])
            told = len(fds)
            self.room.enter()
            os.close(told)
        except BaseException as error:
            os.write(told, str(error).encode())
            os._exit(127)
        # no object of the server's may close a descriptor of the job's
        self.sock.detach()
        self.program.become()

    def look(self, child: Child, fd: int) -> None:
        """A child has come in, or failed to, or has ended."""
        if child.arriving:
            # it has, even when its end was seen first
            child.arriving = False
            failure = os.read(child.told, 4096)
            self.forget(child.told)
            child.came_in = not failure
            if failure:
                refuse(self.sock, child.number, failure.decode())
            else:
                answer = {"n": child.number, "pid": child.pid}
                socket.send_fds(self.sock, [json.dumps(answer).encode()], [child.pidfd])
        if fd == child.pidfd:
            self.bury(child)

    def bury(self, child: Child) -> None:
        """Report a child that has ended; with it the kernel has ended all it had started."""
        _, status, usage = os.wait4(child.pid, 0)
        self.forget(child.pidfd)
        del self.children[child.pid]
        if child.came_in:
            end = {"exit": child.pid, "status": status, "cpu_s": usage.ru_utime + usage.ru_stime}
            oom = status == signal.SIGKILL and not child.killed and self.oom_killed()
            send(self.sock, {**end, "max_rss_kb": usage.ru_maxrss, "oom": oom})

    def forget(self, fd: int) -> None:
        self.poll.unregister(fd)
        del self.watched[fd]
        os.close(fd)

    def kill(self, pid: int, signum: int) -> None:
        """Signal a child and its group; one that has been reported is passed over.

        No other process can have its number before it is waited for, which is done here alone.
        """
        child = self.children.get(pid)
        if child is None:
            return

        child.killed = child.killed or signum == signal.SIGKILL
        try:
            os.killpg(pid, signum)
            if signum != signal.SIGSTOP:
                # a stopped process takes no other signal
                os.killpg(pid, signal.SIGCONT)
        except ProcessLookupError:
            # it has no group of its own yet, or is dead
            os.kill(pid, signum)

    def count_now_and_then(self) -> None:
        now_s = time.monotonic()
        if now_s > self.counted_s + OOM_EVERY_S:
            self.oom_kills, self.counted_s = count_oom_kills(), now_s

    def oom_killed(self) -> bool:
        """Whether the kernel has killed for want of memory since this was looked at last."""
        before, self.oom_kills = self.oom_kills, count_oom_kills()

        return self.oom_kills > before


def count_oom_kills() -> int:
    """How often the kernel has killed a process for want of memory, on the whole machine."""
    try:
        with open("/proc/vmstat") as stream:
            words = stream.read().split()
    except OSError:
        return 0

    return int(words[words.index("oom_kill") + 1]) if "oom_kill" in words else 0


def refuse(sock: socket.socket, number: int, text: str) -> None:
    send(sock, {"n": number, "step": "walls", "text": text})


def send(sock: socket.socket, message: dict[str, Any]) -> None:
    sock.send(json.dumps(message).encode())


def reset_signals() -> None:
    """As the interpreter sets them at its start, whatever a module has done to them."""
    own: dict[int, Any] = {
        signal.SIGINT: signal.default_int_handler,
        signal.SIGPIPE: signal.SIG_IGN,
        signal.SIGXFSZ: signal.SIG_IGN,
    }
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, own.get(number, signal.SIG_DFL))
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def forget_modules() -> None:
    """No name of ours stands in the way of a handler's own module."""
    for name in [name for name in sys.modules if name.split(".")[0] == __package__]:
        del sys.modules[name]


def main(number: int) -> NoReturn:
    """Load what is to be loaded, say that it is ready, and serve."""
    os.set_inheritable(number, False)
    sock = socket.socket(fileno=number)
    packet = sock.recv(PACKET_BYTES)
    try:
        if packet:
            order = json.loads(packet)
            try:
                preload.load(order["preload"])
                program.prepare()
                server = Server(sock, order)
                preload.share_memory()
            except (preload.Unfit, OSError) as error:
                refuse(sock, order["n"], str(error))
            else:
                reset_signals()
                forget_modules()
                send(sock, {"n": order["n"], "ready": True})
                server.run()
    except (BrokenPipeError, ConnectionResetError):
        pass
    finally:
        # whatever a module wants to do at the end; the children die with their namespace
        os._exit(0)
