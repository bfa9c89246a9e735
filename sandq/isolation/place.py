"""Where the children of a handler run: what of the host is there, and what is let through."""

import os
from base64 import b64encode
from dataclasses import replace
from typing import Any

from sandq.isolation import bwrap, landlock
from sandq.isolation.bwrap import Bind, Layout
from sandq.isolation.look import Look
from sandq.isolation.mends import LANDLOCK_SCOPES, LANDLOCK_TCP
from sandq.isolation.plan import Plan, Walls
from sandq.isolation.program import SYSTEM, in_system, program_needs
from sandq.isolation.seccomp import filter_bytes
from sandq.model.handler import Handler
from sandq.model.sandbox import Guarantee, Net

#: Where the fork server is behind the walls.
FORK_SERVER = "/run/sandq/forkserver"

#: The process of bubblewrap's that is in the user namespace of the child.
INSIDE = 1

#: Showing these as a folder of the handler's would show the host, or hide what is there.
_NEVER_SHOWN = ("/", bwrap.ROOM, "/proc", "/dev")


class Place:
    """Where the children of a handler run: what is there, and what is let through."""

    def __init__(
        self, plan: Plan, handler: Handler, program: str, look: Look, *, forks: bool
    ) -> None:
        """`forks`: it is a fork server that runs there, which furnishes a place for each job."""
        self._plan = plan
        self._sandbox = plan.sandbox
        self._handler = handler
        self._look = look
        self._folder = handler.cwd if handler.cwd is not None else look.folder()
        self._needs = program_needs(program, look)
        self._runs_sandq = program == look.interpreter
        self._forks = forks

    def bwrap(self) -> dict[str, Any]:
        """The walls of bubblewrap."""
        sandbox, facts = self._sandbox, self._plan.facts
        stage: list[str] = []
        layout = Layout(
            links={**self._root_links(), **self._needs.links},
            binds=[
                replace(bind, source=self._staged(bind.source, stage))
                for bind in bwrap.sift(self._binds())
            ],
            etc={
                name: self._staged(f"{self._look.package}/isolation/etc/{name}", stage)
                for name in bwrap.OWN_ETC
            },
            disk=sandbox.disk or 0,
            cwd=self.cwd,
            net=sandbox.net is Net.HOST,
            proc=self._plan.has_proc,
            # a fork server makes one for each job
            no_userns=not (self._forks or facts.bwrap is None) and facts.bwrap.no_userns.ok,
            forks=self._forks,
            counted=self._counted,
        )
        return {
            "kind": "bwrap",
            "program": facts.bwrap.path if facts.bwrap is not None else "",
            "options": bwrap.options(layout),
            "seccomp": self._filter(shared_memory=self._counted),
            "files": [],
            "stage": stage,
            "uids": facts.uids,
            "inside": self._inside(),
        }

    def landlock(self) -> dict[str, Any]:
        """The weaker walls: Landlock and seccomp."""
        sandbox = self._sandbox
        # a uid of a slot does not get everywhere: of what it cannot reach no rule can be made
        binds = [bind for bind in self._binds() if self._reached(bind.source)]
        shown = [bind.source for bind in binds if not bind.write]

        return {
            "kind": "landlock",
            "read": [*landlock.READ, *shown],
            "write": [*landlock.WRITE, *(bind.source for bind in binds if bind.write)],
            "execute": [*landlock.EXECUTE, *shown],
            # without a network the filter refuses its sockets anyway
            "tcp": sandbox.net is Net.HOST or self._plan.facts.landlock < LANDLOCK_TCP,
            "seccomp": self._filter(shared_memory=False),
            "uids": self._plan.facts.uids,
            "inside": self._inside(),
            "scope": self._plan.facts.landlock >= LANDLOCK_SCOPES,
        }

    @property
    def cwd(self) -> str:
        """Where it runs: in its room, unless it has a folder, or words that begin there."""
        if self._handler.cwd is not None or self._relative_words():
            return os.path.normpath(self._folder)

        return bwrap.ROOM

    @property
    def _counted(self) -> bool:
        """Whether memory that belongs to no process is counted for each child."""
        return self._plan.by(Guarantee.MEMORY_TOTAL, "cgroup") and not self._forks

    def _filter(self, *, shared_memory: bool) -> str:
        net = self._sandbox.net is Net.HOST
        program = filter_bytes(self._plan.facts.arch, net=net, shared_memory=shared_memory)

        return b64encode(program).decode()

    def _inside(self) -> dict[str, int]:
        """Limits that count behind the walls only."""
        pids = self._sandbox.pids
        if pids is None or self._forks or not self._plan.by(Guarantee.PIDS, "rlimits"):
            return {}

        return {"RLIMIT_NPROC": pids + (INSIDE if self._plan.walls is Walls.BWRAP else 0)}

    def _root_links(self) -> dict[str, str]:
        """Those of /bin and such that are links on the host."""
        links = ((path, self._look.link(path)) for path in SYSTEM)

        return {path: to for path, to in links if to is not None}

    def _relative_words(self) -> list[str]:
        """Words of the command that are files, seen from the supervisor's folder: they are shown,
        the folder is not."""
        if self._handler.cwd is not None:
            return []
        words = (word for word in self._handler.command[1:] if word[:1] != "/")
        whole = (os.path.normpath(os.path.join(self._folder, word)) for word in words)

        return [path for path in whole if self._look.is_file(path)]

    def _binds(self) -> list[Bind]:
        look, sandbox = self._look, self._sandbox
        own = [path for path in SYSTEM if look.link(path) is None and look.is_folder(path)]
        shown = [
            *own,
            *(word for word in self._handler.command if word[:1] == "/" and look.is_file(word)),
            *self._relative_words(),
        ]
        folder = os.path.normpath(self._folder)
        if self._handler.cwd is not None and folder not in _NEVER_SHOWN:
            shown.append(folder)
        if self._runs_sandq:
            shown.append(look.package)
        binds = [Bind(path, path) for path in shown if path in own or not in_system(path)]
        if self._forks:
            binds.append(Bind(FORK_SERVER, f"{look.package}/child/forkserver"))
        for entries, write in ((sandbox.read, False), (sandbox.write, True)):
            binds += [self._entry(entry, write) for entry in entries]

        return [*binds, *self._needs.binds]

    def _entry(self, entry: str, write: bool) -> Bind:
        source, _, inside = entry.partition(":")
        source = os.path.normpath(os.path.join(self._folder, source))

        return Bind(inside or source, source, write)

    def _staged(self, path: str, stage: list[str]) -> str:
        """Where bubblewrap finds a path."""
        if self._reached(path) or not self._plan.facts.stages:
            return path
        if path not in stage:
            stage.append(path)

        return f"@stage/{stage.index(path)}"

    def _reached(self, path: str) -> bool:
        """Whether who becomes the child gets to a path."""
        return not self._plan.facts.slot_uids or self._look.open_to_all(path)
