"""The supervisor under test: started with pipes, spoken to in lines, each wait with a deadline."""

import json
import os
import selectors
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import IO, Any, cast

from sandq.clock import monotonic_s
from sandq.errors import SupervisorError

_PIECE_BYTES = 1 << 16

#: How much is kept of what it says on its error stream, in bytes.
_ERRORS_BYTES = 16 * 1024


class Candidate:
    """A running supervisor; `close` must be called.

    `lines` are those it has written so far, with the moment each came.
    """

    def __init__(self, command: Sequence[str], variables: Mapping[str, str]) -> None:
        """Start it; raises SupervisorError."""
        try:
            self._process = subprocess.Popen(
                list(command),
                env=dict(variables),
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        except OSError as error:
            raise SupervisorError(
                f"the supervisor {command[0]!r} cannot be started: {error}; "
                "give a command that runs"
            ) from error
        self.pid = self._process.pid
        self.lines: list[tuple[float, dict[str, Any]]] = []
        self.errors = b""
        self.over = False
        self._taken = 0
        self._rest = b""
        self._unsent = b""
        self._selector = selectors.DefaultSelector()
        self._in = cast("IO[bytes]", self._process.stdin)
        out = cast("IO[bytes]", self._process.stdout)
        err = cast("IO[bytes]", self._process.stderr)
        os.set_blocking(self._in.fileno(), False)
        self._selector.register(out, selectors.EVENT_READ, self._hear)
        self._selector.register(err, selectors.EVENT_READ, self._hear_errors)

    def send(self, line: Mapping[str, Any]) -> None:
        """Write a line; what does not fit goes out while it is listened to."""
        self._unsent += json.dumps(line).encode() + b"\n"
        self._write()

    def end_input(self) -> None:
        """Nothing more will come; what was sent must have gone out."""
        with suppress(OSError):
            self._in.close()

    def next_line(self, deadline_s: float) -> tuple[float, dict[str, Any]] | None:
        """The next line it writes, with the moment it came; None at the deadline or the end."""
        while self._taken == len(self.lines):
            if self.over or monotonic_s() >= deadline_s:
                return None
            self.attend(deadline_s)
        self._taken += 1

        return self.lines[self._taken - 1]

    def attend(self, deadline_s: float) -> None:
        """Wait until something comes, or goes out, or the deadline has passed."""
        self._write()
        for key, _ in self._selector.select(max(0.0, deadline_s - monotonic_s())):
            key.data(key.fileobj)

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal: to it alone, not to its group."""
        self._process.send_signal(number)

    def exit_code(self, deadline_s: float) -> int | None:
        """How it has ended; None when it has not until the deadline."""
        while not self.over and monotonic_s() < deadline_s:
            self.attend(deadline_s)
        try:
            return self._process.wait(max(0.01, deadline_s - monotonic_s()))
        except subprocess.TimeoutExpired:
            return None

    def close(self) -> None:
        """End it, whatever it does."""
        self._process.kill()
        self._process.wait()
        self._selector.close()
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            with suppress(OSError):
                cast("IO[bytes]", stream).close()

    def _write(self) -> None:
        waits = self._in in self._selector.get_map() if not self._in.closed else False
        while self._unsent:
            try:
                count = os.write(self._in.fileno(), self._unsent[:_PIECE_BYTES])
            except BlockingIOError:
                if not waits:
                    self._selector.register(
                        self._in, selectors.EVENT_WRITE, lambda _: self._write()
                    )
                return
            except (OSError, ValueError):
                self._unsent = b""
                break
            self._unsent = self._unsent[count:]
        if waits:
            self._selector.unregister(self._in)

    def _hear(self, stream: Any) -> None:
        data = os.read(stream.fileno(), _PIECE_BYTES)
        if not data:
            self._selector.unregister(stream)
            self.over = True
            return
        *lines, self._rest = (self._rest + data).split(b"\n")
        now_s = monotonic_s()
        for line in lines:
            try:
                value = json.loads(line)
            except (ValueError, RecursionError):
                value = None
            if not isinstance(value, dict):
                value = {"not understood": line[:200].decode("utf-8", "replace")}
            self.lines.append((now_s, value))

    def _hear_errors(self, stream: Any) -> None:
        data = os.read(stream.fileno(), _PIECE_BYTES)
        if not data:
            self._selector.unregister(stream)
        self.errors = (self.errors + data)[-_ERRORS_BYTES:]
