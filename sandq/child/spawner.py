"""The parent of all children: a small program of its own, run by sandq/child/spawn.py.

Why a process in between:
1. It is single-threaded and small, so that work between fork and exec is safe and cheap.
2. It starts with an empty environment and never holds the Redis URL.
3. It outlives a killed supervisor by a moment: when the supervisor's end of the socket closes,
   for whatever reason, it kills every child with everything they started, and ends.
4. Orphans of a child become its children (subreaper), so that they are found and killed too.

It talks over one SOCK_SEQPACKET socket, one JSON object per packet:
  in   {"op":"spawn","n":1,"argv":[…],"path":…,"env":{…},"cwd":…,"rlimits":{…}}
       + 3 or 4 descriptors, which become 0, 1, 2 and 3
  in   {"op":"kill","pid":7,"signal":15}
  out  {"n":1,"pid":7} or {"n":1,"step":"exec","errno":2}
  out  {"exit":7,"status":9,"cpu_s":0.1,"max_rss_kb":9000,"oom":false}
Only the standard library: it runs as `python -I -S spawner.py FD`, without the package.
"""

import ctypes
import fcntl
import json
import os
import resource
import select
import signal
import socket
import sys
import time
from typing import Any, NoReturn

PACKET_BYTES = 1 << 20
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 1, 36, 38

#: Marks everything a child starts, so that it is known by its environment when it has left
#: the child's process group and session.
TAG = "SANDQ_CHILD"

#: A process that hangs inside the kernel does not die of SIGKILL at once; the others must not
#: wait for it longer than this, in seconds.
STRAY_WAIT_S = 0.5

#: A process without a mark is looked at again after this, in seconds.
NEW_PROGRAM_S = 0.002

#: Ignored by Python, or by who started the supervisor, as a shell does for its background jobs.
IGNORED = {n for n in signal.valid_signals() if signal.getsignal(n) is signal.SIG_IGN}

_libc = ctypes.CDLL(None, use_errno=True)


def prctl(option: int, value: int) -> None:
    if _libc.prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), f"prctl {option}")


class Spawner:
    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.tags: dict[int, str] = {}
        self.spawned = 0
        self.oom_kills = count_oom_kills()

    def run(self) -> None:
        prctl(PR_SET_CHILD_SUBREAPER, 1)
        wake_read, wake_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        poll = select.poll()
        poll.register(self.sock, select.POLLIN)
        poll.register(wake_read, select.POLLIN)
        try:
            while True:
                ready = {fd for fd, _ in poll.poll()}
                if wake_read in ready:
                    os.read(wake_read, 4096)
                    self.reap()
                if self.sock.fileno() in ready and not self.serve():
                    return
        except (BrokenPipeError, ConnectionResetError):
            return
        finally:
            self.end_all()

    def serve(self) -> bool:
        """One request; False when the supervisor is gone."""
        packet, fds, _, _ = socket.recv_fds(self.sock, PACKET_BYTES, 4)
        if not packet:
            return False

        request = json.loads(packet)
        if request["op"] == "kill":
            self.kill(request["pid"], request["signal"])
            return True

        try:
            answer = {"n": request["n"], **self.spawn(request, fds)}
        finally:
            for fd in fds:
                os.close(fd)
        self.send(answer)

        return True

    def spawn(self, request: dict[str, Any], fds: list[int]) -> dict[str, Any]:
        """Start a child; the answer is its pid, or the step that failed and its errno."""
        self.spawned += 1
        self.oom_kills = count_oom_kills()
        tag = f"{os.getpid()}-{self.spawned}"
        environment = {**request["env"], TAG: tag}
        failed_read, failed_write = os.pipe2(os.O_CLOEXEC)
        try:
            pid = os.fork()
        except OSError as error:
            os.close(failed_read)
            os.close(failed_write)
            return {"step": "fork", "errno": error.errno}

        if pid == 0:
            become(request, fds, environment, failed_write)

        os.close(failed_write)
        with os.fdopen(failed_read, "rb") as stream:
            failure = stream.read()
        if failure:
            os.waitpid(pid, 0)
            step, errno = failure.decode().split(":")
            return {"step": step, "errno": int(errno)}

        self.tags[pid] = tag

        return {"pid": pid}

    def kill(self, pid: int, signum: int) -> None:
        """Signal a child's whole group; a pid that is not a child of ours is passed over."""
        if pid in self.tags:
            try:
                os.killpg(pid, signum)
                # a stopped process takes no other signal
                os.killpg(pid, signal.SIGCONT)
            except ProcessLookupError:
                pass

    def reap(self) -> None:
        """Report every child that has ended, once all that it started is dead too."""
        while True:
            try:
                ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if ended is None:
                return

            pid = ended.si_pid
            tag = self.tags.get(pid)
            if tag is not None:
                # the dead leader still reserves its group's number: no stranger can have it
                self.kill(pid, signal.SIGKILL)
                self.kill_strays(tag)
            _, status, usage = os.wait4(pid, 0)
            if tag is not None:
                del self.tags[pid]
                end = {"exit": pid, "status": status, "cpu_s": usage.ru_utime + usage.ru_stime}
                oom = status == signal.SIGKILL and self.oom_killed()
                self.send({**end, "max_rss_kb": usage.ru_maxrss, "oom": oom})

    def oom_killed(self) -> bool:
        """Whether the kernel has killed for want of memory since this was asked last, or since
        the last child was started."""
        before, self.oom_kills = self.oom_kills, count_oom_kills()

        return self.oom_kills > before

    def kill_strays(self, tag: str) -> None:
        """Kill what a dead child had started and what has left its group since: whatever does
        not bear the mark of a living one, for a mark can be thrown away."""
        others = {f"{TAG}={other}".encode() for other in self.tags.values() if other != tag}
        tried: set[int] = set()
        while True:
            strays = [
                pid
                for pid in orphans()
                if pid not in self.tags and pid not in tried and not others & marks_of(pid)
            ]
            if strays and others:
                # while it becomes another program a process seems to have no environment
                time.sleep(NEW_PROGRAM_S)
                strays = [pid for pid in strays if not others & marks_of(pid)]
            if not strays:
                return
            tried.update(strays)
            for pid in strays:
                end(pid)

    def end_all(self) -> None:
        """Kill every child and everything they started."""
        for pid in self.tags:
            self.kill(pid, signal.SIGKILL)
        while pids := orphans():
            for pid in pids:
                end(pid)

    def send(self, message: dict[str, Any]) -> None:
        self.sock.send(json.dumps(message).encode())


def become(
    request: dict[str, Any], fds: list[int], environment: dict[str, str], failed_write: int
) -> NoReturn:
    """In the forked process: take the steps in order and become the handler. Never returns."""
    step = "session"
    try:
        os.setsid()
        # out of the way first: what the child is to find as 3 may be in use here for another
        failed_write = fcntl.fcntl(failed_write, fcntl.F_DUPFD_CLOEXEC, 16)
        for number, fd in enumerate([fcntl.fcntl(fd, fcntl.F_DUPFD, 16) for fd in fds]):
            os.dup2(fd, number)
        step = "cwd"
        if request["cwd"] is not None:
            os.chdir(request["cwd"])
        step = "limits"
        for name, value in request["rlimits"].items():
            number = getattr(resource, name)
            hard = resource.getrlimit(number)[1]
            if hard != resource.RLIM_INFINITY:
                value = min(value, hard)
            # the processor's hard limit one second on: the first signal names the cause
            resource.setrlimit(number, (value, value + (1 if name == "RLIMIT_CPU" else 0)))
        step = "privileges"
        prctl(PR_SET_NO_NEW_PRIVS, 1)
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        for signum in IGNORED:
            signal.signal(signum, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        os.closerange(len(fds), failed_write)
        os.closerange(failed_write + 1, 1 << 16)
        step = "exec"
        os.execve(request["path"], request["argv"], environment)
    except OSError as error:
        os.write(failed_write, f"{step}:{error.errno}".encode())
    except ValueError:
        os.write(failed_write, f"{step}:22".encode())
    finally:
        os._exit(127)


def end(pid: int) -> None:
    """Kill a process of ours and wait for it, so that what it started becomes ours as well."""
    deadline_s = time.monotonic() + STRAY_WAIT_S
    try:
        os.kill(pid, signal.SIGKILL)
        while os.waitpid(pid, os.WNOHANG)[0] == 0 and time.monotonic() < deadline_s:
            time.sleep(0.0005)
    except (ProcessLookupError, ChildProcessError):
        pass


def orphans() -> list[int]:
    """The pids of this process's children, born or adopted."""
    with open(f"/proc/self/task/{os.getpid()}/children") as stream:
        return [int(word) for word in stream.read().split()]


def count_oom_kills() -> int:
    """How often the kernel has killed a process for want of memory: in our control group if it
    tells, else on the whole machine."""
    try:
        with open("/proc/self/cgroup") as stream:
            path = next(line[3:].strip() for line in stream if line.startswith("0::"))
        with open(f"/sys/fs/cgroup{path}/memory.events") as stream:
            words = stream.read().split()
    except (OSError, StopIteration):
        try:
            with open("/proc/vmstat") as stream:
                words = stream.read().split()
        except OSError:
            return 0

    return int(words[words.index("oom_kill") + 1]) if "oom_kill" in words else 0


def marks_of(pid: int) -> set[bytes]:
    """The marks in the environment of a process."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as stream:
            words = stream.read().split(b"\0")
    except OSError:
        return set()

    return {word for word in words if word.startswith(TAG.encode() + b"=")}


if __name__ == "__main__":
    # a Ctrl-C in the terminal is the supervisor's business; unlike an ignored signal, one that
    # is handled here is back to its default in a child
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, lambda *_: None)
    Spawner(socket.socket(fileno=int(sys.argv[1]))).run()
