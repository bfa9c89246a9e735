"""Which children to start and which to let go: a pure decision, tested as a table.

Rules, in this order:
1. There are never more than `size` children alive, those that are ending included.
2. Who waits for a child gets one: a new one if there is room, else an idle child of a handler
   that nobody waits for is retired, and its place is used when it has gone.
3. What room is left keeps each handler's warm children, in turn.
4. A handler that may not start now (it failed to, and backs off) starts none.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Line:
    """The children of one handler: how many idle, busy and starting, how many are `wanted` by
    jobs at hand, and how many are to be kept `warm`."""

    idle: int = 0
    busy: int = 0
    starting: int = 0
    wanted: int = 0
    warm: int = 0
    may_start: bool = True


@dataclass(frozen=True, slots=True)
class Start:
    """Start a child of the handler with this number."""

    line: int


@dataclass(frozen=True, slots=True)
class Retire:
    """Retire an idle child of the handler with this number."""

    line: int


def plan(lines: Sequence[Line], size: int, ending: int) -> list[Start | Retire]:
    """What to do now; `ending` children are on their way out but still alive."""
    steps: list[Start | Retire] = []
    room = size - ending - sum(line.idle + line.busy + line.starting for line in lines)
    idle = [line.idle for line in lines]
    to_free = -ending

    for number, line in enumerate(lines):
        missing = line.wanted - line.starting if line.may_start else 0
        for _ in range(missing):
            if room > 0:
                room -= 1
                steps.append(Start(number))
            else:
                to_free += 1

    for number, line in enumerate(lines):
        while to_free > 0 and idle[number] > 0 and line.wanted == 0:
            idle[number] -= 1
            to_free -= 1
            steps.append(Retire(number))

    alive = [line.idle + line.busy + line.starting for line in lines]
    for step in steps:
        alive[step.line] += 1 if isinstance(step, Start) else -1
    growing = to_free <= 0
    while room > 0 and growing:
        growing = False
        for number, line in enumerate(lines):
            if room > 0 and line.may_start and alive[number] < line.warm:
                alive[number] += 1
                room -= 1
                steps.append(Start(number))
                growing = True

    return steps


def warm_shares(size: int, handlers: int) -> list[int]:
    """How many warm children each handler gets of `size`: as even as can be."""
    if handlers == 0:
        return []

    each, left = divmod(size, handlers)

    return [each + (1 if number < left else 0) for number in range(handlers)]
