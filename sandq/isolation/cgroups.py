"""Where the supervisor is in the tree of cgroup v2, what it may do there, and doing it.

Groups below one that has processes cannot have controllers: so the supervisor moves to a leaf, and
its children's groups are beside that.
"""

import errno
import os
import subprocess
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from sandq.isolation.facts import Cgroup, HostFacts

#: What systemd marks the folders with that it leaves to others.
_DELEGATED = ("trusted.delegate", "user.delegate")

#: Where the supervisor goes, and whatever else is in its group.
LEAF = "sandq-supervisor"

#: The controllers that bound a child's group; its processor time is counted without any.
USED = frozenset({"memory", "pids"})

#: Others may start processes while they are moved.
_TRIES = 5

#: systemd answers within this, in seconds.
_ANSWER_S = 5


def own_cgroup(proc: str = "/proc/self", systemd: str = "/run/systemd/system") -> Cgroup | None:
    """The supervisor's own group; None: there is no tree of version 2."""
    try:
        groups = Path(proc, "cgroup").read_text()
        mounts = Path(proc, "mountinfo").read_text()
    except OSError:
        return None
    path = next((line[3:] for line in groups.splitlines() if line.startswith("0::")), None)
    mounted = _mounted(mounts)
    if path is None or mounted is None:
        return None
    root, place = mounted
    if root != "/" and (path == root or path.startswith(root + "/")):
        # the tree is shown from another folder on, as containers without a namespace have it
        path = path[len(root) :] or "/"
    folder = Path(place + path)
    if ".." in folder.parts or not folder.is_dir():
        # the supervisor is outside what it is shown
        return None

    return _group(folder, systemd=Path(systemd).exists())


def _mounted(mounts: str) -> tuple[str, str] | None:
    """Which folder of the tree is mounted, and where."""
    for line in mounts.splitlines():
        fields, _, kind = line.partition(" - ")
        if kind.startswith("cgroup2 "):
            root, place = fields.split()[3:5]
            return root, place.rstrip("/")

    return None


def settle(facts: HostFacts) -> HostFacts:
    """Make the supervisor's group ready for groups below it that bound what is in them; where
    that fails it is as good as not delegated."""
    group = facts.cgroup
    if group is None or not group.delegated or not group.controllers & USED:
        return facts
    try:
        hand_down(group)
    except OSError:
        return replace(facts, cgroup=replace(group, delegated=False))

    return facts


def hand_down(group: Cgroup) -> None:
    """Let the groups below have the controllers that are used; raises OSError."""
    folder = Path(group.folder)
    # at once: all or none, as pids alone would be taken from a group that still has processes, and
    # spoil those below it
    words = " ".join(f"+{name}" for name in sorted(group.controllers & USED))
    for left in reversed(range(_TRIES)):
        # the tree's own root may have processes as well
        if not _is_root(folder):
            _clear(folder)
        try:
            (folder / "cgroup.subtree_control").write_text(words)
            return
        except OSError as error:
            if error.errno != errno.EBUSY or not left:
                raise


def _clear(folder: Path) -> None:
    """Move all processes of a group to the leaf below it."""
    (folder / LEAF).mkdir(exist_ok=True)
    for pid in (folder / "cgroup.procs").read_text().split():
        # it may have ended meanwhile
        with suppress(ProcessLookupError):
            (folder / LEAF / "cgroup.procs").write_text(pid)


def _group(folder: Path, *, systemd: bool) -> Cgroup:
    if folder.name == LEAF:
        # it has moved before
        folder = folder.parent
    writable = all(
        os.access(path, os.W_OK)
        for path in (folder, folder / "cgroup.procs", folder / "cgroup.subtree_control")
    )
    # a unit that is not delegated can often be written to; but when a job's memory ends, systemd
    # stops the whole of it
    delegated = writable and (not systemd or _is_delegated(_unit(folder)))
    try:
        controllers = (folder / "cgroup.controllers").read_text().split()
    except OSError:
        controllers = []

    return Cgroup(
        folder=str(folder),
        delegated=delegated,
        controllers=frozenset(controllers),
        # the tree's own root has neither, but the groups below it do
        kill=(folder / "cgroup.kill").exists() or _is_root(folder),
        freeze=(folder / "cgroup.freeze").exists() or _is_root(folder),
    )


def _is_root(folder: Path) -> bool:
    return not (folder / "cgroup.type").exists()


def _unit(folder: Path) -> Path:
    """The folder of systemd's unit that this one belongs to, or is."""
    own = (folder, *folder.parents)

    return next((one for one in own if one.suffix in (".scope", ".service")), folder)


def _is_delegated(unit: Path) -> bool:
    for name in _DELEGATED:
        with suppress(OSError):
            if os.getxattr(unit, name) == b"1":
                return True

    return os.geteuid() != 0 and _manager_says_so(unit.name)


def _manager_says_so(unit: str) -> bool:
    """The manager of an ordinary user cannot mark what it delegates: it is asked."""
    command = ["systemctl", "--user", "show", "-p", "Delegate", "--value", "--", unit]
    try:
        said = subprocess.run(
            command,
            env={"XDG_RUNTIME_DIR": f"/run/user/{os.geteuid()}", "PATH": "/usr/bin:/bin"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_ANSWER_S,
            check=False,
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return False

    return said.strip() == b"yes"
