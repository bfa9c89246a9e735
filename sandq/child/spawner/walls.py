"""bubblewrap around one child: what it is told, and what it tells.

    "walls": {"kind": "bwrap", "program": "/usr/bin/bwrap", "options": ["--unshare-user", …],
              "seccomp": base64 or null, "files": [["/etc/passwd", text], …],
              "stage": [path, …], "uids": [first, last] or null, "inside": {"RLIMIT_NPROC": 32}}

- bubblewrap starts with an empty environment: its own can be read in /proc/1 of the walls.
- All it is told stands in a file without a name that is read through a descriptor (`--args`), as
  does each of the `files` and the filter: nothing secret is in its arguments, and no two children
  share an offset.
- The files are placed before the first `--remount-ro`, or last: what they lie in is writable
  till then. The word `@stage/N` in an option is where the N-th path of `stage` was staged.
- Limits `inside` are set from here on the first process in the new user namespace, where they
  count the processes of this child alone. With a uid of the child's own they are set before.

The walls stand when that process has come to the gate, a pipe from which it reads a byte as the
last thing but the start of the program: then it has closed its end. It has also closed the end
of the status pipe, which only bubblewrap's outer process holds: no child can forge what comes from
there, nor fill it. "exit-code" comes on it only if the program could be run.
"""

import base64
import json
import os
import resource
from contextlib import suppress
from typing import Any

from . import tree
from .staging import Staging

#: bubblewrap has two processes of its own, of which one is in the same limit as a uid's others.
OUTER = 1

_STATUS_BYTES = 1 << 16


class Walls:
    """From the words that bubblewrap is started with to its last ones."""

    def __init__(self, request: dict[str, Any], fds: int, staging: Staging) -> None:
        """`fds`: how many descriptors the child has; raises OSError."""
        walls = request["walls"]
        self._first = fds
        #: What becomes the descriptors after those of the child.
        self.theirs: list[int] = []
        #: Their outer first process, known once it is there, and the folder it may write to.
        self.init = 0
        self.folder = -1
        self._inside: dict[str, int] = {} if walls.get("uids") else walls.get("inside") or {}
        self._said = b""
        self.status = self.gate = -1
        try:
            self.argv = self._words(request, walls, staging)
        except BaseException:
            self.close()
            raise
        self.program = walls["program"]

    def _words(self, request: dict[str, Any], walls: dict[str, Any], staging: Staging) -> list[str]:
        self.status, status_write = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self.status, False)
        words = ["--json-status-fd", self._give(status_write)]
        gate_read, self.gate = os.pipe2(os.O_CLOEXEC)
        words += ["--block-fd", self._give(gate_read)]
        if walls.get("seccomp"):
            words += ["--seccomp", self._give_text(base64.b64decode(walls["seccomp"]))]
        staged = [staging.place(path) for path in walls.get("stage", ())]
        places = {f"@stage/{n}": place for n, place in enumerate(staged)}
        options = [places.get(word, word) for word in walls["options"]]
        at = options.index("--remount-ro") if "--remount-ro" in options else len(options)
        for path, text in walls.get("files", ()):
            file = self._give_text(text.encode())
            options[at:at] = ["--perms", "0644", "--ro-bind-data", file, path]
        words += options
        if request["cwd"] is not None:
            # bubblewrap has a word to say about a second one; only options are looked at
            while "--chdir" in words:
                at = words.index("--chdir")
                del words[at : at + 2]
            words += ["--chdir", request["cwd"]]
        for name, value in request["env"].items():
            words += ["--setenv", name, value]
        told = self._give_text(b"".join(os.fsencode(word) + b"\0" for word in words))

        return ["bwrap", "--args", told, "--", request["path"], *request["argv"][1:]]

    def _give(self, fd: int) -> str:
        """Keep a descriptor for bubblewrap; the answer is its number there."""
        self.theirs.append(fd)

        return str(self._first + len(self.theirs) - 1)

    def _give_text(self, text: bytes) -> str:
        fd = os.memfd_create("sandq")
        number = self._give(fd)
        with open(fd, "wb", closefd=False) as stream:
            stream.write(text)
        os.lseek(fd, 0, os.SEEK_SET)

        return number

    def given(self) -> None:
        """bubblewrap has its descriptors: ours are closed."""
        while self.theirs:
            os.close(self.theirs.pop())

    def hear(self) -> bool:
        """Read what bubblewrap has told; whether there was anything."""
        try:
            data = os.read(self.status, _STATUS_BYTES)
        except BlockingIOError:
            data = b""
        self._said = (self._said + data)[:_STATUS_BYTES]
        if not self.init:
            self.init = self._told().get("child-pid", 0)

        return bool(data)

    def open_gate(self) -> None:
        """Its first process is known: bound it and let it go on; raises OSError.

        If it has ended meanwhile, that is told by its end.
        """
        with suppress(ProcessLookupError, BrokenPipeError):
            self._bound()
            os.write(self.gate, b"1")

    def _bound(self) -> None:
        for name, value in self._inside.items():
            number = getattr(resource, name)
            hard = resource.prlimit(self.init, number)[1]
            if hard != resource.RLIM_INFINITY:
                value = min(value, hard)
            resource.prlimit(self.init, number, (value, value))

    def stand(self) -> bool:
        """The gate has been closed at the other end: whether all went well till there."""
        self.gate = _close(self.gate)
        now = tree.stat_of(self.init)
        if now is None or now.exiting:
            return False
        # without it the files are not counted; the walls do not hang on it
        self.folder = tree.open_room(self.init)

        return True

    def began(self) -> bool:
        """bubblewrap has ended by itself: whether the program could be run at all."""
        while self.status >= 0 and self.hear():
            pass

        return "exit-code" in self._told()

    def files_used(self) -> int:
        """How many files are in the folder it may write to."""
        return tree.files_used(self.folder)

    def payload(self) -> int:
        """The pid of the program in the walls; 0 if it is not there."""
        # its own child comes before those it adopts
        return next(iter(tree.children_of(self.init)), 0) if self.init else 0

    def close(self) -> None:
        """Close all that is open."""
        self.given()
        self.status, self.gate, self.folder = map(_close, (self.status, self.gate, self.folder))

    def _told(self) -> dict[str, Any]:
        """All that was told so far; what has not come whole is left out."""
        told: dict[str, Any] = {}
        for line in self._said.decode(errors="replace").split("}"):
            with suppress(ValueError):
                told.update(json.loads(line + "}"))

        return told


def _close(fd: int) -> int:
    if fd >= 0:
        os.close(fd)

    return -1
