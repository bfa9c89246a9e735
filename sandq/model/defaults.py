"""Options that a queue's jobs have unless they say otherwise.

Three sources, and for each option the last one that names it wins (seeds 0 and 2):
the settings stored with the queue, the defaults given to this client, the job itself.
"""

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, cast

from sandq.errors import InvalidInput
from sandq.model.backoff import Backoff
from sandq.model.checks import check_integer
from sandq.model.duration import MAX_MS, Duration, to_ms
from sandq.model.keep import Keep
from sandq.model.options import DEFAULT_OPTIONS, JobOptions, OptionArgs, options_from

#: Options of one job alone: as a default each would make one job of all of them.
NO_DEFAULTS = frozenset({"job_id", "dedup", "dedup_ttl", "repeat", "run_at", "expires_at"})

#: Options that say when a job runs: one of them, given by the job, replaces a default delay.
_INSTEAD_OF_DELAY = ("run_at", "repeat")

_DURATIONS = frozenset({"delay", "timeout", "heartbeat_timeout", "result_ttl"})


def merge_options(
    stored_defaults: Mapping[str, Any],
    client_defaults: Mapping[str, Any],
    job: Mapping[str, Any] | JobOptions,
) -> JobOptions:
    """The options of a job: for each one the job's, else the client's, else the stored one.

    Of a JobOptions only the fields count that differ from the defaults of JobOptions: it always
    has them all, and would hide every default of the queue (bullrs' mistake).
    Raises InvalidInput (UnknownOption) for what `JobOptions` refuses, and for a default that
    cannot be one.
    """
    if not stored_defaults and not client_defaults:
        return job if isinstance(job, JobOptions) else options_from(_arguments(job))

    own = _differing(job) if isinstance(job, JobOptions) else job
    merged = {**stored_defaults, **client_defaults}
    _refuse(merged)
    if any(own.get(name) is not None for name in _INSTEAD_OF_DELAY):
        merged.pop("delay", None)

    return options_from(_arguments({**merged, **own}))


def check_defaults(defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Defaults as they are compared and kept: durations in seconds, a Backoff, a Keep or False.

    They come in the order of JobOptions, so that equal defaults are stored as equal texts. Only
    what is given is in it, even if it is what `JobOptions` has anyway: it may have to win
    over another default. Raises InvalidInput.
    """
    if not isinstance(defaults, Mapping):
        raise InvalidInput(f"defaults must be a mapping of options: {defaults!r}")
    _refuse(defaults)
    options = options_from(_arguments(defaults))

    return {
        option.name: _plain(option.name, getattr(options, option.name))
        for option in fields(JobOptions)
        if option.name in defaults
    }


def defaults_to_members(defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Defaults as JSON values: members named as in a job's stored options."""
    members: dict[str, Any] = {}
    for name, value in check_defaults(defaults).items():
        if name in _DURATIONS:
            members[f"{name}_ms"] = None if value is None else to_ms(value, name)
        elif isinstance(value, Backoff | Keep):
            members[name] = value.to_member()
        else:
            members[name] = value

    return members


def defaults_from_members(members: Mapping[str, Any]) -> dict[str, Any]:
    """The reverse of `defaults_to_members`.

    Members that are not known are ignored: a newer version may have written them. Raises
    InvalidInput for a known one that cannot be read.
    """
    defaults = {}
    for option in fields(JobOptions):
        name = option.name
        member = f"{name}_ms" if name in _DURATIONS else name
        if member in members and name not in NO_DEFAULTS:
            value = members[member]
            defaults[name] = None if value is None else _READERS.get(name, _as_it_is)(member, value)

    return check_defaults(defaults)


def _refuse(defaults: Mapping[str, Any]) -> None:
    for name in defaults:
        if name in NO_DEFAULTS:
            raise InvalidInput(
                f"option {name!r} cannot be a default: it is about one job; give it to that job"
            )


def _differing(options: JobOptions) -> dict[str, Any]:
    return {
        option.name: value
        for option in fields(JobOptions)
        if (value := getattr(options, option.name)) != getattr(DEFAULT_OPTIONS, option.name)
    }


def _arguments(options: Mapping[str, Any]) -> OptionArgs:
    return cast("OptionArgs", dict(options))


def _plain(name: str, value: Any) -> Any:
    if value is None:
        return None
    if name in _DURATIONS:
        return to_ms(cast("Duration", value), name) / 1000

    return int(value) if name == "priority" else value


def _seconds(name: str, value: Any) -> float:
    return check_integer(name, value, 0, MAX_MS) / 1000


def _keep(name: str, value: Any) -> Keep | bool:
    return False if value is False else Keep.from_member(name, value)


def _backoff(_: str, value: Any) -> Backoff:
    return Backoff.from_member(value)


def _as_it_is(_: str, value: Any) -> Any:
    # what it is, JobOptions checks
    return value


_READERS: dict[str, Callable[[str, Any], Any]] = {
    **dict.fromkeys(_DURATIONS, _seconds),
    "backoff": _backoff,
    "remove_on_complete": _keep,
    "remove_on_fail": _keep,
}
