"""The options that speak of the one handler given as COMMAND, and the handler they make."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sandq.errors import InvalidInput
from sandq.model.duration import to_ms
from sandq.model.handler import Channel, Handler
from sandq.model.limits import Limits, to_bytes
from sandq.model.sandbox import Profile, Sandbox
from sandq.settings import with_whole_paths

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
OPTIONS = (*_READ, "fresh", "strict", "cwd", "env", "memory", "sandbox")

# keys of a sandbox that hold several words, and whole numbers
_LISTS = ("read", "write", "env", "preload", "without")
_INTEGERS = ("pids", "max_jobs")


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
    sandbox_option(parser)
    parser.add_argument("--max-jobs", type=int, help="a process is replaced after so many jobs")
    parser.add_argument("--max-age", help="a process is replaced when it is so old: 1h")
    parser.add_argument("--max-rss", help="a process is replaced when it is larger: 300M")
    parser.add_argument("--idle", help="a process beyond the least ends when idle so long (60s)")


def sandbox_option(parser: argparse.ArgumentParser) -> None:
    """Add the option that says how far COMMAND is trusted."""
    profiles = ", ".join(Profile)
    parser.add_argument(
        "--sandbox",
        action="append",
        metavar="PROFILE",
        help=f"{profiles}; or one of its keys, as in memory=512M; may be repeated (limits)",
    )


def sandbox_of(words: list[str] | None) -> Sandbox:
    """The sandbox of "untrusted" "memory=512M" "read=/opt/models"; raises InvalidInput."""
    table: dict[str, Any] = {}
    for word in words or ():
        key, equals, value = word.partition("=")
        if not equals:
            key, value = "profile", word
        if key in _LISTS:
            table.setdefault(key, []).append(value)
        elif key in table:
            raise InvalidInput(f"--sandbox: {key} is given twice: {table[key]!r} and {value!r}")
        else:
            table[key] = int(value) if key in _INTEGERS and value.isdecimal() else value

    return with_whole_paths(Sandbox.of(table, "--sandbox"), Path.cwd(), "--sandbox")


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
        sandbox=sandbox_of(given.sandbox),
        **settings,
    )


def _variable(entry: str) -> tuple[str, str]:
    name, equals, value = entry.partition("=")
    if not name or not equals:
        raise InvalidInput(f"--env takes NAME=VALUE: {entry!r}")

    return name, value
