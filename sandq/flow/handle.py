"""What `Queue.run` gives: the running supervisor, to wait for and to stop."""

import anyio

from sandq.errors import WaitTimeout
from sandq.flow.supervisor import Supervisor
from sandq.model.duration import Duration, to_ms


class QueueHandle:
    """A supervisor that is running (seed 0, `QueueHandle`)."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor

    @property
    def worker(self) -> str:
        """The supervisor's name, as jobs record it."""
        return self._supervisor.worker

    @property
    def busy(self) -> int:
        """How many jobs run now."""
        return self._supervisor.busy

    def pids(self) -> list[int]:
        """The process ids of the children that are alive."""
        return self._supervisor.pool.pids()

    def pause(self) -> None:
        """Take no new jobs until `resume`; those that run go on."""
        self._supervisor.pause()

    def resume(self) -> None:
        """Take jobs again."""
        self._supervisor.resume()

    async def wait(self) -> None:
        """Wait until it has stopped."""
        await self._supervisor.stopped.wait()

    async def close(self) -> None:
        """Take no more jobs, wait for those that run (up to the drain timeout), and stop."""
        self._supervisor.stop()
        await self._supervisor.stopped.wait()

    async def stop(self, timeout: Duration) -> None:
        """Like `close`, but wait at most `timeout`; then running jobs are killed and given back.

        Raises WaitTimeout when that was needed; the supervisor has stopped all the same.
        """
        self._supervisor.stop()
        with anyio.move_on_after(to_ms(timeout, "timeout") / 1000):
            await self._supervisor.stopped.wait()
            return

        self._supervisor.stop_now()
        await self._supervisor.stopped.wait()
        raise WaitTimeout(f"jobs were still running after {timeout} s; they were given back")
