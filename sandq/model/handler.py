"""A handler: the command line that serves the jobs of a name."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sandq.errors import InvalidInput
from sandq.model.limits import Limits

#: How much of a command is shown in messages, in characters.
SHOWN = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Handler:
    """A command line and how it is to be run. Two equal handlers share their children.

    - `command`: the program and its arguments; no shell is involved.
    - `cwd`: the folder it runs in; None: the supervisor's.
    - `env`: variables it gets beside the declared ones (spec/cli.md), as (name, value) pairs.
    - `timeout_ms`: how long one attempt may run; None: until it ends. A job's own comes first.
    - `fresh`: one process per job: one line in, end of input, one answer.
    - `strict`: a line on its answer stream that is not JSON fails the job, instead of being noise.
    - `limits`: what each child may use.
    """

    command: tuple[str, ...]
    cwd: str | None = None
    env: tuple[tuple[str, str], ...] = ()
    timeout_ms: int | None = None
    fresh: bool = False
    strict: bool = False
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        words = self.command
        if not isinstance(words, tuple) or not words or not all(isinstance(w, str) for w in words):
            raise InvalidInput(f"a handler's command must be a list of words: {self.command!r}")
        if self.timeout_ms is not None and self.timeout_ms < 1:
            raise InvalidInput("a handler's timeout must be more than zero; leave it out for none")
        if any("\0" in word for word in self.command):
            raise InvalidInput(f"a handler's command must hold no NUL byte: {self.command!r}")

    def __str__(self) -> str:
        words = " ".join(self.command).replace("\n", " ")
        return words if len(words) <= SHOWN else words[: SHOWN - 1] + "…"


@dataclass(frozen=True, slots=True)
class HandlerFunction:
    """A function of this process that serves jobs; it is not isolated from the supervisor."""

    function: Callable[[Any], Any]

    def __str__(self) -> str:
        return getattr(self.function, "__qualname__", repr(self.function))
