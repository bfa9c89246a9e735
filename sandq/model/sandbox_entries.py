"""How a sandbox is read from a table: its numbers, and what the entries of its lists may be.

| list            | entry                       |
|-----------------|-----------------------------|
| `read` `write`  | `PATH` or `HOST:INSIDE`     |
| `env`           | `NAME` or `NAME=value`      |
| `preload`       | the name of a Python module |

All raise InvalidInput, which names the list and the entry.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import fields
from enum import StrEnum
from typing import Any, TypeVar

from sandq.errors import InvalidInput
from sandq.model.checks import check_integer, check_text
from sandq.model.duration import to_ms
from sandq.model.limits import to_bytes
from sandq.model.names import nearest

T = TypeVar("T")

# no machine has more of anything
_MOST = 2**62

#: Number -> the least it may be, and how it is read.
NUMBERS: Mapping[str, tuple[float, Callable[[Any, str], float]]] = {
    "wall": (0.001, lambda value, name: to_ms(value, name) / 1000),
    "cpu": (1, lambda value, name: -(-to_ms(value, name) // 1000)),
    "memory": (1024 * 1024, to_bytes),
    "pids": (1, lambda value, name: check_integer(name, value, 1, 2**22)),
    "disk": (64 * 1024, to_bytes),
    "output": (1024, to_bytes),
    "max_jobs": (1, lambda value, name: check_integer(name, value, 1, _MOST)),
}

# where the walls have something of their own
_TAKEN = ("/", "/dev", "/proc", "/sys", "/tmp")
_TAKEN_WHOLE = ("/dev/", "/proc/", "/sys/")


def made_of(kind: type[T], table: Mapping[str, Any], key: str) -> T:
    """A dataclass from a table of its members; errors name them below `key`."""
    known = [field.name for field in fields(kind)]  # type: ignore[arg-type]
    for name in table:
        if name not in known:
            raise InvalidInput(f"{key}.{name} is not known; {nearest(str(name), known)}")
    try:
        return kind(**table)
    except InvalidInput as error:
        raise InvalidInput(f"{key}.{error}") from error


def one_of(name: str, kind: type[StrEnum], value: Any) -> Any:
    """The member of an enumeration that a word names."""
    try:
        return kind(value)
    except ValueError:
        known = ", ".join(kind)
        raise InvalidInput(f"{name} must be one of {known}: {value!r}") from None


def number_of(name: str, value: Any) -> float:
    """A number as it is kept, from what people write."""
    least, read = NUMBERS[name]
    number = read(value, name)
    if not least <= number <= _MOST:
        bound = f"at least {least}" if number < least else f"at most {_MOST}"
        raise InvalidInput(f"{name} must be {bound}: {value!r}")

    return number


def words_of(name: str, value: Any) -> Collection[Any]:
    """`value`, if it is a list: of one text each letter would be an entry."""
    if not isinstance(value, list | tuple | set | frozenset):
        raise InvalidInput(f"{name} must be a list of texts: {value!r}")

    return value


def texts_of(name: str, value: Any) -> tuple[str, ...]:
    """The texts of a list."""
    return tuple(check_text(name, word) for word in words_of(name, value))


def host_and_inside(entry: str) -> tuple[str, str]:
    """The two paths of an entry of `read` or `write`: on the host, and inside the walls."""
    host, colon, inside = entry.partition(":")

    return host, inside if colon else host


def check_path(name: str, entry: str) -> None:
    """Refuse what is no path that can be shown. One of `read` may be relative: whoever knows the
    folder makes a whole one of it, and it is checked again."""
    host, inside = host_and_inside(entry)
    relative = not host.startswith("/")
    if not host or "\0" in entry or (relative and name == "write"):
        raise InvalidInput(f"{name} takes PATH or HOST:INSIDE, whole paths: {entry!r}")
    if not inside.startswith("/"):
        if ":" in entry:
            raise InvalidInput(f"{name}: the path inside must begin with a slash: {entry!r}")
        return

    if ".." in inside.split("/"):
        raise InvalidInput(f"{name}: the path inside must not hold '..': {entry!r}")
    clean = "/" + inside.strip("/")
    if clean in _TAKEN or clean.startswith(_TAKEN_WHOLE):
        raise InvalidInput(
            f"{name}: {inside!r} is of the walls themselves; show it elsewhere: 'HOST:INSIDE'"
        )


def check_variable(entry: str) -> None:
    """Refuse what is no variable, and those that are sandq's own."""
    name = entry.partition("=")[0]
    if not name or "\0" in entry:
        raise InvalidInput(f"env takes NAME or NAME=value: {entry!r}")
    if name == "SANDQ" or name.startswith("SANDQ_"):
        raise InvalidInput(f"env: {name!r} is set by sandq, or kept from children")


def check_module(name: str) -> None:
    """Refuse what is no name of a module."""
    if not all(part.isidentifier() for part in name.split(".")):
        raise InvalidInput(f"preload takes names of modules: {name!r}")


def check_apart(name: str, path: str, writes: Collection[str]) -> None:
    """Refuse a path that a job could put something else in the place of, for the jobs after it.

    `writes` are the entries of `write`.
    """
    for entry in writes:
        source = host_and_inside(entry)[0].rstrip("/")
        if path.startswith(f"{source}/"):
            raise InvalidInput(
                f"{name} {path!r} lies in {source!r}, which write names: a job could put a link "
                "there to what the next one is not to see"
            )
