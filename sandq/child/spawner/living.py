"""A child as the spawner knows it: what surrounds it, what it may use, and what it has used."""

import errno
import os
import resource
import stat
from typing import Any

from . import TAG, uids
from .cgroup import Group, Groups
from .staging import Staging
from .uids import Uid
from .walls import OUTER, Walls
from .watchdog import Watch


class Child:
    """From the request to the report of its end."""

    def __init__(self, request: dict[str, Any], tag: str) -> None:
        self.pid = 0
        self.number: int = request["n"]
        self.tag = tag
        #: Whether the answer that it runs has been given.
        self.up = False
        #: Whether the supervisor has asked for its death.
        self.killed = False
        #: The limit that the watchdog has ended it for.
        self.broken: dict[str, object] | None = None
        limits, walled = request.get("watch"), bool(request.get("walls"))
        self.watch = Watch(limits, walled=walled) if limits else None
        #: The seconds of processor time that one process, or all together, may use.
        allowed = [request["rlimits"].get("RLIMIT_CPU"), (request.get("watch") or {}).get("cpu_s")]
        self.cpu_limit_s: int | None = min((n for n in allowed if n is not None), default=None)
        self.cpu_s, self.max_rss_kb = 0.0, 0
        #: How its leader ended, and until when what it left is waited for.
        self.status = -1
        self.until_s = 0.0
        self.trouble = ""
        self.walls: Walls | None = None
        self.restricted = False
        self.uid: Uid | None = None
        self.group: Group | None = None
        self.entrance = -1

    def prepare(
        self,
        request: dict[str, Any],
        fds: list[int],
        staging: Staging,
        groups: Groups,
        taken: set[int],
    ) -> None:
        """Get what it needs before it is there; raises OSError. `taken`: uids of other children."""
        walls = request.get("walls") or {}
        if walls and walls["kind"] not in ("bwrap", "landlock"):
            raise OSError(errno.EINVAL, f"walls of an unknown kind: {walls['kind']}")
        self.restricted = walls.get("kind") == "landlock"
        if walls.get("uids"):
            first, last = walls["uids"]
            self.uid = uids.take(first, last, taken)
            for fd in fds:
                # so that it can open /dev/stdout and its like
                if stat.S_ISFIFO(os.fstat(fd).st_mode):
                    os.fchown(fd, self.uid.number, self.uid.number)
        if request.get("cgroup"):
            self.group = groups.make(self.tag, **request["cgroup"])
            self.entrance = self.group.entrance()
        if walls.get("kind") == "bwrap":
            self.walls = Walls(request, len(fds), staging)

    def own_limits(self, request: dict[str, Any]) -> dict[str, int]:
        """The limits inside its walls that are set before them: for its uid, which nobody else
        has, or since there is no namespace in which they could be set."""
        if self.uid is None and not self.restricted:
            return {}
        limits: dict[str, int] = dict(request["walls"].get("inside") or {})
        if "RLIMIT_NPROC" in limits and self.walls is not None:
            limits["RLIMIT_NPROC"] += OUTER

        return limits

    def program(self, request: dict[str, Any]) -> tuple[str, list[str], dict[str, str]]:
        """What is executed: the path, the words and the environment."""
        if self.walls is not None:
            return self.walls.program, self.walls.argv, {}

        return request["path"], request["argv"], {**request["env"], TAG: self.tag}

    def forked(self, pid: int) -> None:
        """It is there: what only it needs is closed here."""
        self.pid = pid
        if self.walls is not None:
            self.walls.given()
        self._shut()

    def used(self, usage: resource.struct_rusage) -> None:
        """One of its processes has been waited for, with those it had waited for."""
        self.cpu_s += usage.ru_utime + usage.ru_stime
        self.max_rss_kb = max(self.max_rss_kb, usage.ru_maxrss)

    def close(self) -> None:
        """It is dead: give back what it had, but for its group, which takes a moment."""
        if self.walls is not None:
            self.walls.close()
        self._shut()
        if self.uid is not None:
            self.uid.release()
            self.uid = None

    def _shut(self) -> None:
        if self.entrance >= 0:
            os.close(self.entrance)
            self.entrance = -1
