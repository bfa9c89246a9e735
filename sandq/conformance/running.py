"""One case spoken to a handler: its steps, one after the other, until one is not met."""

import signal
from collections.abc import Mapping, Sequence
from typing import Any

from sandq.clock import monotonic_s
from sandq.conformance.dialogue import Dialogue, Silence
from sandq.conformance.hearing import Heard, Kind
from sandq.conformance.saying import job_line, message_line
from sandq.conformance.subject import NotDone, Subject, Unmet, how_it_ended
from sandq.conformance.values import JsonLiteral, fill, members_differ, show, to_text
from sandq.model.payload import quote

#: A life without hello that makes a child ready (sandq.child has the same).
_READY_S = 0.05

#: How long an answer is looked for after the end of input, to tell who does not flush.
_FLUSH_S = 1.0

_MS = 1000


class Run:
    """The state of one case. `dialogue.close` must be called at its end."""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self.dialogue = Dialogue(subject)
        self._oneshot = subject.level == "oneshot"
        self._jobs = 0
        self._names: dict[str, Any] = {"id": "", "n": 0, "value": None, "re": None}
        self._right: dict[str, Any] = {}
        self._strays: list[str] = []
        self._memory_kib = 0

    def steps(self, steps: Sequence[Mapping[str, Any]], where: str = "") -> None:
        """Do the steps. Raises Unmet, whose message begins with the number of the step."""
        for at, step in enumerate(steps, 1):
            here = f"{where}{at}"
            if "steps" in step:
                self._again(step, here)
                continue
            try:
                self._step(step)
            except Unmet as unmet:
                raise Unmet(f"step {here}: {unmet}") from None

    def _again(self, step: Mapping[str, Any], here: str) -> None:
        """The steps of `repeat` or `each`, with `$n` from 1 and `$value`."""
        values = step["each"] if "each" in step else [None] * step["repeat"]
        until_s = monotonic_s() + step.get("at_most_ms", 3_600_000) / _MS
        for number, value in enumerate(values, 1):
            self._names |= {"n": number, "value": fill(value, self._names)}
            self.steps(step["steps"], f"{here}, turn {number}, step ")
            if monotonic_s() > until_s:
                break

    def _step(self, step: Mapping[str, Any]) -> None:
        match step:
            case {"send": sent}:
                self._send(sent)
            case {"expect": "nothing"}:
                self._expect_nothing(step["for_ms"])
            case {"expect": "end"}:
                self._expect_end(self._deadline(step))
            case {"expect": {"one_of": outcomes}}:
                self._expect_one_of(outcomes, self._deadline(step))
            case {"expect": {"answer": pattern}}:
                self._expect_answer(pattern, self._deadline(step), step.get("skip_if"))
            case {"expect": {"hello": pattern}}:
                self._expect_hello(pattern, self._deadline(step))
            case {"expect": {"message": pattern}}:
                self._expect_message(pattern, self._deadline(step))
            case {"close": name}:
                self.dialogue.note("--", f"{name} is closed")
                self.dialogue.program.close_pipe(name)
            case {"signal": name}:
                self.dialogue.note("--", f"it is sent SIG{name}")
                self.dialogue.program.signal(signal.Signals[f"SIG{name}"])
            case {"wait": _}:
                self._wait_ready()
            case {"wait_ms": ms}:
                self.dialogue.program.idle(monotonic_s() + ms / _MS)
            case {"exit": code}:
                self._expect_exit(code, self._deadline(step))
            case {"noise": most} if self.dialogue.noise > most:
                raise Unmet(f"{self.dialogue.noise} lines were neither message nor answer")
            case {"memory": "note"}:
                self._memory_kib = self.dialogue.program.memory_kib()
            case {"memory": _}:
                self._expect_memory(step["at_most_kib"])
            case _:
                pass  # noise, and no more of it than is allowed

    def _deadline(self, step: Mapping[str, Any]) -> float:
        """When the step must be met. Who has not said anything yet may still be starting."""
        within = step.get("within_ms")
        program = self.dialogue.program
        if within == "ready":
            return program.started_s + self.subject.ready_s
        seconds = self.subject.answer_s if within is None else within / _MS

        return monotonic_s() + seconds + (0 if self.dialogue.spoke else self.subject.ready_s)

    # ---- to the handler

    def _send(self, sent: Mapping[str, Any]) -> None:
        if "message" in sent:
            self.dialogue.say(message_line(fill(sent["message"], self._names)))
            return
        if "bytes" in sent:
            self.dialogue.say(bytes.fromhex(sent["bytes"]))
            return

        self._jobs += 1
        self._names["id"] = str(self._jobs)
        job = self._any_job() if sent.get("job") == "any" else sent.get("job", sent)
        self._names["id"] = fill(job.get("id", self._names["id"]), self._names)
        if self._oneshot:
            self.dialogue.start(self._names["id"])
        if "text" in sent:
            line = sent["text"].replace("$id", self._names["id"]).encode() + b"\n"
        else:
            line = self._job({**job, **sent.get("after", {})}, sent.get("before", {}))
        self.dialogue.say(line)
        if self._oneshot:
            self.dialogue.program.close_pipe("stdin")

    def _any_job(self) -> Mapping[str, Any]:
        """The job the handler can do, or one of the echo contract, no two of them alike."""
        if self.subject.job is not None:
            return self.subject.job

        return {"data": {"echo": self._jobs}}

    def _job(self, job: Mapping[str, Any], before: Mapping[str, Any]) -> bytes:
        members = {**fill(job, self._names), "id": self._names["id"]}
        self._right = {"status": "ok"}
        if self.subject.job is None:
            self._right["result"] = JsonLiteral(to_text(members.get("data")))

        return job_line(members, fill(before, self._names))

    # ---- from the handler

    def _expect_answer(self, pattern: Any, deadline_s: float, skip_if: str | None) -> None:
        answer = self._answer(deadline_s)
        if skip_if == "right" and members_differ(self._right, answer) is None:
            raise NotDone("the handler does not do this: the data come back unchanged")
        expected = self._right if pattern == "right" else fill(pattern, self._names)
        if reason := members_differ(expected, answer):
            error = answer.get("error", {})
            told = "" if "error" in expected or not error else f" (its error: {show(error)})"
            raise Unmet(f"{reason}{told}")

    def _answer(self, deadline_s: float) -> dict[str, Any]:
        """The answer to the job at work; what comes beside it is passed over."""
        while True:
            heard = self.dialogue.listen(deadline_s)
            if heard is Silence.DEADLINE:
                raise Unmet(f"no answer in time{self._why_none()}")
            if heard is Silence.END:
                return self._answer_of_the_end(deadline_s)
            if heard.kind is Kind.ANSWER:
                if heard.members.get("id", self._names["id"]) == self._names["id"]:
                    break
                self._strays.append(quote(heard.line))
            else:
                self._beside(heard)

        if self._oneshot:
            self._expect_end(deadline_s)
            self._expect_exit("any" if heard.members["status"] == "error" else 0, deadline_s)

        return heard.members

    def _answer_of_the_end(self, deadline_s: float) -> dict[str, Any]:
        """What the end of the output says: null for a one-shot child that ends well."""
        self.dialogue.program.ended(deadline_s)
        status = self.dialogue.program.status
        if self._oneshot and status == 0:
            return {"status": "ok", "result": None}

        raise Unmet(f"no answer came, and its output is over: {self.dialogue.early_end}")

    def _why_none(self) -> str:
        if self._strays:
            return f"; it answered another job: {self._strays[-1]}"
        if not self._oneshot:
            self.dialogue.program.close_pipe("stdin")
            heard = self.dialogue.listen(monotonic_s() + _FLUSH_S)
            if isinstance(heard, Heard) and heard.kind is Kind.ANSWER:
                return "; it came when the input was closed: flush the output after each line"

        return f"; {how_it_ended(self.dialogue.program.status)}"

    def _beside(self, heard: Heard) -> None:
        """A message while something else is expected."""
        kind = heard.members.get("type")
        if kind == "fatal":
            raise Unmet(f"it says that it cannot serve: {show(heard.members.get('error'))}")
        if kind == "call":
            error = {"type": "sandq.not_allowed", "message": "the kit does not do this"}
            reply = {"id": heard.members["id"], "re": heard.members["re"]}
            self.dialogue.say(message_line({"type": "reply", **reply, "ok": False, "error": error}))

    def _expect_hello(self, pattern: Any, deadline_s: float) -> None:
        heard = self.dialogue.hello or self.dialogue.listen(deadline_s)
        if not isinstance(heard, Heard) or heard is not self.dialogue.hello:
            came = quote(heard.line) if isinstance(heard, Heard) else "nothing came in time"
            raise Unmet(f"its first line is no hello: {came}")
        if reason := members_differ(pattern, heard.members):
            raise Unmet(reason)

    def _expect_message(self, pattern: Mapping[str, Any], deadline_s: float) -> None:
        wanted = fill(pattern, self._names)
        while True:
            heard = self.dialogue.listen(deadline_s)
            if not isinstance(heard, Heard):
                ended = how_it_ended(self.dialogue.program.status)
                raise Unmet(f"no {wanted['type']} in time; {ended}")
            if heard.kind is Kind.ANSWER:
                raise Unmet(f"it answered without a {wanted['type']} before: {quote(heard.line)}")
            if heard.members.get("type") == wanted["type"]:
                break
            self._beside(heard)

        if reason := members_differ(wanted, heard.members):
            raise Unmet(f"in its {wanted['type']}: {reason}")
        self._names["re"] = heard.members.get("re", self._names["re"])

    def _expect_one_of(self, outcomes: Sequence[str], deadline_s: float) -> None:
        outcome = None
        while outcome is None:
            heard = self.dialogue.listen(deadline_s)
            if heard is Silence.DEADLINE:
                raise Unmet(f"none of {', '.join(outcomes)} in time")
            if heard is Silence.END:
                self.dialogue.program.ended(deadline_s)
                status = self.dialogue.program.status
                if status is None or status < 0:
                    raise Unmet(how_it_ended(status))
                outcome = "exit"
            elif heard.kind is Kind.ANSWER:
                outcome = "error" if heard.members["status"] == "error" else "answer"
            elif heard.members.get("type") == "fatal":
                outcome = "fatal"
        if outcome not in outcomes:
            raise Unmet(f"{outcome}; one of {', '.join(outcomes)} was expected")

    def _expect_nothing(self, for_ms: int) -> None:
        heard = self.dialogue.listen(monotonic_s() + for_ms / _MS)
        if isinstance(heard, Heard):
            raise Unmet(f"nothing was to come, but it says {quote(heard.line)}")
        if heard is Silence.END:
            self.dialogue.program.ended(monotonic_s() + _FLUSH_S)
            raise Unmet(f"its output is over: {how_it_ended(self.dialogue.program.status)}")

    def _expect_end(self, deadline_s: float) -> None:
        """Nothing more but noise is written until the end of the output."""
        heard = self.dialogue.listen(deadline_s)
        if isinstance(heard, Heard):
            raise Unmet(f"it says more than was asked: {quote(heard.line)}")
        if heard is Silence.DEADLINE:
            raise Unmet("its output has not ended in time: it lives on")
        if self._strays:
            raise Unmet(f"it answered a job that was not at work: {self._strays[0]}")

    def _expect_exit(self, code: int | str, deadline_s: float) -> None:
        if not self.dialogue.program.ended(deadline_s):
            raise Unmet("it has not ended in time")
        status = self.dialogue.program.status
        if code not in ("any", status):
            raise Unmet(f"{how_it_ended(status)}, and not {code}")

    def _expect_memory(self, at_most_kib: int) -> None:
        grown = self.dialogue.program.memory_kib() - self._memory_kib
        if grown > at_most_kib:
            raise Unmet(f"its memory grew by {grown} KiB; at most {at_most_kib} were expected")

    def _wait_ready(self) -> None:
        """Until it has said hello, or lived for a moment."""
        program = self.dialogue.program
        if self.subject.level == "full" and self.dialogue.hello is None:
            self._expect_hello({}, program.started_s + self.subject.ready_s)
        else:
            program.idle(program.started_s + _READY_S)
