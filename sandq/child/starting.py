"""Who starts the children of a pool: the spawner, or a fork server inside the walls."""

import signal
from collections.abc import Callable

from sandq.child.fork_servers import ForkServers
from sandq.child.spawn import Exit, Spawner, Started
from sandq.isolation.confinement import Confinement
from sandq.model.handler import Handler


class Starter:
    """Starts children as their confinement says. `on_lost` is called once if the spawner dies
    before `close`, and all children with it."""

    def __init__(self, on_lost: Callable[[], None]) -> None:
        self._spawner = Spawner(on_lost)
        self._servers = ForkServers(self._spawner)

    def start(self) -> None:
        """Start the spawner; raises SupervisorError when that fails."""
        self._spawner.start()

    @property
    def running(self) -> bool:
        """Whether children can be started."""
        return self._spawner.running

    async def spawn(
        self,
        handler: Handler,
        path: str,
        env: dict[str, str],
        on_end: Callable[[Exit], None],
        confinement: Confinement | None = None,
    ) -> Started:
        """Start a child. `on_end` is called when it has ended, never before this returns.

        Raises StartFailed.
        """
        if confinement is not None and confinement.fork is not None:
            return await self._servers.spawn(handler, path, env, on_end, confinement)

        return await self._spawner.spawn(handler, path, env, on_end, confinement)

    def retire(self, handler: Handler) -> None:
        """There will be no more children of a handler."""
        self._servers.retire(handler)

    def kill(self, pid: int, signum: int) -> None:
        """Send a signal to a child's process group; harmless when it has ended."""
        if self._servers.has(pid):
            self._servers.kill(pid, signum)
        else:
            self._spawner.kill(pid, signum)

    def freeze(self, pid: int) -> None:
        """Stop a child and all it has started, until `thaw`."""
        if self._servers.has(pid):
            self._servers.kill(pid, signal.SIGSTOP)
        else:
            self._spawner.freeze(pid)

    def thaw(self, pid: int) -> None:
        """Let a child that was frozen go on."""
        if self._servers.has(pid):
            self._servers.kill(pid, signal.SIGCONT)
        else:
            self._spawner.thaw(pid)

    def close(self) -> None:
        """End every child, and what has started them; waits for none longer than 5 s."""
        self._servers.close()
        self._spawner.close()
