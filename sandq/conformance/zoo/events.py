"""The one table of what is expected: event x state -> outcome (spec/protocol-events.json)."""

import json
from dataclasses import dataclass
from functools import cache

from sandq.conformance.files import spec_folder

#: What a child is doing when something happens: it starts, has no job, has one, is being ended.
STATES = ("starting", "idle", "busy", "ending", "any")

#: What comes of its slot -> how that is seen from outside.
SLOTS = {
    "same": "the same process has the next job",
    "new": "another process has the next job",
    "paused": "no process is there; the next try comes after a pause",
    "gone": "there is no slot any more",
}

#: What comes of the job -> the state that is reported; None: of the job before, nothing changes.
JOBS = {
    "completed": "completed",
    "failed": "failed",
    "released": "completed",
    "given back": "released",
    "cancelled": "cancelled",
    "stands": "completed",
    "none": "completed",
}

LEVELS = ("any", "persistent", "oneshot", "simple", "full")


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the table.

    - `row`: its name; `event`: what happens; `state`: one of STATES; `level`: one of LEVELS.
    - `slot`: one of SLOTS; `job`: one of JOBS, where `released` is run again by a new child, and
      `given back` is what comes of a job that no child could be found for; `kind`: of a failure.
    - `metrics`: the counters that go up by it.
    """

    row: str
    event: str
    state: str
    level: str
    slot: str
    job: str
    kind: str | None
    metrics: tuple[str, ...]

    @property
    def reported(self) -> str:
        """The state in the line that tells the end of the job."""
        return JOBS[self.job]


@cache
def load_rows() -> dict[str, Row]:
    """All rows by name, in their order."""
    path = spec_folder("cases").parent / "protocol-events.json"
    tables = json.loads(path.read_bytes())["rows"]
    rows = [Row(**{**row, "metrics": tuple(row["metrics"])}) for row in tables]

    return {row.row: row for row in rows}
