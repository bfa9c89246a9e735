"""A new process, and what it does until it is the handler, or bubblewrap: step after step.

A step that fails is told to the spawner by its name and errno through a pipe that closes when the
last one, exec, has gone well.
"""

import fcntl
import os
import resource
import signal
from typing import Any, NoReturn

from . import landlock
from .living import Child
from .system import PR_SET_NO_NEW_PRIVS, PR_SET_PDEATHSIG, prctl

#: Ignored by Python, or by who started the supervisor, as a shell does for its background jobs.
IGNORED = {n for n in signal.valid_signals() if signal.getsignal(n) is signal.SIG_IGN}

#: Steps of which no handler's command or setting is the cause.
WALLS = ("cgroup", "uid", "walls")


def fork(request: dict[str, Any], fds: list[int], child: Child) -> dict[str, Any] | None:
    """Fork and wait until the new process has become the program; the answer is a failure."""
    parent = os.getpid()
    failed_read, failed_write = os.pipe2(os.O_CLOEXEC)
    try:
        pid = os.fork()
    except OSError as error:
        os.close(failed_read)
        os.close(failed_write)
        return {"step": "fork", "errno": error.errno}

    if pid == 0:
        become(request, fds, child, parent, failed_write)

    os.close(failed_write)
    with os.fdopen(failed_read, "rb") as stream:
        failure = stream.read()
    child.forked(pid)
    if not failure:
        return None

    os.waitpid(pid, 0)
    step, errno = failure.decode().split(":")
    if step in WALLS or child.walls is not None:
        return {"step": "walls", "text": f"{step}: {os.strerror(int(errno))}"}

    return {"step": step, "errno": int(errno)}


def become(
    request: dict[str, Any], fds: list[int], child: Child, parent: int, failed_write: int
) -> NoReturn:
    """In the forked process: take the steps in order and become the handler. Never returns."""
    step = "session"
    try:
        os.setsid()
        if child.walls is not None:
            fds = [*fds, *child.walls.theirs]
        failed_write = _arrange(fds, failed_write)
        step = "cwd"
        if child.walls is not None:
            os.chdir("/")
        elif request["cwd"] is not None:
            os.chdir(request["cwd"])
        step = "cgroup"
        if child.entrance >= 0:
            os.write(child.entrance, b"0")
        step = "limits"
        _limit({**request["rlimits"], **child.own_limits(request)})
        step = "uid"
        if child.uid is not None:
            number = child.uid.number
            os.setgroups([])
            os.setresgid(number, number, number)
            os.setresuid(number, number, number)
        step = "privileges"
        if request.get("no_new_privileges", True):
            prctl(PR_SET_NO_NEW_PRIVS, 1)
        # a change of the uid would have undone it
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(127)
        for signum in IGNORED:
            signal.signal(signum, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        os.closerange(len(fds), failed_write)
        os.closerange(failed_write + 1, 1 << 16)
        step = "walls"
        if child.restricted:
            landlock.restrict(request["walls"])
        step = "exec"
        os.execve(*child.program(request))
    except OSError as error:
        os.write(failed_write, f"{step}:{error.errno}".encode())
    except ValueError:
        os.write(failed_write, f"{step}:22".encode())
    finally:
        os._exit(127)


def _arrange(fds: list[int], failed_write: int) -> int:
    """Give the descriptors their numbers from 0 on; the answer is the pipe's new one."""
    # out of the way first: what the child is to find as 3 may be in use here for another
    away = 16 + len(fds)
    failed_write = fcntl.fcntl(failed_write, fcntl.F_DUPFD_CLOEXEC, away)
    for number, fd in enumerate([fcntl.fcntl(fd, fcntl.F_DUPFD, away) for fd in fds]):
        os.dup2(fd, number)

    return failed_write


def _limit(rlimits: dict[str, int]) -> None:
    for name, value in rlimits.items():
        number = getattr(resource, name)
        hard = resource.getrlimit(number)[1]
        if hard != resource.RLIM_INFINITY:
            value = min(value, hard)
        # the processor's hard limit one second on: the first signal names the cause
        resource.setrlimit(number, (value, value + (1 if name == "RLIMIT_CPU" else 0)))
