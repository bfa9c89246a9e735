"""A control group (version 2) of one child's own: made, filled, read and removed.

Nothing but files: a folder with such files can stand for the kernel's.
Killing, freezing and the times of the processor need no controller.
"""

import os
import signal
import time
from contextlib import suppress
from typing import Any

#: How long the end of a killed group is waited for, in seconds, and how often it is looked at.
EMPTY_WITHIN_S = 0.5
LOOK_S = 0.0005

_PREFIX = "sandq-"


class Group:
    """One control group, there or to be made."""

    def __init__(self, above: str, name: str) -> None:
        self.path = f"{above}/{_PREFIX}{name}"

    def make(self, write: dict[str, str]) -> None:
        """Make it with these limits; raises OSError, and then there is none."""
        os.mkdir(self.path)
        try:
            for file, text in write.items():
                self._write(file, text)
        except OSError:
            self.remove()
            raise

    def entrance(self) -> int:
        """A descriptor: who writes 0 to it is in the group, whatever he may write otherwise."""
        return os.open(f"{self.path}/cgroup.procs", os.O_WRONLY | os.O_CLOEXEC)

    def freeze(self, frozen: bool) -> None:
        """Stop all its processes where they are, or let them go on."""
        with suppress(OSError):
            self._write("cgroup.freeze", "1" if frozen else "0")

    def kill(self) -> None:
        """Kill all its processes."""
        try:
            self._write("cgroup.kill", "1")
        except OSError:
            # before Linux 5.14
            for pid in self._read("cgroup.procs").split():
                with suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)

    def empty(self) -> bool:
        """Kill all its processes and wait, not long; whether they are dead."""
        until_s = time.monotonic() + EMPTY_WITHIN_S
        while self.counts("cgroup.events").get("populated"):
            if time.monotonic() > until_s:
                return False
            self.kill()
            time.sleep(LOOK_S)

        return True

    def remove(self) -> bool:
        """Remove it; whether it is gone, as it is not while processes of it live."""
        try:
            os.rmdir(self.path)
        except FileNotFoundError:
            return True
        except OSError:
            return False

        return True

    def counts(self, file: str) -> dict[str, int]:
        """A file of names and numbers; none when there is no such file."""
        words = self._read(file).split()

        return {name: int(number) for name, number in zip(words[::2], words[1::2], strict=False)}

    def number(self, file: str) -> int:
        """A file of one number; 0 when there is no such file, or no limit in it."""
        text = self._read(file).strip()

        return int(text) if text.isdigit() else 0

    def cpu_s(self) -> float:
        """The time its processes have used of the processor."""
        return self.counts("cpu.stat").get("usage_usec", 0) / 1e6

    def oom_kills(self) -> int:
        """How many of its processes were killed for want of memory."""
        return self.counts("memory.events").get("oom_kill", 0)

    def limit(self) -> dict[str, Any] | None:
        """The limit that its processes have run into, the worse one if there are two."""
        # killed without that, it was those above it that had no memory left
        if self.counts("memory.events").get("oom"):
            return self._broken("memory")
        if self.counts("pids.events").get("max"):
            return self._broken("pids")

        return None

    def _broken(self, name: str) -> dict[str, Any]:
        value = self.number(f"{name}.max")
        # older kernels keep no peak
        peak = self.number(f"{name}.peak") or value

        return {"name": name, "value": value, "peak": peak}

    def _read(self, file: str) -> str:
        try:
            with open(f"{self.path}/{file}") as stream:
                return stream.read()
        except OSError:
            return ""

    def _write(self, file: str, text: str) -> None:
        with open(f"{self.path}/{file}", "w") as stream:
            stream.write(text)


class Groups:
    """The groups of one spawner's children."""

    def __init__(self) -> None:
        self._cleaned: set[str] = set()

    def make(self, name: str, above: str, write: dict[str, str]) -> Group:
        """A new one; raises OSError. What others have left there is removed before the first."""
        if above not in self._cleaned:
            self._cleaned.add(above)
            remove_left_over(above)
        group = Group(above, name)
        group.make(write)

        return group


def remove_left_over(above: str) -> None:
    """Remove what spawners that were killed have left there: nobody else will.

    Whatever bears our own number is of an earlier one as well, before we have made any.
    """
    for name in os.listdir(above):
        owner = name.removeprefix(_PREFIX).partition("-")[0]
        if name.startswith(_PREFIX) and owner.isdigit() and _is_gone(int(owner)):
            group = Group(above, name.removeprefix(_PREFIX))
            group.kill()
            group.empty()
            group.remove()


def _is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False

    return pid == os.getpid()
