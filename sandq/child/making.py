"""A handler from a file or a command, and its settings as people write them."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sandq.child.command import command_for_file, find_program
from sandq.errors import InvalidInput
from sandq.model.checks import check_flag
from sandq.model.duration import Duration, to_ms
from sandq.model.handler import Handler
from sandq.model.limits import Limits, to_bytes
from sandq.model.sandbox import Sandbox
from sandq.settings import passed_on_environment, with_whole_paths


def handler_file(
    handler: str | Path | Sequence[str],
    *,
    timeout: Duration | None = None,
    heartbeat_timeout: Duration | None = None,
    cwd: str | Path | None = None,
    env: Mapping[str, str] | None = None,
    fresh: bool = False,
    strict: bool = False,
    channel: str = "stdout",
    calls: Iterable[str] = (),
    max_jobs: int | None = None,
    max_age: Duration | None = None,
    max_rss: int | str | None = None,
    idle: Duration = 60,
    limits: Limits | None = None,
    sandbox: Sandbox | str | Mapping[str, Any] | None = None,
) -> Handler:
    """A handler that is a program: a file, or a command as a list of words.

    Files ending in .py .js .mjs .sh and the like are given to their interpreter, others must be
    executable. The settings are those of `Queue.set_handler_file`. Raises HandlerInvalid when
    nothing can be run, InvalidInput for a setting that cannot be.
    """
    if isinstance(handler, str | Path):
        command = command_for_file(str(handler))
    elif isinstance(handler, Sequence) and not isinstance(handler, bytes):
        command = tuple(handler)
    else:
        raise InvalidInput(f"handler must be a file, or a command's list of words: {handler!r}")
    if limits is not None and not isinstance(limits, Limits):
        raise InvalidInput(f"limits must be Limits: {limits!r}")
    # of these the handler itself says what is wrong with them
    unchecked: dict[str, Any] = {
        "channel": channel,
        "calls": calls if isinstance(calls, str) else tuple(calls),
    }
    checked = Handler(
        command=command,
        cwd=None if cwd is None else str(cwd),
        env=_variables(env),
        timeout_ms=_ms(timeout, "timeout"),
        heartbeat_timeout_ms=_ms(heartbeat_timeout, "heartbeat_timeout"),
        fresh=check_flag("fresh", fresh),
        strict=check_flag("strict", strict),
        **unchecked,
        max_jobs=max_jobs,
        max_age_ms=_ms(max_age, "max_age"),
        max_rss=None if max_rss is None else to_bytes(max_rss, "max_rss"),
        idle_ms=to_ms(idle, "idle"),
        limits=limits or Limits(),
        sandbox=_sandbox(sandbox),
    )
    find_program(checked, dict(checked.env).get("PATH", passed_on_environment().get("PATH")))

    return checked


def _ms(duration: Duration | None, name: str) -> int | None:
    return None if duration is None else to_ms(duration, name)


def _sandbox(given: Sandbox | str | Mapping[str, Any] | None) -> Sandbox:
    sandbox = Sandbox() if given is None else Sandbox.of(given)

    return with_whole_paths(sandbox, Path.cwd(), "sandbox")


def _variables(env: Mapping[str, str] | None) -> tuple[tuple[str, str], ...]:
    if env is not None and not isinstance(env, Mapping):
        raise InvalidInput(f"env must be a mapping of text to text: {env!r}")
    for variable in (env or {}).items():
        if not all(isinstance(text, str) for text in variable):
            raise InvalidInput(f"env must map text to text, not {variable!r}")

    return tuple(sorted((env or {}).items()))
