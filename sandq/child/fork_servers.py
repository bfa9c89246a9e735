"""Children that are forked inside their walls: one fork server for each handler.

When a server dies its children die with it, and the next start of a child starts another one.
"""

from collections.abc import Callable

from sandq.child.fork_server import ForkServer
from sandq.child.link import Exit, StartFailed
from sandq.child.spawn import Spawner, Started
from sandq.isolation.confinement import Confinement
from sandq.model.handler import Handler


class ForkServers:
    """The fork servers of a pool."""

    def __init__(self, spawner: Spawner) -> None:
        self._spawner = spawner
        self._servers: dict[Handler, ForkServer] = {}
        self._by_pid: dict[int, ForkServer] = {}

    async def spawn(
        self,
        handler: Handler,
        path: str,
        env: dict[str, str],
        on_end: Callable[[Exit], None],
        confinement: Confinement,
    ) -> Started:
        """Start a child. `on_end` is called when it has ended, never before this returns.

        Raises StartFailed. The pid is 0 when it has ended already.
        """
        server = self._servers.get(handler)
        if server is None or not server.fits(path, confinement):
            if server is not None:
                server.retire()
            server = self._servers[handler] = ForkServer(self._spawner, handler, path, confinement)
        try:
            await server.be_ready(env)
        except StartFailed:
            if self._servers.get(handler) is server:
                del self._servers[handler]
            raise

        def ended(pid: int, end: Exit) -> None:
            self._by_pid.pop(pid, None)
            on_end(end)

        started = await server.spawn(env, ended)
        if started.pid:
            self._by_pid[started.pid] = server

        return started

    def has(self, pid: int) -> bool:
        """Whether a child that lives has been forked."""
        return pid in self._by_pid

    def retire(self, handler: Handler) -> None:
        """End the server of a handler with its last child."""
        server = self._servers.pop(handler, None)
        if server is not None:
            server.retire()

    def kill(self, pid: int, signum: int) -> None:
        """Send a signal to a child's process group; harmless when it has ended."""
        server = self._by_pid.get(pid)
        if server is not None:
            server.kill(pid, signum)

    def close(self) -> None:
        """End the servers, and with them every child."""
        for server in {*self._servers.values(), *self._by_pid.values()}:
            server.close()
