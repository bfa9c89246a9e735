"""Children that are forked from an interpreter, for the tests: started, spoken to, waited for."""

import asyncio
import contextlib
import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import anyio

from sandq.child.starting import Starter
from sandq.isolation.confinement import Confinement
from sandq.isolation.program import python_command
from sandq.model.handler import Handler
from sandq.model.sandbox import Sandbox

DEADLINE_S = 30

ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "PYTHONUNBUFFERED": "1"}


@dataclass
class Done:
    """What a child wrote, and how it ended."""

    out: str
    err: str
    end: object

    @property
    def code(self):
        return os.waitstatus_to_exitcode(self.end.status)


class Forked:
    """A child that was forked."""

    def __init__(self, started, ended):
        self.pid = started.pid
        self.started = started
        self.ended = ended

    def write(self, data):
        # one that does not read may have ended
        with contextlib.suppress(BrokenPipeError):
            os.write(self.started.stdin, data)

    def end_input(self):
        os.close(self.started.stdin)
        self.started = type(self.started)(
            self.pid, -1, self.started.stdout, self.started.stderr, self.started.private
        )

    async def read(self, enough=b"\n", of="stdout"):
        """What it writes, until it has written that."""
        data = b""
        with anyio.fail_after(DEADLINE_S):
            while enough not in data:
                await anyio.wait_readable(getattr(self.started, of))
                piece = os.read(getattr(self.started, of), 65536)
                assert piece, data
                data += piece
        return data.decode()

    async def done(self):
        """Wait for its end."""
        with anyio.fail_after(DEADLINE_S):
            end = await asyncio.shield(self.ended)
        texts = [_rest(fd) for fd in (self.started.stdout, self.started.stderr)]
        self.close()
        return Done(*texts, end)

    def close(self):
        one = self.started
        for fd in (one.stdin, one.stdout, one.stderr, one.private):
            if fd is not None and fd >= 0:
                os.close(fd)


class Forking:
    """A starter, and a handler whose children it forks.

    Without walls the server lives where the test does, and its children in namespaces of their own.
    """

    def __init__(self, *words, walls=None, preload=(), rlimits=None, program=None, **settings):
        self.program = program or sys.executable
        self.handler = Handler(
            command=(self.program, *words),
            sandbox=Sandbox.untrusted(**settings.pop("sandbox", {})),
            **settings,
        )
        self.confinement = Confinement(
            fork=(python_command(self.handler.command) or ((), ()))[1],
            preload=tuple(preload),
            walls=walls,
            cwd=None if walls else "/",
            rlimits=rlimits or {},
        )
        self.lost = []
        self.starter = Starter(lambda: self.lost.append(1))

    async def __aenter__(self):
        self.starter.start()
        return self

    async def __aexit__(self, *_):
        self.starter.close()

    async def spawn(self, **env):
        ended = asyncio.get_running_loop().create_future()

        def on_end(end):
            # an end after the test is nobody's business any more
            if not ended.done():
                ended.set_result(end)

        started = await self.starter.spawn(
            self.handler, self.program, {**ENVIRONMENT, **env}, on_end, self.confinement
        )
        return Forked(started, ended)

    async def run(self, data=b"", **env):
        """A child from its start to its end."""
        child = await self.spawn(**env)
        child.write(data)
        child.end_input()
        return await child.done()


def _rest(fd):
    os.set_blocking(fd, True)
    with open(fd, "rb", closefd=False) as stream:
        return stream.read().decode()


def server_of(child):
    """The pid of the fork server of a child that lives."""
    with open(f"/proc/{child.pid}/status") as stream:
        return next(int(line[5:]) for line in stream if line.startswith("PPid:"))


def folder():
    """A folder that is not below /tmp, where a child has a file system of its own."""
    return Path(tempfile.mkdtemp(dir="/var/tmp"))


def words_in(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return []
