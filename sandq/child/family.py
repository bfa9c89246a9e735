"""All children of one handler, whatever the key of their jobs."""

from collections.abc import Callable, Iterator, Mapping

from sandq import settings
from sandq.child.children import Children
from sandq.child.command import find_program
from sandq.child.health import Health
from sandq.model.handler import Channel, Handler
from sandq.model.outcome import FailureKind


class Family:
    """The children of one handler: a line for each key in use, and one for jobs without a key.

    Raises HandlerInvalid when the handler names no program that can be run.
    """

    def __init__(
        self,
        handler: Handler,
        worker: str,
        broken_s: float | None,
        on_change: Callable[[], None],
    ) -> None:
        self.handler = handler
        self._own = {
            "SANDQ": "1",
            "SANDQ_PROTOCOL": "1",
            "SANDQ_WORKER": worker,
            "SANDQ_MAX_LINE": str(handler.limits.line),
            **({"SANDQ_FD": "3"} if handler.channel is Channel.FD3 else {}),
            # a child that does not flush its answers looks as if it hung
            "PYTHONUNBUFFERED": "1",
            **dict(handler.env),
        }
        path = settings.passed_on_environment().get("PATH")
        self.program = find_program(handler, self._own.get("PATH", path))
        self.health = Health(handler, broken_s, on_change)
        #: Warm children it has beyond its share, because jobs had to wait.
        self.extra = 0
        self._share = 0
        self._lines: dict[str, Children] = {}

    def share(self, warm: int) -> None:
        """So many warm children are its share."""
        self._share = warm
        self.grow(0)

    def grow(self, count: int) -> None:
        """Keep so many more warm children; fewer if it is less than zero."""
        self.extra += count
        self.line("").warm = self._share + self.extra

    def line(self, key: str) -> Children:
        """The children for jobs of a key; one-shot children have no past, so they share a line."""
        key = "" if self.handler.fresh or self.handler.single_use(key) else key
        line = self._lines.get(key)
        if line is None:
            line = self._lines[key] = Children(self.handler, key, self.health)

        return line

    def lines(self) -> Iterator[Children]:
        """Every line there is."""
        yield from self._lines.values()

    def drop_unused(self) -> None:
        """Forget the lines of keys that nobody uses."""
        self._lines = {
            key: line
            for key, line in self._lines.items()
            if not key or line.any_alive or line.waiters
        }

    def environment(self, base: Mapping[str, str], key: str) -> dict[str, str]:
        """The variables of its children for jobs of a key; `base` is what the sandbox gives."""
        return {**base, **self._own, **self.key_variable(key)}

    def key_variable(self, key: str) -> dict[str, str]:
        """The variable that tells a child the key of its jobs."""
        return {"SANDQ_POOL_KEY": key.replace("\0", "?")} if key else {}

    @property
    def serves(self) -> bool:
        """Whether its children start, as far as is known."""
        return self.health.failures == 0 or any(line.idle_count for line in self.lines())

    def fails(self, reason: str, kind: FailureKind) -> None:
        """A child failed to start; who waits is told if no other child can come."""
        self.health.fails(reason, kind)
        for one in self.lines():
            if not one.any_alive:
                one.refuse_waiters(reason, kind)

    def close(self) -> None:
        """Nothing will be started any more."""
        self.health.close()
        for line in self.lines():
            line.refuse_waiters("the pool is closed")
