"""The folders of one case: where its program runs, and what it leaves there to be seen."""

import json
import os
import sys
from pathlib import Path
from typing import Any

from sandq.conformance.zoo.catalogue import FOLDER, Case, Step
from sandq.conformance.zoo.outside import MARK


class Stage:
    """A case's program and files, in a folder of its own.

    `mark`: what its processes are known by. `temporary`: the supervisor's temporary folder.
    `settings`: the line that tells the supervisor about the handler.
    """

    def __init__(self, case: Case, folder: Path) -> None:
        self.mark = f"{os.getpid()}-{folder.name}"
        self.temporary = folder / "temporary"
        self._folder = folder / "children"
        self._folder.mkdir()
        self.temporary.mkdir()
        for name, text in case.files.items():
            (self._folder / name).write_text(text.replace("PYTHON", sys.executable))
            (self._folder / name).chmod(0o644 if name.endswith(".txt") else 0o755)
        prelude = (FOLDER / "prelude.txt").read_text()
        (self._folder / "program").write_text(f"{prelude}\n{case.program}\n")
        self.settings = self._settings(case)

    def has(self, mark: str) -> bool:
        """Whether the program has come so far."""
        return (self._folder / mark).exists()

    def read_s(self, job_id: str) -> float:
        """When the program began to misbehave, by the clock that all processes share; 0: it has
        not told."""
        try:
            return float((self._folder / f"read-{job_id}").read_text())
        except (OSError, ValueError):
            return 0.0

    def told(self, job_id: str) -> None:
        """Let the program know that the end of the job was told."""
        (self._folder / f"told-{job_id}").touch()

    def starts(self) -> int:
        """How many processes of the program there have been, as they count it themselves."""
        return sum(1 for file in self._folder.iterdir() if file.name.startswith("start-"))

    def put_back(self, name: str) -> None:
        """Rename NAME.away to NAME."""
        (self._folder / f"{name}.away").rename(self._folder / name)

    def left(self) -> list[str]:
        """What lies in the temporary folder."""
        return [entry.name for entry in self.temporary.iterdir()]

    def _settings(self, case: Case) -> dict[str, Any]:
        command = [word.replace("FOLDER", str(self._folder)) for word in case.command]
        if case.program:
            command = [sys.executable, "-I", "-S", str(self._folder / "program")]
        if case.script:
            command = ["/bin/sh", "-c", case.script]
        handler = {
            "command": command,
            "env": {MARK: self.mark},
            "fresh": case.level == "oneshot",
            **case.handler,
        }

        return {"handler": handler, "kill_grace_ms": case.grace_ms, "pool": 1}


def job_line(step: Step, job_id: str) -> dict[str, Any]:
    """The line that gives a job to the supervisor."""
    data = "x" * step.pad if step.pad else json.loads(step.data)
    line: dict[str, Any] = {"id": job_id, "name": step.job, "data": data}
    if step.timeout_ms is not None:
        line["timeout_ms"] = step.timeout_ms

    return line


def mark_of(name: str, job_id: str) -> str:
    """A mark as a case names it: `read` is that the program has read this job."""
    return f"read-{job_id}" if name == "read" else name
