"""Reading a configuration: what stands under a key, checked and turned into what we keep.

A reader takes the value and the key's path, which its errors name.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from sandq.errors import ConfigError
from sandq.model.duration import to_ms
from sandq.model.names import nearest

#: Turns a value into what is kept of it; its second argument is the key's path.
Reader = Callable[[Any, str], Any]


def text(value: Any, key: str) -> str:
    """A text that is not empty."""
    if not isinstance(value, str) or value == "":
        raise ConfigError(f"{key} must be a text: {value!r}")

    return value


def flag(value: Any, key: str) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise ConfigError(f"{key} must be true or false: {value!r}")

    return value


def number(value: Any, key: str) -> int:
    """A whole number."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise ConfigError(f"{key} must be a whole number: {value!r}")

    return value


def table(value: Any, key: str) -> dict[str, Any]:
    """A table."""
    if not isinstance(value, dict):
        raise ConfigError(f"{key} must be a table: {value!r}")

    return value


def command(value: Any, key: str) -> tuple[str, ...]:
    """A command line: at least one word."""
    if not isinstance(value, list) or not value or not all(isinstance(v, str) for v in value):
        raise ConfigError(f'{key} must be a list of words, such as ["node", "probe.mjs"]')

    return tuple(value)


def texts(value: Any, key: str) -> tuple[str, ...]:
    """A list of texts."""
    if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
        raise ConfigError(f"{key} must be a list of texts: {value!r}")

    return tuple(value)


def seconds(value: Any, key: str) -> int:
    """A duration in whole seconds, rounded up."""
    return -(-to_ms(value, key) // 1000)


def fill(
    given: Mapping[str, Any], readers: Mapping[str, tuple[str, Reader]], prefix: str
) -> dict[str, Any]:
    """What a table sets: `readers` maps its keys to the field it fills, and how it is read."""
    refuse_unknown(given, readers, prefix)
    return {readers[key][0]: readers[key][1](value, prefix + key) for key, value in given.items()}


def refuse_unknown(given: Iterable[str], known: Iterable[str], prefix: str) -> None:
    """Raise ConfigError for a key that is not known, with the nearest known one."""
    names = list(known)
    for key in given:
        if key not in names:
            raise ConfigError(f"key {prefix + key!r} is not known; {nearest(key, names)}")
