"""One child: a process, its conversation, and the one job it may have.

The facts come in by callbacks (bytes, deadline, end of the process) and leave as one Outcome.
"""

import asyncio
import signal
from collections.abc import Callable

from sandq.child import death
from sandq.child.around import Around
from sandq.child.asking import Asking, Perform
from sandq.child.between import PROBATION_S, Between, uptime_s
from sandq.child.ending import Ending
from sandq.child.process import Process
from sandq.child.pulse import Pulse
from sandq.child.spawn import Exit
from sandq.child.timekeeper import Timekeeper
from sandq.child.work import Say, Work
from sandq.isolation.confinement import Confinement
from sandq.model.handler import Channel, Handler
from sandq.model.outcome import Outcome
from sandq.protocol import messages
from sandq.protocol.machine import Conversation, Event, Spoiled, State

#: A child whose output has ended is given this long to end as well, in seconds.
EOF_GRACE_S = 0.5


class Child:
    """A child of a handler; it serves the jobs of one `key` alone."""

    def __init__(self, handler: Handler, around: Around, key: str = "") -> None:
        self.handler = handler
        self.key = key
        self.process = Process(handler, around.starter, self, around.trace)
        self.ready = self.gone = False
        #: Jobs it has ended, well or badly.
        self.served = 0
        #: Since when it has had no job, by the loop's clock, in seconds.
        self.idle_since_s = 0.0
        #: It ended, or closed its input, before it had read the job it was lent.
        self.never_read = False
        self.end_note = ""
        #: How a one-shot child is started: with its job, not before.
        self.launch: Callable[[], None] | None = None
        self._on_change, self._tally = around.on_change, around.tally
        private = handler.channel is not Channel.STDOUT
        self._conversation = Conversation(handler.limits.line, strict=handler.strict or private)
        self._work: Work | None = None
        self._spoiled: Spoiled | None = None
        self._ending = Ending(self.process, around.kill_grace_s)
        self._time = Timekeeper(self.process.loop, around.watch, self.stop)
        self._asking = Asking(self.process, handler, around.start_soon, self._hear)
        self._pulse = Pulse(self.process, self._give_up)
        self._between = Between(handler, key, self.process)

    async def start(self, program: str, env: dict[str, str], confinement: Confinement) -> None:
        """Start the process; raises StartFailed."""
        await self.process.start(program, env, confinement)
        if self._work is not None:
            self._begin(self._work)
            if self._ending.by is not None:
                self.kill(self._ending.by)
        else:
            self.process.later(uptime_s(confinement), self._become_ready)

    def not_started(self, reason: str) -> None:
        """There will be no process; a job it was lent is given back."""
        self.gone = self.never_read = True
        self.end_note = reason
        self.process.close()
        self._end_job(Outcome.give_back(reason))

    @property
    def pid(self) -> int:
        """The id of its process; 0: not there yet."""
        return self.process.pid

    @property
    def usable(self) -> bool:
        """Whether a job may be lent to it now."""
        idle = self._work is None and self._conversation.state is State.IDLE
        return idle and self.ready and not self.gone and self._ending.by is None

    @property
    def ended_itself(self) -> bool:
        """Whether it has ended, and not by our wish."""
        return self.gone and self._ending.by in (None, "protocol")

    @property
    def overrun(self) -> bool:
        """Whether its job should have been over long ago: its lease is kept no longer."""
        return self._ending.overrun(self._time.deadline_s)

    def run(
        self,
        job_id: str,
        line: bytes,
        timeout_ms: int | None,
        say: Say,
        heartbeat_ms: int | None = None,
        perform: Perform | None = None,
    ) -> "asyncio.Future[Outcome]":
        """Lend it a job, `line`; the future has the outcome when it has ended, in whatever way.

        `say` is called with what the job says meanwhile, `perform` with what it asks for.
        """
        if not self._conversation.full and self.launch is None:
            # an answer that came unasked must not be taken for this job's
            self.process.read_now()
        done: asyncio.Future[Outcome] = self.process.loop.create_future()
        if not self.usable:
            done.set_result(Outcome.give_back("the child ended before the job was lent to it"))
            return done

        self._work = Work(job_id, line, done, say, timeout_ms, heartbeat_ms, perform)
        self._work.said_anything = self._conversation.full or self.served > 0
        self.process.capture.say = say
        self._conversation.lend(job_id)
        if self.launch is not None:
            self.launch()
        else:
            self._begin(self._work)

        return done

    def extend(self, more_ms: int) -> int:
        """The same as `Timekeeper.extend`, for the job it has; no job passes the sandbox's wall."""
        work = self._work if self._ending.by is None else None
        return self._time.extend(work, more_ms, self.handler.sandbox.wall_ms)

    def ping(self) -> None:
        """Ask whether it is alive; it is idle, and can say so."""
        if self.usable and not self._between.frozen and "ping" in self._conversation.caps:
            self._pulse.ask()

    def abandon(self) -> None:
        """Let go of a child whose spawner has been closed: it is dead, nobody will report it."""
        self._on_change = lambda _: None
        if self.pid and not self.gone:
            self.ended(Exit(status=signal.SIGKILL, cpu_s=0.0, max_rss_kb=0, spawner_lost=True))
        else:
            self.not_started("the pool is closed")

    def retire(self, reason: str = "retired") -> None:
        """Let an idle child end: say bye, close its input; it is ended if it does not."""
        if self._between.frozen:
            self.kill("retired")
        elif self.pid and not self.gone:
            self._ending.retire(reason, say_bye=self._conversation.full)

    def stop(self, by: str, grace_s: float | None = None) -> None:
        """End its job: `by` is timeout, heartbeat, cancel or stop. The child is gone in `grace_s`
        (the kill grace), unless it can be asked to end the job, and does in time."""
        if not self.gone:
            can = "cancel" in self._conversation.caps and self.process.may_write
            grace_s = self._ending.grace_s if grace_s is None else grace_s
            self._ending.stop(self._work, by, can_be_asked=can, grace_s=grace_s)

    def kill(self, by: str) -> None:
        """End it at once; `by` as in `stop`, or lease_lost or protocol."""
        if not self.gone:
            self._ending.kill(self._work, by)

    def __repr__(self) -> str:
        state = "gone" if self.gone else self._conversation.state.value
        return f"<Child {self.pid} of {self.handler}: {state}, served {self.served}>"

    def received(self, data: bytes) -> bool:
        """It wrote to its answer stream; whether that was the end of a job."""
        work = self._work
        if work is not None:
            work.said_anything = True
        for event in self._conversation.receive(data):
            self._hear(event)

        return work is not None and (work is not self._work or work.answer is not None)

    def input_refused(self) -> None:
        """It has closed its input: it will never read this job to its end."""
        self._give_up("it closed its input")

    def output_ended(self) -> None:
        """It has closed its answer stream."""
        self.process.later(EOF_GRACE_S, self._give_up, "it closed its output and lived on")

    def ended(self, end: Exit) -> None:
        """The process is dead, and so is everything it had started."""
        result = self.process.drain().strip()
        if self.handler.fresh:
            events = self._conversation.end_of_stream()
            if result:
                events = self._conversation.receive(messages.one_line(result) + b"\n")
            for event in events:
                self._hear(event)
        self.gone = True
        self._time.end()
        self.never_read = not end.began or (not self.handler.fresh and self.process.nothing_read)
        record = self.process.death(end, self._ending.by)
        self._tally.ended[record.by] += 1
        note, self.end_note = self.end_note, self.end_note or record.describe()
        self.process.close()
        if self._work is not None:
            facts = self._work.last_facts(
                fresh=self.handler.fresh,
                spoiled=self._spoiled,
                ended_by=self._ending.by or self._work.condemned,
                spawner_lost=end.spawner_lost,
                never_read=self.never_read,
                never_began=not end.began,
                noise=self._conversation.noise,
                note=note,
                line_limit=self.handler.limits.line,
            )
            self._end_job(death.last_outcome(facts, record))
        self._on_change(self)

    def _hear(self, event: Event) -> None:
        work = self._work
        match event:
            case messages.Answer():
                self._answered(Outcome(event.value, event.failure, sandbox=self.process.sandbox))
            case messages.Progress() | messages.Log() | messages.Emit() | messages.Heartbeat():
                if work is not None:
                    self._time.beat(work)
                    if not isinstance(event, messages.Heartbeat):
                        work.say(event)
            case messages.Ask():
                if work is not None:
                    self._time.beat(work)
                    self._asking.asked(work, event)
            case messages.Hello():
                self._asking.welcome(event)
                self._become_ready()
            case messages.Pong():
                self._pulse.answer(event.n)
            case messages.Noise():
                self.process.capture.add(event.line, "stdout")
            case Spoiled():
                self._spoiled, self.end_note = event, event.reason
                self.kill("protocol")

    def _answered(self, outcome: Outcome) -> None:
        work = self._work
        if work is None or self._ending.too_late:
            return

        self._time.end()
        # what was read together with an answer is judged together with it
        spoiled = self._conversation.state is State.SPOILED
        if work.condemned is not None:
            self._end_job(death.ended_when_asked(outcome, work))
        elif self.handler.fresh:
            work.answer, grace_s = outcome, self._ending.grace_s
            self.process.later(grace_s, self._ending.terminate, grace_s)
        elif not self._conversation.full and (spoiled or self._between.on_probation(self.served)):
            work.answer = outcome
            self.process.later(PROBATION_S, self._pass_probation, work)
        else:
            self._end_job(outcome)

    def _pass_probation(self, work: Work) -> None:
        # a second answer may be in the pipe already
        self.process.read_now()
        if self._work is work and work.answer is not None and self._spoiled is None:
            self._end_job(work.answer)

    def _give_up(self, why: str) -> None:
        # a one-shot child may close what it does not need
        if not self.handler.fresh and not self.gone:
            self.end_note = why
            self.kill("protocol")

    def _begin(self, work: Work) -> None:
        """The line goes out: from now on the time counts."""
        self._pulse.lent()
        self._time.begin(work)
        self._between.wake()
        self.process.write(work.line, job=True, then_close=self.handler.fresh)

    def _end_job(self, outcome: Outcome) -> None:
        work, self._work = self._work, None
        self._ending.answered()
        self.idle_since_s = self.process.loop.time()
        self.process.capture.finish_job()
        if outcome.released is None or not self.gone:
            self.served += 1
        if work is not None:
            self._tally.job(outcome)
            work.end(outcome)
        if not self.gone and self._ending.by is None and not self._between.rest():
            self.kill("retired")

    def _become_ready(self) -> None:
        if not self.ready and not self.gone and self._ending.by is None:
            self.ready = True
            self.idle_since_s = self.process.loop.time()
            self._on_change(self)
