"""The Lua scripts: their texts with all includes, their hashes, and their headers.

A script's version is the SHA-1 of its text, so old and new supervisors run side by side.
"""

import hashlib
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from sandq.errors import StoreError

_FOLDER = Path(__file__).parent.parent / "lua"
_INCLUDE = re.compile(r"^-- include: ([a-z_]+)$", re.MULTILINE)
_FIELD = re.compile(r"^-- ([A-Z]{4,6})\s+(.*)$")

#: What the header of every script says, in this order.
HEADER_FIELDS = ("KEYS", "ARGV", "REPLY", "ERRORS", "EVENTS")


@dataclass(frozen=True, slots=True)
class Script:
    """One script, ready to be sent: `sha` is what EVALSHA takes."""

    name: str
    text: str
    sha: str


@cache
def script(name: str) -> Script:
    """The script of `sandq/lua/<name>.lua` with its includes put in front, each once."""
    included: list[str] = []
    _gather(name, _FOLDER / f"{name}.lua", included, ())
    text = "\n".join(_strip(part) for part in included)

    return Script(name, text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


def names() -> list[str]:
    """The names of all scripts."""
    return sorted(path.stem for path in _FOLDER.glob("*.lua"))


def includes() -> list[str]:
    """The names of all includes."""
    return sorted(path.stem for path in (_FOLDER / "include").glob("*.lua"))


@cache
def takes_time(name: str) -> bool:
    """Whether the first argument of a script is the time, empty for the server's own."""
    return header(name)["ARGV"].startswith("now")


def header(name: str) -> dict[str, str]:
    """The header of a script: its purpose under its own name, and the five fields.

    Raises StoreError when a field is missing or stands in the wrong place.
    """
    lines = (_FOLDER / f"{name}.lua").read_text().splitlines()
    first = f"-- {name}: "
    if not lines[0].startswith(first):
        raise StoreError(f"{name}.lua must begin with {first!r}")

    fields = {name: lines[0].removeprefix(first)}
    current = name
    for line in lines[1:]:
        if not line.startswith("-- ") or _INCLUDE.match(line):
            break
        match = _FIELD.match(line)
        if match is not None:
            current = match[1]
            fields[current] = match[2]
        else:
            fields[current] += " " + line.removeprefix("--").strip()

    if tuple(fields)[1:] != HEADER_FIELDS:
        raise StoreError(f"the header of {name}.lua must have {HEADER_FIELDS}, it has {fields}")

    return fields


def _gather(name: str, path: Path, included: list[str], chain: tuple[str, ...]) -> None:
    if name in chain:
        raise StoreError(f"Lua include goes in a circle: {' -> '.join((*chain, name))}")

    text = path.read_text()
    for wanted in _INCLUDE.findall(text):
        _gather(wanted, _FOLDER / "include" / f"{wanted}.lua", included, (*chain, name))
    if text not in included:
        included.append(text)


def _strip(text: str) -> str:
    """The text without whole-line comments and blank lines: less for the server to keep."""
    lines = (
        line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("--")
    )
    return "\n".join(lines)
