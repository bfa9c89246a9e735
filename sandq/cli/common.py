"""What several verbs share: connection options, output, and the event loop."""

import argparse
import json
import logging
import sys
from collections.abc import Awaitable, Callable
from importlib.util import find_spec
from typing import Any

import anyio

from sandq.errors import InvalidInput
from sandq.store.keys import DEFAULT_PREFIX


def connection_options(parser: argparse.ArgumentParser) -> None:
    """Options of every verb that speaks to Redis."""
    parser.add_argument(
        "--url",
        help="Redis URL; default: SANDQ_REDIS_URL, REDIS_URL, else the embedded server of this "
        "folder",
    )
    parser.add_argument("--prefix", default=DEFAULT_PREFIX, help="first part of every key (sandq)")


def json_option(parser: argparse.ArgumentParser) -> None:
    """Option of every verb: output for programs."""
    parser.add_argument("--json", action="store_true", help="print JSON, one value a line")


def print_json(value: Any) -> None:
    """One JSON value on a line of its own."""
    print(json.dumps(value, ensure_ascii=False), flush=True)


def print_table(rows: list[list[str]]) -> None:
    """Rows in columns; the first row is the heading."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip())


def run_async(function: Callable[..., Awaitable[Any]], *arguments: Any) -> Any:
    """Run an async function in a new event loop, uvloop's if it is installed.

    A lone error comes out as itself, not as a group of one.
    """
    options = {"use_uvloop": find_spec("uvloop") is not None}
    try:
        return anyio.run(function, *arguments, backend="asyncio", backend_options=options)
    except BaseExceptionGroup as group:
        error: BaseException = group
        while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
            error = error.exceptions[0]
        raise error from None


def log_to_stderr(level: str) -> None:
    """Log lines to the error stream, with the time."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    root = logging.getLogger("sandq")
    root.addHandler(handler)
    root.setLevel(level.upper())


def read_json_text(text: str | None, file: str | None) -> bytes:
    """The JSON text given as an option, or in a file, `-` being the standard input."""
    if text is not None and file is not None:
        raise InvalidInput("give either --data or --data-file, not both")
    if file is None:
        return (text if text is not None else "null").encode("utf-8", "surrogateescape")
    if file == "-":
        return sys.stdin.buffer.read()

    try:
        with open(file, "rb") as stream:
            return stream.read()
    except OSError as error:
        raise InvalidInput(f"cannot read the data in {file}: {error.strerror}") from error
