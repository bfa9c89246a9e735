"""Everybody in a pool: the children by handler and key, and how many of them there should be."""

from collections.abc import Iterator, Sequence

from sandq.child.child import Child
from sandq.child.children import Children
from sandq.child.family import Family
from sandq.child.plan import warm_shares
from sandq.child.wear import growth
from sandq.model.handler import Handler


class Crew:
    """The families of a pool: `least` warm children are kept, up to `most` may be added."""

    def __init__(self, families: Sequence[Family], most: int, least: int) -> None:
        self.families = list(families)
        self._most, self._least = most, least
        self._of = {family.handler: family for family in families}
        # the hash of a handler is that of all it holds: dear to make for every job
        self._by_id = {id(family.handler): family for family in families}
        warm = [family for family in families if not family.handler.fresh]
        for family, share in zip(warm, warm_shares(least, len(warm)), strict=True):
            family.share(share)

    def family(self, handler: Handler) -> Family:
        """The children of a handler; KeyError for one that the pool was not given."""
        return self._by_id.get(id(handler)) or self._of[handler]

    def lines(self) -> Iterator[Children]:
        """The children of every handler and key."""
        for family in self.families:
            yield from family.lines()

    def drop_unused(self) -> None:
        """Forget the lines of keys that nobody uses."""
        for family in self.families:
            family.drop_unused()

    def close(self) -> None:
        """Nothing will be started any more."""
        for family in self.families:
            family.close()

    @property
    def anybody_waits(self) -> bool:
        """Whether a job at hand waits for a child."""
        return any(line.waiters for line in self.lines())

    @property
    def any_warm(self) -> bool:
        """Whether there is a child that is kept when its job has ended."""
        return any(line.any_alive for line in self.lines() if not line.handler.fresh)

    @property
    def warm(self) -> int:
        """How many warm children there may be now."""
        return self._least + sum(family.extra for family in self.families)

    @property
    def may_grow(self) -> bool:
        """Whether there may be more of them than now."""
        return self.warm < self._most

    def grow(self, families: Sequence[Family], waiting: int, waited_ms: float) -> bool:
        """Keep more warm children of these, by `growth`; whether any are to be added.

        The handler gets them whose children have most to do.
        """
        able = [family for family in families if not family.handler.fresh and family.serves]
        if not able:
            return False

        counts = [(line.count, len(line.starting)) for line in self._warm_lines()]
        now = max(self.warm, sum(count for count, _ in counts))
        starting = sum(count for _, count in counts)
        added = growth(
            now=now, starting=starting, most=self._most, waiting=waiting, waited_ms=waited_ms
        )
        if added:
            busiest = max(able, key=lambda family: sum(len(line.busy) for line in family.lines()))
            busiest.grow(now + added - self.warm)

        return added > 0

    def grow_for_waiters(self, now_s: float) -> bool:
        """Keep more children for those who wait for one; whether any are to be added."""
        grown = False
        for family in self.families:
            waiters = [waiter for line in family.lines() for waiter in line.waiters]
            if waiters:
                waited_ms = (now_s - min(waiter.since_s for waiter in waiters)) * 1000
                grown |= self.grow([family], len(waiters), waited_ms)

        return grown

    def too_long_idle(self, now_s: float) -> list[tuple[Children, Child]]:
        """Who is let go because it was idle for too long: of those there are beyond the least.

        Fewer are kept from then on.
        """
        surplus = sum(line.count for line in self._warm_lines()) - self._least
        idle = [
            (child.idle_since_s, number, line, child)
            for number, line in enumerate(self._warm_lines())
            for child in (*line.leaving, *line.idle)
            if (now_s - child.idle_since_s) * 1000 >= line.handler.idle_ms
        ]
        idle.sort(key=lambda entry: entry[:2])
        going = idle[: max(surplus, 0)]
        for _, _, line, _ in going:
            self._shrink(self.family(line.handler))

        return [(line, child) for _, _, line, child in going]

    def _shrink(self, family: Family) -> None:
        grown = family if family.extra else max(self.families, key=lambda one: one.extra)
        if grown.extra:
            grown.grow(-1)

    def _warm_lines(self) -> Iterator[Children]:
        return (line for line in self.lines() if not line.handler.fresh)
