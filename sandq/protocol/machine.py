"""One child's side of the conversation as a state machine: bytes in, events out.

| state   | meaning                                   | leaves it by                          |
|---------|-------------------------------------------|---------------------------------------|
| IDLE    | waits for a job (also before any hello)   | a job is lent -> BUSY                 |
| BUSY    | works on the one job it was lent          | its answer -> IDLE                    |
| SPOILED | broke the protocol; never lent to again   |                                       |

Levels need no negotiation: a child whose first line is a hello is full, any other is simple.
At the full level only a `result` that names the job can end it, so nothing that is printed can
be taken for an answer.
"""

from dataclasses import dataclass
from enum import Enum

from sandq.model.outcome import FailureKind
from sandq.model.payload import InvalidJson, decode, quote
from sandq.protocol.lines import LineReader, LineTooLong
from sandq.protocol.messages import (
    Answer,
    Ask,
    Broken,
    Emit,
    Fatal,
    Heartbeat,
    Hello,
    Ignored,
    Log,
    Noise,
    Pong,
    Progress,
    result_prefix,
)
from sandq.protocol.reading import read_line


class State(Enum):
    """What the child is doing, as far as the conversation tells."""

    IDLE = "idle"
    BUSY = "busy"
    SPOILED = "spoiled"


@dataclass(frozen=True, slots=True)
class Spoiled:
    """The child broke the protocol and must be ended; a job it had fails with `kind`."""

    kind: FailureKind
    reason: str


Event = Hello | Answer | Progress | Log | Heartbeat | Emit | Ask | Pong | Noise | Spoiled

# How the answer of a simple child begins, as most JSON writers put it.
_SIMPLE_PREFIXES = (b'{"status":"ok","result":', b'{"status": "ok", "result": ')


class Conversation:
    """What was said so far, and what may come next.

    `line_limit` is in bytes; `strict` makes a line that is not JSON break the protocol.
    """

    __slots__ = (
        "_first",
        "_job_id",
        "_lines",
        "_prefixes",
        "_strict",
        "caps",
        "full",
        "noise",
        "state",
    )

    def __init__(self, line_limit: int, *, strict: bool = False) -> None:
        self.state = State.IDLE
        self.full = False
        #: What the child can do, by its hello.
        self.caps: frozenset[str] = frozenset()
        #: The first line of this job that was no message, for error messages.
        self.noise: bytes | None = None
        self._lines = LineReader(line_limit)
        self._strict = strict
        self._first = True
        self._job_id: str | None = None
        self._prefixes: tuple[bytes, ...] = _SIMPLE_PREFIXES

    def lend(self, job_id: str) -> None:
        """A job goes to the child; only an idle one may be lent to."""
        assert self.state is State.IDLE, f"a job was lent to a child that is {self.state.value}"
        self.state = State.BUSY
        self.noise = None
        self._job_id = job_id
        if self.full:
            self._prefixes = (result_prefix(job_id),)

    def receive(self, data: bytes) -> list[Event]:
        """What the child said with `data`, in order. Nothing follows a Spoiled."""
        if self.state is State.SPOILED:
            return []

        try:
            lines = self._lines.feed(data)
        except LineTooLong as error:
            events = self._read(error.before)
            if not events or not isinstance(events[-1], Spoiled):
                reason = f"{error}, beginning {quote(error.head)}"
                events.append(self._spoil(FailureKind.OUTPUT_LIMIT, reason))
            return events

        return self._read(lines)

    def end_of_stream(self) -> list[Event]:
        """The child's output has ended; a last line without a newline counts."""
        rest = self._lines.take_rest()

        return self._read([rest]) if rest and self.state is not State.SPOILED else []

    def _read(self, lines: list[bytes]) -> list[Event]:
        events: list[Event] = []
        for line in lines:
            event = self._line(line)
            if event is not None:
                events.append(event)
                if self.state is State.SPOILED:
                    break

        return events

    def _line(self, line: bytes) -> Event | None:
        first = self._first
        if line.strip():
            self._first = False
        if self.state is State.BUSY:
            answer = self._plain_answer(line)
            if answer is not None:
                return answer

        # some editors and shells put a byte order mark at the very beginning
        message = read_line(line.removeprefix(b"\xef\xbb\xbf") if first else line)
        match message:
            case Answer():
                return self._answer(message, line)
            case Hello():
                return self._hello(message, first)
            case Noise():
                return self._noise(message)
            case Ask() if "call" not in self.caps:
                return self._spoil(
                    FailureKind.PROTOCOL_ERROR,
                    f"the child calls, but has not named the capability call: {quote(line)}",
                )
            case (
                Progress(job_id=job_id)
                | Log(job_id=job_id)
                | Heartbeat(job_id=job_id)
                | Emit(job_id=job_id)
                | Ask(job_id=job_id)
            ):
                # what is said of another job came too late, or is forged: passed over
                busy = self.state is State.BUSY and job_id == self._job_id
                return message if busy else None
            case Pong():
                return message
            case Fatal(reason=reason):
                return self._spoil(FailureKind.CRASHED, f"the child says it cannot serve: {reason}")
            case Broken() if self.full and b'"sandq"' not in line:
                # at the full level what is printed can neither end a job nor spoil the child
                return self._noise(Noise(line))
            case Broken(reason=reason):
                return self._spoil(FailureKind.PROTOCOL_ERROR, f"the child {reason}")
            case Ignored():
                return None

    def _plain_answer(self, line: bytes) -> Answer | None:
        """The answer, if the line has a usual form: its value need not be searched for."""
        for prefix in self._prefixes:
            if line.startswith(prefix) and line.endswith(b"}"):
                value = line[len(prefix) : -1]
                try:
                    decode(value)
                except InvalidJson:
                    return None
                self._finish()
                return Answer(self._job_id, value=value.strip())

        return None

    def _answer(self, message: Answer, line: bytes) -> Event | None:
        if self.full and message.job_id is None:
            return self._noise(Noise(line))
        if self.state is State.IDLE:
            if self.full:
                return None
            return self._spoil(
                FailureKind.PROTOCOL_ERROR, f"the child answered with no job lent: {quote(line)}"
            )
        if message.job_id is not None and message.job_id != self._job_id:
            return None

        self._finish()

        return message

    def _hello(self, message: Hello, first: bool) -> Event:
        if not first:
            return self._spoil(
                FailureKind.PROTOCOL_ERROR, "the child said hello, but not as its first line"
            )

        self.full = True
        self.caps = message.caps
        if self._job_id is not None:
            # the first job was lent before the hello was seen
            self._prefixes = (result_prefix(self._job_id),)

        return message

    def _noise(self, message: Noise) -> Event:
        if self._strict:
            return self._spoil(
                FailureKind.PROTOCOL_ERROR,
                f"the child wrote a line that is no message: {quote(message.line)}",
            )

        if self.noise is None:
            self.noise = message.line

        return message

    def _finish(self) -> None:
        self.state = State.IDLE

    def _spoil(self, kind: FailureKind, reason: str) -> Spoiled:
        self.state = State.SPOILED

        return Spoiled(kind, reason)
