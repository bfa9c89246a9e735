"""Builders of the calls of an audit: sandq/store/audit.py makes one out of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sandq.store.calls import Call, text_of

#: The sets that are looked through for members that should not be there.
SETS = ("waiting", "parked", "delayed", "active", "completed", "failed", "cancelled")

#: The indexes that are looked through; those of tags are found by their keys.
INDEXES = ("expiry", "cancelling", "repeat")

#: Where a pass over a set or an index begins, and what is told at its end.
START = b"0"


@dataclass(frozen=True, slots=True)
class Finding:
    """One broken invariant.

    - `problem`: a word of `sandq.store.problems.PROBLEMS`.
    - `subject`: the id of the job, or the name of the key without its beginning, that it is about.
    - `fixed`: whether it was repaired.
    """

    problem: str
    subject: str
    detail: str
    fixed: bool


@dataclass(frozen=True, slots=True)
class Block:
    """Failed jobs that ended after `after` and not after `upto` (ms), counted by kind."""

    after: str
    upto: str
    size: int
    kinds: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Compared:
    """What came of comparing the failed jobs with their counters.

    `done` False: too much has changed since they were counted. Then `newer` jobs are in no block,
    and the blocks of the numbers in `changed` are to be counted anew.
    """

    done: bool
    findings: list[Finding]
    newer: int = 0
    changed: tuple[int, ...] = ()


def audit_set(name: str, cursor: bytes, most: int) -> Call[tuple[bytes, int, list[bytes]]]:
    """One page of a set of states: where to go on, how many were seen, and the suspects."""

    def read(reply: Any) -> tuple[bytes, int, list[bytes]]:
        return reply[0], reply[1], reply[2:]

    return Call("audit_set", (name, cursor, most), read)


def audit(suspects: Sequence[tuple[str, bytes]], fix: bool, now: str = "") -> Call[list[Finding]]:
    """Judge jobs, each met in a set of states (its name, the member) or by its key ("job", id)."""
    args: list[Any] = [now, 1 if fix else 0]
    for where, what in suspects:
        args += (where, what)

    return Call("audit", args, _read_findings)


def audit_keys(keys: Sequence[tuple[str, bytes]], fix: bool, now: str = "") -> Call[list[Finding]]:
    """Judge keys that belong to a job, a series, a limit or a supervisor: kind and name of each."""
    args: list[Any] = [now, 1 if fix else 0]
    for kind, name in keys:
        args += (kind, name)

    return Call("audit_keys", args, _read_findings)


def audit_index(
    index: str, tag: bytes, cursor: bytes, most: int, fix: bool, now: str = ""
) -> Call[tuple[bytes, list[Finding]]]:
    """Judge one page of an index, `tag` for "tag": where to go on, and what is wrong."""

    def read(reply: Any) -> tuple[bytes, list[Finding]]:
        return reply[0], _read_findings(reply[1:])

    return Call("audit_index", (now, 1 if fix else 0, index, tag, cursor, most), read)


def audit_queue(most: int, fix: bool) -> Call[tuple[int, list[Finding]]]:
    """Judge what is one for the queue: the active jobs if they were too many, and what is wrong."""

    def read(reply: Any) -> tuple[int, list[Finding]]:
        return int(reply[0]), _read_findings(reply[1:])

    return Call("audit_queue", (1 if fix else 0, most), read)


def audit_failed(after: str, before: str, most: int) -> Call[tuple[Block, bool]]:
    """Count the failed jobs that ended after `after` (ms, or "-inf") and before `before` (ms;
    empty: now): a block of some `most` of them, and whether it is the last."""

    def read(reply: Any) -> tuple[Block, bool]:
        limit, last, size, *flat = reply
        upto = text_of(last) if last else str(int(limit) - 1)
        kinds = {text_of(kind): n for kind, n in zip(flat[::2], flat[1::2], strict=True)}
        return Block(after, upto, size, kinds), not last

    return Call("audit_failed", (after, before, most), read)


def audit_kinds(blocks: Sequence[Block], most: int, fix: bool) -> Call[Compared]:
    """Compare what was counted in `blocks`, which leave no gap, with the queue's counters."""
    args: list[Any] = [1 if fix else 0, most]
    for block in blocks:
        kinds = " ".join(f"{kind} {number}" for kind, number in block.kinds.items())
        args += (block.after, block.upto, block.size, kinds)

    def read(reply: Any) -> Compared:
        if reply[0]:
            return Compared(True, _read_findings(reply[1:]))

        return Compared(False, [], reply[1], tuple(reply[2:]))

    return Call("audit_kinds", args, read)


def _read_findings(reply: Any) -> list[Finding]:
    return [
        Finding(problem.decode(), text_of(subject), text_of(detail), bool(fixed))
        for problem, subject, detail, fixed in reply
    ]
