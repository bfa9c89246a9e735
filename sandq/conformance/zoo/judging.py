"""What a supervisor says of a job against the table: pure."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from sandq.conformance.zoo.catalogue import Step
from sandq.conformance.zoo.events import Row

#: The members of the line that tells the end of a job, which must all be there.
MEMBERS = ("id", "state", "kind", "value", "message", "death")


def complaints_of(line: Mapping[str, Any], step: Step, row: Row | None) -> Iterator[str]:
    """What is wrong with the line that tells the end of a step's job."""
    lacking = [name for name in MEMBERS if name not in line]
    if lacking:
        yield f"its line has no member {lacking[0]!r}"
        return
    if row is not None:
        said = (line["state"], line["kind"])
        if said != (row.reported, row.kind):
            yield (
                f"{row.row!r} must make it {_words(row.reported, row.kind)}; "
                f"it is {_words(*said)}: {line['message']}"
            )
            return
        if row.job == "released" and not line.get("releases"):
            yield f"{row.row!r} must give it back first, with no attempt spent"
        if row.job in ("completed", "failed") and line.get("releases"):
            yield f"it was given back {line['releases']} times; it must not be run again"
    death = line["death"] if isinstance(line["death"], dict) else {}
    message, kind, number = str(line["message"]), line.get("type"), death.get("signal")
    checks = (
        ("value", step.value, line["value"], _same(line["value"], step.value)),
        (
            "progress",
            step.progress,
            line.get("progress"),
            _same(line.get("progress"), step.progress),
        ),
        ("message", step.message, message, step.message in message),
        ("type", step.type, kind, kind == step.type),
        ("signal", step.signal, number, number == step.signal),
    )
    for what, wanted, said_so, holds in checks:
        if wanted and not holds:
            yield f"its {what} must be {wanted[:200]!r}; it is {str(said_so)[:200]!r}"


def _same(value: object, text: str) -> bool:
    return text != "" and value == json.loads(text)


class MetricsKept:
    """What the metrics must be, counted from the lines that were told."""

    def __init__(self) -> None:
        self._jobs: Counter[str] = Counter()
        self._failures: Counter[str] = Counter()
        self._releases = 0
        self._least: Counter[str] = Counter()

    def count(self, line: Mapping[str, Any]) -> None:
        """A line that tells the end of a job."""
        self._jobs[str(line.get("state"))] += 1
        if line.get("kind") is not None:
            self._failures[str(line["kind"])] += 1
        self._releases += line.get("releases") or 0

    def happened(self, row: Row) -> None:
        """A row of the table was tried."""
        self._least.update(row.metrics)

    def differences(self, metrics: Mapping[str, Any], started: int) -> Iterator[str]:
        """Where the metrics tell something else than the lines and the table.

        `started`: how many processes there were, as they have counted it themselves; 0: nobody
        has. The last one may have been ended before it could count.
        """
        for name, counted in (("jobs", self._jobs), ("failures", self._failures)):
            told = metrics.get(name)
            if told != dict(counted):
                yield f"its metrics tell {name} {told}; its lines tell {dict(counted)}"
        if metrics.get("releases") != self._releases:
            yield f"its metrics tell {metrics.get('releases')} releases, its lines {self._releases}"
        children, failed = metrics.get("children"), metrics.get("failed_starts")
        if started and children not in (started, started + 1):
            yield f"its metrics tell {children} children; {started} were started"
        if not isinstance(failed, int) or failed < self._least["failed_starts"]:
            least = self._least["failed_starts"]
            yield f"its metrics tell {failed} failed_starts; there were {least} at least"


def short(line: Mapping[str, Any]) -> str:
    """A line as it is quoted in a complaint."""
    text = json.dumps(line)

    return text if len(text) <= 300 else text[:300] + "…"


def _words(state: object, kind: object) -> str:
    return f"{state}" if kind is None else f"{state} ({kind})"
