"""What is said and heard between the kit and a handler, line by line, with a record of it."""

from collections import deque
from enum import Enum

from sandq.clock import monotonic_s
from sandq.conformance.hearing import Heard, Hearing, Kind
from sandq.conformance.program import Program
from sandq.conformance.saying import environment
from sandq.conformance.subject import Subject, Unmet, how_it_ended

#: Lines of the conversation that are shown with a failure, and characters of each.
_TRACE_LINES = 12
_TRACE_CHARACTERS = 240


class Silence(Enum):
    """Why no line is heard."""

    DEADLINE = "deadline"
    END = "end"


class Dialogue:
    """The program of a case, started when it is needed first; `close` must be called.

    `noise`: lines so far that were no message and no answer. `spoke`: whether the program has
    written anything. `trace`: the last lines of both sides.
    """

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self.trace: deque[str] = deque(maxlen=_TRACE_LINES)
        self.noise = 0
        self.spoke = False
        self.hello: Heard | None = None
        self._program: Program | None = None
        self._hearing = Hearing()

    @property
    def program(self) -> Program:
        """The program that runs."""
        return self._program or self.start()

    @property
    def full(self) -> bool:
        """Whether the program has said hello."""
        return self._hearing.full

    @property
    def errors(self) -> list[str]:
        """The last lines of its error output."""
        return [] if self._program is None else self._program.errors

    def start(self, oneshot_id: str | None = None) -> Program:
        """Start the program, in place of one that runs; with the id of its only job, if so."""
        self.close()
        oneshot = oneshot_id is not None
        variables = environment(oneshot_id)
        self._program = Program(self.subject.command, variables, last_counts=oneshot)
        self._hearing, self.hello, self.spoke = Hearing(), None, False

        return self._program

    def close(self) -> None:
        """End the program, whatever it does."""
        if self._program is not None:
            self._program.close()

    def say(self, line: bytes) -> None:
        """Write a line. Raises Unmet when it is not read."""
        self.note(">>", line)
        patience_s = self.subject.answer_s + (0 if self.spoke else self.subject.ready_s)
        if self.program.write(line, monotonic_s() + patience_s):
            return
        if self.program.input_broken:
            self.program.ended(monotonic_s() + 1)
            raise Unmet(f"it does not read its input any more: {self.early_end}")

        raise Unmet("it does not read its input: the line could not be written in time")

    def listen(self, deadline_s: float) -> Heard | Silence:
        """The next line that is a message or an answer. Raises Unmet when one breaks the
        protocol."""
        while True:
            line = self.program.next_line(deadline_s)
            if line is None:
                if self.program.too_long is not None:
                    raise Unmet(f"it breaks the protocol: {self.program.too_long}")
                return Silence.END if self.program.output_over else Silence.DEADLINE

            self.note("<<", line)
            self.spoke = True
            heard = self._hearing.hear(line)
            if heard is None:
                continue
            match heard.kind:
                case Kind.NOISE:
                    self.noise += 1
                case Kind.BROKEN:
                    raise Unmet(f"it breaks the protocol: {heard.reason}")
                case Kind.MESSAGE if heard.members.get("type") == "hello":
                    self.hello = heard
                    return heard
                case _:
                    return heard

    @property
    def early_end(self) -> str:
        """How it has ended, which it was not to, and what may be meant by it."""
        status = self.program.status
        hint = ""
        if status == 0 and self.spoke and self.subject.level != "oneshot":
            hint = "; a program that ends after each job is for --level oneshot"

        return f"{how_it_ended(status)}{hint}"

    def note(self, mark: str, text: bytes | str) -> None:
        """Keep a line for the record: >> to the program, << from it, -- a remark."""
        shown = text[: _TRACE_CHARACTERS + 1]
        if isinstance(shown, bytes):
            shown = shown.decode("utf-8", "backslashreplace").rstrip("\n")
        rest = len(text) - _TRACE_CHARACTERS
        cut = f"{shown[:_TRACE_CHARACTERS]}… ({rest} more)" if rest > 0 else shown
        self.trace.append(f"{mark} {cut}")
