"""One child: a process, its three pipes, its conversation, and the one job it may have.

The facts come in by callbacks (bytes, deadline, end of the process) and leave as one Outcome.
The end of the process is what the spawner reports, never the end of its output: a grandchild
may hold a pipe open for ever.
"""

import asyncio
import signal
from collections.abc import Callable

from sandq.child import death
from sandq.child.pipes import ErrorTail, Input, Output
from sandq.child.spawn import Exit, Spawner
from sandq.child.watch import Watch
from sandq.model.handler import Handler
from sandq.model.outcome import Outcome
from sandq.protocol.machine import Conversation, Event, Spoiled, State
from sandq.protocol.messages import Answer, Hello, Log, Noise, Progress, bye_line

#: A child that said no hello is ready when it has lived this long, in seconds.
MIN_UPTIME_S = 0.05

#: A simple child answers its first jobs under probation: an answer counts when it has been
#: followed by this much silence, in seconds. A program that always answers twice is found out
#: before its second answer can be taken for the next job's.
PROBATION_JOBS, PROBATION_S = 3, 0.005

#: A child whose output has ended is given this long to end as well, in seconds.
EOF_GRACE_S = 0.5

Say = Callable[[Progress | Log], None]


class Child:
    """A child; `on_change` is called when it has become ready and when it has ended."""

    def __init__(
        self,
        handler: Handler,
        spawner: Spawner,
        watch: Watch,
        kill_grace_s: float,
        on_change: Callable[["Child"], None],
    ) -> None:
        self.handler = handler
        self.pid = 0
        self.ready = False
        self.gone = False
        #: Jobs it has ended, well or badly.
        self.served = 0
        #: It ended, or closed its input, before it had read the job it was lent.
        self.never_read = False
        self.end_note = ""
        self.deadline_s: float | None = None
        self.watched_s: float | None = None
        self._spawner = spawner
        self._watch = watch
        self._kill_grace_s = kill_grace_s
        self._on_change = on_change
        self._loop = asyncio.get_running_loop()
        self._conversation = Conversation(handler.limits.line, strict=handler.strict)
        self._job: asyncio.Future[Outcome] | None = None
        self._say: Say | None = None
        self._timeout_ms = 0
        self._said_anything = False
        self._held: Outcome | None = None
        self._spoiled: Spoiled | None = None
        self._ended_by: str | None = None
        self._timers: list[asyncio.TimerHandle] = []
        #: How a one-shot child is started: with its job, not before.
        self.launch: Callable[[], None] | None = None
        self._first_line: bytes | None = None

    async def start(self, program: str, env: dict[str, str]) -> None:
        """Start the process; raises StartFailed."""
        started = await self._spawner.spawn(self.handler, program, env, self._ended)
        self.pid = started.pid
        self._input = Input(self._loop, started.stdin, self._input_refused)
        self._errors = ErrorTail(self._loop, started.stderr)
        self._output = Output(self._loop, started.stdout, self._received, self._output_ended)
        if self._first_line is not None:
            self._input.write(self._first_line, then_close=True)
            if self._ended_by is not None:
                self.kill(self._ended_by)
        else:
            self._later(MIN_UPTIME_S, self._become_ready)

    def not_started(self, reason: str) -> None:
        """There will be no process; a job it was lent is given back."""
        self.gone = self.never_read = True
        self.end_note = reason
        self._end_job(Outcome.give_back(reason))

    @property
    def usable(self) -> bool:
        """Whether a job may be lent to it now."""
        return (
            self.ready
            and not self.gone
            and self._ended_by is None
            and self._job is None
            and self._conversation.state is State.IDLE
        )

    def run(
        self, job_id: str, line: bytes, timeout_ms: int | None, say: Say
    ) -> "asyncio.Future[Outcome]":
        """Lend it a job; the future has the outcome when the job has ended, one way or another.

        `line` is the job's line; `say` is called with what the child says meanwhile.
        """
        if not self._conversation.full and self.launch is None:
            # an answer that came unasked must not be taken for this job's
            self._output.read()
        job: asyncio.Future[Outcome] = self._loop.create_future()
        if not self.usable:
            job.set_result(Outcome.give_back("the child ended before the job was lent to it"))
            return job

        self._job, self._say, self._said_anything = job, say, False
        self._conversation.lend(job_id)
        if timeout_ms is not None:
            self._timeout_ms = timeout_ms
            self._watch.set(self, self._loop.time() + timeout_ms / 1000)
        if self.launch is not None:
            self._first_line = line
            self.launch()
        else:
            self._input.write(line)

        return job

    @property
    def ended_itself(self) -> bool:
        """Whether it has ended, and not by our wish."""
        return self.gone and self._ended_by in (None, "protocol")

    def abandon(self) -> None:
        """Let go of a child whose spawner has been closed: it is dead, nobody will report it."""
        self._on_change = lambda _: None
        if self.pid and not self.gone:
            self._ended(Exit(status=signal.SIGKILL, cpu_s=0.0, max_rss_kb=0, spawner_lost=True))
        else:
            self.not_started("the pool is closed")

    def retire(self) -> None:
        """Let an idle child end: say bye, close its input; it is ended if it does not."""
        if self.gone or self._ended_by is not None or not self.pid:
            return

        self._ended_by = "retired"
        if self._conversation.full and not self._input.busy:
            self._input.write(bye_line("retired"))
        self._input.close()
        self._later(self._kill_grace_s, self._terminate)

    def stop(self, by: str) -> None:
        """End it, politely first; a job it has ends as `by` says: timeout, stop, cancel,
        lease_lost."""
        if not self.gone and self._ended_by in (None, "retired"):
            self._ended_by = by
            self._terminate()

    def kill(self, by: str) -> None:
        """End it at once; `by` as in `stop`, or protocol."""
        if not self.gone:
            if self._ended_by in (None, "retired"):
                self._ended_by = by
            if self.pid:
                self._spawner.kill(self.pid, signal.SIGKILL)

    def time_out(self) -> None:
        """Called by the watch when the job's deadline has passed."""
        if self._job is not None:
            self.stop("timeout")

    def __repr__(self) -> str:
        state = "gone" if self.gone else self._conversation.state.value
        return f"<Child {self.pid} of {self.handler}: {state}, served {self.served}>"

    # ---- facts come in

    def _received(self, data: bytes) -> None:
        self._said_anything = True
        for event in self._conversation.receive(data):
            self._hear(event)

    def _hear(self, event: Event) -> None:
        match event:
            case Answer():
                self._answered(Outcome(value=event.value, failure=event.failure))
            case Progress() | Log():
                if self._say is not None:
                    self._say(event)
            case Hello():
                self._become_ready()
            case Noise():
                self._errors.add(event.line)
            case Spoiled():
                self._spoiled, self.end_note = event, event.reason
                self.kill("protocol")

    def _answered(self, outcome: Outcome) -> None:
        if self._ended_by in ("timeout", "lease_lost"):
            return

        self.deadline_s = None
        if self.handler.fresh:
            self._held = outcome
            self._later(self._kill_grace_s, self._terminate)
        elif not self._conversation.full and self.served < PROBATION_JOBS:
            self._held = outcome
            self._later(PROBATION_S, self._pass_probation)
        else:
            self._end_job(outcome)

    def _pass_probation(self) -> None:
        # a second answer may be in the pipe already
        self._output.read()
        if self._held is not None and self._spoiled is None:
            self._end_job(self._held)

    def _input_refused(self) -> None:
        """It has closed its input: it will never read this job to its end."""
        self._give_up("it closed its input")

    def _output_ended(self) -> None:
        self._later(EOF_GRACE_S, lambda: self._give_up("it closed its output and lived on"))

    def _give_up(self, why: str) -> None:
        # a one-shot child may close what it does not need
        if not self.handler.fresh and not self.gone:
            self.end_note = why
            self.kill("protocol")

    def _ended(self, end: Exit) -> None:
        """The process is dead, and so is everything it had started."""
        self._output.drain_and_close()
        if self.handler.fresh:
            for event in self._conversation.end_of_stream():
                self._hear(event)

        self.gone = True
        self.deadline_s = None
        self.never_read = not self.handler.fresh and self._input.nothing_read()
        record = death.death_of(end, self._ended_by, self._errors.tail())
        facts = self._last_facts(end)
        self.end_note = self.end_note or record.describe()
        self._close()
        if self._job is not None:
            self._end_job(death.last_outcome(facts, record))
        self._on_change(self)

    def _last_facts(self, end: Exit) -> death.LastFacts:
        return death.LastFacts(
            fresh=self.handler.fresh,
            spoiled=self._spoiled,
            answer=self._held,
            ended_by=self._ended_by,
            spawner_lost=end.spawner_lost,
            never_read=self.never_read,
            said_anything=self._said_anything or self._conversation.full or self.served > 0,
            noise=self._conversation.noise,
            timeout_ms=self._timeout_ms,
            note=self.end_note,
        )

    # ---- small steps

    def _end_job(self, outcome: Outcome) -> None:
        job, self._job, self._held = self._job, None, None
        if outcome.released is None:
            self.served += 1
        if job is not None and not job.done():
            job.set_result(outcome)

    def _become_ready(self) -> None:
        if not self.ready and not self.gone and self._ended_by is None:
            self.ready = True
            self._on_change(self)

    def _terminate(self) -> None:
        if not self.gone:
            self._ended_by = self._ended_by or "stop"
            if self.pid:
                self._spawner.kill(self.pid, signal.SIGTERM)
            self._later(self._kill_grace_s, lambda: self.kill("stop"))

    def _later(self, delay_s: float, step: Callable[[], None]) -> None:
        now_s = self._loop.time()
        self._timers = [timer for timer in self._timers if timer.when() > now_s]
        self._timers.append(self._loop.call_later(delay_s, step))

    def _close(self) -> None:
        for timer in self._timers:
            timer.cancel()
        self._input.close()
        self._errors.close()
