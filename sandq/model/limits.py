"""What one child may use. Words after systemd's: spec/cli.md has the table of the TOML form."""

import re
from dataclasses import dataclass

from sandq.errors import InvalidInput

#: The longest line either side may write, in bytes, unless a handler asks for another.
DEFAULT_LINE_BYTES = 1024 * 1024

_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([KMGT]?)(i?B)?", re.IGNORECASE)
_MOST_BYTES = 2**62
_UNIT_BYTES = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3, "T": 1024**4}


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Ceilings for one child; None means the system's own.

    - `line`: bytes of the longest line it may write to its answer stream.
    - `cpu`: seconds of processor time for the life of the process.
    - `memory`: bytes of private memory of each of its processes (RLIMIT_DATA).
    - `file_size`: bytes of the largest file it may write.
    - `open_files`: file descriptors open at once.
    """

    line: int = DEFAULT_LINE_BYTES
    cpu: int | None = None
    memory: int | None = None
    file_size: int | None = None
    open_files: int | None = None

    def __post_init__(self) -> None:
        for name in self.__slots__:
            value, least = getattr(self, name), 1024 if name == "line" else 1
            if value is None and name != "line":
                continue
            if isinstance(value, bool) or not isinstance(value, int):
                raise InvalidInput(f"limit {name} must be a whole number: {value!r}")
            if value < least:
                unit = " bytes" if name == "line" else ""
                raise InvalidInput(f"limit {name} must be at least {least}{unit}: {value}")


def to_bytes(value: int | str, what: str) -> int:
    """A size in bytes: a number, or a text such as "256M" (K, M, G, T are powers of 1024)."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise InvalidInput(f"{what} must be bytes or a text like '256M': {value!r}")
    if isinstance(value, int):
        return value

    match = _SIZE.fullmatch(value.strip())
    if match is None:
        raise InvalidInput(f"{what} is not a size: {value!r}; write 65536, 64K, 256M or 1G")

    size = float(match[1]) * _UNIT_BYTES[match[2].upper()]
    if size > _MOST_BYTES:
        raise InvalidInput(f"{what} is more than any machine has: {value!r}")

    return int(size)
