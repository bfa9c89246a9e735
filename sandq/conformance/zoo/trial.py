"""One case played to a supervisor, and judged: by the lines it writes, and from outside."""

import os
import signal
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from sandq.clock import block_s, monotonic_s
from sandq.conformance.zoo import outside
from sandq.conformance.zoo.candidate import Candidate
from sandq.conformance.zoo.catalogue import Case, Step
from sandq.conformance.zoo.events import SLOTS, Row, load_rows
from sandq.conformance.zoo.judging import MetricsKept, complaints_of, short
from sandq.conformance.zoo.stage import Stage, job_line, mark_of
from sandq.conformance.zoo.verdict import Verdict
from sandq.settings import own_environment

#: A job is over so long after its time and the kill grace, in seconds.
OVER_S = 0.2

#: A job that is not about time is over within this, in seconds.
PATIENCE_S = 10.0

#: What a child leaves behind must be gone so long after the slot has served again, in seconds.
GONE_S = 2.0

#: How much larger than before the supervisor may become, in KiB.
GROWTH_KIB = 20 * 1024

#: A child that has left is replaced within this, where children are kept warm, in seconds.
REPLACED_S = 1.0

#: A mark that a child may not live to set is waited for so long, in seconds.
MARKED_S = 0.5

#: What a program has put away is put back after this, in seconds.
PUT_BACK_S = 0.15

_LOOK_AGAIN_S = 0.01


class Stuck(Exception):
    """The case cannot go on; the message says why."""


def play(case: Case, command: Sequence[str], slack_s: float) -> Verdict:
    """Play one case. `slack_s` is granted beside every bound, for a machine that is busy.

    Raises SupervisorError when the supervisor cannot be started.
    """
    with tempfile.TemporaryDirectory(prefix="sandq-zoo-", ignore_cleanup_errors=True) as folder:
        trial = _Trial(case, command, slack_s, Path(folder))
        try:
            trial.play()
        except Stuck as stuck:
            trial.complaints.append(str(stuck))
        finally:
            trial.close()
        lines = trial.candidate.errors.decode("utf-8", "replace").splitlines()

    return Verdict(
        case,
        tuple(trial.complaints),
        trial.late_ms,
        trial.growth_kib,
        tuple(lines[-5:]) if trial.complaints else (),
    )


class _Trial:
    def __init__(self, case: Case, command: Sequence[str], slack_s: float, folder: Path) -> None:
        self.case = case
        self.complaints: list[str] = []
        self.late_ms: float | None = None
        self.growth_kib = 0
        self._slack_s = slack_s
        self._stage = Stage(case, folder)
        self._jobs = 0
        self._child = 0
        self._started = 1
        self._before: outside.Sight | None = None
        self._metrics = MetricsKept()
        variables = {"TMPDIR": str(self._stage.temporary), "ZOO_SECRET": "no child may see this"}
        self.candidate = Candidate(command, own_environment() | variables)

    def play(self) -> None:
        """All steps, then the looks from outside."""
        self.candidate.send(self._stage.settings)
        if self.case.warm:
            self._well("warm", None)
            self._before = self._look()
            outside.forget_most(self.candidate.pid)
        for step in self.case.steps:
            if step.kill == "supervisor":
                self._kill_supervisor()
                return
            self._step(step)
            if self._refused():
                return
        if self._before is not None:
            self._compare(self._before)
        self._end()

    def close(self) -> None:
        """Leave nothing behind."""
        self.candidate.close()
        outside.end_all(self._stage.mark)

    # ---- steps

    def _step(self, step: Step) -> None:
        row = load_rows().get(step.row)
        if row is not None:
            self._metrics.happened(row)
        if step.when.endswith("?"):
            self._until(lambda: self._stage.has(step.when[:-1]), MARKED_S)
        elif step.when:
            self._wait_for(step.when)
        if step.call_off:
            self.candidate.send({"cancel": step.call_off})
        if step.kill:
            with suppress(ProcessLookupError):
                os.kill(self._child, signal.Signals[f"SIG{step.number}"])
            # a job that is lent to a dying process may still be read by it
            self._until(lambda: step.number == "STOP" or outside.is_dead(self._child), MARKED_S)
        else:
            self._job(step, row)
        if row is not None and row.slot != "same" and not step.next:
            # another process has the next job, and which one is not known
            self._child = 0
        if step.next and not self._refused():
            self._well("next", row)

    def _job(self, step: Step, row: Row | None) -> None:
        job_id, sent_s = self._send(step)
        allowed_s, begun_s = self._allowed_s(step), sent_s
        if step.stop_when:
            self._stop(step, job_id)
            allowed_s += step.stop_ms / 1000
        if step.put_back:
            self._until(lambda: False, PUT_BACK_S)
            self._stage.put_back(step.put_back)
        if step.cancel_when:
            self._wait_for(mark_of(step.cancel_when, job_id))
            self.candidate.send({"cancel": job_id})
            begun_s = monotonic_s()
        told = self._told(job_id, begun_s + allowed_s + self._slack_s)
        if told is None:
            return

        at_s, line = told
        begun_s = max(begun_s, self._stage.read_s(job_id))
        took_s = at_s - begun_s
        if took_s > allowed_s + self._slack_s:
            self._complain(f"job {job_id} took {took_s:.3f} s; {allowed_s:.3f} s are allowed")
        if step.timeout_ms is not None and row is not None and row.kind == "timed_out":
            late_ms = (took_s - allowed_s + OVER_S) * 1000
            self.late_ms = max(self.late_ms or late_ms, late_ms)
        for text in complaints_of(line, step, row):
            self._complain(f"job {job_id} ({step.job}): {text}")
        if step.job == "leave":
            # a supervisor that starts no child ahead of its job starts none now
            self._until(lambda: self._stage.starts() > self._started, REPLACED_S)
            self._started = self._stage.starts()

    def _well(self, name: str, row: Row | None) -> None:
        """A job to behave well at: the answer says which process has served it."""
        job_id, sent_s = self._send(Step(job=name))
        told = self._told(job_id, sent_s + PATIENCE_S + self._slack_s)
        if told is None:
            raise Stuck(f"the slot does not serve the {name} job")

        value = told[1].get("value")
        if told[1].get("state") != "completed" or not isinstance(value, dict):
            raise Stuck(f"the {name} job is not completed by a new child: {short(told[1])}")
        before, self._child = self._child, value.get("pid", 0)
        if before and row is not None and self.case.level != "oneshot":
            seen = "same" if self._child == before else "new"
            if row.slot in ("same", "new") and row.slot != seen:
                self._complain(f"after {row.row!r} it must be that {SLOTS[row.slot]}")
        self._nothing_left()

    def _send(self, step: Step) -> tuple[str, float]:
        self._jobs += 1
        job_id = str(self._jobs)
        self.candidate.send(job_line(step, job_id))

        return job_id, monotonic_s()

    def _told(self, job_id: str, deadline_s: float) -> tuple[float, dict[str, Any]] | None:
        while (told := self.candidate.next_line(deadline_s)) is not None:
            self._metrics.count(told[1])
            if told[1].get("id") == job_id:
                self._stage.told(job_id)
                return told
            self._complain(f"it wrote a line that no job is waited for with: {short(told[1])}")
        if self._refused():
            return None
        if self.candidate.over:
            raise Stuck(f"the supervisor has ended before it told the end of job {job_id}")

        raise Stuck(f"the end of job {job_id} was not told in time")

    def _allowed_s(self, step: Step) -> float:
        if step.within_ms is not None:
            return step.within_ms / 1000
        if step.cancel_when:
            return self.case.grace_ms / 1000 + OVER_S
        if step.timeout_ms is not None:
            return (step.timeout_ms + self.case.grace_ms) / 1000 + OVER_S

        return PATIENCE_S

    def _stop(self, step: Step, job_id: str) -> None:
        self._wait_for(mark_of(step.stop_when, job_id))
        self.candidate.signal(signal.SIGSTOP)
        block_s(step.stop_ms / 1000)
        self.candidate.signal(signal.SIGCONT)

    def _refused(self) -> bool:
        """Whether the supervisor has refused the settings, as it may in some cases."""
        if not self.case.refusable or not self.candidate.over or self.candidate.lines:
            return False

        return self.candidate.exit_code(monotonic_s() + PATIENCE_S) not in (0, None)

    # ---- looks from outside

    def _kill_supervisor(self) -> None:
        self._send(Step(job="evil"))
        self._wait_for(f"read-{self._jobs}")
        self.candidate.signal(signal.SIGKILL)
        self._until(lambda: not outside.marked(self._stage.mark), GONE_S + self._slack_s)
        if left := outside.marked(self._stage.mark):
            self._complain(f"{len(left)} processes outlive the supervisor by {GONE_S:g} s")

    def _nothing_left(self) -> None:
        """Of the handler there is what serves, and nothing else."""
        allowed = set() if self.case.level == "oneshot" else {self._child}
        if not self._until(lambda: not self._strays(allowed), GONE_S + self._slack_s):
            self._complain(f"{self._strays(allowed)} processes of the child are left")

    def _strays(self, allowed: set[int]) -> int:
        return len(outside.marked(self._stage.mark) - allowed)

    def _look(self) -> outside.Sight:
        return outside.look(
            self.candidate.pid, outside.marked(self._stage.mark), self._stage.temporary
        )

    def _compare(self, before: outside.Sight) -> None:
        if not self._until(lambda: not self._look().grown(before), GONE_S + self._slack_s):
            self._complain(self._look().grown(before))
        self.growth_kib = max(0, self._look().most_kib - before.now_kib)
        if self.growth_kib > GROWTH_KIB:
            self._complain(f"the supervisor grew by {self.growth_kib} KiB")
        if 0 < self.case.starts_at_most < self._stage.starts():
            self._complain(f"{self._stage.starts()} processes were started: too many")

    def _end(self) -> None:
        """The end of the input: every child is ended, the metrics are told."""
        self.candidate.end_input()
        line = self.candidate.next_line(monotonic_s() + PATIENCE_S + self._slack_s)
        code = self.candidate.exit_code(monotonic_s() + PATIENCE_S + self._slack_s)
        if code != 0:
            self._complain(f"it ended with {code} after its input; 0 is right")
        if line is None or not isinstance(line[1].get("metrics"), dict):
            self._complain("its last line does not tell the metrics")
        else:
            for text in self._metrics.differences(line[1]["metrics"], self._stage.starts()):
                self._complain(text)
        if left := outside.marked(self._stage.mark):
            self._complain(f"{len(left)} processes of its children are left after its end")
        if left_files := self._stage.left():
            self._complain(f"temporary files are left after its end: {left_files}")

    # ---- small steps

    def _wait_for(self, mark: str) -> None:
        if not self._until(lambda: self._stage.has(mark), PATIENCE_S + self._slack_s):
            raise Stuck(f"the child has not come to its mark {mark!r}")

    def _until(self, holds: Any, seconds: float) -> bool:
        until_s = monotonic_s() + seconds
        while not holds():
            now_s = monotonic_s()
            if now_s > until_s:
                return False
            if self.candidate.over:
                block_s(_LOOK_AGAIN_S)
            else:
                self.candidate.attend(now_s + _LOOK_AGAIN_S)

        return True

    def _complain(self, text: str) -> None:
        self.complaints.append(text)
