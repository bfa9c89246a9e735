"""A handler: the command line that serves the jobs of a name."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from sandq.errors import InvalidInput
from sandq.model.checks import check_integer
from sandq.model.limits import DEFAULT_LINE_BYTES, Limits
from sandq.model.sandbox import Fresh, Sandbox, Start
from sandq.model.sandbox_entries import check_apart

#: How much of a command is shown in messages, in characters.
SHOWN = 100

#: What a child may ask of the supervisor in a `call`, if its handler allows it.
VERBS = ("add_job", "extend_timeout", "get_result", "update_data")


class Channel(StrEnum):
    """Where a child's answers come from; whatever else it writes is text for the job's log."""

    STDOUT = "stdout"
    FD3 = "fd3"
    FILE = "file"


@dataclass(frozen=True, slots=True, kw_only=True)
class Handler:
    """A command line and how it is to be run. Two equal handlers share their children.

    - `command`: the program and its arguments; no shell is involved.
    - `cwd`: the folder it runs in; None: the supervisor's.
    - `env`: variables it gets beside the declared ones (spec/cli.md), as (name, value) pairs.
    - `timeout_ms`: how long one attempt may run; None: until it ends. A job's own comes first.
    - `heartbeat_timeout_ms`: how long a job may say nothing; None: as long as it likes. A job's
      own comes first.
    - `fresh`: one process per job: one line in, end of input, one answer.
    - `strict`: a line on its answer stream that is not JSON fails the job, instead of being noise.
    - `channel`: where its answers come from; "file" is for `fresh` handlers alone.
    - `calls`: what its jobs may ask of the supervisor: some of VERBS, or a name of your own where
      the pool is used by itself.
    - `max_jobs`: a child is replaced when it has served so many; None: no such rule, as for the
      next two.
    - `max_age_ms`: a child is replaced when it has lived so long, between two jobs.
    - `max_rss`: bytes; a child whose process is larger than this after a job is replaced.
    - `idle_ms`: a child beyond the least that a pool keeps ends when it was idle for so long.
    - `limits`: what each process of a child may use.
    - `sandbox`: what its jobs may touch, and use all together.
    """

    command: tuple[str, ...]
    cwd: str | None = None
    env: tuple[tuple[str, str], ...] = ()
    timeout_ms: int | None = None
    heartbeat_timeout_ms: int | None = None
    fresh: bool = False
    strict: bool = False
    channel: Channel = Channel.STDOUT
    calls: tuple[str, ...] = ()
    max_jobs: int | None = None
    max_age_ms: int | None = None
    max_rss: int | None = None
    idle_ms: int = 60_000
    limits: Limits = field(default_factory=Limits)
    sandbox: Sandbox = field(default_factory=Sandbox)

    def __post_init__(self) -> None:
        words = self.command
        if not isinstance(words, tuple) or not words or not all(isinstance(w, str) for w in words):
            raise InvalidInput(f"a handler's command must be a list of words: {self.command!r}")
        if any("\0" in word for word in self.command):
            raise InvalidInput(f"a handler's command must hold no NUL byte: {self.command!r}")
        if self.timeout_ms is not None and self.timeout_ms < 1:
            raise InvalidInput("a handler's timeout must be more than zero; leave it out for none")
        for name in ("heartbeat_timeout_ms", "max_jobs", "max_age_ms", "max_rss", "idle_ms"):
            if (value := getattr(self, name)) is not None:
                check_integer(name, value, 1, 2**62)
        self._check_sandbox()
        self._check_channel()
        self._check_calls()

    def _check_channel(self) -> None:
        try:
            object.__setattr__(self, "channel", Channel(self.channel))
        except ValueError:
            known = ", ".join(Channel)
            raise InvalidInput(f"channel must be one of {known}: {self.channel!r}") from None
        if self.channel is Channel.FILE and not self.fresh:
            raise InvalidInput("channel 'file' is for handlers with one process per job: fresh")
        if self.channel is Channel.FILE and self.sandbox.walled:
            raise InvalidInput(
                "channel 'file' cannot be had with sandbox 'untrusted': no file of a child is seen "
                "from outside; use stdout or fd3"
            )
        if self.channel is Channel.FILE and self.heartbeat_timeout_ms is not None:
            raise InvalidInput(
                "heartbeat_timeout: a handler with channel 'file' sends no heartbeats"
            )

    def _check_calls(self) -> None:
        if isinstance(self.calls, str) or not all(isinstance(verb, str) for verb in self.calls):
            raise InvalidInput(f"calls must be a list of verbs: {self.calls!r}")
        if self.calls and self.fresh:
            raise InvalidInput("calls: a handler with one process per job cannot be replied to")
        object.__setattr__(self, "calls", tuple(sorted(set(self.calls))))

    def _check_sandbox(self) -> None:
        sandbox = Sandbox.of(self.sandbox)
        object.__setattr__(self, "sandbox", sandbox)
        if self.fresh and sandbox.walled and sandbox.fresh is not Fresh.JOB:
            raise InvalidInput(
                f"sandbox.fresh is {str(sandbox.fresh)!r}; a handler with one process per job, "
                "fresh, shares no child"
            )
        if self.fresh and (sandbox.start is Start.FORK or sandbox.preload):
            raise InvalidInput(
                "sandbox: a handler with one process per job, fresh, is not forked: leave out "
                "start 'fork' and preload"
            )
        for name, path in (("cwd", self.cwd or ""), *(("command", word) for word in self.command)):
            check_apart(name, path, sandbox.write)
        if sandbox.output is not None:
            if self.limits.line not in (sandbox.output, DEFAULT_LINE_BYTES):
                raise InvalidInput(
                    f"sandbox.output is {sandbox.output} and limits.line is {self.limits.line}: "
                    "both bound the same line; leave one out"
                )
            object.__setattr__(self, "limits", replace(self.limits, line=sandbox.output))
        if sandbox.max_jobs is not None:
            most = min(sandbox.max_jobs, self.max_jobs or sandbox.max_jobs)
            object.__setattr__(self, "max_jobs", most)

    def single_use(self, key: str) -> bool:
        """Whether a child for jobs of this key is started ahead, and serves one job."""
        share = self.sandbox.fresh
        return not self.fresh and (share is Fresh.JOB or (share is Fresh.KEY and not key))

    def __str__(self) -> str:
        words = " ".join(self.command).replace("\n", " ")
        return words if len(words) <= SHOWN else words[: SHOWN - 1] + "…"


def attempt_timeout_ms(handler: Handler, own_ms: int | None) -> int | None:
    """How long one attempt of a job may run: its own timeout comes before the handler's, and the
    wall of the handler's sandbox before both. None: until it ends."""
    asked_ms = handler.timeout_ms if own_ms is None else own_ms
    bounds = [ms for ms in (asked_ms, handler.sandbox.wall_ms) if ms is not None]

    return min(bounds, default=None)


@dataclass(frozen=True, slots=True)
class HandlerFunction:
    """A function of this process that serves jobs; it is not isolated from the supervisor."""

    function: Callable[[Any], Any]

    def __str__(self) -> str:
        return getattr(self.function, "__qualname__", repr(self.function))
