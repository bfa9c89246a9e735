"""The handler kit: find out what the handler is, choose the cases for it, run them."""

from dataclasses import dataclass, replace

from sandq.clock import monotonic_s
from sandq.conformance.cases import LEVELS, Case
from sandq.conformance.dialogue import Silence
from sandq.conformance.hearing import Heard
from sandq.conformance.running import Run
from sandq.conformance.subject import NotDone, Subject, Unmet

#: How long an answer may take once the first one did not come, in seconds.
_IMPATIENT_S = 2.0

PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"

NO_ECHO = "it needs the echo contract, and the handler has a job of its own (--job)"


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a case.

    `outcome`: passed, failed or skipped; `reason`: why, if it did not pass. `trace`: the last
    lines of the conversation; `errors`: of the error output; both for failed cases.
    """

    case: Case
    outcome: str
    reason: str = ""
    trace: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()

    @property
    def is_breach(self) -> bool:
        """Whether the handler does not conform for it."""
        return self.outcome == FAILED and self.case.tier == "MUST"


def probe(subject: Subject, level: str | None = None) -> Subject:
    """The subject with its level and capabilities, found by giving it a job.

    `level`: taken as told instead of found. Raises HandlerInvalid when it cannot be started.
    """
    run = Run(replace(subject, level=level or "simple"))
    hello, silent = None, False
    try:
        run.steps([{"send": {"job": "any"}}])
        heard = run.dialogue.listen(monotonic_s() + subject.ready_s + subject.answer_s)
        hello, silent = run.dialogue.hello, heard is Silence.DEADLINE
        if hello is not None:
            more = run.dialogue.listen(monotonic_s() + subject.ready_s + subject.answer_s)
            silent = more is Silence.DEADLINE
    except Unmet:
        pass  # what is wrong with it is for the cases to tell
    finally:
        run.dialogue.close()

    return replace(
        subject,
        level=level or ("full" if hello else "simple"),
        caps=_caps(hello),
        answer_s=min(subject.answer_s, _IMPATIENT_S) if silent else subject.answer_s,
        ready_s=min(subject.ready_s, _IMPATIENT_S) if silent and hello is None else subject.ready_s,
    )


def _caps(hello: Heard | None) -> frozenset[str]:
    caps = hello.members.get("caps") if hello else None

    if not isinstance(caps, list):
        return frozenset()

    return frozenset(name for name in caps if isinstance(name, str))


def why_skipped(case: Case, subject: Subject) -> str | None:
    """Why a case is not for this handler, or None when it is."""
    if subject.level not in LEVELS[case.level]:
        return f"it is for the level {case.level}, and the handler is {subject.level}"
    if "echo" in case.needs and subject.job is not None:
        return NO_ECHO
    lacking = [name for name in case.needs if name not in ("echo", *subject.caps)]
    if lacking:
        return f"its hello does not name {lacking[0]}"

    return None


def run_case(case: Case, subject: Subject) -> Result:
    """Run one case. Raises HandlerInvalid when the handler cannot be started."""
    reason = why_skipped(case, subject)
    if reason is not None:
        return Result(case, SKIPPED, reason)

    run = Run(subject)
    try:
        run.steps(case.steps)
    except NotDone as not_done:
        return Result(case, SKIPPED, str(not_done))
    except Unmet as unmet:
        dialogue = run.dialogue
        return Result(case, FAILED, str(unmet), tuple(dialogue.trace), tuple(dialogue.errors))
    finally:
        run.dialogue.close()

    return Result(case, PASSED)
