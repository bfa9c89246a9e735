"""The cases of the handler kit: read from spec/cases, and checked to be well formed."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandq.conformance.files import spec_folder
from sandq.conformance.values import NAMES, OBJECT_WORDS
from sandq.errors import InvalidInput

TIERS = ("MUST", "SHOULD", "MAY")

#: level of a case -> the levels of handlers it is for
LEVELS: dict[str, tuple[str, ...]] = {
    "any": ("oneshot", "simple", "full"),
    "persistent": ("simple", "full"),
    "oneshot": ("oneshot",),
    "simple": ("simple",),
    "full": ("full",),
}

#: What a case may need: the echo contract, or a capability that the handler's hello names.
CAPABILITIES = ("cancel", "progress", "log", "heartbeat", "emit", "call", "ping", "welcome")
NEEDS = ("echo", *CAPABILITIES)

#: The word that makes a step -> the other members it may have.
STEPS: dict[str, tuple[str, ...]] = {
    "send": (),
    "expect": ("within_ms", "for_ms", "skip_if"),
    "close": (),
    "signal": (),
    "wait": (),
    "wait_ms": (),
    "exit": ("within_ms",),
    "noise": (),
    "memory": ("at_most_kib",),
    "repeat": ("steps", "at_most_ms"),
    "each": ("steps",),
}

_SENDS = ("job", "message", "text", "bytes")
_EXPECTS = ("answer", "hello", "message", "one_of")
_STREAMS = ("stdin", "stdout", "stderr")
_CASE = {"name", "tier", "level", "title", "why", "needs", "steps"}
_OPTIONAL = {"needs"}


class CaseInvalid(InvalidInput):
    """A file of cases is not well formed; the message names the file and the place."""


@dataclass(frozen=True, slots=True)
class Case:
    """One case.

    - `name`: unique among all cases; `number`: the check it belongs to, and `check` its title.
    - `tier`: MUST, SHOULD or MAY; `level`: a key of LEVELS; `needs`: words of NEEDS.
    - `title`: what is asked of the handler; `why`: what goes wrong without it.
    - `steps`: see spec/conformance.md.
    """

    name: str
    number: int
    check: str
    tier: str
    level: str
    title: str
    why: str
    needs: tuple[str, ...]
    steps: tuple[Mapping[str, Any], ...]


def load_cases(folder: Path | None = None) -> list[Case]:
    """All cases of a folder (spec/cases), in the order of their files. Raises CaseInvalid."""
    cases: list[Case] = []
    for path in sorted((folder or spec_folder("cases")).glob("*.json")):
        try:
            cases += read_cases(json.loads(path.read_bytes()))
        except (ValueError, RecursionError) as error:
            raise CaseInvalid(f"{path}: {error}") from error

    names = [case.name for case in cases]
    for name in names:
        if names.count(name) > 1:
            raise CaseInvalid(f"two cases are named {name!r}")

    return cases


def read_cases(check: Any) -> list[Case]:
    """The cases of one file: an object with `number`, `title` and `cases`. Raises CaseInvalid."""
    _members(check, "the file", {"number", "title", "cases"}, set())
    number = check["number"]
    _demand(isinstance(number, int) and number >= 1, f"number {number!r} is none from 1 up")

    return [_case(case, number, check["title"]) for case in check["cases"]]


def _case(case: Any, number: int, check: str) -> Case:
    where = f"case {case.get('name')!r}" if isinstance(case, dict) else "a case"
    _members(case, where, _CASE, _OPTIONAL)
    _demand(case["tier"] in TIERS, f"{where}: tier {case['tier']!r}")
    _demand(case["level"] in LEVELS, f"{where}: level {case['level']!r}")
    needs = case.get("needs", [])
    _demand(set(needs) <= set(NEEDS), f"{where}: needs {needs!r}")
    for text in ("name", "title", "why"):
        _demand(isinstance(case[text], str) and case[text], f"{where}: {text} is no text")
    _steps(case["steps"], where)

    return Case(**{**case, "needs": tuple(needs), "steps": tuple(case["steps"])}, number=number,
                check=check)  # fmt: skip


def _steps(steps: Any, where: str) -> None:
    _demand(isinstance(steps, list) and steps, f"{where}: steps is no list, or empty")
    for at, step in enumerate(steps, 1):
        here = f"{where}, step {at}"
        words = [word for word in STEPS if isinstance(step, dict) and word in step]
        _demand(len(words) == 1, f"{here}: one of {', '.join(STEPS)} is what makes a step")
        _members(step, here, {words[0], *STEPS[words[0]]}, set(STEPS[words[0]]))
        _step(words[0], step, here)


def _step(word: str, step: Mapping[str, Any], here: str) -> None:
    value = step[word]
    if word in ("repeat", "each"):
        _demand("steps" in step, f"{here}: {word} needs steps")
        _steps(step["steps"], here)
    if word == "send":
        _demand(
            _is_one(value, _SENDS, ("before", "after", "id")), f"{here}: what is sent is not clear"
        )
    if word == "expect" and isinstance(value, dict):
        _demand(_is_one(value, _EXPECTS, ()), f"{here}: what is expected is not clear")
    allowed: dict[str, bool] = {
        "expect": isinstance(value, dict) or value in ("nothing", "end"),
        "close": value in _STREAMS,
        "signal": isinstance(value, str),
        "wait": value == "ready",
        "wait_ms": isinstance(value, int),
        "exit": value == "any" or isinstance(value, int),
        "noise": isinstance(value, int),
        "memory": value in ("note", "compare"),
        "repeat": isinstance(value, int),
        "each": isinstance(value, list),
    }
    _demand(allowed.get(word, True), f"{here}: {word} cannot be {value!r}")
    _words(value, here)


def _words(value: Any, here: str) -> None:
    """Refuse words with a dollar that mean nothing: they would be sent as they are."""
    match value:
        case str() if value.startswith("$") and not value.startswith("$$"):
            _demand(value[1:] in NAMES, f"{here}: {value} is no name")
        case dict():
            for key, item in value.items():
                if key.startswith("$"):
                    _demand(key in OBJECT_WORDS, f"{here}: {key} is no word")
                    _demand(len(value) == 1, f"{here}: {key} stands alone in its object")
                _words(item, here)
        case list():
            for item in value:
                _words(item, here)
        case _:
            pass


def _is_one(value: Any, of: tuple[str, ...], beside: tuple[str, ...]) -> bool:
    return (
        isinstance(value, dict)
        and sum(word in value for word in of) == 1
        and set(value) <= {*of, *beside}
    )


def _members(value: Any, where: str, known: set[str], optional: set[str]) -> None:
    _demand(isinstance(value, dict), f"{where} is no object")
    for name in value:
        _demand(name in known, f"{where}: member {name!r} is not known")
    for name in sorted(known - optional):
        _demand(name in value, f"{where}: member {name!r} is missing")


def _demand(holds: object, message: str) -> None:
    if not holds:
        raise CaseInvalid(message)
