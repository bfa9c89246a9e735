"""Programs of any shape are valid, and do what the tables say."""

import errno
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandq.isolation.bpf import ALLOW, Choice, program
from sandq.isolation.syscalls import NUMBERS, UNKNOWN, number
from tests.isolation import filters
from tests.isolation.filters import ARCHES, check, decode, run

BITS = st.integers(0, 2**32 - 1)
# few values, so that a call meets one
VALUES = st.one_of(st.integers(0, 3), st.sampled_from([2**31, 2**32 - 1]), BITS)
REASONS = st.sampled_from([ALLOW, errno.EPERM, errno.ENOSYS])


def choices(outcomes):
    return st.builds(
        Choice,
        st.integers(0, 5),
        st.dictionaries(VALUES, outcomes, max_size=4),
        outcomes,
        mask=st.one_of(st.just(2**32 - 1), BITS),
    )


OUTCOMES = st.recursive(REASONS, choices, max_leaves=12)
POLICIES = st.dictionaries(st.sampled_from(sorted(NUMBERS)), OUTCOMES)
ARGUMENTS = st.lists(st.one_of(VALUES, st.integers(0, 2**64 - 1)), min_size=6, max_size=6)


def said(outcome, args):
    """What a policy says to a call with these arguments, without any program."""
    while isinstance(outcome, Choice):
        value = args[outcome.argument] & outcome.mask
        outcome = outcome.outcomes.get(value, outcome.otherwise)
    return filters.ERRNO | outcome if outcome else filters.ALLOW


@settings(deadline=None)
@given(st.sampled_from(sorted(ARCHES)), POLICIES, st.lists(ARGUMENTS, min_size=1, max_size=5))
def test_a_program_says_what_the_policy_says(arch, policy, calls):
    code = decode(b"".join(program(arch, policy)))
    check(code)
    outcomes = {number(name, arch): outcome for name, outcome in policy.items()}

    for args in calls:
        for nr in (0, 1, *(nr for nr in outcomes if nr is not None)):
            assert run(code, ARCHES[arch], nr, args) == said(outcomes.get(nr, ALLOW), args)


@pytest.mark.parametrize("arch", ARCHES)
def test_without_any_rule_only_unknown_numbers_are_refused(arch):
    code = decode(b"".join(program(arch, {})))
    check(code)
    ends = {nr for range_ in UNKNOWN[arch] for nr in range_}
    around = ends | {nr + 1 for nr in ends} | {nr - 1 for nr in ends}

    for nr in {nr & 0xFFFFFFFF for nr in around}:
        unknown = any(first <= nr <= last for first, last in UNKNOWN[arch])
        refused = filters.ERRNO | errno.ENOSYS
        assert run(code, ARCHES[arch], nr) == (refused if unknown else filters.ALLOW)


def test_a_jump_that_is_too_long_is_an_error():
    def wide(count):
        return program("x86_64", {"ioctl": Choice(1, dict.fromkeys(range(count), 1), ALLOW)})

    check(decode(b"".join(wide(126))))
    with pytest.raises(struct.error):
        wide(127)


def test_neighbours_with_one_outcome_share_a_test():
    # 165 to 168
    together = program("x86_64", dict.fromkeys(("mount", "umount2", "swapon", "swapoff"), 1))
    apart = program("x86_64", {"mount": 1, "umount2": 2, "swapon": 1, "swapoff": 2})

    assert len(apart) - len(together) == 4 * 2 - 3
