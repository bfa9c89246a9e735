"""The most that the handlers of a queue may have: whoever runs the queue says it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sandq.errors import InvalidInput
from sandq.model.handler import Handler, HandlerFunction
from sandq.model.sandbox import Profile, Sandbox
from sandq.model.sandbox_entries import made_of

#: The numbers that a queue may bound.
CEILINGS = ("wall", "cpu", "memory", "pids", "disk", "output")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ceilings:
    """The most that any handler of a queue may have, and so any job of it.

    - `profile`: the least strict profile: handlers that are trusted further are refused.
    - The numbers are those of `Sandbox`; a handler that has more, or none, is refused. Of `output`
      the handler's limit `line` counts if its sandbox names none.

    A job's own timeout is cut to its handler's `wall`. Raises InvalidInput, which names the key.
    """

    profile: Profile = Profile.NONE
    wall: float | None = None
    cpu: int | None = None
    memory: int | None = None
    pids: int | None = None
    disk: int | None = None
    output: int | None = None

    def __post_init__(self) -> None:
        # read and checked as those of a sandbox are
        numbers = {
            name: getattr(self, name) for name in CEILINGS if getattr(self, name) is not None
        }
        checked = Sandbox(profile=Profile.UNTRUSTED, **numbers)
        for name in numbers:
            object.__setattr__(self, name, getattr(checked, name))
        object.__setattr__(self, "profile", Sandbox(profile=self.profile).profile)

    @classmethod
    def of(cls, value: "Ceilings | Mapping[str, Any]", key: str = "ceilings") -> "Ceilings":
        """From a table; raises InvalidInput, naming `key`."""
        if isinstance(value, cls):
            return value
        if not isinstance(value, Mapping):
            raise InvalidInput(f"{key} must be a table: {value!r}")

        return made_of(cls, value, key)

    def check(self, handler: Handler | HandlerFunction, key: str) -> None:
        """Refuse a handler that passes them; raises InvalidInput, naming its sandbox as `key`."""
        if self == Ceilings():
            return
        if isinstance(handler, HandlerFunction):
            raise InvalidInput(
                f"{key}: a function of this process has no limits at all; the queue has ceilings"
            )

        sandbox, order = handler.sandbox, list(Profile)
        if order.index(sandbox.profile) < order.index(self.profile):
            raise InvalidInput(
                f"{key}.profile is {sandbox.profile.value!r}; the queue asks for "
                f"{self.profile.value!r} at least"
            )
        for name in CEILINGS:
            most = getattr(self, name)
            value = handler.limits.line if name == "output" else getattr(sandbox, name)
            if most is not None and (value is None or value > most):
                has = "has no limit" if value is None else f"is {value}"
                raise InvalidInput(f"{key}.{name} {has}; the queue allows at most {most}")
