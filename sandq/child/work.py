"""The one job that a child has, from the line that lends it to the outcome."""

import asyncio
from collections.abc import Callable
from typing import Any

from sandq.child.asking import Perform
from sandq.child.death import LastFacts
from sandq.model.outcome import Outcome
from sandq.protocol.messages import Said

Say = Callable[[Said], None]


class Work:
    """What a child was lent, and what is known of it so far.

    `say` is called with what the job says while it runs, `perform` carries out what it asks for.
    """

    __slots__ = (
        "answer", "asks", "at_work", "began_s", "condemned", "done", "heartbeat_ms",
        "job_id", "line", "perform", "said_anything", "say", "timeout_ms",
    )  # fmt: skip

    def __init__(
        self,
        job_id: str,
        line: bytes,
        done: "asyncio.Future[Outcome]",
        say: Say,
        timeout_ms: int | None,
        heartbeat_ms: int | None,
        perform: Perform | None,
    ) -> None:
        self.job_id = job_id
        self.line = line
        self.done = done
        self.say = say
        self.timeout_ms = timeout_ms
        self.heartbeat_ms = heartbeat_ms
        self.perform = perform
        #: When its line went out, by the loop's clock, in seconds.
        self.began_s = 0.0
        self.at_work = True
        #: Why it is to end, once the child has been asked to end it.
        self.condemned: str | None = None
        self.said_anything = False
        #: What the child has answered, while it is not yet sure that it counts.
        self.answer: Outcome | None = None
        #: It waits for the reply to a call.
        self.asks = False

    def end(self, outcome: Outcome) -> None:
        """The job is over; whoever waits for it may have gone."""
        self.at_work = False
        if not self.done.done():
            self.done.set_result(outcome)

    def last_facts(self, **facts: Any) -> LastFacts:
        """What is known when the child has ended, with what is known of the child itself."""
        return LastFacts(
            answer=self.answer,
            said_anything=self.said_anything,
            timeout_ms=self.timeout_ms or 0,
            heartbeat_ms=self.heartbeat_ms or 0,
            **facts,
        )
