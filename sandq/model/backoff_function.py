"""Backoffs that a function of the supervisor decides: who may be one, and what it may answer.

| answer            | what follows                                       |
|-------------------|----------------------------------------------------|
| 0                 | the next attempt at once                           |
| above 0           | the next attempt after so many seconds             |
| below 0           | no further attempt: the job fails                  |
| anything else, an error, no such function | the job fails, and its record says why |

Source: seed 0; Bull throws inside its failure path where the last row applies.
"""

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sandq.errors import InvalidInput
from sandq.model.backoff import Backoff
from sandq.model.checks import check_label
from sandq.model.duration import MAX_MS, to_ms
from sandq.model.names import nearest

#: Given the number of failed attempts (1 after the first), the failure record as a dict, and the
#: options of the backoff; answers seconds or a timedelta. It runs in the supervisor, between
#: jobs, and holds all of them up until it returns.
BackoffFunction = Callable[[int, dict[str, Any], dict[str, Any]], float | timedelta]


#: How much of a function's own words goes into a failure record, in characters.
SHOWN = 500


@dataclass(frozen=True, slots=True)
class BackoffAnswer:
    """What came of asking: milliseconds to wait, or None for no further attempt.

    `problem` is why the function could not be asked, or what was wrong with its answer.
    """

    delay_ms: int | None
    problem: str = ""


def check_backoff_function(name: str, function: BackoffFunction) -> None:
    """Raises InvalidInput for what cannot be registered as the backoff `name`."""
    check_label("backoff name", name)
    if not callable(function):
        raise InvalidInput(f"backoff {name!r} must be a function: {function!r}")
    # of an object that can be called its class has the function
    if any(_is_async(candidate) for candidate in (function, type(function).__call__)):
        raise InvalidInput(
            f"backoff {name!r} must be an ordinary function, not an async one: nobody awaits it"
        )


def ask_backoff(
    backoff: Backoff, failures: int, record: dict[str, Any], known: Mapping[str, BackoffFunction]
) -> BackoffAnswer:
    """The answer of a named backoff's function; nothing it does is an error here."""
    named = f"backoff {backoff.name!r}"
    function = known.get(backoff.name)
    if function is None:
        hint = nearest(backoff.name, known) if known else "it has none"
        return BackoffAnswer(None, f"{named} is not registered with this supervisor; {hint}")

    try:
        answer: Any = function(failures, record, backoff.options)
    except Exception as error:
        return BackoffAnswer(None, f"{named} raised {type(error).__name__}: {_shown(str, error)}")

    if inspect.iscoroutine(answer):
        # closed, or Python warns that nobody awaited it
        answer.close()
        return BackoffAnswer(None, f"{named} is async; make it an ordinary function")

    seconds = answer.total_seconds() if isinstance(answer, timedelta) else answer
    # NaN is not below anything
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not seconds < math.inf:
        return BackoffAnswer(
            None,
            f"{named} answered {_shown(repr, answer)}; it must answer seconds, 0 for at once or "
            "-1 to give up",
        )
    if seconds < 0:
        return BackoffAnswer(None)

    return BackoffAnswer(min(to_ms(min(seconds, MAX_MS / 1000), "backoff delay"), MAX_MS))


def _shown(words: Callable[[object], str], value: object) -> str:
    """What `value` says of itself, fit for a failure record."""
    try:
        text = words(value)
    except Exception:
        return "something that cannot be shown"

    return text.encode("utf-8", "backslashreplace").decode()[:SHOWN]


def _is_async(function: object) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)
