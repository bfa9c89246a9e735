"""What the parts of the async Queue share."""

from typing import TypeVar

from sandq.model.backoff_function import BackoffFunction
from sandq.steps.adding import Producer
from sandq.steps.runner import Steps, run_steps
from sandq.store.endings import Endings
from sandq.store.following import Following
from sandq.store.store import Store

T = TypeVar("T")


class Face:
    """A queue's store, and how a verb's steps are carried out on it."""

    #: The queue's name.
    name: str
    _store: Store
    _producer: Producer
    _backoffs: dict[str, BackoffFunction]
    _endings: Endings
    _following: Following
    #: How this client is called when it claims jobs by hand.
    _worker: str

    async def _do(self, steps: Steps[T]) -> T:
        return await run_steps(self._store, steps)
