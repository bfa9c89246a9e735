"""Whether an idle child is alive: it is asked, if it can say so, and replaced if it does not."""

from collections.abc import Callable

from sandq.child.process import Process
from sandq.protocol.messages import ping_line

#: A ping is answered within this time, in seconds.
PONG_WITHIN_S = 5.0


class Pulse:
    """Pings that went out and pongs that came back; `on_silence` is called with what is wrong."""

    def __init__(self, process: Process, on_silence: Callable[[str], None]) -> None:
        self._process = process
        self._on_silence = on_silence
        self._asked = self._answered = 0

    def ask(self) -> None:
        """Send a ping."""
        if self._process.reads:
            self._asked += 1
            self._process.write(ping_line(self._asked))
            self._process.later(PONG_WITHIN_S, self._expect, self._asked)

    def answer(self, n: int) -> None:
        """A pong has come."""
        self._answered = max(self._answered, min(n, self._asked))

    def lent(self) -> None:
        """A job was lent, and may keep the child from answering."""
        self._answered = self._asked

    def _expect(self, n: int) -> None:
        if self._answered < n:
            self._on_silence(f"it did not answer a ping within {PONG_WITHIN_S:g} s")
