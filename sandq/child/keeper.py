"""Who carries out what is planned for a pool: children are started, replaced and let go.

A handler whose children fail to start is tried again with growing pauses, and says so once.
"""

import logging
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from anyio.abc import TaskGroup

from sandq.child.around import Around, Trace
from sandq.child.child import Child
from sandq.child.children import Children
from sandq.child.confining import Confining
from sandq.child.crew import Crew
from sandq.child.family import Family
from sandq.child.plan import Replace, Retire, plan
from sandq.child.spawn import StartFailed
from sandq.child.starting import Starter
from sandq.child.tally import Tally
from sandq.child.watch import Watch
from sandq.errors import SupervisorError

log = logging.getLogger("sandq.child")


class Keeper:
    """Keeps the children of a pool of `size`.

    `on_change` is called when a child has become free or has ended, `on_ready` when a warm one has
    become ready.
    """

    def __init__(
        self,
        crew: Crew,
        size: int,
        kill_grace_s: float,
        on_change: Callable[[], None],
        on_ready: Callable[[], None],
        trace: Trace | None = None,
    ) -> None:
        self.alive: set[Child] = set()
        self.tally = Tally()
        self.starter = Starter(self._spawner_lost)
        self._confining = Confining()
        self._settling: set[Family] = set()
        self._crew = crew
        self._size = size
        self._kill_grace_s = kill_grace_s
        self._on_change = on_change
        self._on_ready = on_ready
        self._trace = trace
        #: Worn children that live though their successors do.
        self._replaced: dict[Child, Child] = {}
        self._watch = Watch()
        self._group: TaskGroup | None = None

    def open(self, group: TaskGroup) -> None:
        """Start the first children; `group` is where what takes time is done."""
        self._group = group
        self.starter.start()
        self.carry_out()

    def rest(self) -> None:
        """Start nothing more."""
        self._group = None

    def close(self) -> None:
        """End every child."""
        self._watch.close()
        # the end of the spawner is the end of every child
        self.starter.close()
        for child in list(self.alive):
            child.abandon()

    def carry_out(self) -> None:
        """Plan, and do what is planned."""
        if self._group is None:
            return

        self._look_ahead()
        alive = self.alive
        self._replaced = {
            old: new for old, new in self._replaced.items() if old in alive and new in alive
        }
        lines = list(self._crew.lines())
        rows = [line.row() for line in lines]
        ending = len(alive) - sum(row.alive for row in rows)
        warm, replacing = self._crew.warm, bool(self._replaced)
        for step in plan(rows, warm, ending, most=self._size, replacing=replacing):
            line = lines[step.line]
            if isinstance(step, Retire):
                idle = line.take_to_retire()
                if idle is not None:
                    idle.retire()
            else:
                child = self._launch(line)
                if isinstance(step, Replace):
                    self._replaced[line.succeed(child)] = child
        self._crew.drop_unused()

    def _launch(self, line: Children) -> Child:
        if not self.starter.running:
            self._renew_spawner()
        child = Child(line.handler, self._around(), line.key)
        # from now on it counts, though its process is not there yet
        self.alive.add(child)
        if line.handler.fresh:
            self._promise(line, child)
        else:
            line.starting.add(child)
            self._start_soon(self._start, line, child, {})

        return child

    def _around(self) -> Around:
        return Around(
            self.starter,
            self._watch,
            self._kill_grace_s,
            self._changed,
            self._start_soon,
            self.tally,
            self._trace,
        )

    def _start_soon(self, function: Callable[..., Coroutine[Any, Any, None]], *args: Any) -> None:
        if self._group is not None:
            self._group.start_soon(function, *args)

    def _look_ahead(self) -> None:
        # of one-shot children none is started ahead, which would tell that they cannot be confined
        for family in self._crew.families:
            settled = self.confined(family) or family in self._settling
            if family.handler.fresh and family.health.may_start and not settled:
                self._settling.add(family)
                self._start_soon(self._confine, family)

    def confined(self, family: Family) -> bool:
        """Whether it is settled how the children of a handler are confined."""
        return self._confining.knows(family.handler)

    async def _confine(self, family: Family) -> None:
        try:
            await self._confining.of(family.handler, family.program, self.starter)
            self._on_change()
        except StartFailed as error:
            self._fails(family, error)
        finally:
            self._settling.discard(family)

    def _promise(self, line: Children, child: Child) -> None:
        """Give a one-shot child to who waits; its process is started with the job."""
        waiter = line.next_waiter()
        if waiter is None:
            self.alive.discard(child)
            return

        child.launch = lambda: self._start_soon(self._start, line, child, waiter.env)
        child.ready = True
        line.busy.add(child)
        waiter.future.set_result(child)

    async def _start(self, line: Children, child: Child, extra: Mapping[str, str]) -> None:
        family = self._crew.family(line.handler)
        try:
            confinement = await self._confining.of(line.handler, family.program, self.starter)
            env = {**family.environment(confinement.environment, line.key), **extra}
            await child.start(family.program, env, confinement)
            self.tally.started += 1
        except StartFailed as error:
            self.alive.discard(child)
            line.forget(child)
            self.tally.failed_starts += 1
            self._fails(family, error)
            child.not_started(str(error))
            self.carry_out_and_tell()

    def _changed(self, child: Child) -> None:
        """A child has become ready, or has ended."""
        family = self._crew.family(child.handler)
        line = family.line(child.key)
        if not child.gone:
            line.starting.discard(child)
            self._on_ready()
            # its predecessor first, who may be lent its last job now
            self.look_again(line)
            if self.put(line, child, new=True) or self._crew.anybody_waits:
                self.carry_out()
            self._on_change()
            return

        was_ready = child not in line.starting
        self.alive.discard(child)
        self.tally.noise += child.process.capture.added
        line.forget(child)
        if child.ended_itself and (child.never_read or child.served == 0):
            self.tally.failed_starts += 1
            when = "before it read a job" if was_ready else "before it was ready"
            reason = f"handler {line.handler} ended {when}: {child.end_note}"
            self._fails(family, StartFailed(reason))
        self.carry_out_and_tell()

    def _fails(self, family: Family, error: StartFailed) -> None:
        """A child failed to start: nobody is kept back for the sake of its successor."""
        family.fails(str(error), error.kind)
        for line in family.lines():
            self.look_again(line)

    def put(self, line: Children, child: Child, *, new: bool) -> bool:
        """A child is idle; the answer is whether there is something to plan."""
        reason = line.put(child, new=new)
        if reason is not None:
            self.let_go(line, child, reason)
        line.serve()

        return reason is not None or bool(line.worn)

    def look_again(self, line: Children) -> bool:
        """Idle children may have become worn, worn ones may have a successor now; the answer is
        whether there is something to plan."""
        going = line.look_again()
        for child, reason in going:
            self.let_go(line, child, reason)
        line.serve()

        return bool(going or line.worn)

    def let_go(self, line: Children, child: Child, reason: str) -> None:
        """End an idle child for a rule's sake: jobs, age, rss, idle or watch."""
        log.debug("child %d of %s is let go: %s", child.pid, line.handler, reason)
        line.forget(child)
        self.tally.recycled[reason] += 1
        child.retire()

    def carry_out_and_tell(self) -> None:
        """The same, when places may have become free."""
        self.carry_out()
        self._on_change()

    def _spawner_lost(self) -> None:
        """The spawner was killed, and all children with it: start again."""
        if self._group is not None:
            log.error("the spawner process died; starting another")
            self._renew_spawner()
            self.carry_out()

    def _renew_spawner(self) -> None:
        self.starter = Starter(self._spawner_lost)
        try:
            self.starter.start()
        except SupervisorError as error:
            # no child can be started now; the next try comes after the pause that follows
            log.error("%s", error)
