"""Handlers in Python: write a function that takes a job, and serve it.

    from sandq.handler import serve

    def resize(job):
        return {"width": job.data["width"]}

    serve(resize)

1. A job is a line on standard input, its answer a line on standard output. Importing this module
   under sandq, and `serve` elsewhere, moves both to private descriptors: from then on standard
   input is empty, and what is printed goes to standard error, whose last lines are kept when
   the process dies.
2. Whatever a job raises is its answer. Only SystemExit, KeyboardInterrupt and the death of the
   process are crashes.
3. A value that is not JSON, or is too long for a line, is an error that says so.
"""

# Of the standard library alone, and little of it: a process per job pays for it with every job.
from __future__ import annotations

import json
import os
import sys
from _thread import allocate_lock

TYPE_CHECKING = False  # type checkers know the name; the module typing is dear to import
if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable
    from typing import Any, BinaryIO, NoReturn

__all__ = ["InvalidValue", "Job", "RetryLater", "Unrecoverable", "serve"]

#: Longest line sandq reads, in bytes without its newline.
_MAX_LINE = int(os.environ.get("SANDQ_MAX_LINE") or 1024 * 1024)

#: Longest text of an error, in characters: one may take six bytes, and two texts share a line.
_MAX_TEXT = min(16 * 1024, _MAX_LINE // 16)

# Made once: json.dumps makes an encoder anew at every call with options.
_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False, ensure_ascii=False).encode


class Unrecoverable(Exception):
    """Raise it to fail the job for good, whatever attempts it has left."""

    retryable = False


class RetryLater(Exception):
    """Raise it to fail this attempt and to say when the next one is worth making.

    - `delay_s`: seconds until then, int or float; it stands in for the job's own backoff.
    - `message`: why, str.
    """

    def __init__(self, delay_s: float, message: str = "retry later") -> None:
        if not 0 <= delay_s < 2**40:
            raise ValueError(f"delay_s is a number of seconds from 0 up, not {delay_s!r}")

        super().__init__(message)
        self.retry_after_ms = round(delay_s * 1000)


class InvalidValue(ValueError):
    """A value cannot be sent: it is not JSON, or it is too long for a line."""


class Job:
    """One attempt at one job.

    - `id`, `name`, `queue`: str.
    - `data`: what was added to the queue, any JSON value.
    - `opts`: the options it was added with, dict.
    - `attempt`: which attempt this is, int from 1; `max_attempts`: how many there may be, int.
    - `timestamp_ms`: when it was added, int, milliseconds since 1970; None when not known.
    - `timeout_ms`: how long this attempt may take, int, milliseconds; None for no limit.

    To test a function of yours make one as sandq does: `Job({"id": "1", "data": {…}})`.
    Outside `serve`, `progress` and `log` go nowhere.
    """

    __slots__ = (
        "attempt", "data", "id", "max_attempts", "name", "opts", "queue",
        "timeout_ms", "timestamp_ms",
    )  # fmt: skip

    def __init__(self, message: dict[str, Any]) -> None:
        self.id: str = message.get("id", "")
        self.name: str = message.get("name", "")
        self.queue: str = message.get("queue", "")
        self.data: Any = message.get("data")
        self.opts: dict[str, Any] = message.get("opts") or {}
        self.attempt: int = message.get("attempt", 1)
        self.max_attempts: int = message.get("max_attempts", 1)
        self.timestamp_ms: int | None = message.get("timestamp")
        self.timeout_ms: int | None = message.get("timeout_ms")

    def __repr__(self) -> str:
        of_queue = f"{self.name!r} of queue {self.queue!r}"
        return f"<Job {self.id!r} {of_queue}, attempt {self.attempt} of {self.max_attempts}>"

    def progress(self, value: Any) -> None:
        """Tell how far the job is: any JSON value, a fraction from 0 to 1 for instance.

        Raises InvalidValue when it is not JSON or too long for a line.
        """
        _send(_line({"sandq": 1, "type": "progress", "id": self.id, "value": value}, "progress"))

    def log(self, message: object, /, level: str = "info", **fields: Any) -> None:
        """Add a row to the log of the job. A row never fails a job.

        - `message`: str; of anything else its str().
        - `level`: "debug", "info", "warning" or "error".
        - `fields`: JSON values that belong to it; others are kept as one text.
        """
        row: dict[str, Any] = {"sandq": 1, "type": "log", "id": self.id, "level": _text(level)}
        row.update(message=_text(message), fields=fields)
        try:
            _send(_line(row, "log"))
        except InvalidValue:
            _send(_line({**row, "fields": {"text": _text(fields)}}, "log"))


def serve(function: Callable[[Job], Any]) -> None:
    """Serve jobs with `function` until sandq closes standard input, then return.

    - `function`: takes a Job and returns any JSON value, or raises. It may be async: the jobs of
      a process share one event loop, which stands still between them.

    An exception's `code` (str or int), `data` (any JSON value), `retryable` (bool) and
    `retry_after_ms` (int) are recorded with the failure when it has them.
    """
    lines = _input or _take_streams()
    _send(b'{"sandq":1,"type":"hello","version":1,"sdk":"python","caps":["progress","log"]}\n')

    for line in lines:
        message = _read(line)
        kind = message.get("type") if "sandq" in message else "job"
        if kind == "job":
            _send(_answer(function, message))
        elif kind == "bye":
            break
        elif message.get("must"):
            _give_up(f"sandq asks for {kind!r}, which version 1 of the protocol does not have")

    if _runner:
        _runner.close()


def _read(line: bytes) -> dict[str, Any]:
    try:
        message = json.loads(line.decode())
    except (ValueError, RecursionError):
        message = {"sandq": 1} if line.isspace() else None  # a blank line says nothing
    if not isinstance(message, dict):
        _give_up(f"standard input has a line that is no JSON object: {line[:200]!r}")

    return message


def _answer(function: Callable[[Job], Any], message: dict[str, Any]) -> bytes:
    answer = {"sandq": 1, "type": "result", "id": message.get("id", ""), "status": "ok"}
    try:
        value = function(Job(message))
        if hasattr(value, "__await__"):
            value = _wait_for(value)
        return _line({**answer, "result": value}, "result")
    except (SystemExit, KeyboardInterrupt):
        raise
    except BaseException as error:  # CancelledError and its like end the job, not the process
        record = _describe(error)

    answer.update(status="error", error=record)
    for suspect in ("data", "code", "retry_after_ms"):
        try:
            return _line(answer, "error")
        except InvalidValue:  # the error itself must arrive, if need be without its attributes
            record.pop(suspect, None)

    return _line(answer, "error")


_runner: asyncio.Runner | None = None


def _wait_for(awaitable: Awaitable[Any]) -> Any:
    global _runner
    if _runner is None:
        import asyncio  # here, because most handlers never need it

        _runner = asyncio.Runner()

    async def result() -> Any:
        return await awaitable

    # Not Runner.run: its signal handling costs three times the rest.
    return _runner.get_loop().run_until_complete(result())


def _line(message: dict[str, Any], what: str) -> bytes:
    """The message as a line. Raises InvalidValue only, whatever the value in it does."""
    try:
        line = _encode(message).encode()
    except Exception as error:
        raise InvalidValue(f"{what} is not JSON: {_text(error)}") from None

    if len(line) > _MAX_LINE:
        size = f"{len(line)} bytes as a line, more than the {_MAX_LINE} allowed"
        raise InvalidValue(f"{what} is {size}: keep it in a file or a database, send where it is")

    return line + b"\n"


def _describe(error: BaseException) -> dict[str, Any]:
    """What is recorded of an exception."""
    name = type(error).__name__
    record: dict[str, Any] = {"type": name, "message": _text(error) or name}
    try:
        import traceback  # here, because most jobs never need it

        frames = error.__traceback__
        while frames is not None and frames.tb_frame.f_code.co_filename == __file__:
            frames = frames.tb_next
        stack = "".join(traceback.format_exception(type(error), error, frames))
        record["stack"] = _text(stack[-_MAX_TEXT:])
        for member, kind in (("code", (str, int)), ("retryable", bool), ("retry_after_ms", int)):
            value = getattr(error, member, None)
            if isinstance(value, kind) and isinstance(value, bool) is (kind is bool):
                record[member] = value
        if (data := getattr(error, "data", None)) is not None:
            record["data"] = data
    except Exception as broken:  # an exception may compute its attributes, and fail at it
        record.setdefault("stack", f"no stack: {_text(broken)}")

    return record


def _text(value: object) -> str:
    """A text for people, made of anything, that fits into a line."""
    try:
        text = str(value)
    except Exception:
        text = f"a {type(value).__name__} whose str() fails"

    # Half a surrogate pair, as in the name of a file that is not UTF-8, is shown as \udcff.
    return text[:_MAX_TEXT].encode("utf-8", "backslashreplace").decode()


def _give_up(reason: str) -> NoReturn:
    """The conversation cannot go on: say why, and exit."""
    error = {"type": "ProtocolError", "message": reason}
    _send(_line({"sandq": 1, "type": "fatal", "error": error}, "fatal"))
    sys.exit(1)


_input: BinaryIO | None = None
_output = -1
_unsent: list[bytes] = []
_sending = allocate_lock()


def _take_streams() -> BinaryIO:
    """Move the conversation out of reach of user code and of the programs it starts."""
    global _input, _output
    # Programs that user code starts inherit the environment, and are no handlers.
    os.environ.pop("SANDQ_PROTOCOL", None)
    # The copies made by os.dup are closed on exec. One read takes all that a pipe holds.
    _input = os.fdopen(os.dup(0), "rb", 64 * 1024, closefd=False)
    _output = os.dup(1)
    with open(os.devnull) as empty:
        os.dup2(empty.fileno(), 0)
    os.dup2(2, 1)
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(line_buffering=True)  # what a job prints is out before its answer

    return _input


def _send(line: bytes) -> None:
    if _input is None:
        return

    # Threads and signal handlers of user code send too. Whoever is sending sends for all: no line
    # is cut by another, and a signal handler never waits for the line it has interrupted.
    _unsent.append(line)
    while _unsent and _sending.acquire(blocking=False):
        try:
            line = _unsent.pop(0) if _unsent else b""  # another sender may have been quicker
            while line:
                line = line[os.write(_output, line) :]
        except BrokenPipeError:
            sys.exit(0)  # sandq is gone: as at the end of input, nobody waits for an answer
        finally:
            _sending.release()


if "SANDQ_PROTOCOL" in os.environ:
    _take_streams()
