"""`sandq exec --jobs`: many jobs through one handler, without Redis, told line by line.

This is sandq as a supervisor under test (spec/conformance-supervisor.md): lines of JSON come in,
the settings first, and one line goes out for each job that has ended.
"""

import asyncio
import os
import sys
from collections import Counter, deque
from collections.abc import Callable
from typing import Any

import anyio
import orjson

from sandq.child.asking import CallRefused
from sandq.child.child import Child
from sandq.child.pool import Pool
from sandq.child.spawn import StartFailed
from sandq.cli.job_lines import Job, read_job, read_object, read_settings
from sandq.errors import InvalidInput
from sandq.model.duration import MAX_MS
from sandq.model.handler import Handler, attempt_timeout_ms
from sandq.model.outcome import FailureKind, Outcome
from sandq.model.payload import decode
from sandq.protocol.messages import job_environment, job_line

#: A job that is given back is run again so often; then it is told as released.
RELEASES = 3

_READ_BYTES = 1 << 16


class Desk:
    """Takes the lines of the input, runs the jobs, tells their ends."""

    def __init__(self, tell: Callable[[bytes], None]) -> None:
        self._tell = tell
        self._settings: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._jobs: dict[str, Job] = {}
        self._waiting: deque[Job] = deque()
        self._more = asyncio.Event()
        self._over = False
        self._states: Counter[str] = Counter()
        self._kinds: Counter[str] = Counter()
        self._releases = 0
        self._pool: Pool | None = None

    def line(self, text: bytes) -> None:
        """A line has come. Raises InvalidInput."""
        if not text.strip():
            return
        if not self._settings.done():
            self._settings.set_result(text)
            return

        given = read_object(text, "a job")
        if "cancel" in given:
            job = self._jobs.get(given["cancel"])
            if job is not None:
                job.cancel()
            return
        job = read_job(given, text)
        self._jobs[job.claim.id] = job
        self._waiting.append(job)
        self._more.set()

    def end(self) -> None:
        """No more lines will come."""
        self._over = True
        self._more.set()
        if not self._settings.done():
            self._settings.set_exception(InvalidInput("the first line must be the settings"))

    async def run(self) -> None:
        """Run all jobs. Raises InvalidInput and HandlerInvalid for the settings."""
        handler, grace_ms, size = read_settings(read_object(await self._settings, "the settings"))
        async with (
            Pool(size, [handler], kill_grace_ms=grace_ms) as pool,
            anyio.create_task_group() as group,
        ):
            self._pool = pool
            for _ in range(size):
                group.start_soon(self._serve, pool, handler)

    def metrics(self) -> dict[str, Any]:
        """What has happened, in numbers."""
        counts = self._pool.metrics if self._pool else None

        return {
            "jobs": dict(self._states),
            "failures": dict(self._kinds),
            "releases": self._releases,
            "children": counts.started if counts else 0,
            "failed_starts": counts.failed_starts if counts else 0,
        }

    async def _serve(self, pool: Pool, handler: Handler) -> None:
        while True:
            while not self._waiting:
                if self._over:
                    return
                self._more.clear()
                await self._more.wait()
            job = self._waiting.popleft()
            outcome = await self._outcome(pool, handler, job)
            self._ended(job, outcome)

    async def _outcome(self, pool: Pool, handler: Handler, job: Job) -> Outcome:
        while True:
            if job.cancelled:
                return Outcome.give_back("cancel")
            outcome = await self._try(pool, handler, job)
            if outcome.released is None or job.cancelled:
                return outcome
            job.releases += 1
            self._releases += 1
            if job.releases > RELEASES:
                return outcome
            # a handler that failed to start is tried again after a pause
            await anyio.sleep(pool.pause_s(handler))

    async def _try(self, pool: Pool, handler: Handler, job: Job) -> Outcome:
        timeout_ms = attempt_timeout_ms(handler, job.timeout_ms)
        heartbeat_ms = handler.heartbeat_timeout_ms
        line = job_line(
            job.claim, delay_ms=0, max_attempts=1, timeout_ms=timeout_ms, heartbeat_ms=heartbeat_ms
        )
        if len(line) - 1 > handler.limits.line:
            return Outcome.failed(
                FailureKind.OVERSIZE_PAYLOAD,
                f"the job's line is {len(line) - 1} bytes long; at most {handler.limits.line} fit",
            )
        try:
            env = job_environment(job.claim) if handler.fresh else None
            child = pool.lend(handler) or await pool.obtain(handler, env)
        except StartFailed as error:
            return Outcome.give_back(str(error))

        async def perform(verb: str, args: bytes) -> bytes:
            return _perform(child, verb, args)

        try:
            if job.cancelled:
                return Outcome.give_back("cancel")
            job.child = child
            return await child.run(job.claim.id, line, timeout_ms, job.heard, heartbeat_ms, perform)
        finally:
            job.child = None
            pool.give_back(child)

    def _ended(self, job: Job, outcome: Outcome) -> None:
        failure = outcome.failure
        state = "failed" if failure is not None else "completed"
        if outcome.released is not None:
            state = "cancelled" if job.cancelled else "released"
        self._states[state] += 1
        if failure is not None:
            self._kinds[failure.kind.value] += 1
        del self._jobs[job.claim.id]

        told: dict[str, Any] = {
            "id": job.claim.id,
            "state": state,
            "kind": failure.kind.value if failure else None,
            "type": failure.type if failure else None,
            "message": failure.message if failure else outcome.released,
            "death": failure.death.to_member() if failure and failure.death else None,
            "releases": job.releases,
        }
        # the bytes of the child: a large number must not lose digits on the way
        rest = b',"progress":%b,"value":%b}' % (job.progress, outcome.value or b"null")
        self._tell(orjson.dumps(told)[:-1] + rest)


async def run_jobs() -> int:
    """Serve the standard input until its end; the answer is the exit code."""
    desk = Desk(_print)
    async with anyio.create_task_group() as group:
        group.start_soon(_listen, desk)
        try:
            await desk.run()
        finally:
            group.cancel_scope.cancel()
    _print(orjson.dumps({"metrics": desk.metrics()}))

    return 0


async def _listen(desk: Desk) -> None:
    """Give the lines of the standard input to the desk as they come."""
    loop, fd, rest = asyncio.get_running_loop(), sys.stdin.fileno(), b""
    data = b"?"
    while data:
        readable = asyncio.Event()
        try:
            loop.add_reader(fd, readable.set)
            await readable.wait()
        except OSError:
            pass  # a file: it never blocks
        finally:
            loop.remove_reader(fd)
        data = os.read(fd, _READ_BYTES)
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            desk.line(line)
    desk.line(rest)
    desk.end()


def _print(line: bytes) -> None:
    sys.stdout.buffer.write(line + b"\n")
    sys.stdout.buffer.flush()


def _perform(child: Child, verb: str, args: bytes) -> bytes:
    """The one call that needs no Redis."""
    if verb != "extend_timeout":
        raise CallRefused("sandq.unknown_verb", f"verb {verb!r} is not known without Redis")
    ms = decode(args).get("ms")
    if isinstance(ms, bool) or not isinstance(ms, int) or not 1 <= ms <= MAX_MS:
        raise CallRefused("sandq.bad_args", f"ms must be an integer from 1: {ms!r}")

    return orjson.dumps({"timeout_ms": child.extend(ms)})
