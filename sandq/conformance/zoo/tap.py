"""The results of the zoo as TAP 14, and as JSON."""

import json
from collections.abc import Sequence
from typing import Any

from sandq.conformance.zoo.verdict import Verdict


def tap_head(count: int) -> list[str]:
    """The first lines: version and plan."""
    return ["TAP version 14", f"1..{count}"]


def tap_lines(number: int, verdict: Verdict) -> list[str]:
    """One case: its line, and what is wrong as YAML."""
    case = verdict.case
    word = "ok" if verdict.passed else "not ok"
    name = f"{case.group}: {case.name}".replace("\\", "\\\\").replace("#", "\\#")
    lines = [f"{word} {number} - {name}"]
    if verdict.passed:
        return lines

    told = {
        "group": f"{case.group} {case.about}",
        "why": case.why,
        "rows": sorted(case.rows),
        "complaints": list(verdict.complaints),
        "errors": list(verdict.errors),
    }
    # JSON values are YAML
    entries = [f"  {key}: {json.dumps(value, ensure_ascii=False)}" for key, value in told.items()]

    return [*lines, "  ---", *entries, "  ..."]


def tap_tail(verdicts: Sequence[Verdict]) -> list[str]:
    """The last lines: a summary as comments."""
    summary = json_summary(verdicts)
    late = "no job timed out"
    if summary["late_ms"] is not None:
        late = f"{summary['late_ms']:.0f} ms ({summary['latest']})"

    return [
        f"# {summary['passed']} passed, {summary['failed']} failed",
        f"# a job was over after its timeout and the kill grace, at the latest: {late}",
        f"# the supervisor grew at most by: {summary['growth_kib']} KiB",
    ]


def json_result(verdict: Verdict) -> dict[str, Any]:
    """One case as an object."""
    case = verdict.case

    return {
        "group": case.group,
        "about": case.about,
        "case": case.name,
        "rows": sorted(case.rows),
        "passed": verdict.passed,
        "complaints": list(verdict.complaints),
        "late_ms": None if verdict.late_ms is None else round(verdict.late_ms, 1),
        "growth_kib": verdict.growth_kib,
        "errors": list(verdict.errors),
    }


def json_summary(verdicts: Sequence[Verdict]) -> dict[str, Any]:
    """All cases in numbers."""
    late = [(verdict.late_ms, verdict.case.name) for verdict in verdicts if verdict.late_ms]
    latest, name = max(late, default=(None, None))
    passed = sum(verdict.passed for verdict in verdicts)

    return {
        "passed": passed,
        "failed": len(verdicts) - passed,
        "groups_failed": sorted({v.case.group for v in verdicts if not v.passed}),
        "late_ms": None if latest is None else round(latest, 1),
        "latest": name,
        "growth_kib": max((verdict.growth_kib for verdict in verdicts), default=0),
    }
