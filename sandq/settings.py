"""The door to configuration: the only reader of environment variables and of TOML.

The TOML form is described in spec/cli.md; every error names the file and the key.
"""

import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sandq.errors import ConfigError, InvalidInput
from sandq.model.duration import to_ms
from sandq.model.handler import Handler
from sandq.model.limits import Limits, to_bytes
from sandq.model.names import check_prefix, check_queue_name, nearest
from sandq.model.supervision import Supervision

#: Variables of the supervisor's environment that every child gets, if they are set.
PASSED_ON = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR")


def redis_url() -> str | None:
    """The server named by the environment: SANDQ_REDIS_URL, then REDIS_URL."""
    return os.environ.get("SANDQ_REDIS_URL") or os.environ.get("REDIS_URL") or None


def folder() -> str:
    """The embedded server's folder: SANDQ_DIR, else `.sandq` in the current folder."""
    return os.environ.get("SANDQ_DIR") or ".sandq"


def passed_on_environment() -> dict[str, str]:
    """The part of this process's environment that a child gets."""
    return {name: os.environ[name] for name in PASSED_ON if name in os.environ}


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


def load_config(path: str | Path) -> Config:
    """The configuration in a TOML file; raises ConfigError, which names the key."""
    table = read_toml(path)

    try:
        return _config(table)
    except (ConfigError, InvalidInput) as error:
        raise ConfigError(f"{path}: {error}") from error


_Reader = Callable[[Any, str], Any]


def _text(value: Any, key: str) -> str:
    if not isinstance(value, str) or value == "":
        raise ConfigError(f"{key} must be a text: {value!r}")

    return value


def _flag(value: Any, key: str) -> bool:
    if not isinstance(value, bool):
        raise ConfigError(f"{key} must be true or false: {value!r}")

    return value


def _number(value: Any, key: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ConfigError(f"{key} must be a whole number: {value!r}")

    return value


def _table(value: Any, key: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ConfigError(f"{key} must be a table: {value!r}")

    return value


def _command(value: Any, key: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not value or not all(isinstance(v, str) for v in value):
        raise ConfigError(f'{key} must be a list of words, such as ["node", "probe.mjs"]')

    return tuple(value)


def _texts(value: Any, key: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
        raise ConfigError(f"{key} must be a list of texts: {value!r}")

    return tuple(value)


def _seconds(value: Any, key: str) -> int:
    return -(-to_ms(value, key) // 1000)


# key in the file -> (field it fills, how it is read)
_SUPERVISION: dict[str, tuple[str, _Reader]] = {
    "pool": ("pool", _number),
    "pool_least": ("pool_least", _number),
    "lease": ("lease_ms", to_ms),
    "recover_every": ("recover_ms", to_ms),
    "max_stalls": ("max_stalls", _number),
    "drain_timeout": ("drain_ms", to_ms),
    "kill_grace": ("kill_grace_ms", to_ms),
    "broken_after": ("broken_ms", to_ms),
}
_LIMITS: dict[str, tuple[str, _Reader]] = {
    "line": ("line", to_bytes),
    "cpu": ("cpu", _seconds),
    "memory": ("memory", to_bytes),
    "file_size": ("file_size", to_bytes),
    "open_files": ("open_files", _number),
}
_HANDLER: dict[str, tuple[str, _Reader]] = {
    "command": ("command", _command),
    "file": ("command", lambda value, key: (_text(value, key),)),
    "cwd": ("cwd", _text),
    "timeout": ("timeout_ms", to_ms),
    "heartbeat_timeout": ("heartbeat_timeout_ms", to_ms),
    "fresh": ("fresh", _flag),
    "strict": ("strict", _flag),
    "channel": ("channel", _text),
    "calls": ("calls", _texts),
    "max_jobs": ("max_jobs", _number),
    "max_age": ("max_age_ms", to_ms),
    "max_rss": ("max_rss", to_bytes),
    "idle": ("idle_ms", to_ms),
}


def _config(table: Mapping[str, Any]) -> Config:
    known = {"redis", "prefix", "limits", "queues", *_SUPERVISION}
    _refuse_unknown(table, known, "")
    common = _fill(_table(table.get("limits", {}), "limits"), _LIMITS, "limits.")

    handlers: dict[str, dict[str, Handler]] = {}
    files: set[tuple[str, str]] = set()
    for queue, queue_table in _table(table.get("queues", {}), "queues").items():
        check_queue_name(queue)
        key = f"queues.{queue}"
        _refuse_unknown(_table(queue_table, key), {"handlers"}, f"{key}.")
        handlers[queue] = {}
        for name, entry in _table(queue_table.get("handlers", {}), f"{key}.handlers").items():
            handlers[queue][name] = _handler(entry, f"{key}.handlers.{name}", common)
            if "file" in entry:
                files.add((queue, name))
        if not handlers[queue]:
            raise ConfigError(f"{key} has no handlers; add [{key}.handlers.NAME]")

    numbers = {key: value for key, value in table.items() if key in _SUPERVISION}
    try:
        supervision = Supervision(**_fill(numbers, _SUPERVISION, ""))
    except InvalidInput as error:
        # in the words of the file
        message = str(error)
        for key, (name, _) in _SUPERVISION.items():
            message = message.replace(name, key)
        raise ConfigError(message) from error

    return Config(
        redis=_text(table["redis"], "redis") if "redis" in table else None,
        prefix=check_prefix(_text(table["prefix"], "prefix")) if "prefix" in table else None,
        supervision=supervision,
        handlers=handlers,
        files=frozenset(files),
    )


def _handler(value: Any, key: str, common_limits: dict[str, Any]) -> Handler:
    entry = _table(value, key)
    if ("command" in entry) == ("file" in entry):
        raise ConfigError(f"{key} needs either command or file")

    rest = {k: v for k, v in entry.items() if k not in ("limits", "env")}
    known = {*_HANDLER, "limits", "env"}
    _refuse_unknown(entry, known, f"{key}.")
    own = _fill(_table(entry.get("limits", {}), f"{key}.limits"), _LIMITS, f"{key}.limits.")
    env = _table(entry.get("env", {}), f"{key}.env")

    try:
        limits = Limits(**{**common_limits, **own})
    except InvalidInput as error:
        raise ConfigError(f"{key}.limits: {error}") from error
    try:
        return Handler(
            **_fill(rest, _HANDLER, f"{key}."),
            env=tuple((name, _text(text, f"{key}.env.{name}")) for name, text in env.items()),
            limits=limits,
        )
    except InvalidInput as error:
        raise ConfigError(f"{key}: {error}") from error


def _fill(
    table: Mapping[str, Any], readers: Mapping[str, tuple[str, _Reader]], prefix: str
) -> dict[str, Any]:
    _refuse_unknown(table, readers, prefix)
    return {readers[key][0]: readers[key][1](value, prefix + key) for key, value in table.items()}


def _refuse_unknown(table: Mapping[str, Any], known: Any, prefix: str) -> None:
    for key in table:
        if key not in known:
            raise ConfigError(f"key {prefix + key!r} is not known; {nearest(key, known)}")
