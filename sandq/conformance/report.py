"""What the kit says: TAP 14 for people and for test harnesses, JSON for programs; pure."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from sandq.conformance.kit import FAILED, PASSED, SKIPPED, Result
from sandq.conformance.subject import Subject

TAP_VERSION = "TAP version 14"

_NO_CONTRACT = (
    "a handler that does not keep to the echo contract is tested with --job FILE, a job it can do"
)


def tap_head(subject: Subject, cases: int) -> list[str]:
    """The lines before the first result."""
    caps = f", it can {' '.join(sorted(subject.caps))}" if subject.caps else ""

    return [TAP_VERSION, f"1..{cases}", f"# level {subject.level}{caps}"]


def tap_lines(number: int, result: Result) -> list[str]:
    """The lines of one result; failures of a SHOULD or MAY are a TODO, which fails nothing."""
    case = result.case
    ok = "not ok" if result.outcome == FAILED else "ok"
    about = _escaped(f"{case.number} {case.name}: {case.title}")
    directive = ""
    if result.outcome == SKIPPED:
        directive = f" # SKIP {_escaped(result.reason)}"
    elif result.outcome == FAILED and not result.is_breach:
        directive = f" # TODO {case.tier}, and no MUST"
    lines = [f"{ok} {number} - {about}{directive}"]
    if result.outcome == FAILED:
        lines += _diagnosis(result)

    return lines


def _diagnosis(result: Result) -> list[str]:
    """A block of YAML; a JSON text is YAML too, and needs no more care."""
    lines = [
        "---",
        f"message: {_text(result.reason)}",
        f"severity: {'fail' if result.is_breach else 'todo'}",
        f"tier: {result.case.tier}",
        f"why: {_text(result.case.why)}",
    ]
    for name, texts in (("conversation", result.trace), ("stderr", result.errors)):
        if texts:
            lines += [f"{name}:", *(f"  - {_text(text)}" for text in texts)]

    return [f"  {line}" for line in (*lines, "...")]


def tap_tail(subject: Subject, results: Sequence[Result]) -> list[str]:
    """The lines after the last result."""
    passed, failed, skipped = (len(_of(results, word)) for word in (PASSED, FAILED, SKIPPED))
    lines = [f"# {passed} passed, {failed} failed, {skipped} skipped: {verdict(results)}"]
    if subject.job is None and is_contract_in_doubt(results):
        lines.append(f"# {_NO_CONTRACT}")

    return lines


def json_result(result: Result) -> dict[str, Any]:
    """A result as an object."""
    case = result.case

    return {
        "case": case.name,
        "number": case.number,
        "check": case.check,
        "title": case.title,
        "tier": case.tier,
        "outcome": result.outcome,
        "reason": result.reason or None,
        "conversation": list(result.trace),
        "stderr": list(result.errors),
    }


def json_summary(subject: Subject, results: Sequence[Result]) -> dict[str, Any]:
    """The last object."""
    return {
        "conforms": conforms(results),
        "level": subject.level,
        "caps": sorted(subject.caps),
        **{word: len(_of(results, word)) for word in (PASSED, FAILED, SKIPPED)},
    }


def conforms(results: Iterable[Result]) -> bool:
    """Whether no MUST was failed."""
    return not any(result.is_breach for result in results)


def verdict(results: Sequence[Result]) -> str:
    """The end of the story in words."""
    if not conforms(results):
        return "it does not conform"
    missed = sum(r.outcome == FAILED and r.case.tier == "SHOULD" for r in results)

    return f"it conforms, and misses {missed} of what it SHOULD do" if missed else "it conforms"


def is_contract_in_doubt(results: Sequence[Result]) -> bool:
    """Whether a handler that fails looks like one that never heard of the echo contract."""
    return any("was expected" in result.reason for result in results if result.is_breach)


def _of(results: Sequence[Result], outcome: str) -> list[Result]:
    return [result for result in results if result.outcome == outcome]


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("#", "\\#")


def _text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
