"""The limits of all processes of a child together, where no control group holds them.

They are looked at every LOOK_EVERY_S: what is used in between is found at the next look.
"""

from collections.abc import Iterable

from . import tree
from .tree import Memory, Stat

#: Between two looks, in seconds.
LOOK_EVERY_S = 0.1

#: What the kernel keeps of what is sent through unix sockets is on nobody's account: each beyond
#: the first few, which many a program has, counts with the most that it can hold, as a rule.
FREE_SOCKETS, SOCKET_BYTES = 64, 425_984


class Processor:
    """The processor time of a tree, in which processes come and go between two looks.

    What a process used goes to its parent's account when that waits for it. If nobody does, it is
    on no account: then one that was seen running stands for all the time between two looks, so
    that many short ones are charged, on the whole, with what they use.
    """

    def __init__(self) -> None:
        self.used_s = 0.0
        self._seen: dict[tuple[int, int], Stat] = {}

    def look(self, stats: Iterable[Stat]) -> None:
        """Take account of those that are there now."""
        now = {(one.pid, one.began): one for one in stats}
        reaped_s = 0.0
        for key, one in now.items():
            before = self._seen.get(key)
            self.used_s += one.own_s - (before.own_s if before else 0.0)
            reaped_s += one.reaped_s - (before.reaped_s if before else 0.0)
        gone = [one for key, one in self._seen.items() if key not in now]
        unpaid_s = sum(one.own_s + one.reaped_s for one in gone) - reaped_s
        if unpaid_s <= 0:
            self.used_s -= unpaid_s
        else:
            running = (one.own_s for one in gone if one.state == "R")
            self.used_s += sum(max(0.0, LOOK_EVERY_S - own_s) for own_s in running)
        self._seen = now


class Watch:
    """The limits of one child, and the most that was seen.

    `walled`: it is not trusted. Then shared memory counts with all that is mapped of it, and each
    socket with what it can hold, used or not: a process can hide from us what it has used.
    """

    def __init__(self, limits: dict[str, int], *, walled: bool) -> None:
        self.limits = limits
        self.walled = walled
        self.processor = Processor()
        self.peak_bytes = 0

    def look(
        self, pids: list[int], init: int, files: int, cpu_s: float | None
    ) -> dict[str, object] | None:
        """The limit that all these processes together have passed.

        `init`: the one that waits for their orphans, or 0; `files`: those in the folder they may
        write to; `cpu_s`: what a control group counts.
        """
        stats = [one for pid in pids if (one := tree.stat_of(pid)) is not None]
        threads = sum(one.threads for one in stats if not one.exiting)
        if cpu_s is None and "cpu_s" in self.limits:
            waits = tree.stat_of(init) if init else None
            self.processor.look(stats if waits is None else [*stats, waits])
            cpu_s = self.processor.used_s
        found: tuple[tuple[str, float, str], ...] = (
            ("memory", self._memory(pids), "memory"),
            ("pids", threads, "pids"),
            ("cpu_s", cpu_s or 0.0, "cpu"),
            ("inodes", files, "inodes"),
        )
        for key, value, name in found:
            if key in self.limits and value > self.limits[key]:
                return {"name": name, "value": self.limits[key], "peak": value}

        return None

    def _memory(self, pids: list[int]) -> int:
        limit = self.limits.get("memory")
        if limit is None:
            return 0
        total = self._sum(map(tree.resident, pids), pids)
        if total > limit:
            # what forked processes share is counted once
            total = self._sum(map(tree.shared_out, pids), pids)
        self.peak_bytes = max(self.peak_bytes, total)

        return total

    def _sum(self, of_each: Iterable[Memory], pids: list[int]) -> int:
        of_all = list(of_each)
        shared, kept = sum(one.shared for one in of_all), 0
        if self.walled:
            shared = max(shared, _mapped(pids))
            kept = max(_sockets(pids) - FREE_SOCKETS, 0) * SOCKET_BYTES

        return sum(one.own for one in of_all) + shared + kept


def _sockets(pids: list[int]) -> int:
    """How many sockets they have, as far as these can hold memory: others are not to be had."""
    return tree.sockets_of(pids[0]) if pids else 0


def _mapped(pids: list[int]) -> int:
    """Bytes of shared memory that any of these has mapped, each counted once."""
    maps: dict[str, int] = {}
    for pid in pids:
        for number, size in tree.shared_maps(pid).items():
            maps[number] = max(maps.get(number, 0), size)

    return sum(maps.values())
