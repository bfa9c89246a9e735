"""From how a process ended to what it means: pure functions."""

import os
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sandq.child.spawn import Exit
from sandq.model.outcome import Death, Failure, FailureKind, LimitHit, Outcome
from sandq.model.payload import quote
from sandq.protocol.machine import Spoiled

if TYPE_CHECKING:
    from sandq.child.work import Work

#: Exit codes with a meaning (sysexits): the input is wrong, so another try is of no use.
EX_DATAERR = 65


#: The limit that ended a child -> the kind of the failure, what it is called, and its unit.
LIMITS = {
    "memory": (FailureKind.OUT_OF_MEMORY, "memory", " bytes"),
    "cpu": (FailureKind.CPU_LIMIT, "processor time", " s"),
    "pids": (FailureKind.PIDS_LIMIT, "processes and threads", ""),
    "inodes": (FailureKind.DISK_LIMIT, "files and folders", ""),
}

#: Limits that a handler sets by another name.
SET_BY = {"inodes": "disk"}


def death_of(end: Exit, by: str | None, stderr_tail: tuple[str, ...], sandbox: str = "") -> Death:
    """The death record; `by` is who ended the child, None when sandq did not."""
    if by is None and end.limit is not None:
        by = "limit"
    if os.WIFSIGNALED(end.status):
        number = os.WTERMSIG(end.status)
        try:
            name = signal.Signals(number).name
        except ValueError:
            name = f"signal {number}"
        by = by or ("oom" if end.oom else "unknown")
        return Death(
            "signal", None, name, by, end.cpu_s, end.max_rss_kb, stderr_tail, end.limit, sandbox
        )

    code = os.waitstatus_to_exitcode(end.status)

    return Death(
        "exit",
        code,
        None,
        by or "itself",
        end.cpu_s,
        end.max_rss_kb,
        stderr_tail,
        end.limit,
        sandbox,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class LastFacts:
    """What is known of a child that ended while it had a job.

    - `spoiled`: how it broke the protocol, if it did; `answer`: what it had answered, if anything.
    - `ended_by`: timeout, heartbeat, stop, cancel, lease_lost, protocol or retired when sandq
      ended it.
    - `never_began`: its program could not be run at all.
    - `never_read`: it ended before it read the job; `noise`: its first line that was no message.
    - `note`: why sandq ended it, in words, if it did so at once.
    - `line_limit`: how long a line it may write, in bytes.
    """

    fresh: bool = False
    spoiled: Spoiled | None = None
    answer: Outcome | None = None
    ended_by: str | None = None
    spawner_lost: bool = False
    never_read: bool = False
    never_began: bool = False
    said_anything: bool = False
    noise: bytes | None = None
    timeout_ms: int = 0
    heartbeat_ms: int = 0
    note: str = ""
    line_limit: int = 0


def last_outcome(facts: LastFacts, death: Death) -> Outcome:
    """What became of the job; the first row that fits.

    | the child                           | outcome                                          |
    |-------------------------------------|--------------------------------------------------|
    | broke the protocol, or said that it |                                                  |
    | cannot serve, the job not read yet  | given back: it failed to start                   |
    | broke the protocol                  | failed with the kind of the breach               |
    | answered (one-shot: and ended well) | its answer                                       |
    | lost its spawner                    | given back                                       |
    | never began                         | given back: it failed to start                   |
    | was ended by the timeout            | timed_out                                        |
    | was ended for its silence           | heartbeat_lost                                   |
    | was ended by a stop, a cancel       | given back (a job being cancelled goes no further) |
    | was ended by a lost lease           | given back                                       |
    | ended silently, one-shot            | by its exit code: null, unrecoverable or crashed |
    | never read the job                  | given back: it failed to start                   |
    | was ended by a limit                | the kind of the limit                            |
    | was killed for want of memory       | out_of_memory                                    |
    | anything else                       | crashed                                          |
    """
    if facts.spoiled is not None:
        if facts.never_read and facts.answer is None:
            return Outcome.give_back(facts.spoiled.reason)
        twice = ""
        if facts.answer is not None:
            again = facts.spoiled.reason.startswith("the child answered")
            twice = "the child answered twice: " if again else "it had answered already: "
        too_long = facts.spoiled.kind is FailureKind.OUTPUT_LIMIT
        return Outcome.failed(
            facts.spoiled.kind,
            twice + facts.spoiled.reason,
            death=death,
            limit=LimitHit("output", facts.line_limit) if too_long else None,
        )
    if facts.answer is not None:
        lied = facts.fresh and facts.answer.value is not None and death.exit_code != 0
        return bad_end(death) if lied and facts.ended_by is None else facts.answer
    if facts.spawner_lost:
        return Outcome.give_back("the spawner process died")
    if facts.never_began:
        return Outcome.give_back(f"its program could not be run: {death.describe()}")
    if facts.ended_by == "timeout":
        return time_out(death, facts)
    if facts.ended_by == "heartbeat":
        return Outcome.failed(
            FailureKind.HEARTBEAT_LOST,
            f"the job said nothing for {facts.heartbeat_ms} ms; the child was ended: "
            f"{death.describe()}",
            death=death,
        )
    if facts.ended_by in ("stop", "cancel", "lease_lost"):
        return Outcome.give_back(facts.ended_by)
    if facts.fresh:
        return silent_end(death, facts)
    if facts.never_read:
        return Outcome.give_back(f"the child ended before it read the job: {death.describe()}")

    return crash(death, facts)


def ended_when_asked(outcome: Outcome, work: "Work") -> Outcome:
    """A child that was asked to end its job has answered in time, and lives on.

    | asked because of | outcome                                          |
    |------------------|--------------------------------------------------|
    | timeout          | timed_out, with what an error said               |
    | heartbeat        | heartbeat_lost, with what an error said          |
    | cancel           | the value: it was done; for an error given back (and so cancelled) |
    | stop             | the value; for an error given back               |
    """
    if work.condemned in ("cancel", "stop"):
        return Outcome.give_back(work.condemned) if outcome.value is None else outcome

    said = "answered too late"
    if outcome.failure is not None:
        said = f"said: {outcome.failure.message}"
    if work.condemned == "timeout":
        kind, why = FailureKind.TIMED_OUT, f"no answer within {work.timeout_ms} ms"
    else:
        kind = FailureKind.HEARTBEAT_LOST
        why = f"the job said nothing for {work.heartbeat_ms} ms"

    return Outcome.failed(kind, f"{why}; asked to end it, the handler {said}")


def crash(death: Death, facts: LastFacts) -> Outcome:
    """The child of a warm pool ended in the middle of a job."""
    kind, advice = cause_of(death)
    why = f"{facts.note}: " if facts.note else ""
    message = f"the child ended before it answered: {why}{death.describe()}{advice}"

    return Outcome.failed(kind, message + _seen(facts.noise), death=death, limit=death.limit)


def cause_of(death: Death) -> tuple[FailureKind, str]:
    """The kind of failure that a death is by its evidence, and what is to be said of it."""
    if death.limit is not None:
        name, value, peak = death.limit.name, death.limit.value, death.limit.peak
        kind, words, unit = LIMITS[name]
        most = f", and had {peak}{unit}" if peak is not None and peak > value else ""
        return kind, (
            f"; all its processes together may have {value}{unit} of {words}{most}: raise "
            f"{SET_BY.get(name, name)} in its sandbox if it needs more"
        )
    if death.by == "oom":
        return FailureKind.OUT_OF_MEMORY, "; the kernel ended it, for memory had run out"

    return FailureKind.CRASHED, ""


def silent_end(death: Death, facts: LastFacts) -> Outcome:
    """A one-shot child ended without an answer: its exit code is the answer."""
    if death.exit_code == 0:
        return Outcome(value=b"null", sandbox=death.sandbox)

    outcome = crash(death, facts)
    if death.exit_code != EX_DATAERR or outcome.failure is None:
        return outcome

    return Outcome(
        failure=Failure(
            kind=FailureKind.UNRECOVERABLE,
            message=f"{outcome.failure.message}; exit code {EX_DATAERR} means: do not try again",
            retryable=False,
            death=death,
        )
    )


def bad_end(death: Death) -> Outcome:
    """A one-shot child answered well, and then ended badly: it is not to be believed."""
    kind, advice = cause_of(death)
    message = f"the child ended after it answered ok: {death.describe()}{advice}"

    return Outcome.failed(kind, message, death=death, limit=death.limit)


def time_out(death: Death, facts: LastFacts) -> Outcome:
    """The attempt took longer than it may."""
    hint = _seen(facts.noise)
    if not facts.said_anything:
        hint = "; nothing was seen on its output: does it read its input, and flush its output?"

    return Outcome.failed(
        FailureKind.TIMED_OUT,
        f"no answer within {facts.timeout_ms} ms; the child was ended: {death.describe()}{hint}",
        death=death,
        limit=LimitHit("wall", facts.timeout_ms),
    )


def _seen(noise: bytes | None) -> str:
    return "" if noise is None else f"; it wrote a line that is not JSON: {quote(noise)}"
