"""Behind walls that were never tried anything may be missing: a canary tries to get out of them.

It is started as a child of the handler would be, once before the first of them.
"""

import asyncio
import json
import os
import shutil
import signal
import socket
import sys
import tempfile
from contextlib import suppress
from dataclasses import replace
from typing import Any

import anyio

from sandq.child.link import Exit, StartFailed
from sandq.child.spawn import Started
from sandq.child.starting import Starter
from sandq.isolation import canary
from sandq.isolation.confine import SANDBOX_PATH, confine, forks
from sandq.isolation.confinement import Confinement
from sandq.isolation.judge import Bait, Escape, canary_sandbox, judge, task
from sandq.isolation.look import Look
from sandq.isolation.plan import Plan, Walls, plan
from sandq.model.handler import Handler
from sandq.model.sandbox import Start

#: A canary that has not told by then has failed, in seconds.
TOLD_WITHIN_S = 20.0

_READ_BYTES = 65536
_SHOWN_BYTES = 300


async def prove(starter: Starter, planned: Plan, handler: Handler) -> list[Escape]:
    """Try to get out of the walls that the plan has for a handler; the answer is what was broken.

    Raises StartFailed when that cannot be tried.
    """
    # a forked child has walls within the walls
    start = Start.EXEC if forks(planned, handler) is None else Start.FORK
    proved = plan(replace(canary_sandbox(planned.sandbox), start=start), planned.facts)
    python = _python(proved)
    command = (python, "-I", "-S", canary.__file__)
    tried = Handler(command=command, cwd=handler.cwd, sandbox=proved.sandbox)
    confinement = confine(proved, tried, python)
    outside = _Outside()
    try:
        report = await _Canary(starter).ask(tried, confinement, task(proved, outside.bait))
    finally:
        outside.close()
        starter.retire(tried)

    return judge(proved, report, confinement.environment)


def _python(planned: Plan) -> str:
    """An interpreter that the canary can run: ours, unless its uid does not get there."""
    reached = planned.walls is Walls.BWRAP or not planned.facts.slot_uids
    if reached or Look().open_to_all(sys.executable):
        return sys.executable

    return shutil.which("python3", path=SANDBOX_PATH) or sys.executable


class _Outside:
    """What the canary is to reach for, open to everybody on this host."""

    def __init__(self) -> None:
        self._folder = tempfile.mkdtemp(prefix="sandq-bait-")
        self._sockets: list[socket.socket] = []
        os.chmod(self._folder, 0o777)
        secret, path = f"{self._folder}/secret", f"{self._folder}/socket"
        name = os.path.basename(self._folder)
        try:
            os.close(os.open(secret, os.O_WRONLY | os.O_CREAT, 0o644))
            for address in (path, f"\0{name}"):
                self._listen(socket.AF_UNIX, address)
            os.chmod(path, 0o666)
            port = self._listen(socket.AF_INET, ("127.0.0.1", 0)).getsockname()[1]
        except OSError as error:
            self.close()
            raise StartFailed(f"its walls cannot be tried: {error}") from error
        self.bait = Bait(
            folder=self._folder,
            secret=secret,
            port=port,
            sockets=(path, f"@{name}"),
            supervisor=os.getpid(),
        )

    def _listen(self, family: int, address: Any) -> socket.socket:
        one = socket.socket(family)
        self._sockets.append(one)
        one.bind(address)
        one.listen()

        return one

    def close(self) -> None:
        for one in self._sockets:
            one.close()
        shutil.rmtree(self._folder, ignore_errors=True)


class _Canary:
    """One run of it."""

    def __init__(self, starter: Starter) -> None:
        self._starter = starter
        self._ended: asyncio.Future[Exit] = asyncio.get_running_loop().create_future()
        self._said = {"stdout": b"", "stderr": b""}

    async def ask(
        self, handler: Handler, confinement: Confinement, task: dict[str, Any]
    ) -> dict[str, Any]:
        """What it has to tell of its task; raises StartFailed."""
        environment = dict(confinement.environment)
        started = await self._starter.spawn(
            handler, handler.command[0], environment, self._ended.set_result, confinement
        )
        loop = asyncio.get_running_loop()
        for name in self._said:
            loop.add_reader(getattr(started, name), self._read, started, name)
        end = None
        try:
            # it fits into the pipe; one that has ended already is told of below
            with suppress(BrokenPipeError):
                os.write(started.stdin, json.dumps(task).encode() + b"\n")
            with anyio.move_on_after(TOLD_WITHIN_S):
                end = await asyncio.shield(self._ended)
            for name in self._said:
                self._read(started, name)
        finally:
            for name in self._said:
                loop.remove_reader(getattr(started, name))
            for fd in (started.stdin, started.stdout, started.stderr):
                os.close(fd)
            if end is None:
                self._starter.kill(started.pid, signal.SIGKILL)

        return self._report(end)

    def _read(self, started: Started, name: str) -> None:
        fd = getattr(started, name)
        with suppress(BlockingIOError):
            while data := os.read(fd, _READ_BYTES):
                self._said[name] += data
            asyncio.get_running_loop().remove_reader(fd)

    def _report(self, end: Exit | None) -> dict[str, Any]:
        try:
            report: dict[str, Any] = json.loads(self._said["stdout"])
        except ValueError:
            how = (
                f"it told nothing for {TOLD_WITHIN_S:g} s"
                if end is None
                else f"it ended with {os.waitstatus_to_exitcode(end.status)}"
            )
            said = self._said["stderr"][-_SHOWN_BYTES:].decode("utf-8", "replace").strip()
            text = f"its walls could not be tried: {how}: {said or 'and said nothing'}"
            raise StartFailed(text) from None

        return report
