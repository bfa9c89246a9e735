"""Makes a seccomp filter, a program of classic BPF, of what is to happen to each system call."""

import errno
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from itertools import chain
from typing import Final

from sandq.isolation.syscalls import ARCHITECTURES, UNKNOWN, number

#: The outcome of a call that goes on to the kernel.
ALLOW: Final = 0


@dataclass(frozen=True, slots=True)
class Choice:
    """An outcome that depends on one argument.

    - `argument`: which one, from 0. Only the low 32 bits are looked at, as the kernel does with
      all that are looked at here: an int, or flags; a filter that compared more could be passed
      by a bit that nobody reads.
    - `outcomes`: what the values lead to; a value not listed leads to `otherwise`.
    - `mask`: the bits of the argument that are compared.
    """

    argument: int
    outcomes: Mapping[int, "Outcome"]
    otherwise: "Outcome"
    mask: int = field(default=0xFFFFFFFF, kw_only=True)


#: An errno, 0 to allow the call, or a choice.
Outcome = int | Choice


class Op(IntEnum):
    """The instructions of classic BPF that are used here; the comparisons are unsigned."""

    LOAD = 0x20
    AND = 0x54
    IF_EQUAL = 0x15
    IF_GREATER = 0x25
    IF_AT_LEAST = 0x35
    RETURN = 0x06


class Verdict(IntEnum):
    """What a filter may return; the errno is in the low bits."""

    KILL_PROCESS = 0x80000000
    ERRNO = 0x00050000
    ALLOW = 0x7FFF0000


class Offset(IntEnum):
    """Where things are in struct seccomp_data; both architectures have the low half first."""

    NUMBER = 0
    ARCH = 4
    ARGUMENTS = 16


def program(arch: str, outcomes: Mapping[str, Outcome]) -> list[bytes]:
    """The instructions of a filter for these calls, by their names; all others are allowed.

    One test follows another; the outcome of a call comes right after the test that finds it, and
    always ends in a return of its own. So the number of the call is in the accumulator at every
    test, and no jump is longer than one outcome, however many tests there are: a jump has 8 bits.
    """
    numbered = {
        nr: outcome for name, outcome in outcomes.items() if (nr := number(name, arch)) is not None
    }
    simple = {nr: outcome for nr, outcome in numbered.items() if isinstance(outcome, int)}
    # a number that no kernel had given out yet may mean anything one day, past this filter: so it
    # is not there, as on the kernels of today; libraries know that from older ones, and go on
    ranges = [*_runs(simple), *((*ends, errno.ENOSYS) for ends in UNKNOWN[arch])]

    tests = [
        *(
            _if(Op.IF_EQUAL, nr, _outcome(outcome))
            for nr, outcome in numbered.items()
            if isinstance(outcome, Choice)
        ),
        *(_range(*range_) for range_ in ranges),
    ]

    return [
        _code(Op.LOAD, Offset.ARCH),
        # not the way round of the other tests: everything after it is for this architecture
        _code(Op.IF_EQUAL, ARCHITECTURES[arch][0], 1, 0),
        _code(Op.RETURN, Verdict.KILL_PROCESS),
        _code(Op.LOAD, Offset.NUMBER),
        *chain.from_iterable(tests),
        *_outcome(ALLOW),
    ]


def _runs(simple: Mapping[int, int]) -> Iterator[tuple[int, int, int]]:
    """Numbers that follow one another and have the same outcome: the first, the last, the errno."""
    begin = dict[int, int]()
    for nr, reason in sorted(simple.items()):
        goes_on = simple.get(nr - 1) == reason
        begin[nr] = begin[nr - 1] if goes_on else nr
        if simple.get(nr + 1) != reason:
            yield begin[nr], nr, reason


def _range(first: int, last: int, reason: int) -> list[bytes]:
    refusal = _outcome(reason)
    if first == last:
        return _if(Op.IF_EQUAL, first, refusal)
    within = [_code(Op.IF_GREATER, last, len(refusal), 0), *refusal]

    return _if(Op.IF_AT_LEAST, first, within)


def _outcome(outcome: Outcome) -> list[bytes]:
    """The instructions that return this outcome: whatever comes after them is not reached."""
    if isinstance(outcome, int):
        return [_code(Op.RETURN, Verdict.ERRNO | outcome if outcome else Verdict.ALLOW)]

    tests = (_if(Op.IF_EQUAL, value, _outcome(then)) for value, then in outcome.outcomes.items())

    return [
        _code(Op.LOAD, Offset.ARGUMENTS + 8 * outcome.argument),
        *([_code(Op.AND, outcome.mask)] if outcome.mask != 0xFFFFFFFF else []),
        *chain.from_iterable(tests),
        *_outcome(outcome.otherwise),
    ]


def _if(test: Op, value: int, then: list[bytes]) -> list[bytes]:
    return [_code(test, value, 0, len(then)), *then]


def _code(op: Op, value: int, if_so: int = 0, if_not: int = 0) -> bytes:
    # struct refuses a jump that needs more than its 8 bits
    return struct.pack("<HBBI", op, if_so, if_not, value)
