"""`sandq exec --trace`: how a handler is run, and what goes to and fro, on the error stream."""

import shlex
import sys
from collections.abc import Callable
from dataclasses import fields

from sandq.child.confining import base_environment
from sandq.child.family import Family
from sandq.model.handler import Handler

#: How much of a line is shown, in bytes.
SHOWN_BYTES = 2_000


def trace_of(handler: Handler) -> Callable[[int, str, bytes], None]:
    """Show how `handler` is run; what it gives is to be called with what goes to and fro.

    Of the environment the names are shown alone: a value may be a secret.
    """
    family = Family(handler, worker="", broken_s=None, on_change=lambda: None)
    limits = [
        f"{field.name}={value}"
        for field in fields(handler.limits)
        if (value := getattr(handler.limits, field.name)) is not None
    ]
    show("--", f"command: {shlex.join(handler.command)}")
    show("--", f"program: {family.program}")
    show("--", f"folder: {handler.cwd or '(this one)'}")
    names = family.environment(base_environment(handler.sandbox), "")
    show("--", f"environment: {' '.join(sorted(names))}")
    show("--", f"sandbox: {handler.sandbox.profile}")
    show("--", f"limits: {' '.join(limits)}")
    show("--", f"level: {'one-shot' if handler.fresh else 'simple or full'}; {handler.channel}")

    # a line may come in pieces
    rest: dict[str, bytes] = {}

    def trace(pid: int, mark: str, data: bytes) -> None:
        *lines, left = (rest.get(mark, b"") + data).split(b"\n")
        rest[mark] = left
        for line in lines:
            cut = f"… ({len(line)} bytes)" if len(line) > SHOWN_BYTES else ""
            show(mark, line[:SHOWN_BYTES].decode("utf-8", "backslashreplace") + cut, pid)

    return trace


def show(mark: str, text: str, pid: int | None = None) -> None:
    """One line of the trace."""
    print(
        mark, *(() if pid is None or mark != "--" else (f"process {pid}:",)), text, file=sys.stderr
    )
