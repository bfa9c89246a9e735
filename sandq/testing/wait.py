"""Waiting for events of a queue, with a deadline and an error that tells what did happen."""

from collections.abc import Coroutine, Iterable
from typing import Any, overload

from sandq import queue as asynchronous
from sandq import sync
from sandq.clock import monotonic_s
from sandq.errors import InvalidInput, WaitTimeout
from sandq.face.reading import READ_S
from sandq.model.duration import Duration, to_ms
from sandq.model.events import Event, EventKind, check_from_id
from sandq.model.names import nearest

#: Most events that an error lists, and the longest text of one of their fields.
_LISTED, _LONGEST = 50, 80


@overload
def wait_for_event(
    queue: asynchronous.Queue,
    kind: str,
    job_id: str | None = None,
    *,
    timeout: Duration = 10,
    from_id: str = "0",
) -> Coroutine[Any, Any, Event]: ...


@overload
def wait_for_event(
    queue: sync.Queue,
    kind: str,
    job_id: str | None = None,
    *,
    timeout: Duration = 10,
    from_id: str = "0",
) -> Event: ...


def wait_for_event(
    queue: asynchronous.Queue | sync.Queue,
    kind: str,
    job_id: str | None = None,
    *,
    timeout: Duration = 10,
    from_id: str = "0",
) -> Coroutine[Any, Any, Event] | Event:
    """The first event of this kind, which may have happened already or is waited for.

    - `kind`: a word of `EventKind`, such as "completed". `job_id`: of this job only.
    - `timeout`: how long to wait.
    - `from_id`: only events after the one of this id: `from_id=event.id` waits for the next.

    Raises WaitTimeout, which lists what did happen, and InvalidInput.
    """
    known = [word.value for word in EventKind]
    if kind not in known:
        raise InvalidInput(f"there are no events of the kind {kind!r}; {nearest(kind, known)}")
    timeout_s = to_ms(timeout, "timeout") / 1000
    search = _Search(kind, job_id, check_from_id(from_id), timeout_s)

    return _wait_sync(queue, search) if isinstance(queue, sync.Queue) else _wait(queue, search)


class _Search:
    """What is waited for, and what was seen instead."""

    def __init__(self, kind: str, job_id: str | None, after: str, timeout_s: float) -> None:
        self._kind, self._job_id, self._timeout_s = kind, job_id, timeout_s
        self._until_s = monotonic_s() + timeout_s
        self._seen: list[Event] = []
        #: The id of the last event that was looked at.
        self.after = after

    @property
    def read_s(self) -> float:
        """How long to wait for the next event; the first look is made though no time is left."""
        return min(max(0.001, self._until_s - monotonic_s()), READ_S)

    def find(self, events: Iterable[Event]) -> Event | None:
        """The event, if it is among these. Raises WaitTimeout when there is no time left."""
        for event in events:
            self.after = event.id
            if event.kind == self._kind and self._job_id in (None, event.job_id):
                return event
            self._seen.append(event)
        if monotonic_s() < self._until_s:
            return None

        whose = "" if self._job_id is None else f" of job {self._job_id!r}"
        told = "\n  ".join(map(_line, self._seen[-_LISTED:])) or "nothing"
        raise WaitTimeout(
            f"no event {self._kind!r}{whose} within {self._timeout_s:g} s; this has happened:\n"
            f"  {told}"
        )


async def _wait(queue: asynchronous.Queue, search: _Search) -> Event:
    while True:
        events = await queue._following.events_after(search.after, search.read_s)
        if (found := search.find(events)) is not None:
            return found


def _wait_sync(queue: sync.Queue, search: _Search) -> Event:
    while True:
        events = queue._store.events_after(search.after, search.read_s)
        if (found := search.find(events)) is not None:
            return found


def _line(event: Event) -> str:
    """An event in words."""
    fields = (f"{name}={_short(text)}" for name, text in event.fields.items())

    return " ".join((event.kind, event.job_id, *fields)).rstrip()


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
