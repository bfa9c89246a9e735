"""Which children to start and which to let go: a pure decision, tested as a table.

Rules, in this order:
1. There are never more than `most` children alive, those that are ending included; but for rule 6.
2. Who waits for a child gets one: a new one if there is room, else idle children of handlers that
   nobody waits for are retired, those first that were used longest ago, and their places are used
   when they have gone.
3. `size` is how many warm children there may be now. Who waits and has no child of its own that
   could come back, and every one-shot child, may use all the room up to `most`.
4. What room is left keeps each handler's warm children, in turn.
5. A handler that may not start now (it failed to, and backs off) starts none.
6. A worn child gets a successor, the one worn longest first: one at a time, and for that there
   may be one child more. While somebody waits without a place, only a held child that is waited
   for gets one.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Line:
    """The children of one handler: how many idle, busy and starting, how many are `wanted` by
    jobs at hand, and how many are to be kept `warm`.

    - `held`: idle as well, but lent only when their successor is there.
    - `worn`: how many are to be replaced and have no successor yet; `worn_since_s`: since when.
    - `idle_since_s`: since when the one is idle that was used longest ago.
    - `fresh`: one-shot children: started with a job, never kept.
    - `single_use`: they are kept ready, and serve one job.
    """

    idle: int = 0
    busy: int = 0
    starting: int = 0
    wanted: int = 0
    warm: int = 0
    may_start: bool = True
    held: int = 0
    worn: int = 0
    worn_since_s: float = 0.0
    idle_since_s: float = 0.0
    fresh: bool = False
    single_use: bool = False

    @property
    def alive(self) -> int:
        """How many there are."""
        return self.idle + self.held + self.busy + self.starting

    @property
    def missing(self) -> int:
        """How many are waited for that are not on their way."""
        return max(self.wanted - self.starting - self.held, 0) if self.may_start else 0

    @property
    def waits_in_vain(self) -> bool:
        """Whether none of its own children can come back to who waits."""
        if self.single_use:
            return self.starting == 0
        return self.fresh or not (self.busy or self.starting or self.held)


@dataclass(frozen=True, slots=True)
class Start:
    """Start a child of the handler with this number."""

    line: int


@dataclass(frozen=True, slots=True)
class Replace:
    """Start the successor of a worn child of the handler with this number."""

    line: int


@dataclass(frozen=True, slots=True)
class Retire:
    """Retire an idle child of the handler with this number."""

    line: int


Step = Start | Replace | Retire


def plan(
    lines: Sequence[Line],
    size: int,
    ending: int,
    *,
    most: int | None = None,
    replacing: bool = False,
) -> list[Step]:
    """What to do now; `ending` children are on their way out but still alive, `replacing` tells
    that a worn child and its successor are both alive. `most` is `size` if it is not given."""
    steps: list[Step] = []
    most = size if most is None else most
    alive = [line.alive for line in lines]
    room = most - ending - sum(alive)
    warm_room = size - ending - sum(line.alive for line in lines if not line.fresh)
    unmet = 0

    for number, line in enumerate(lines):
        for _ in range(line.missing):
            if room > 0 and (warm_room > 0 or line.waits_in_vain):
                room -= 1
                warm_room -= not line.fresh
                alive[number] += 1
                steps.append(Start(number))
            else:
                unmet += 1

    if unmet and not replacing and room >= 0:
        # who waits for the last job of a held child gets on by its successor alone
        needed = [number for number, line in enumerate(lines) if line.wanted and line.held]
        room -= _replace(lines, needed, steps)
    to_free = max(-room, 0) - ending + unmet if unmet else 0
    for number in sorted(range(len(lines)), key=lambda number: lines[number].idle_since_s):
        line = lines[number]
        if line.wanted == 0 and to_free > 0:
            count = min(to_free, line.idle + line.held)
            to_free -= count
            alive[number] -= count
            steps += [Retire(number)] * count

    growing = to_free <= 0
    while room > 0 and warm_room > 0 and growing:
        growing = False
        for number, line in enumerate(lines):
            if room > 0 and warm_room > 0 and line.may_start and alive[number] < line.warm:
                alive[number] += 1
                room -= 1
                warm_room -= 1
                steps.append(Start(number))
                growing = True

    if not unmet and not replacing and room >= 0:
        _replace(lines, range(len(lines)), steps)

    return steps


def _replace(lines: Sequence[Line], numbers: Iterable[int], steps: list[Step]) -> int:
    """Start a successor for one of these lines, if a child of theirs is worn; how many started."""
    worn = [number for number in numbers if lines[number].worn and lines[number].may_start]
    if worn:
        steps.append(Replace(min(worn, key=lambda number: lines[number].worn_since_s)))

    return len(worn[:1])


def warm_shares(size: int, handlers: int) -> list[int]:
    """How many warm children each handler gets of `size`: as even as can be."""
    if handlers == 0:
        return []

    each, left = divmod(size, handlers)

    return [each + (1 if number < left else 0) for number in range(handlers)]
