"""What a child asks of us: who may answer, and how the answer gets back."""

import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from sandq.model.handler import Handler
from sandq.model.outcome import FailureKind
from sandq.protocol.machine import Spoiled
from sandq.protocol.messages import Ask, Hello, refusal_line, reply_line, welcome_line

if TYPE_CHECKING:
    from sandq.child.process import Process
    from sandq.child.work import Work

log = logging.getLogger("sandq.child")

#: So many lines may wait for a child that does not read, beside what its pipe holds.
MOST_UNREAD = 100

#: Carries a call out: verb and arguments, the JSON text of an object; the value is JSON text.
Perform = Callable[[str, bytes], Awaitable[bytes]]


class CallRefused(Exception):
    """A call is not carried out. `kind` is the type of the error that the child is told:
    `sandq.not_allowed`, `sandq.unknown_verb`, `sandq.bad_args`, `sandq.busy` or `sandq.failed`.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class Asking:
    """The calls of one child, one at a time. `start_soon` runs a coroutine function beside all
    else; `on_breach` is told how a child breaks the protocol that calls without end."""

    def __init__(
        self,
        process: "Process",
        handler: Handler,
        start_soon: Callable[..., None],
        on_breach: Callable[[Spoiled], None],
    ) -> None:
        self._process = process
        self._handler = handler
        self._start_soon = start_soon
        self._on_breach = on_breach
        self._broken = False

    def welcome(self, hello: Hello) -> None:
        """Tell a child that wants to know what it may do."""
        if "welcome" in hello.caps and self._process.may_write:
            handler = self._handler
            self._process.write(welcome_line(handler.limits.line, handler.calls))

    def asked(self, work: "Work", ask: Ask) -> None:
        """The job at work calls; the reply goes out when it is there."""
        if self._broken:
            return
        if self._process.unread > MOST_UNREAD:
            self._broken = True
            words = f"the child calls, and does not read the replies: {MOST_UNREAD} wait for it"
            self._on_breach(Spoiled(FailureKind.PROTOCOL_ERROR, words))
        elif work.asks:
            words = "a call is under way: wait for its reply"
            self._process.write(refusal_line(ask, "sandq.busy", words))
        else:
            work.asks = True
            self._start_soon(self._reply, work, ask)

    async def _reply(self, work: "Work", ask: Ask) -> None:
        line = await answer(ask, self._handler, work.perform)
        work.asks = False
        if work.at_work and self._process.may_write:
            self._process.write(line)


async def answer(ask: Ask, handler: Handler, perform: Perform | None) -> bytes:
    """The line that replies to a call; whatever goes wrong is told to the child in it."""
    try:
        if ask.verb not in handler.calls:
            allowed = ", ".join(handler.calls) or "none"
            raise CallRefused(
                "sandq.not_allowed",
                f"the handler may not call {ask.verb!r}; its calls are: {allowed}",
            )
        if perform is None:
            raise CallRefused("sandq.unknown_verb", f"nobody here carries out {ask.verb!r}")
        line = reply_line(ask, await perform(ask.verb, ask.args))
    except CallRefused as error:
        return refusal_line(ask, error.kind, str(error))
    except Exception as error:
        # whoever wrote the verb, the child waits for a reply
        log.warning("job %s: its call %r failed: %s", ask.job_id, ask.verb, error)
        return refusal_line(ask, "sandq.failed", f"{ask.verb} failed: {error}")

    if len(line) - 1 > handler.limits.line:
        return refusal_line(
            ask,
            "sandq.failed",
            f"the reply is {len(line) - 1} bytes long; a line has {handler.limits.line} at most",
        )

    return line
