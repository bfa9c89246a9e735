"""One process of a handler and its pipes: bytes go in and out, signals in, the end comes out.

What the bytes mean is not known here (sandq/child/child.py). The end of the process is what the
spawner reports, never the end of its output: a grandchild may hold a pipe open for ever.
"""

import asyncio
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from sandq.child.capture import Capture
from sandq.child.death import death_of
from sandq.child.pipes import Input, Output
from sandq.child.result_file import VARIABLE, ResultFile
from sandq.child.spawn import Exit, StartFailed
from sandq.child.starting import Starter
from sandq.isolation.confinement import Confinement
from sandq.model.handler import Channel, Handler
from sandq.model.outcome import Death

if TYPE_CHECKING:
    from sandq.child.around import Trace


class Hears(Protocol):
    """Who is told what happens to a process."""

    def received(self, data: bytes) -> bool:
        """It wrote to its answer stream; whether that was the end of a job."""

    def input_refused(self) -> None:
        """It has closed its input."""

    def output_ended(self) -> None:
        """It has closed its answer stream."""

    def ended(self, end: Exit) -> None:
        """It is dead, and so is everything it had started."""


class Process:
    """A process that is not there yet, runs, or has ended; `pid` is 0 until it is there."""

    def __init__(
        self, handler: Handler, starter: Starter, hears: Hears, trace: "Trace | None" = None
    ) -> None:
        self.pid = 0
        self.loop = asyncio.get_running_loop()
        #: When it began, by the loop's clock, in seconds.
        self.began_s = 0.0
        self.capture = Capture(self.loop)
        #: The mechanisms it runs under, in one word.
        self.sandbox = ""
        self._handler = handler
        self._starter = starter
        self._hears = hears
        self._trace = trace
        self._input: Input | None = None
        self._output: Output | None = None
        self._result: ResultFile | None = None
        self._timers: list[asyncio.TimerHandle] = []

    async def start(self, program: str, env: dict[str, str], confinement: Confinement) -> None:
        """Start it; raises StartFailed."""
        self.sandbox = confinement.summary
        channel = self._handler.channel
        if channel is Channel.FILE:
            self._result = _result_file(self._handler)
            env = {**env, VARIABLE: str(self._result.path)}
        started = await self._starter.spawn(
            self._handler, program, env, self._hears.ended, confinement
        )
        self.pid, self.began_s = started.pid, self.loop.time()
        self._tell("started")
        self._input = Input(self.loop, started.stdin, self._hears.input_refused)
        self.capture.open(started.stderr, "stderr")
        if channel is not Channel.STDOUT:
            self.capture.open(started.stdout, "stdout")
        if channel is not Channel.FILE:
            answers = started.stdout if started.private is None else started.private
            hears = self._hears.received if self._trace is None else self._received
            self._output = Output(self.loop, answers, hears, self._hears.output_ended)

    @property
    def may_write(self) -> bool:
        """Whether its input is open, and what was written to it is on its way."""
        return self._input is not None and self._input.open

    @property
    def reads(self) -> bool:
        """Whether all that was written to it has gone into its pipe."""
        return self._input is not None and self._input.open and not self._input.busy

    @property
    def unread(self) -> int:
        """How many lines have not gone into its pipe, for it does not read."""
        return self._input.waiting if self._input is not None else 0

    @property
    def nothing_read(self) -> bool:
        """Whether it has read nothing at all of the last job's line."""
        return self._input is not None and self._input.nothing_read()

    def write(self, line: bytes, *, job: bool = False, then_close: bool = False) -> None:
        """Write a line to its input; `job`: it lends a job; `then_close`: it is the last one."""
        if self._input is not None:
            if self._trace is not None:
                self._trace(self.pid, ">>", line)
            self._input.write(line, job=job, then_close=then_close)

    def end_input(self) -> None:
        """Close its input."""
        if self._input is not None:
            self._input.close()

    def read_now(self) -> None:
        """Take what is in its answer stream now."""
        if self._output is not None:
            self._output.read()

    def signal(self, number: int) -> None:
        """Send a signal to its group, if it is there; walls let none through but SIGKILL."""
        if self._handler.sandbox.walled:
            number = signal.SIGKILL
        if self.pid:
            self._tell(f"signal {signal.Signals(number).name} to its group")
            self._starter.kill(self.pid, number)

    def kill(self) -> None:
        """End it, whatever it does."""
        self.signal(signal.SIGKILL)

    def freeze(self) -> None:
        """Stop it and all it has started, until `thaw`."""
        self._starter.freeze(self.pid)

    def thaw(self) -> None:
        """Let it go on."""
        self._starter.thaw(self.pid)

    def death(self, end: Exit, by: str | None) -> Death:
        """How it ended; `by` is who ended it, None when sandq did not."""
        return death_of(end, by, self.capture.tail(), self.sandbox)

    def later(self, delay_s: float, step: Callable[..., None], *args: Any) -> None:
        """Call `step` in so many seconds, unless the process has ended by then."""
        now_s = self.loop.time()
        self._timers = [timer for timer in self._timers if timer.when() > now_s]
        self._timers.append(self.loop.call_later(delay_s, step, *args))

    def drain(self) -> bytes:
        """It is dead: what it wrote is taken to the end; the answer is its result file's text."""
        if self._output is not None:
            self._output.drain_and_close()
            self._output = None
        if self._result is None:
            return b""

        result, self._result = self._result, None

        return result.take(self._handler.limits.line)

    def _received(self, data: bytes) -> bool:
        if self._trace is not None:
            self._trace(self.pid, "<<", data)
        return self._hears.received(data)

    def _tell(self, remark: str) -> None:
        if self._trace is not None:
            self._trace(self.pid, "--", remark.encode() + b"\n")

    def close(self) -> None:
        """Close what is open and forget the timers."""
        for timer in self._timers:
            timer.cancel()
        self.end_input()
        self.capture.close()
        if self._result is not None:
            self._result.remove()


def _result_file(handler: Handler) -> ResultFile:
    try:
        return ResultFile()
    except OSError as error:
        raise StartFailed(
            f"handler {handler} cannot be started: there is no place for its result: {error}; "
            "make room, or name another folder in TMPDIR"
        ) from error
