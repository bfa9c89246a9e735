"""What becomes of a series of repeated jobs when an occurrence is due.

A series always has one outstanding occurrence, a delayed job that may start at its time by
itself. Then, or later if no supervisor was there, `plan_firing` says what a script is to do in
one go, so that a crash never ends a series (with Bull it may).

An occurrence is late when the one after it has come as well. If so, those up to now were missed:

| missed | what is made of them                                             | source     |
|--------|------------------------------------------------------------------|------------|
| skip   | nothing: the outstanding one is dropped, unless it has started   | seeds 0, 3 |
| once   | the outstanding one stands for them all                          | seed 3     |
| all    | a job each, for the newest `catch_up` of them                    | seed 3     |

The time this takes does not grow with the outage.
"""

from dataclasses import dataclass

from sandq.model.repeat import MAX_LIMIT

# who plans a series finds here what describes it
from sandq.model.repeat import Missed as Missed
from sandq.model.repeat import Repeat as Repeat


@dataclass(frozen=True, slots=True)
class Firing:
    """What becomes of a series when its outstanding occurrence is due."""

    #: Remove the outstanding occurrence, unless it has started: then it still counts as made.
    drop: bool
    #: Missed occurrences to make now beside it, oldest first.
    catch_up: tuple[int, ...]
    #: The next outstanding occurrence; None: the series has ended.
    next_ms: int | None


def plan_firing(repeat: Repeat, due_ms: int, now_ms: int, made: int, anchor_ms: int) -> Firing:
    """What to do at `now_ms` with the series whose outstanding occurrence was due at `due_ms`.

    `made` counts the occurrences made so far, the outstanding one included, and `anchor_ms` is
    `Repeat.anchor` of when the series was added. A dropped occurrence no longer counts.
    """
    # how many more may be made; without a limit, more than anybody makes at once
    room = MAX_LIMIT if repeat.limit is None else repeat.limit - made

    following = repeat.next_after(due_ms, anchor_ms)
    if following is None or following > now_ms:
        return Firing(False, (), following if room > 0 else None)

    upcoming = repeat.next_after(now_ms, anchor_ms)
    match repeat.missed:
        case Missed.SKIP:
            return Firing(True, (), upcoming if room + 1 > 0 else None)
        case Missed.ONCE:
            return Firing(False, (), upcoming if room > 0 else None)
        case Missed.ALL:
            most = max(0, min(repeat.catch_up, room + 1))
            caught_up = repeat.newest(most, due_ms, now_ms, anchor_ms)
            # the outstanding one is the oldest of the missed, and the first to be left out
            drop = len(caught_up) == most
            room += drop - len(caught_up)
            return Firing(drop, caught_up, upcoming if room > 0 else None)
