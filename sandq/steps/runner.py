"""Steps: a verb as a generator of calls. The two runners differ in awaits only.

A verb yields what is to be sent and is sent the reply, or thrown the error; what it returns is
the verb's answer. So a verb of several calls is written once, and tested without a server.
"""

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, TypeVar

from sandq.errors import SandqError
from sandq.store.calls import Call
from sandq.store.store import Store, SyncStore

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Learn:
    """Ask for the queue's settings: the answer is their version and their text.

    `anew` False takes what is known already, if it is.
    """

    anew: bool = False


Steps = Generator[Call[Any] | Learn, Any, T]


async def run_steps(store: Store, steps: Steps[T]) -> T:
    """Carry the steps out, for asyncio code."""
    error: SandqError | None = None
    reply: Any = None
    while True:
        try:
            step = steps.send(reply) if error is None else steps.throw(error)
        except StopIteration as end:
            answer: T = end.value
            return answer
        reply, error = None, None
        try:
            if isinstance(step, Learn):
                reply = await store.learn(step.anew)
            else:
                reply = await store.run(step)
        except SandqError as failed:
            error = failed


def run_steps_sync(store: SyncStore, steps: Steps[T]) -> T:
    """The same for synchronous code."""
    error: SandqError | None = None
    reply: Any = None
    while True:
        try:
            step = steps.send(reply) if error is None else steps.throw(error)
        except StopIteration as end:
            answer: T = end.value
            return answer
        reply, error = None, None
        try:
            reply = store.learn(step.anew) if isinstance(step, Learn) else store.run(step)
        except SandqError as failed:
            error = failed
