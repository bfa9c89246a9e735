"""What the parts of the synchronous Queue share."""

from typing import TypeVar

from sandq.model.backoff_function import BackoffFunction
from sandq.steps.adding import Producer
from sandq.steps.runner import Steps, run_steps_sync
from sandq.store.store import SyncStore

T = TypeVar("T")
C = TypeVar("C", bound=type)


class SyncFace:
    """A queue's store, and how a verb's steps are carried out on it."""

    #: The queue's name.
    name: str
    _store: SyncStore
    _producer: Producer
    _backoffs: dict[str, BackoffFunction]
    #: How this client is called when it claims jobs by hand.
    _worker: str

    def _do(self, steps: Steps[T]) -> T:
        return run_steps_sync(self._store, steps)


def twin_of(other: type):  # type: ignore[no-untyped-def]
    """Give a class the words of its async twin: they would be the same, method by method."""

    def fill(cls: C) -> C:
        for name, member in vars(cls).items():
            function = getattr(member, "__func__", member)
            if callable(function) and not name.startswith("_") and not function.__doc__:
                function.__doc__ = getattr(other, name).__doc__
        return cls

    return fill
