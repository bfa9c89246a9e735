"""Which ended jobs are kept, and what of their history.

What a caller may ask, by `remove_on_complete` and `remove_on_fail` (seed 0; `age` is Bull's):

| given            | kept                                         | stored member            |
|------------------|----------------------------------------------|--------------------------|
| False            | all                                          | none                     |
| True             | none: removed at once                        | `{"count":0}`            |
| n                | the newest n                                 | `{"count":n}`            |
| Keep(count, age) | those that are of the newest n and not older | `{"count":n,"age_ms":t}` |

Jobs are removed when another job of the queue ends in the same way.
"""

from dataclasses import dataclass
from typing import Any

from sandq.errors import InvalidInput
from sandq.model.checks import check_integer
from sandq.model.duration import MAX_MS, Duration, to_ms

#: More kept jobs than this are taken for a mistake.
MAX_KEPT = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Keep:
    """How many ended jobs are kept, and for how long; both must hold where both are given.

    - `count`: the newest so many; 0: none.
    - `age`: those that ended no longer ago (seconds, timedelta or text); kept as seconds.

    Raises InvalidInput for a value out of range, and when neither is given.
    """

    count: int | None = None
    age: Duration | None = None

    def __post_init__(self) -> None:
        if self.count is None and self.age is None:
            raise InvalidInput("Keep needs a count, an age or both; False keeps all")
        if self.count is not None:
            check_integer("Keep count", self.count, 0, MAX_KEPT)
        if self.age is not None:
            age_ms = to_ms(self.age, "Keep age")
            if age_ms == 0:
                raise InvalidInput("Keep age must be more than zero; True removes at once")
            object.__setattr__(self, "age", age_ms / 1000)

    @property
    def age_ms(self) -> int | None:
        """The age in whole milliseconds."""
        return None if self.age is None else to_ms(self.age, "Keep age")

    def to_member(self) -> dict[str, int]:
        """The member of a job's stored options: what is given, as numbers."""
        member = {"count": self.count, "age_ms": self.age_ms}

        return {name: number for name, number in member.items() if number is not None}

    @classmethod
    def from_member(cls, what: str, member: Any) -> "Keep":
        """The reverse of `to_member`; raises InvalidInput, which names the member `what`."""
        if not isinstance(member, dict):
            raise InvalidInput(f"{what} must have the members count or age_ms: {member!r}")

        count, age_ms = member.get("count"), member.get("age_ms")
        if count is None and age_ms is None:
            raise InvalidInput(f"{what} must have the members count or age_ms: {member!r}")
        if count is not None:
            check_integer(f"{what} count", count, 0, MAX_KEPT)
        if age_ms is not None:
            check_integer(f"{what} age_ms", age_ms, 1, MAX_MS)

        return cls(count, None if age_ms is None else age_ms / 1000)


#: What `remove_on_complete` and `remove_on_fail` may be.
Removal = bool | int | Keep


def keep_from(what: str, given: Any) -> Keep | None:
    """What `remove_on_complete` or `remove_on_fail` asks for; None: keep all."""
    if given is False:
        return None
    if given is True:
        return Keep(count=0)
    if isinstance(given, Keep):
        return given
    if not isinstance(given, int):
        raise InvalidInput(f"{what} must be True, False, a number of jobs or a Keep: {given!r}")

    return Keep(count=check_integer(what, given, 0, MAX_KEPT))


def retain_text(keep: Keep | None, ttl_ms: int | None = None, history: int | None = None) -> str:
    """The instruction to the script that settles a job: `count,age_ms,ttl_ms,history`.

    A field that is not given is empty, and so is the whole text if none is.

    - `ttl_ms`: this very job is removed so long after it completed.
    - `history`: how many failure records of earlier attempts are kept with the job.
    """
    fields = (
        None if keep is None else keep.count,
        None if keep is None else keep.age_ms,
        ttl_ms,
        history,
    )
    if fields == (None, None, None, None):
        return ""

    return ",".join("" if number is None else str(number) for number in fields)
