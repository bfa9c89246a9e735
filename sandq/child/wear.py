"""When a child is to be replaced, and how many children a pool should have: pure rules, as tables.

| what is so of an idle child             | it is | and so                                        |
|-----------------------------------------|-------|-----------------------------------------------|
| it has served `max_jobs`                | spent | it is let go                                  |
| it has served one less                  | last  | it has its last job when a successor is ready |
| it has lived for `max_age_ms`           | old   | it is let go when a successor is ready        |
| it is larger than `max_rss`             | old   | the same                                      |
| none of these                           | fit   | it is lent                                    |
"""

from enum import Enum

from sandq.model.handler import Handler

#: Children are added when jobs have waited for so long while all were busy, in milliseconds.
GROW_AFTER_MS = 100


class Wear(Enum):
    """How fit an idle child is for another job."""

    FIT = "fit"
    LAST = "last"
    OLD = "old"
    SPENT = "spent"


def recycles(handler: Handler) -> bool:
    """Whether a handler has any of the rules."""
    rules = (handler.max_jobs, handler.max_age_ms, handler.max_rss)

    return not handler.fresh and any(rule is not None for rule in rules)


def wear_of(handler: Handler, served: int, age_ms: float, rss: int) -> tuple[Wear, str]:
    """How fit it is, and which rule says so: jobs, age or rss; "" for a fit one.

    `rss` is the size of its process in bytes.
    """
    if handler.max_jobs is not None and served >= handler.max_jobs - 1:
        return (Wear.SPENT if served >= handler.max_jobs else Wear.LAST), "jobs"
    if handler.max_age_ms is not None and age_ms >= handler.max_age_ms:
        return Wear.OLD, "age"
    if handler.max_rss is not None and rss > handler.max_rss:
        return Wear.OLD, "rss"

    return Wear.FIT, ""


def growth(*, now: int, starting: int, most: int, waiting: int, waited_ms: float) -> int:
    """How many children are to be added to the `now` there are, `most` being allowed.

    | jobs have waited | children are starting | added                                          |
    |------------------|-----------------------|------------------------------------------------|
    | under 100 ms     |                       | none                                           |
    | longer           | yes                   | none: these come first                         |
    | longer           | no                    | one for each job, at most twice as many as now |
    """
    if waited_ms < GROW_AFTER_MS or starting > 0:
        return 0

    return max(0, min(waiting, max(now, 1), most - now))
