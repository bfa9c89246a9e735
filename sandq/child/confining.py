"""How the children of each handler are confined: planned once, proved once, told when refused."""

import logging
from dataclasses import replace

import anyio
import anyio.to_thread

from sandq import settings
from sandq.child.proving import prove
from sandq.child.spawn import StartFailed
from sandq.child.starting import Starter
from sandq.isolation.cgroups import settle
from sandq.isolation.confine import ENVIRONMENT, confine, forks
from sandq.isolation.confinement import Confinement
from sandq.isolation.facts import HostFacts
from sandq.isolation.plan import Plan, plan
from sandq.isolation.probe import probe
from sandq.model.handler import Handler
from sandq.model.outcome import FailureKind
from sandq.model.sandbox import Sandbox, Start, warnings_of

log = logging.getLogger("sandq.child")


class SandboxRefused(StartFailed):
    """What a handler's sandbox guarantees cannot be had on this host; the message says what is
    missing and how to mend it."""

    kind = FailureKind.SANDBOX_UNAVAILABLE


class Confining:
    """The confinements of the handlers of one pool; raises ConfigError for SANDQ_UIDS."""

    def __init__(self) -> None:
        self._known: dict[Handler, Confinement] = {}
        self._facts: HostFacts | None = None
        self._uids = settings.uid_range()
        # planning takes some milliseconds, proving some tens: each is done once
        self._turn = anyio.Lock()

    def knows(self, handler: Handler) -> bool:
        """Whether it is settled how the children of this handler are confined."""
        return handler in self._known or not handler.sandbox.asks_of_host

    async def of(self, handler: Handler, program: str, starter: Starter) -> Confinement:
        """The confinement of a handler's children; raises SandboxRefused."""
        if handler not in self._known:
            async with self._turn:
                if handler not in self._known:
                    self._known[handler] = await self._settle(handler, program, starter)

        return self._known[handler]

    async def _settle(self, handler: Handler, program: str, starter: Starter) -> Confinement:
        sandbox = handler.sandbox
        planned = plan(sandbox, await self._host() if sandbox.asks_of_host else HostFacts())
        try:
            if planned.refusal:
                raise SandboxRefused(f"handler {handler} is refused: {planned.refusal}")
            if sandbox.start is Start.FORK and forks(planned, handler) is None:
                raise SandboxRefused(
                    f"handler {handler} is refused: start 'fork' is for a Python script, module or "
                    "code, and needs a /proc of its own; leave it out"
                )
            if sandbox.walled:
                await _prove(planned, handler, starter)
        except StartFailed:
            # it may be mended before the next try
            self._facts = None
            raise
        for warning in warnings_of(sandbox):
            log.warning("handler %s: %s", handler, warning)
        confinement = confine(planned, handler, program)

        return replace(confinement, environment=base_environment(sandbox))

    async def _host(self) -> HostFacts:
        if self._facts is None:
            self._facts = await anyio.to_thread.run_sync(lambda: settle(probe(self._uids)))

        return self._facts


def base_environment(sandbox: Sandbox) -> dict[str, str]:
    """What a child's variables are before its handler's own: the profile's, then the sandbox's."""
    ours = settings.own_environment()
    base = dict(ENVIRONMENT) if sandbox.walled else settings.passed_on_environment()
    for entry in sandbox.env:
        name, equals, value = entry.partition("=")
        if equals or name in ours:
            base[name] = value if equals else ours[name]

    return base


async def _prove(planned: Plan, handler: Handler, starter: Starter) -> None:
    escapes = await prove(starter, planned, handler)
    if escapes:
        words = "; ".join(map(str, escapes))
        raise SandboxRefused(f"handler {handler} is refused: its sandbox was tried, and {words}")
