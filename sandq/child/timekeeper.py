"""How long a job may run, and how long it may say nothing: by our clock, never by the child's."""

import asyncio
from collections.abc import Callable

from sandq.child.asking import CallRefused
from sandq.child.watch import Alarm, Watch
from sandq.child.work import Work


class Timekeeper:
    """The two limits of the job of one child; `on_limit` is called with timeout or heartbeat."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, watch: Watch, on_limit: Callable[[str], None]
    ) -> None:
        self._loop = loop
        self._watch = watch
        self._deadline = Alarm(lambda: on_limit("timeout"))
        self._silence = Alarm(lambda: on_limit("heartbeat"))

    @property
    def deadline_s(self) -> float | None:
        """When the job must be over, by the loop's clock; None: at no time."""
        return self._deadline.deadline_s

    def begin(self, work: Work) -> None:
        """The job's line goes out."""
        work.began_s = self._loop.time()
        if work.timeout_ms is not None:
            self._watch.set(self._deadline, work.began_s + work.timeout_ms / 1000)
        if work.heartbeat_ms is not None:
            self.beat(work)

    def beat(self, work: Work) -> None:
        """The job has said something."""
        if work.heartbeat_ms is not None and work.condemned is None:
            self._watch.set(self._silence, self._loop.time() + work.heartbeat_ms / 1000)

    def extend(self, work: Work | None, more_ms: int, wall_ms: int | None = None) -> int:
        """Let the job run for so long from now on; the answer is its whole time then, in ms.

        Raises CallRefused for a job that is being ended, or would run for longer than `wall_ms`.
        """
        if work is None or work.condemned:
            raise CallRefused("sandq.failed", "the job is being ended: it gets no more time")

        now_s = self._loop.time()
        whole_ms = round((now_s - work.began_s) * 1000) + more_ms
        if wall_ms is not None and whole_ms > wall_ms:
            raise CallRefused(
                "sandq.failed",
                f"that makes {whole_ms} ms; the sandbox of the handler allows {wall_ms} ms in all",
            )
        work.timeout_ms = whole_ms
        self._watch.set(self._deadline, now_s + more_ms / 1000)

        return work.timeout_ms

    def end(self) -> None:
        """The job is over, as far as its time is concerned."""
        self._deadline.deadline_s = self._silence.deadline_s = None
