"""A handler at the other end of plain pipes. Everything that waits has a deadline.

Deadlines are points in time of `monotonic_s`. One thread serves all pipes of a program, so that
neither side can block the other: what the program writes is taken while it is written to.
"""

import os
import selectors
import signal
import subprocess
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path

import psutil

from sandq.clock import block_s, monotonic_s
from sandq.errors import HandlerInvalid
from sandq.model.limits import DEFAULT_LINE_BYTES
from sandq.model.payload import quote
from sandq.protocol.lines import LineReader, LineTooLong

#: Marks everything a program starts, as under sandq, so that it is found at the end.
_MARK = "SANDQ_CHILD"

#: Bytes of error output that are kept, the last ones, and lines that are shown of them.
_ERROR_BYTES = 16 * 1024
_ERROR_LINES = 5

#: How much is read or written at once.
_PIECE_BYTES = 64 * 1024

#: Lines that nobody has taken yet stop the reading, so that endless output is not kept.
_UNTAKEN_BYTES = 8 * 1024 * 1024

#: What the pipe of a dead program may still hold is read for so long; others may hold it open.
_DRAIN_S = 0.2

#: Killed processes are waited for so long; one that hangs inside the kernel stays.
_GONE_S = 2.0

_numbers = count(1)


class Program:
    """A running handler. `close` must be called; it leaves no process behind."""

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], *, last_counts: bool = False
    ) -> None:
        """Start it. Raises HandlerInvalid when that cannot be done.

        `last_counts`: a last line without a newline is a line too, as at the one-shot level.
        """
        self._mark = f"conformance-{os.getpid()}-{next(_numbers)}"
        try:
            self._process = subprocess.Popen(
                list(command),
                env={**environment, _MARK: self._mark},
                start_new_session=True,
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        except (OSError, ValueError) as error:
            raise HandlerInvalid(
                f"the program {command[0]!r} cannot be started: {error}; give a command that runs"
            ) from error

        self.started_s = monotonic_s()
        self.status: int | None = None
        self.too_long: str | None = None
        self.input_broken = False
        self._pending = bytearray()
        self._lines: deque[bytes] = deque()
        self._untaken = 0
        self._reader = LineReader(DEFAULT_LINE_BYTES)
        self._last_counts = last_counts
        self._errors = b""
        self._drained_s: float | None = None
        self._pidfd = os.pidfd_open(self._process.pid)
        self._streams = {
            "stdin": self._process.stdin,
            "stdout": self._process.stdout,
            "stderr": self._process.stderr,
        }
        self._fds = {name: stream.fileno() for name, stream in self._streams.items() if stream}
        self._open = set(self._fds)
        for fd in self._fds.values():
            os.set_blocking(fd, False)

    # ---- what a case does

    def write(self, data: bytes, deadline_s: float) -> bool:
        """Write all of it; False when the deadline passes first, or nobody will read it."""
        self._pending += data
        self._serve_until(lambda: not self._pending or self.input_broken, deadline_s)

        return not self._pending and not self.input_broken

    def next_line(self, deadline_s: float) -> bytes | None:
        """The next line it writes; None at the deadline or the end: see `output_over`."""
        self._serve_until(lambda: bool(self._lines) or self._is_output_over(), deadline_s)
        if not self._lines:
            return None
        line = self._lines.popleft()
        self._untaken -= len(line)

        return line

    def ended(self, deadline_s: float) -> bool:
        """Whether the process ends before the deadline; `status` is its exit code then, or the
        number of the signal that ended it, below zero."""
        return self._serve_until(lambda: self.status is not None, deadline_s)

    def idle(self, until_s: float) -> None:
        """Serve the pipes until then, or until the process has ended."""
        self._serve_until(lambda: self.status is not None, until_s)

    def close_pipe(self, name: str) -> None:
        """Close our end of `stdin`, `stdout` or `stderr`."""
        if name in self._open:
            self._open.discard(name)
            if stream := self._streams[name]:
                stream.close()

    def signal(self, number: int) -> None:
        """Send a signal to its process group."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)

    @property
    def output_over(self) -> bool:
        """Whether all that it has written was taken, and no more will come."""
        return not self._lines and self._is_output_over()

    @property
    def errors(self) -> list[str]:
        """The last lines of its error output."""
        return self._errors.decode("utf-8", "replace").splitlines()[-_ERROR_LINES:]

    def memory_kib(self) -> int:
        """The memory of the process and all it has started (RSS)."""
        try:
            root = psutil.Process(self._process.pid)
            tree = [root, *root.children(recursive=True)]
        except psutil.Error:
            return 0
        total = 0
        for process in tree:
            with suppress(psutil.Error):
                total += process.memory_info().rss

        return total // 1024

    def close(self) -> None:
        """Kill everything it has started and close every pipe."""
        self.signal(signal.SIGKILL)
        self._process.kill()
        self._process.wait()
        self.status = self._process.returncode
        deadline_s = monotonic_s() + _GONE_S
        while strays := _marked(self._mark):
            for pid in strays:
                with suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
            if monotonic_s() > deadline_s:
                break
            block_s(0.005)
        for name in tuple(self._open):
            self.close_pipe(name)
        if self._pidfd >= 0:
            os.close(self._pidfd)
            self._pidfd = -1

    # ---- the pipes

    def _is_output_over(self) -> bool:
        if self.too_long is not None or "stdout" not in self._open:
            return True

        return self._drained_s is not None and monotonic_s() >= self._drained_s

    def _serve_until(self, done: Callable[[], bool], deadline_s: float) -> bool:
        while not done():
            now_s = monotonic_s()
            if now_s >= deadline_s:
                return False
            wake_s = deadline_s
            if self._drained_s is not None and now_s < self._drained_s:
                wake_s = min(wake_s, self._drained_s)
            self._turn(wake_s - now_s)

        return True

    def _turn(self, timeout_s: float) -> None:
        """Wait until something can be done, at most so long, and do it."""
        with selectors.PollSelector() as selector:
            if self._pending and "stdin" in self._open and not self.input_broken:
                selector.register(self._fds["stdin"], selectors.EVENT_WRITE, self._on_input)
            if "stdout" in self._open and self._untaken < _UNTAKEN_BYTES and not self.too_long:
                selector.register(self._fds["stdout"], selectors.EVENT_READ, self._on_output)
            if "stderr" in self._open:
                selector.register(self._fds["stderr"], selectors.EVENT_READ, self._on_errors)
            if self.status is None:
                selector.register(self._pidfd, selectors.EVENT_READ, self._on_end)
            for key, _ in selector.select(timeout_s):
                key.data()

    def _on_input(self) -> None:
        try:
            written = os.write(self._fds["stdin"], self._pending[:_PIECE_BYTES])
        except BlockingIOError:
            return
        except OSError:
            self.input_broken = True
            return
        del self._pending[:written]

    def _on_output(self) -> None:
        data = self._read("stdout")
        if not data:
            rest = self._reader.take_rest()
            self._take([rest] if rest and self._last_counts else [])
            self.close_pipe("stdout")
            return
        try:
            self._take(self._reader.feed(data))
        except LineTooLong as error:
            self._take(error.before)
            self.too_long = f"{error}: it begins with {quote(error.head)}"

    def _on_errors(self) -> None:
        data = self._read("stderr")
        if not data:
            self.close_pipe("stderr")
        self._errors = (self._errors + data)[-_ERROR_BYTES:]

    def _on_end(self) -> None:
        self.status = self._process.wait()
        self._drained_s = monotonic_s() + _DRAIN_S

    def _read(self, name: str) -> bytes:
        try:
            return os.read(self._fds[name], _PIECE_BYTES)
        except OSError:
            return b""

    def _take(self, lines: list[bytes]) -> None:
        self._lines += lines
        self._untaken += sum(map(len, lines))


def _marked(mark: str) -> list[int]:
    """The processes whose environment bears the mark, zombies not among them."""
    word = f"{_MARK}={mark}".encode()
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            with suppress(OSError):
                if word in (folder / "environ").read_bytes().split(b"\0"):
                    found.append(int(folder.name))

    return found
