"""The handler that is tested, and how it may fail a case."""

import signal
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


class Unmet(Exception):
    """A step of a case was not met; the message says what came instead."""


class NotDone(Exception):
    """The handler does not do what the case needs, nor does it claim to; the message says why."""


@dataclass(frozen=True, slots=True)
class Subject:
    """The handler that is tested.

    - `command`: program and arguments.
    - `level`: oneshot, simple or full; `caps`: the capabilities its hello names.
    - `job`: members of a job it can do, when it does not keep to the echo contract.
    - `answer_s`: how long an answer may take; `ready_s`: how long starting may take.
    """

    command: tuple[str, ...]
    level: str = "simple"
    caps: frozenset[str] = frozenset()
    job: Mapping[str, Any] | None = None
    answer_s: float = 10.0
    ready_s: float = 30.0


def how_it_ended(status: int | None) -> str:
    """The end of a program in words; `status` is its exit code, or minus a signal, or None."""
    if status is None:
        return "it has not ended"
    if status >= 0:
        return f"it ended with exit code {status}"
    try:
        return f"it was ended by {signal.Signals(-status).name}"
    except ValueError:
        return f"it was ended by signal {-status}"
