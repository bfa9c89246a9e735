"""Handlers in Python: write a function that takes a job, and serve it.

    from sandq.handler import serve

    def resize(job):
        return {"width": job.data["width"]}

    serve(resize)

1. A job is a line on standard input, its answer a line on standard output, or where SANDQ_FD or
   SANDQ_RESULT_FILE say. Importing this module under sandq, and `serve` elsewhere, moves both to
   private descriptors: from then on standard input is empty, and what is printed is text for the
   log of the job.
2. Whatever a job raises is its answer. Only SystemExit, KeyboardInterrupt and the death of the
   process are crashes.
3. A value that is not JSON, or is too long for a line, is an error that says so.
4. No thread listens: what sandq says to a job at work is heard when the job asks, when it waits
   for a reply, and by the event loop of an async function.
"""

# Of the standard library alone, and little of it: a process per job pays for it with every job.
from __future__ import annotations

import json
import os
import stat
import sys
from _thread import allocate_lock
from collections import deque
from types import CoroutineType

TYPE_CHECKING = False  # type checkers know the name; the module typing is dear to import
if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable
    from typing import Any, NoReturn

__all__ = [
    "CallRefused", "Cancelled", "InvalidValue", "Job", "RetryLater", "Unrecoverable", "serve",
]  # fmt: skip

#: Longest line sandq reads, in bytes without its newline.
_MAX_LINE = int(os.environ.get("SANDQ_MAX_LINE") or 1024 * 1024)

#: Longest text of an error, in characters: one may take six bytes, and two texts share a line.
_MAX_TEXT = min(16 * 1024, _MAX_LINE // 16)

#: Most bytes read at once: all that a pipe holds.
_CHUNK = 64 * 1024

# Made once: json.dumps makes an encoder anew at every call with options. And raw_decode spares
# the regular expressions that json.loads looks for white space with.
_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False, ensure_ascii=False).encode
_decode = json.JSONDecoder().raw_decode


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


class Cancelled(BaseException):
    """The job was told to end. No Exception, so that `except Exception` lets it pass."""


class CallRefused(Exception):
    """A call was not carried out. `code`, str: "sandq.not_allowed", "sandq.unknown_verb",
    "sandq.bad_args", "sandq.busy", or "sandq.failed", also when nobody will reply.
    """

    def __init__(self, message: str, code: str = "sandq.failed") -> None:
        super().__init__(message)
        self.code = code


class Job:
    """One attempt at one job.

    - `id`, `name`, `queue`: str.
    - `data`: what was added to the queue, any JSON value.
    - `opts`: the options it was added with, dict.
    - `attempt`: which attempt this is, int from 1; `max_attempts`: how many there may be, int.
    - `timestamp_ms`: when it was added, int, milliseconds since 1970; None when not known.
    - `timeout_ms`: how long this attempt may take, int, milliseconds; None for no limit.
    - `heartbeat_ms`: how long it may be silent, int, milliseconds; None for no limit.
    - `cancel_reason`: "timeout", "cancel" or "shutdown", once `cancelled` is true; else None.
    - `grace_ms`: how long it then has to answer, int, milliseconds; else None.

    To test a function of yours make one as sandq does: `Job({"id": "1", "data": {…}})`.
    Outside `serve`, what it tells goes nowhere, and a call is refused.
    """

    __slots__ = (
        "attempt", "cancel_reason", "data", "grace_ms", "heartbeat_ms", "id",
        "max_attempts", "name", "opts", "queue", "timeout_ms", "timestamp_ms",
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
        self.heartbeat_ms: int | None = message.get("heartbeat_ms")
        self.cancel_reason: str | None = None
        self.grace_ms: int | None = None

    def __repr__(self) -> str:
        of_queue = f"{self.name!r} of queue {self.queue!r}"
        return f"<Job {self.id!r} {of_queue}, attempt {self.attempt} of {self.max_attempts}>"

    def progress(self, value: Any) -> None:
        """Tell how far the job is: any JSON value, a fraction from 0 to 1 for instance.

        Raises InvalidValue when it is not JSON or too long for a line.
        """
        _tell({"sandq": 1, "type": "progress", "id": self.id, "value": value})

    def log(self, message: object, /, level: str = "info", **fields: Any) -> None:
        """Add a row to the log of the job. A row never fails a job.

        - `message`: str; of anything else its str().
        - `level`: "debug", "info", "warning" or "error".
        - `fields`: JSON values that belong to it; others are kept as one text.
        """
        row: dict[str, Any] = {"sandq": 1, "type": "log", "id": self.id, "level": _text(level)}
        row.update(message=_text(message), fields=fields)
        if _in_file:  # messages have no way out, what is printed has
            os.write(1, f"{row['level']}: {row['message']} {_text(fields or '')}".encode() + b"\n")
        try:
            _tell(row)
        except InvalidValue:
            _tell({**row, "fields": {"text": _text(fields)}})

    def emit(self, chunk: Any) -> None:
        """Give a part of the result ahead of the end: any JSON value, to be read at once.

        Raises InvalidValue when it is not JSON or too long for a line.
        """
        _tell({"sandq": 1, "type": "emit", "id": self.id, "chunk": chunk})

    def heartbeat(self) -> None:
        """Tell that the job is alive; whatever else it tells or calls says so as well."""
        _tell({"sandq": 1, "type": "heartbeat", "id": self.id})

    @property
    def cancelled(self) -> bool:
        """Whether the job was told to end, bool. To ask takes a microsecond or two.

        Ask now and then, from any thread, and return or raise when it is true. The task of an
        async function gets asyncio.CancelledError by itself; another function is told only when
        it is served with `cancellable=True` (else RuntimeError).
        """
        if self.cancel_reason is None and _at_work is self:
            if not _cancellable:
                raise RuntimeError("nobody tells the job to end: serve(function, cancellable=True)")
            _look()

        return self.cancel_reason is not None

    def check_cancelled(self) -> None:
        """Raise Cancelled if the job was told to end; it is the job's answer if not caught."""
        if self.cancelled:
            raise Cancelled(f"the job was told to end: {self.cancel_reason}")

    def call(self, verb: str, /, **args: Any) -> Any:
        """Have sandq do something, wait for its reply and return the value in it.

        The methods below are the verbs there are; the handler must be allowed each of them.
        Threads take turns; a signal handler must not call. In an async function await `acall`.

        Raises CallRefused when it was not done, InvalidValue when `args` are not JSON.
        """
        global _calls, _reply
        if _at_work is self:
            _look()  # to know whether a reply can come: a one-shot child has no input left
        if _at_work is not self or _ended:
            raise CallRefused(f"{verb}: nobody would reply: no job is at work, or the input ended")
        with _calling:
            number = _calls = _calls + 1
            call = {"id": self.id, "re": number, "verb": verb, "args": args}
            _tell({"sandq": 1, "type": "call", **call})
            while _reply.get("re") != number:
                with _reading:
                    _hear()
                    if _reply.get("re") == number:
                        break
                    if _ended or _at_work is not self:
                        what = "input" if _ended else "job"
                        raise CallRefused(f"{verb}: the {what} has ended before a reply came")
                    _take(os.read(_input, _CHUNK))
            reply, _reply = _reply, {}

        if reply.get("ok") is True:
            return reply.get("value")

        error = reply.get("error") or {}
        raise CallRefused(_text(error.get("message")), _text(error.get("type")))

    async def acall(self, verb: str, /, **args: Any) -> Any:
        """`call` for async functions: `await job.acall("add_job", name="mail", data=…)`.

        The verbs, their `args` and what they return are those of spec/protocol.md.
        """
        import asyncio  # it is there: this runs in a loop of it

        return await asyncio.to_thread(self.call, verb, **args)

    def update_data(self, data: Any) -> None:
        """Replace the data of the job by any JSON value; the next attempt starts with it."""
        self.call("update_data", data=data)
        self.data = data

    def add_job(self, name: str, data: Any = None, **opts: Any) -> str:
        """Add a job to the same queue and return its id.

        - `data`: any JSON value.
        - `opts`: attempts, delay_ms, priority, job_id, timeout_ms.
        """
        return str(self.call("add_job", name=name, data=data, opts=opts)["id"])

    def get_result(self, job_id: str) -> dict[str, Any]:
        """The `state`, str, and the `value`, any JSON or None, of another job of the queue."""
        return dict(self.call("get_result", id=job_id))

    def extend_timeout(self, seconds: float) -> None:
        """Let this attempt run for `seconds` more from now, int or float: longer or shorter."""
        self.timeout_ms = self.call("extend_timeout", ms=round(seconds * 1000))["timeout_ms"]


_cancellable = False


def serve(function: Callable[[Job], Any], *, cancellable: bool | None = None) -> None:
    """Serve jobs with `function` until sandq closes standard input, then return.

    - `function`: takes a Job and returns any JSON value, or raises. It may be async: the jobs of
      a process share one event loop, which stands still between them.
    - `cancellable`: whether a job that is told to end does so, by looking at `job.cancelled` or as
      an async function; its process then serves the next one. None: if it is async. The process
      of any other gets SIGTERM at once.

    An exception's `code` (str or int), `data` (any JSON value), `retryable` (bool) and
    `retry_after_ms` (int) are recorded with the failure when it has them; so are the errors
    behind it, as in `raise … from …`, by type, message and code.
    """
    global _cancellable
    if _input < 0:
        _take_streams()
    _cancellable = _is_async(function) if cancellable is None else cancellable
    caps = ["cancel"] if _cancellable else []
    caps += ["progress", "log", "heartbeat", "emit", "call", "ping", "welcome"]
    _tell({"sandq": 1, "type": "hello", "version": 1, "sdk": "python", "caps": caps})

    while line := _next():
        kind, message = _read(line)
        if kind == "job":
            _send(_answer(function, message))
            if _in_file:
                break
        elif kind == "ping":
            _tell({"sandq": 1, "type": "pong", "n": message.get("n")})
        elif kind == "bye":
            break
        elif kind == "broken":
            _give_up(f"standard input has a line that is no JSON object: {line.rstrip()[:200]!r}")
        elif message.get("must") and kind not in ("cancel", "reply", "welcome"):
            _give_up(f"sandq asks for {kind!r}, which version 1 of the protocol does not have")

    if _runner:
        _runner.close()


def _is_async(function: Any) -> bool:
    """Whether it is written as an async function, or as an object that is called like one."""
    while hasattr(function, "func"):  # functools.partial
        function = function.func
    function = getattr(function, "__func__", function)
    called = function if hasattr(function, "__code__") else type(function).__call__

    return bool(getattr(getattr(called, "__code__", None), "co_flags", 0) & 0x80)  # CO_COROUTINE


# --- answers ------------------------------------------------------------------------------------


def _answer(function: Callable[[Job], Any], message: dict[str, Any]) -> bytes:
    global _at_work
    job = Job(message)
    # A file holds the one answer and no messages.
    answer = {} if _in_file else {"sandq": 1, "type": "result", "id": job.id}
    try:
        _at_work = job if _hears else None
        value = function(job)
        if hasattr(value, "__await__"):
            value = _wait_for(job, value)
        return _line({**answer, "status": "ok", "result": value}, "result")
    except (SystemExit, KeyboardInterrupt):
        raise
    except BaseException as error:  # CancelledError and its like end the job, not the process
        record = _describe(error)
    finally:
        _at_work = None

    answer.update(status="error", error=record)
    for suspect in ("data", "code", "cause", "retry_after_ms"):
        try:
            return _line(answer, "error")
        except InvalidValue:  # the error itself must arrive, if need be without its attributes
            record.pop(suspect, None)

    return _line(answer, "error")


_runner: asyncio.Runner | None = None


def _wait_for(job: Job, awaitable: Awaitable[Any]) -> Any:
    global _runner, _task
    if _runner is None:
        import asyncio  # here, because most handlers never need it

        _runner = asyncio.Runner()

    loop = _runner.get_loop()
    coroutine = awaitable if isinstance(awaitable, CoroutineType) else _result(awaitable)
    _task = task = loop.create_task(coroutine)
    if job.cancel_reason is not None:
        loop.call_soon(task.cancel)
    elif _lines:  # what came together with the job
        _look()
    if _hears and not _watched:
        loop.call_soon(_watch, loop, task)
    try:
        # Not Runner.run: its signal handling costs three times the rest.
        return loop.run_until_complete(task)
    except BaseException:
        if task.cancelled():
            job.check_cancelled()
        raise
    finally:
        _task = None


async def _result(awaitable: Awaitable[Any]) -> Any:
    return await awaitable


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
    record = _name(error, _MAX_TEXT)
    try:
        import traceback  # here, because most jobs never need it

        frames = error.__traceback__
        while frames is not None and frames.tb_frame.f_code.co_filename == __file__:
            frames = frames.tb_next
        stack = "".join(traceback.format_exception(type(error), error, frames))
        record["stack"] = _text(stack[-_MAX_TEXT:])
        for member, kind in (("retryable", bool), ("retry_after_ms", int)):
            value = getattr(error, member, None)
            if isinstance(value, kind) and isinstance(value, bool) is (kind is bool):
                record[member] = value
        if (data := getattr(error, "data", None)) is not None:
            record["data"] = data
    except Exception as broken:  # an exception may compute its attributes, and fail at it
        record.setdefault("stack", f"no stack: {_text(broken)}")

    told, last = [error], record
    while len(told) < 5:  # four errors behind the first
        behind = told[-1].__cause__ if told[-1].__suppress_context__ else told[-1].__context__
        if behind is None or any(behind is one for one in told):
            break
        told.append(behind)
        last["cause"] = _name(behind, _MAX_TEXT // 8)
        last = last["cause"]

    return record


def _name(error: BaseException, longest: int) -> dict[str, Any]:
    kind = type(error).__name__
    named: dict[str, Any] = {"type": kind, "message": _text(error)[:longest] or kind}
    try:
        code = getattr(error, "code", None)
    except Exception:  # it may be computed
        code = None
    if isinstance(code, (str, int)) and not isinstance(code, bool):
        named["code"] = code

    return named


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
    if _in_file:
        _send(_line({"status": "error", "error": error}, "error"))
    _tell({"sandq": 1, "type": "fatal", "error": error})
    sys.exit(1)


# --- the input ----------------------------------------------------------------------------------

_input = -1
_ended = False
_parts: list[bytes] = []  # of a line whose end has not come yet
_lines: deque[bytes] = deque()  # lines nobody has looked at
_later: deque[bytes] = deque()  # lines that came before those, and are not for the job at work
_reading = allocate_lock()  # held by the thread that reads the input, and hears for all
_hears = False  # whether sandq speaks to jobs at work
_at_work: Job | None = None  # the job that is spoken to
_task: asyncio.Task[Any] | None = None  # what it runs in, if its function is async


def _next() -> bytes:
    """The next line; empty at the end of the input."""
    with _reading:
        while not (lines := _later or _lines):
            chunk = os.read(_input, _CHUNK)
            if not _parts and chunk.find(b"\n") == len(chunk) - 1:
                return chunk  # as nearly always: one line, or the end
            _take(chunk)

        return lines.popleft()


def _take(chunk: bytes) -> None:
    """Cut what was read into lines; nothing is the end of the input, and of its last line."""
    global _ended
    _ended = not chunk
    _parts.append(chunk)
    if _ended or b"\n" in chunk:
        *lines, rest = b"".join(_parts).split(b"\n")
        _parts[:] = [rest] if rest and chunk else []
        _lines.extend(line for line in (*lines, b"" if chunk else rest) if line)


def _read(line: bytes) -> tuple[object, dict[str, Any]]:
    """The type of a message, and the message."""
    try:
        text = line.strip().decode()
        message, end = _decode(text)
    except (ValueError, RecursionError):
        return "broken" if line.strip() else "blank", {}
    if end < len(text) or not isinstance(message, dict):
        return "broken", {}

    return message.get("type") if "sandq" in message else "job", message


def _look() -> None:
    """Hear what has come; a thread that waits for a reply does so for all."""
    import select  # here, because most jobs never ask

    if _reading.acquire(blocking=False):
        try:
            if not _ended and select.select([_input], [], [], 0)[0]:
                _take(os.read(_input, _CHUNK))
            _hear()
        finally:
            _reading.release()


_watched = False  # whether the event loop watches the input


def _watch(loop: asyncio.AbstractEventLoop, task: asyncio.Task[Any]) -> None:
    """Have the event loop hear what comes, unless the task is done without ever having waited."""
    global _watched
    if not task.done() and not _ended:
        loop.add_reader(_input, _heed, loop)
        _watched = True


def _heed(loop: asyncio.AbstractEventLoop) -> None:
    _look()
    if _ended:
        loop.remove_reader(_input)


def _hear() -> None:
    """Act on what is said to the job at work; all else waits until it has ended."""
    global _reply
    while _lines:
        line = _lines.popleft()
        kind, message = _read(line)
        if kind == "reply":
            _reply = message
        elif kind != "cancel":
            _later.append(line)
        elif (job := _at_work) and job.id == message.get("id") and not job.cancel_reason:
            job.grace_ms = message.get("grace_ms")
            job.cancel_reason = _text(message.get("reason"))
            if task := _task:
                task.get_loop().call_soon_threadsafe(task.cancel)


_calls = 0  # how many there have been; each has its number
_calling = allocate_lock()  # sandq takes one at a time
_reply: dict[str, Any] = {}


# --- the output ---------------------------------------------------------------------------------

_output = -1
_in_file = False  # whether it is a file, for one answer
_unsent: list[bytes] = []
_sending = allocate_lock()


def _take_streams() -> None:
    """Move the conversation out of reach of user code and of the programs it starts."""
    global _input, _output, _in_file, _hears
    # Programs that user code starts inherit the environment, and are no handlers.
    protocol, number, path = (
        os.environ.pop(f"SANDQ_{name}", "") for name in ("PROTOCOL", "FD", "RESULT_FILE")
    )
    # What os.dup and os.open return is closed on exec.
    _input = os.dup(0)
    if number:
        _output = int(number)
        os.set_inheritable(_output, False)
    elif path:
        _output, _in_file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), True
    else:
        _output = os.dup(1)
        os.dup2(2, 1)
    with open(os.devnull) as empty:
        os.dup2(empty.fileno(), 0)
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(line_buffering=True)  # what a job prints is out before its answer
    _hears = bool(protocol) and not _in_file and not stat.S_ISREG(os.fstat(_input).st_mode)
    # A copy of this process may tell, but must not read what is said to this one.
    os.register_at_fork(after_in_child=lambda: globals().update(_at_work=None))


def _tell(message: dict[str, Any]) -> None:
    line = _line(message, message["type"])
    if not _in_file:
        _send(line)


def _send(line: bytes) -> None:
    if _output < 0:
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
