"""Asserting that a program has added the jobs that it should have added."""

from collections.abc import Coroutine, Mapping, Sequence
from typing import Any, TypeVar, overload

from sandq import queue as asynchronous
from sandq import sync
from sandq.errors import InvalidInput
from sandq.face import job, sync_job
from sandq.model.names import nearest
from sandq.model.states import JobState
from sandq.model.view import SHOWN, JobView

J = TypeVar("J", bound=JobView)

#: States of jobs that have been added and not been started.
_STATES = (JobState.WAITING, JobState.DELAYED)

#: Most jobs that an error lists.
_LISTED = 50


@overload
def assert_enqueued(
    queue: asynchronous.Queue, name: str | None = None, *, times: int | None = None, **having: Any
) -> Coroutine[Any, Any, list[job.Job]]: ...


@overload
def assert_enqueued(
    queue: sync.Queue, name: str | None = None, *, times: int | None = None, **having: Any
) -> list[sync_job.Job]: ...


def assert_enqueued(
    queue: asynchronous.Queue | sync.Queue,
    name: str | None = None,
    *,
    times: int | None = None,
    **having: Any,
) -> Coroutine[Any, Any, list[job.Job]] | list[sync_job.Job]:
    """Assert that such jobs wait or are delayed, and return them in the order in which they would
    run, those that are delayed last.

    - `name`: of the jobs; None: any.
    - `times`: exactly so many; None: at least one; 0: none.
    - `having`: what else is true of them: `data={"to": "ann"}`, `priority=1`, `group="ann"` and
      so on, the names being those of a Job.

    Raises AssertionError, which lists the jobs that there are, and InvalidInput.
    """
    wanted = having if name is None else {"name": name, **having}
    for word in wanted:
        if word not in SHOWN:
            raise InvalidInput(f"a job has no {word!r}; {nearest(word, SHOWN)}")
    if isinstance(queue, sync.Queue):
        return _matching(queue.get_jobs(_STATES, asc=True), wanted, times)

    return _assert(queue, wanted, times)


async def _assert(
    queue: asynchronous.Queue, wanted: Mapping[str, Any], times: int | None
) -> list[job.Job]:
    return _matching(await queue.get_jobs(_STATES, asc=True), wanted, times)


def _matching(jobs: Sequence[J], wanted: Mapping[str, Any], times: int | None) -> list[J]:
    found = [one for one in jobs if all(getattr(one, word) == wanted[word] for word in wanted)]
    if len(found) == times or (times is None and found):
        return found

    number = {None: "at least one job", 1: "1 job"}.get(times, f"{times} jobs")
    what = ", ".join(f"{word} {value!r}" for word, value in wanted.items()) or "any name"
    listed = "\n  ".join(_line(one, wanted) for one in jobs[:_LISTED]) or "none"
    raise AssertionError(
        f"expected {number} with {what}, found {len(found)}; these are enqueued:\n  {listed}"
    )


def _line(one: JobView, wanted: Mapping[str, Any]) -> str:
    """A job in words, with what was asked for."""
    more = "".join(
        f", {word} {getattr(one, word)!r}" for word in wanted if word not in ("name", "data", "id")
    )

    return f"{one.id} {one.name} ({one.state.value}): {one.data!r}{more}"
