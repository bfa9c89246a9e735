"""From the plan for a handler to what the spawner does with each of its children."""

from dataclasses import replace
from typing import Any

from sandq.isolation import bwrap
from sandq.isolation.confinement import Confinement
from sandq.isolation.look import Look
from sandq.isolation.place import FORK_SERVER as FORK_SERVER
from sandq.isolation.place import Place
from sandq.isolation.plan import Plan, Walls
from sandq.isolation.program import python_command
from sandq.model.handler import Handler
from sandq.model.sandbox import Fresh, Guarantee, Profile, Start

#: Where programs are looked for behind walls.
SANDBOX_PATH = "/usr/local/bin:/usr/bin:/bin"

ENVIRONMENT = {
    "PATH": SANDBOX_PATH,
    "HOME": bwrap.ROOM,
    "TMPDIR": bwrap.ROOM,
    "LANG": "C.UTF-8",
}

#: Files open at once behind walls, unless the handler says otherwise.
OPEN_FILES = 1024

#: Its room has a file for each so many bytes: as file systems on disks have.
BYTES_PER_FILE = 4096
FEWEST_FILES = 1024

#: Processes of bubblewrap itself.
BWRAP_PIDS = 2

#: The one value that stops dumps into files and those that the kernel pipes into a program.
NO_CORE = 1


def confine(plan: Plan, handler: Handler, program: str, look: Look | None = None) -> Confinement:
    """How children of the handler are confined; who calls this has looked at the plan's refusal.

    `program` is the file that the first word of the command names.
    """
    sandbox = plan.sandbox
    if sandbox.profile is Profile.NONE:
        return Confinement(no_new_privileges=False, rlimits=_own_rlimits(handler), cwd=handler.cwd)

    confinement = Confinement(
        summary=plan.summary,
        environment=dict(ENVIRONMENT) if sandbox.walled else {},
        cwd=handler.cwd,
        rlimits=_rlimits(plan, handler),
        watch=_watch(plan),
        cgroup=_cgroup(plan),
    )
    if plan.walls is Walls.NONE:
        return confinement

    words = forks(plan, handler)
    place = Place(plan, handler, program, look or Look(), forks=words is not None)
    if plan.walls is Walls.LANDLOCK:
        return replace(confinement, cwd=handler.cwd or "/", walls=place.landlock())
    confinement = replace(confinement, cwd=place.cwd, walls=place.bwrap())

    return confinement if words is None else _forked(plan, confinement, words)


def forks(plan: Plan, handler: Handler) -> tuple[str, ...] | None:
    """What the handler's interpreter runs, with its arguments, when its children are forked; None:
    each is a program of its own. The interpreter's flags are those of `python_command`."""
    sandbox = plan.sandbox
    # a one-shot child is given its job by variables too, which the server would remember
    fits = plan.has_proc and sandbox.fresh is Fresh.JOB and not handler.fresh
    split = python_command(handler.command)
    if not fits or sandbox.start is Start.EXEC or split is None:
        return None

    return split[1]


def _forked(plan: Plan, confinement: Confinement, words: tuple[str, ...]) -> Confinement:
    """All children of a fork server are in one control group: each is watched by itself, and has
    a user namespace of its own, in which its processes are counted."""
    sandbox = plan.sandbox
    rlimits, watch = dict(confinement.rlimits), dict(confinement.watch)
    if sandbox.memory is not None:
        watch["memory"] = sandbox.memory
    if sandbox.pids is not None:
        rlimits["RLIMIT_NPROC"] = watch["pids"] = sandbox.pids

    return replace(
        confinement,
        summary=confinement.summary.replace("cgroup+watchdog", "watchdog"),
        rlimits=rlimits,
        watch=watch,
        cgroup=None,
        fork=words,
        preload=sandbox.preload,
    )


def inodes(disk: int) -> int:
    """How many files a room of so many bytes may hold."""
    return max(FEWEST_FILES, disk // BYTES_PER_FILE)


def _least(*values: int | None) -> int | None:
    return min((value for value in values if value is not None), default=None)


def _own_rlimits(handler: Handler) -> dict[str, int]:
    limits = handler.limits
    wanted = {
        "RLIMIT_CPU": limits.cpu,
        "RLIMIT_DATA": limits.memory,
        "RLIMIT_FSIZE": limits.file_size,
        "RLIMIT_NOFILE": limits.open_files,
    }

    return {name: value for name, value in wanted.items() if value is not None}


def _rlimits(plan: Plan, handler: Handler) -> dict[str, int]:
    sandbox, limits = plan.sandbox, handler.limits
    wanted = {
        "RLIMIT_CORE": NO_CORE,
        "RLIMIT_CPU": _least(limits.cpu, sandbox.cpu),
        "RLIMIT_DATA": _least(limits.memory, sandbox.memory),
        "RLIMIT_FSIZE": _least(limits.file_size, sandbox.disk),
        "RLIMIT_NOFILE": limits.open_files or (OPEN_FILES if sandbox.walled else None),
    }

    return {name: value for name, value in wanted.items() if value is not None}


def _watch(plan: Plan) -> dict[str, int]:
    sandbox = plan.sandbox
    wanted = {
        "memory": sandbox.memory if plan.by(Guarantee.MEMORY_TOTAL, "watchdog") else None,
        "cpu_s": sandbox.cpu,
        "pids": sandbox.pids if plan.by(Guarantee.PIDS, "watchdog") else None,
        "inodes": inodes(sandbox.disk or 0) if plan.by(Guarantee.INODES, "watchdog") else None,
    }

    return {name: value for name, value in wanted.items() if value is not None}


def _cgroup(plan: Plan) -> dict[str, Any] | None:
    sandbox, group = plan.sandbox, plan.facts.cgroup
    write: dict[str, str] = {}
    if plan.by(Guarantee.MEMORY_TOTAL, "cgroup"):
        # all of its processes or none: a survivor would go on without the others
        write |= {
            "memory.max": str(sandbox.memory),
            "memory.swap.max": "0",
            "memory.oom.group": "1",
        }
    if plan.by(Guarantee.PIDS, "cgroup"):
        write["pids.max"] = str(
            (sandbox.pids or 0) + (BWRAP_PIDS if plan.walls is Walls.BWRAP else 0)
        )

    return {"above": group.folder, "write": write} if write and group is not None else None
