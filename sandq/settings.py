"""The door to configuration: the only reader of environment variables and of TOML.

The TOML form is described in spec/cli.md; every error names the file and the key.
"""

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sandq.errors import ConfigError, InvalidInput
from sandq.model import tables
from sandq.model.ceilings import Ceilings
from sandq.model.duration import to_ms
from sandq.model.handler import Handler
from sandq.model.limits import Limits, to_bytes
from sandq.model.names import check_prefix, check_queue_name
from sandq.model.sandbox import Sandbox
from sandq.model.supervision import Supervision

#: Variables of the supervisor's environment that every child gets, if they are set.
PASSED_ON = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR")

#: The user ids that a supervisor run by root lends to its jobs, unless SANDQ_UIDS names others.
UIDS = (70_000, 70_999)

#: Ids below belong to the system and to people; beyond the last one, -1 is no id.
LEAST_UID, LAST_UID = 1_000, 2**32 - 2


def redis_url() -> str | None:
    """The server named by the environment: SANDQ_REDIS_URL, then REDIS_URL."""
    return os.environ.get("SANDQ_REDIS_URL") or os.environ.get("REDIS_URL") or None


def folder() -> str:
    """The embedded server's folder: SANDQ_DIR, else `.sandq` in the current folder."""
    return os.environ.get("SANDQ_DIR") or ".sandq"


def passed_on_environment() -> dict[str, str]:
    """The part of this process's environment that a child gets."""
    return {name: os.environ[name] for name in PASSED_ON if name in os.environ}


def uid_range() -> tuple[int, int]:
    """The user ids that a supervisor run by root lends to its jobs, the first and the last: those
    of SANDQ_UIDS, else UIDS. Raises ConfigError."""
    text = os.environ.get("SANDQ_UIDS")
    if not text:
        return UIDS

    found = re.fullmatch(r"\s*(\d{1,10})\s*-\s*(\d{1,10})\s*", text)
    first, last = (int(found[1]), int(found[2])) if found else (0, 0)
    if not LEAST_UID <= first <= last <= LAST_UID:
        raise ConfigError(
            f"SANDQ_UIDS must be two user ids from {LEAST_UID} to {LAST_UID}, the first and the "
            f"last, such as {UIDS[0]}-{UIDS[1]}: {text!r}"
        )

    return first, last


def own_environment() -> dict[str, str]:
    """All variables of this process: for a program that is the user's own, and no handler."""
    return dict(os.environ)


@dataclass(frozen=True, slots=True)
class Config:
    """A configuration file, checked. `handlers` maps queue -> job name -> handler.

    A handler given as `file` has the path as its one word; the child room makes it a command.
    """

    redis: str | None = None
    prefix: str | None = None
    supervision: Supervision = field(default_factory=Supervision)
    handlers: dict[str, dict[str, Handler]] = field(default_factory=dict)
    files: frozenset[tuple[str, str]] = frozenset()


def read_toml(path: str | Path, what: str = "the configuration") -> dict[str, Any]:
    """What a TOML file holds; raises ConfigError."""
    try:
        text = Path(path).read_bytes().decode()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {what} {path}: {error}") from error

    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not TOML: {error}") from error


def with_whole_paths(sandbox: Sandbox, folder: Path, key: str) -> Sandbox:
    """The sandbox, with the paths it shows made whole from `folder` on.

    Raises InvalidInput, which names the key, for one that does not exist.
    """
    whole: dict[str, Any] = {"read": [], "write": []}
    for name, entries in whole.items():
        for entry in getattr(sandbox, name):
            host, colon, inside = entry.partition(":")
            path = os.path.normpath(folder / host)
            if not os.path.exists(path):
                raise InvalidInput(f"{key}.{name}: {path!r} does not exist: {entry!r}")
            entries.append(f"{path}{colon}{inside}")
    try:
        return replace(sandbox, **whole) if any(whole.values()) else sandbox
    except InvalidInput as error:
        raise InvalidInput(f"{key}.{error}") from error


def load_config(path: str | Path) -> Config:
    """The configuration in a TOML file; raises ConfigError, which names the key."""
    table = read_toml(path)

    try:
        return _config(table, Path(path).absolute().parent)
    except (ConfigError, InvalidInput) as error:
        raise ConfigError(f"{path}: {error}") from error


# key in the file -> (field it fills, how it is read)
_SUPERVISION: dict[str, tuple[str, tables.Reader]] = {
    "pool": ("pool", tables.number),
    "pool_least": ("pool_least", tables.number),
    "lease": ("lease_ms", to_ms),
    "recover_every": ("recover_ms", to_ms),
    "max_stalls": ("max_stalls", tables.number),
    "drain_timeout": ("drain_ms", to_ms),
    "kill_grace": ("kill_grace_ms", to_ms),
    "broken_after": ("broken_ms", to_ms),
}
_LIMITS: dict[str, tuple[str, tables.Reader]] = {
    "line": ("line", to_bytes),
    "cpu": ("cpu", tables.seconds),
    "memory": ("memory", to_bytes),
    "file_size": ("file_size", to_bytes),
    "open_files": ("open_files", tables.number),
}
_HANDLER: dict[str, tuple[str, tables.Reader]] = {
    "command": ("command", tables.command),
    "file": ("command", lambda value, key: (tables.text(value, key),)),
    "cwd": ("cwd", tables.text),
    "timeout": ("timeout_ms", to_ms),
    "heartbeat_timeout": ("heartbeat_timeout_ms", to_ms),
    "fresh": ("fresh", tables.flag),
    "strict": ("strict", tables.flag),
    "channel": ("channel", tables.text),
    "calls": ("calls", tables.texts),
    "max_jobs": ("max_jobs", tables.number),
    "max_age": ("max_age_ms", to_ms),
    "max_rss": ("max_rss", to_bytes),
    "idle": ("idle_ms", to_ms),
}


@dataclass(frozen=True, slots=True)
class _Common:
    """What all handlers of a file have, unless they have their own; its folder."""

    folder: Path
    limits: dict[str, Any]
    sandbox: Sandbox


def _config(table: Mapping[str, Any], folder: Path) -> Config:
    known = {"redis", "prefix", "limits", "sandbox", "queues", *_SUPERVISION}
    tables.refuse_unknown(table, known, "")
    limits = tables.fill(tables.table(table.get("limits", {}), "limits"), _LIMITS, "limits.")
    common = _Common(folder, limits, _sandbox(table, "sandbox", folder) or Sandbox())

    handlers: dict[str, dict[str, Handler]] = {}
    files: set[tuple[str, str]] = set()
    for queue, value in tables.table(table.get("queues", {}), "queues").items():
        check_queue_name(queue)
        key = f"queues.{queue}"
        queue_table = tables.table(value, key)
        tables.refuse_unknown(queue_table, {"handlers", "ceilings"}, f"{key}.")
        ceilings = Ceilings.of(queue_table.get("ceilings", {}), f"{key}.ceilings")
        handlers[queue] = {}
        for name, entry in tables.table(queue_table.get("handlers", {}), f"{key}.handlers").items():
            handler_key = f"{key}.handlers.{name}"
            handlers[queue][name] = _handler(entry, handler_key, common)
            ceilings.check(handlers[queue][name], f"{handler_key}.sandbox")
            if "file" in entry:
                files.add((queue, name))
        if not handlers[queue]:
            raise ConfigError(f"{key} has no handlers; add [{key}.handlers.NAME]")

    return Config(
        redis=tables.text(table["redis"], "redis") if "redis" in table else None,
        prefix=check_prefix(tables.text(table["prefix"], "prefix")) if "prefix" in table else None,
        supervision=_supervision(table),
        handlers=handlers,
        files=frozenset(files),
    )


def _supervision(table: Mapping[str, Any]) -> Supervision:
    numbers = {key: value for key, value in table.items() if key in _SUPERVISION}
    try:
        return Supervision(**tables.fill(numbers, _SUPERVISION, ""))
    except InvalidInput as error:
        # in the words of the file
        message = str(error)
        for key, (name, _) in _SUPERVISION.items():
            message = message.replace(name, key)
        raise ConfigError(message) from error


def _handler(value: Any, key: str, common: _Common) -> Handler:
    entry = tables.table(value, key)
    if ("command" in entry) == ("file" in entry):
        raise ConfigError(f"{key} needs either command or file")

    apart = ("limits", "env", "sandbox")
    rest = {k: v for k, v in entry.items() if k not in apart}
    tables.refuse_unknown(entry, {*_HANDLER, *apart}, f"{key}.")
    env = tables.table(entry.get("env", {}), f"{key}.env")
    own = _sandbox(entry, f"{key}.sandbox", common.folder)
    limits = _limits(entry, key, common.limits, own)

    try:
        return Handler(
            **tables.fill(rest, _HANDLER, f"{key}."),
            env=tuple((name, tables.text(text, f"{key}.env.{name}")) for name, text in env.items()),
            limits=limits,
            sandbox=own or common.sandbox,
        )
    except InvalidInput as error:
        raise ConfigError(f"{key}: {error}") from error


def _limits(
    entry: Mapping[str, Any], key: str, common: Mapping[str, Any], sandbox: Sandbox | None
) -> Limits:
    given = tables.table(entry.get("limits", {}), f"{key}.limits")
    own = tables.fill(given, _LIMITS, f"{key}.limits.")
    output = None if sandbox is None else sandbox.output
    if output is not None:
        if own.get("line", output) != output:
            raise ConfigError(
                f"{key}.sandbox.output is {output} and {key}.limits.line is {own['line']}: both "
                "bound the same line; leave one out"
            )
        # the handler's own comes before that of all handlers
        own["line"] = output
    try:
        return Limits(**{**common, **own})
    except InvalidInput as error:
        raise ConfigError(f"{key}.limits: {error}") from error


def _sandbox(entry: Mapping[str, Any], key: str, folder: Path) -> Sandbox | None:
    """The sandbox that a table has under this name; paths are taken from the file's folder on."""
    if "sandbox" not in entry:
        return None

    return with_whole_paths(Sandbox.of(entry["sandbox"], key), folder, key)
