"""What is done to a child of one handler before it runs: the plan, in the spawner's words."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Confinement:
    """How the children of one handler are confined.

    - `summary`: the mechanisms in one word, such as "bwrap+seccomp+watchdog"; empty: none.
    - `environment`: the variables that a child starts from, before the handler's own.
    - `cwd`: the folder it runs in; None: the supervisor's.
    - `rlimits`: limits of each process, by the names of the `resource` module.
    - `no_new_privileges`: no program it starts gains any.
    - `walls`: what surrounds it, in the words of sandq/child/spawner; None: nothing.
    - `watch`: what all its processes together may use: memory, cpu_s, pids, inodes.
    - `cgroup`: the control group of each child: the folder above it and what is written into it.
    - `fork`: the words after the interpreter, when it is forked from one; None: it is a program.
    - `preload`: modules that this interpreter loads.
    """

    summary: str = ""
    environment: dict[str, str] = field(default_factory=dict)
    cwd: str | None = None
    rlimits: dict[str, int] = field(default_factory=dict)
    no_new_privileges: bool = True
    walls: dict[str, Any] | None = None
    watch: dict[str, int] = field(default_factory=dict)
    cgroup: dict[str, Any] | None = None
    fork: tuple[str, ...] | None = None
    preload: tuple[str, ...] = ()
