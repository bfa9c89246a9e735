"""The values of the case language: names, generated values, and how a pattern is matched.

Pure: JSON values in, JSON values, texts and reasons out.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

#: Names that stand for a value: a text that is `$` and one of these.
NAMES = ("id", "n", "value", "re")

#: What is not there: a member that a message lacks.
MISSING: Any = object()

#: How much of a value is shown in a reason, in characters.
_SHOWN = 120

_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"


class JsonLiteral(str):
    """JSON text that is sent as it stands."""

    __slots__ = ()


def _text_of(size: int) -> str:
    """A text whose JSON is `size` bytes long, the quotes included."""
    length = size - 2

    return (_LETTERS * (length // len(_LETTERS) + 1))[:length]


def _deep(levels: int) -> JsonLiteral:
    return JsonLiteral("[" * levels + "]" * levels)


#: Objects with one of these as their only member are replaced by what the function makes of it.
GENERATORS: dict[str, Callable[[Any], Any]] = {
    "$text": _text_of,
    "$deep": _deep,
    "$json": JsonLiteral,
}

_TYPES: dict[str, Callable[[Any], bool]] = {
    "string": lambda value: isinstance(value, str),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "object": lambda value: isinstance(value, dict),
    "strings": lambda value: (
        isinstance(value, list) and all(isinstance(item, str) for item in value)
    ),
}


def fill(value: Any, names: Mapping[str, Any]) -> Any:
    """`value` with its names and generators replaced; matchers stay as they are."""
    match value:
        case str() if value.startswith("$$"):
            return value[1:]
        case str() if value.startswith("$"):
            return names[value[1:]]
        case dict():
            if len(value) == 1:
                [(word, argument)] = value.items()
                if word in GENERATORS:
                    return GENERATORS[word](fill(argument, names))
            return {name: fill(item, names) for name, item in value.items()}
        case list():
            return [fill(item, names) for item in value]
        case _:
            return value


def to_text(value: Any) -> str:
    """The JSON text of a filled value, on one line, ready-made texts spliced in."""
    match value:
        case JsonLiteral():
            return str(value)
        case dict():
            inside = (f"{json.dumps(name)}:{to_text(item)}" for name, item in value.items())
            return "{" + ",".join(inside) + "}"
        case list():
            return "[" + ",".join(map(to_text, value)) + "]"
        case _:
            return json.dumps(value, ensure_ascii=False)


def differs(expected: Any, actual: Any, where: str) -> str | None:
    """Why `actual` is not what a filled pattern asks for, or None when it is.

    Values are compared as JSON: 1 and 1.0 are one number, 1 and true are not; the order of
    members says nothing. `where` names the value in the reason.
    """
    if isinstance(expected, JsonLiteral):
        expected = json.loads(expected)
    if isinstance(expected, dict) and len(expected) == 1:
        [(word, argument)] = expected.items()
        if word in MATCHERS:
            return MATCHERS[word](argument, actual, where)
    if actual is MISSING:
        return f"{where} is missing; {show(expected)} was expected"

    match expected, actual:
        case dict(), dict():
            return _object_differs(expected, actual, where, exact=True)
        case list(), list() if len(expected) == len(actual):
            pairs = enumerate(zip(expected, actual, strict=True))
            found = (differs(want, item, f"{where}[{at}]") for at, (want, item) in pairs)
            return next((reason for reason in found if reason), None)
        case _ if same_scalar(expected, actual):
            return None
        case _:
            return f"{where} is {show(actual)}; {show(expected)} was expected"


def members_differ(expected: Mapping[str, Any], actual: Mapping[str, Any]) -> str | None:
    """The same for a whole message: members that are not asked for may be there."""
    return _object_differs(expected, actual, "", exact=False)


def _object_differs(
    expected: Mapping[str, Any], actual: Mapping[str, Any], where: str, *, exact: bool
) -> str | None:
    dot = f"{where}." if where else ""
    for name, want in expected.items():
        if reason := differs(want, actual.get(name, MISSING), f"{dot}{name}"):
            return reason
    more = [name for name in actual if name not in expected]
    if exact and more:
        return f"{where} has the member {more[0]!r}, which was not expected"

    return None


def same_scalar(one: Any, other: Any) -> bool:
    """Whether two texts, numbers or words of JSON are the same."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, int | float) and isinstance(other, int | float):
        return one == other

    return type(one) is type(other) and bool(one == other)


def show(value: Any) -> str:
    """A value as JSON, cut so that a reason stays readable."""
    if value is MISSING:
        return "nothing"
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        text = repr(value)
    text = text.encode("utf-8", "backslashreplace").decode()
    rest = len(text) - _SHOWN

    return text if rest <= 0 else f"{text[:_SHOWN]}… ({rest} more characters)"


def _any(_: Any, actual: Any, where: str) -> str | None:
    return f"{where} is missing" if actual is MISSING else None


def _absent(_: Any, actual: Any, where: str) -> str | None:
    return None if actual is MISSING else f"{where} is {show(actual)}; none was expected"


def _type(name: str, actual: Any, where: str) -> str | None:
    return None if _TYPES[name](actual) else f"{where} is {show(actual)}, and not of type {name}"


def _in(values: list[Any], actual: Any, where: str) -> str | None:
    if any(differs(value, actual, where) is None for value in values):
        return None

    return f"{where} is {show(actual)}; one of {show(values)} was expected"


def _has(members: Mapping[str, Any], actual: Any, where: str) -> str | None:
    if not isinstance(actual, dict):
        return f"{where} is {show(actual)}; an object was expected"

    return _object_differs(members, actual, where, exact=False)


def _optional(pattern: Any, actual: Any, where: str) -> str | None:
    return None if actual is MISSING else differs(pattern, actual, where)


#: Objects with one of these as their only member match what the function says they match.
MATCHERS: dict[str, Callable[[Any, Any, str], str | None]] = {
    "$any": _any,
    "$absent": _absent,
    "$type": _type,
    "$in": _in,
    "$has": _has,
    "$optional": _optional,
}

OBJECT_WORDS = (*GENERATORS, *MATCHERS)
