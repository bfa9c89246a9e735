"""A plan as `sandq doctor` tells it: a line for each guarantee, for people and for programs."""

from collections.abc import Sequence
from typing import Any

from sandq.isolation.facts import HostFacts
from sandq.isolation.judge import Escape
from sandq.isolation.plan import Plan, State

#: What is told of the attempts to get out: None when they were not made.
Tried = Sequence[Escape] | str | None


def healthy(plan: Plan, tried: Tried) -> bool:
    """Whether a handler with this sandbox is run on this host."""
    return not plan.gaps and not tried


def lines(plan: Plan, tried: Tried) -> list[str]:
    """For people."""
    rows = [(str(line.guarantee), str(line.state), line.mechanism) for line in plan.lines]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    told = [f"sandbox {plan.sandbox.profile.value}, {_host(plan.facts)}"]
    for row, line in zip(rows, plan.lines, strict=True):
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        told.append("  ".join([*cells, line.detail]))
        if line.mend:
            word = "better" if line.state is State.HELD else "mend"
            told.append(f"{' ' * (sum(widths) + 6)}{word}: {line.mend}")
    if isinstance(tried, str):
        told.append(tried)
    elif tried is not None:
        told += [f"broken: {escape}" for escape in tried] or [
            "tried from inside: nothing is broken"
        ]
    if plan.gaps:
        told.append("its handlers are refused: mend what is missing, or name it in `without`")

    return told


def members(plan: Plan, tried: Tried) -> dict[str, Any]:
    """For programs."""
    return {
        "profile": plan.sandbox.profile.value,
        "ok": healthy(plan, tried),
        "summary": plan.summary,
        "guarantees": [
            {
                "guarantee": line.guarantee.value,
                "state": line.state.value,
                "mechanism": line.mechanism,
                "detail": line.detail,
                "mend": line.mend,
            }
            for line in plan.lines
        ],
        "tried": tried is not None,
        "broken": [tried] if isinstance(tried, str) else [str(escape) for escape in tried or ()],
        "host": _host(plan.facts),
    }


def _host(facts: HostFacts) -> str:
    if not facts.linux:
        return f"not on Linux ({facts.arch})"
    who = "root" if facts.uid == 0 else "an ordinary user"
    where = f", in a container ({facts.container})" if facts.container else ""
    walls = "no bubblewrap"
    if facts.bwrap is not None:
        walls = f"bubblewrap {facts.bwrap.shown} at {facts.bwrap.path}"
    kernel = ".".join(map(str, facts.kernel))

    return f"on Linux {kernel} {facts.arch} as {who}{where}; {walls}; Landlock {facts.landlock}"
