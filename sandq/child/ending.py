"""How a child is ended: asked, told, forced; each at most once, in this order, in one grace.

| it has a job and can be asked | at once          | at 4/5 of the grace | at the end of the grace |
|-------------------------------|------------------|---------------------|-------------------------|
| yes                           | the message      | SIGTERM             | SIGKILL                 |
| no                            | SIGTERM          |                     | SIGKILL                 |

SIGTERM goes to the child's group; with SIGKILL everything it had started is killed as well.
Behind walls no signal is heard but SIGKILL, so that one takes the place of SIGTERM there.
"""

import signal

from sandq.child.process import Process
from sandq.child.work import Work
from sandq.protocol.messages import bye_line, cancel_line

#: The part of the grace for a child that was asked to end its job; then comes SIGTERM.
ASKED_SHARE = 0.8

#: A job that is not over so long after its child was to be gone is let go, in seconds.
OVERRUN_S = 5.0

#: Why a job is to end -> what its child is told, if it can be told.
REASONS = {"timeout": "timeout", "heartbeat": "timeout", "cancel": "cancel", "stop": "shutdown"}

#: No answer is taken any more from a child that is being ended for one of these.
TOO_LATE = ("timeout", "heartbeat", "lease_lost")


class Ending:
    """The end of one child, once there is a reason for it: `by` is that reason."""

    def __init__(self, process: Process, grace_s: float) -> None:
        self.by: str | None = None
        self.grace_s = grace_s
        self._process = process
        self._over_s: float | None = None

    @property
    def too_late(self) -> bool:
        """Whether no answer is taken any more."""
        return self.by in TOO_LATE

    def stop(self, work: Work | None, by: str, *, can_be_asked: bool, grace_s: float) -> None:
        """End the job, and the child with it unless it can be asked and answers in time."""
        if self.by not in (None, "retired") or (work is not None and work.condemned):
            return

        self._over_s = self._process.loop.time() + grace_s + OVERRUN_S
        if work is None or not can_be_asked:
            self.by = by
            self.terminate(grace_s)
            return

        asked_s = grace_s * ASKED_SHARE
        work.condemned = by
        self._process.write(cancel_line(work.job_id, REASONS[by], round(asked_s * 1000)))
        self._process.later(asked_s, self._asked_in_vain, work, grace_s - asked_s)

    def kill(self, work: Work | None, by: str) -> None:
        """End it at once; who was asked already is ended for the reason it was asked."""
        if self.by in (None, "retired"):
            self.by = (work.condemned if work is not None else None) or by
        self._process.kill()

    def retire(self, reason: str, *, say_bye: bool) -> None:
        """Let an idle child end by itself; it is ended if it does not."""
        if self.by is not None:
            return

        self.by = "retired"
        if say_bye and self._process.reads:
            self._process.write(bye_line(reason))
        self._process.end_input()
        self._process.later(self.grace_s, self.terminate, self.grace_s)

    def terminate(self, grace_s: float) -> None:
        """Tell it to end; it is forced after the grace."""
        self.by = self.by or "stop"
        self._process.signal(signal.SIGTERM)
        self._process.later(grace_s, self._process.kill)

    def answered(self) -> None:
        """The job that was to end has ended."""
        self._over_s = None

    def overrun(self, deadline_s: float | None) -> bool:
        """Whether a job with this deadline should have been over for some time by now."""
        over_s = self._over_s
        if over_s is None and deadline_s is not None:
            over_s = deadline_s + self.grace_s + OVERRUN_S

        return over_s is not None and self._process.loop.time() > over_s

    def _asked_in_vain(self, work: Work, grace_s: float) -> None:
        if work.at_work and self.by is None:
            self.by = work.condemned
            self.terminate(grace_s)
