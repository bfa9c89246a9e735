"""The options that speak of the one handler given as COMMAND, and the handler they make."""

import argparse
from collections.abc import Callable
from typing import Any

from sandq.errors import InvalidInput
from sandq.model.duration import to_ms
from sandq.model.handler import Channel, Handler
from sandq.model.limits import Limits, to_bytes

#: option -> the field of Handler it sets, and how it is read
_READ: dict[str, tuple[str, Callable[[Any, str], Any]]] = {
    "timeout": ("timeout_ms", to_ms),
    "heartbeat_timeout": ("heartbeat_timeout_ms", to_ms),
    "channel": ("channel", lambda value, _: Channel(value)),
    "allow_call": ("calls", lambda value, _: tuple(value)),
    "max_jobs": ("max_jobs", lambda value, _: value),
    "max_age": ("max_age_ms", to_ms),
    "max_rss": ("max_rss", to_bytes),
    "idle": ("idle_ms", to_ms),
}

#: All of them.
OPTIONS = (*_READ, "fresh", "strict", "cwd", "env", "memory")


def options(parser: argparse.ArgumentParser) -> None:
    """Add them to a verb."""
    parser.add_argument("--timeout", help="how long one attempt may run: 30s, 5m (no limit)")
    parser.add_argument("--heartbeat-timeout", help="how long one may say nothing (no limit)")
    parser.add_argument("--fresh", action="store_true", help="one process per job")
    parser.add_argument("--strict", action="store_true", help="output that is not JSON is an error")
    parser.add_argument(
        "--channel", choices=[channel.value for channel in Channel], help="where answers come from"
    )
    parser.add_argument(
        "--allow-call", action="append", metavar="VERB", help="what its jobs may ask for"
    )
    parser.add_argument("--cwd", metavar="DIR", help="the folder COMMAND runs in")
    parser.add_argument("--env", action="append", metavar="NAME=VALUE", help="a variable for it")
    parser.add_argument("--memory", help="memory each process may use: 256M, 1G")
    parser.add_argument("--max-jobs", type=int, help="a process is replaced after so many jobs")
    parser.add_argument("--max-age", help="a process is replaced when it is so old: 1h")
    parser.add_argument("--max-rss", help="a process is replaced when it is larger: 300M")
    parser.add_argument("--idle", help="a process beyond the least ends when idle so long (60s)")


def handler_of(given: argparse.Namespace) -> Handler:
    """The handler that COMMAND and the options make; raises InvalidInput."""
    settings = {
        field: read(value, f"--{option.replace('_', '-')}")
        for option, (field, read) in _READ.items()
        if (value := getattr(given, option)) is not None
    }

    return Handler(
        command=tuple(given.command),
        cwd=given.cwd,
        env=tuple(_variable(entry) for entry in given.env or ()),
        fresh=given.fresh,
        strict=given.strict,
        limits=Limits(memory=None if given.memory is None else to_bytes(given.memory, "--memory")),
        **settings,
    )


def _variable(entry: str) -> tuple[str, str]:
    name, equals, value = entry.partition("=")
    if not name or not equals:
        raise InvalidInput(f"--env takes NAME=VALUE: {entry!r}")

    return name, value
