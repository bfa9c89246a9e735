"""The life of a job, as a table.

Rules:
1. A job is in exactly one state, and in the one sorted set that bears the state's name; a waiting
   job whose group has no room is in `parked` instead of `waiting`.
2. Every change of state is a row of `LEGAL`; a pair that is missing is refused, in Python and
   in Lua alike (`sandq/lua/include/states.lua` is generated from this table, and a test
   compares them).
3. `paused` is a word for "waiting in a paused queue", not a state.
"""

from enum import StrEnum


class JobState(StrEnum):
    """Where a job is. Source: seeds 0 to 4 under one set of names (spec/states.md)."""

    WAITING = "waiting"
    DELAYED = "delayed"
    ACTIVE = "active"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


#: State -> the states it may change to.
LEGAL: dict[JobState, frozenset[JobState]] = {
    JobState.WAITING: frozenset(
        {JobState.ACTIVE, JobState.DELAYED, JobState.FAILED, JobState.CANCELLED}
    ),
    JobState.DELAYED: frozenset({JobState.WAITING, JobState.FAILED, JobState.CANCELLED}),
    JobState.ACTIVE: frozenset(
        {
            JobState.WAITING,
            JobState.DELAYED,
            JobState.COMPLETED,
            JobState.FAILED,
            JobState.CANCELLED,
        }
    ),
    JobState.COMPLETED: frozenset({JobState.WAITING}),
    JobState.FAILED: frozenset({JobState.WAITING, JobState.CANCELLED}),
    JobState.CANCELLED: frozenset({JobState.WAITING}),
}

#: States in which a job has ended.
FINAL: frozenset[JobState] = frozenset({JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED})


def states_lua() -> str:
    """The text of `sandq/lua/include/states.lua`."""
    lines = [
        "-- states: the legal changes of state; generated from sandq/model/states.py",
        "local States = {}",
        "States.legal = {",
    ]
    for state, targets in LEGAL.items():
        row = ", ".join(f"{target.value} = true" for target in JobState if target in targets)
        lines.append(f"  {state.value} = {{ {row} }},")
    lines.append("}")

    return "\n".join(lines) + "\n"
