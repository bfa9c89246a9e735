"""The handlers of a queue, as both faces set them, and the numbers of a run."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sandq.child.making import handler_file
from sandq.errors import InvalidInput
from sandq.model.backoff_function import BackoffFunction, check_backoff_function
from sandq.model.ceilings import Ceilings
from sandq.model.duration import Duration, to_ms
from sandq.model.handler import Handler, HandlerFunction
from sandq.model.limits import Limits
from sandq.model.names import ANY_NAME, check_job_name
from sandq.model.sandbox import Sandbox
from sandq.model.supervision import Supervision


class HandlerRegistry:
    """Handlers by job name. Lookup: the job's name, the name `run` was given, then "*"."""

    def __init__(self) -> None:
        self._handlers: dict[str, Handler | HandlerFunction] = {}
        self._backoffs: dict[str, BackoffFunction] = {}

    def set_backoff(self, name: str, function: BackoffFunction) -> None:
        """Let a function decide the wait of jobs added with `Backoff.named(name)` (seed 0).

        `function(failures, failure, options)` is given the number of failed attempts, the record
        of the newest failure and the options of the backoff; it returns seconds: 0 is at once, a
        negative number gives up. It is called in the supervisor and must return soon.

        Raises InvalidInput for an async function, and for a name that is taken.
        """
        check_backoff_function(name, function)
        if name in self._backoffs:
            raise InvalidInput(f"backoff {name!r} is set already")

        self._backoffs[name] = function

    def set_handler(self, name: str, function: Callable[[Any], Any]) -> None:
        """Serve jobs named `name` ("*": any) with a function of this process (seed 0).

        It is given the job (`id name data attempt max_attempts progress() log() emit() heartbeat()
        discard()`) and returns a JSON value; an exception fails the attempt. Async functions run in
        the event loop, others in a thread. There is no isolation: a crash or a block of the
        function is one of the supervisor, and a thread that is too late cannot be stopped.

        Raises InvalidInput when the name has a handler already.
        """
        if not callable(function):
            raise InvalidInput(f"handler of {name!r} must be a function: {function!r}")

        self._set(name, HandlerFunction(function))

    def set_handler_file(
        self,
        name: str,
        handler: str | Path | Sequence[str],
        *,
        timeout: Duration | None = None,
        heartbeat_timeout: Duration | None = None,
        cwd: str | Path | None = None,
        env: Mapping[str, str] | None = None,
        fresh: bool = False,
        strict: bool = False,
        channel: str = "stdout",
        calls: Iterable[str] = (),
        max_jobs: int | None = None,
        max_age: Duration | None = None,
        max_rss: int | str | None = None,
        idle: Duration = 60,
        limits: Limits | None = None,
        sandbox: Sandbox | str | Mapping[str, Any] | None = None,
    ) -> None:
        """Serve jobs named `name` ("*": any) with a program of its own (seed 0).

        - `handler`: a file, or a command as a list of words. Files ending in .py .js .mjs .sh
          and the like are given to their interpreter, others must be executable.
        - `timeout`: how long one attempt may run (seconds, timedelta or text); a job's own
          timeout comes first. The process, with all it started, is killed then.
        - `heartbeat_timeout`: how long an attempt may say nothing; a job's own comes first.
        - `cwd`: the folder it runs in. `env`: variables beside the declared ones (spec/cli.md).
        - `fresh`: one process per job. `strict`: output that is not JSON fails the job.
        - `channel`: where answers come from: "stdout", "fd3", or, of fresh ones, "file".
        - `calls`: what its jobs may ask for: some of update_data, add_job, get_result,
          extend_timeout.
        - `max_jobs`, `max_age`, `max_rss`: a process is replaced when it has served so many jobs,
          lived so long, or is larger than this ("300M") after a job.
        - `idle`: a process beyond the least that are kept ends when it was idle for so long.
        - `limits`: what each of its processes may use.
        - `sandbox`: what its jobs may touch, and use all together: "untrusted", or the name of
          another profile, a Sandbox, or a mapping of what one is made of (docs/isolation.md).

        Raises HandlerInvalid when nothing can be run, InvalidInput for a name that is taken and
        for a sandbox that cannot be.
        """
        checked = handler_file(
            handler,
            timeout=timeout,
            heartbeat_timeout=heartbeat_timeout,
            cwd=cwd,
            env=env,
            fresh=fresh,
            strict=strict,
            channel=channel,
            calls=calls,
            max_jobs=max_jobs,
            max_age=max_age,
            max_rss=max_rss,
            idle=idle,
            limits=limits,
            sandbox=sandbox,
        )
        self._set(name, checked)

    def _check_ceilings(self, given: Ceilings | Mapping[str, Any] | None) -> None:
        """Refuse to run handlers that pass the ceilings; raises InvalidInput."""
        ceilings = Ceilings() if given is None else Ceilings.of(given)
        for name, handler in self._handlers.items():
            ceilings.check(handler, f"handler {name!r}: sandbox")

    def _set(self, name: str, handler: Handler | HandlerFunction) -> None:
        if name != ANY_NAME:
            check_job_name(name)
        if name in self._handlers:
            raise InvalidInput(f"name {name!r} has a handler already: {self._handlers[name]}")

        self._handlers[name] = handler


def supervision_of(
    *,
    concurrency: int,
    least: int | None,
    lease: Duration,
    recover_every: Duration,
    max_stalls: int,
    drain_timeout: Duration,
    kill_grace: Duration,
    broken_after: Duration | None,
) -> Supervision:
    """The settings of a run; a concurrency of 0 is taken as 1 (seed 0)."""
    return Supervision(
        pool=concurrency or 1,
        pool_least=least,
        broken_ms=None if broken_after is None else to_ms(broken_after, "broken_after"),
        lease_ms=to_ms(lease, "lease"),
        recover_ms=to_ms(recover_every, "recover_every"),
        max_stalls=max_stalls,
        drain_ms=to_ms(drain_timeout, "drain_timeout"),
        kill_grace_ms=to_ms(kill_grace, "kill_grace"),
    )
