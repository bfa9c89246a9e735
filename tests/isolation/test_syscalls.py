"""The numbers of system calls are those of libseccomp."""

import pytest

from sandq.isolation import syscalls
from sandq.isolation.syscalls import ARCHITECTURES, NUMBERS, UNKNOWN, number
from tests.isolation import oracle
from tests.isolation.filters import ARCHES

#: Calls that are younger than the libseccomp of some distributions; the tables that all
#: architectures share have given them one number everywhere.
YOUNG = {"lsm_set_self_attr": 460, "open_tree_attr": 467}


def test_architectures_are_those_of_the_kernel():
    assert {arch: token for arch, (token, _) in ARCHITECTURES.items()} == ARCHES


@pytest.mark.parametrize("arch", ARCHES)
def test_numbers_are_those_that_libseccomp_knows(arch):
    library = oracle.load()
    known = {name: oracle.number(library, name, arch) for name in NUMBERS}
    unheard = {name for name, nr in known.items() if nr == -1}

    assert unheard <= set(YOUNG)
    assert {name: number(name, arch) for name in NUMBERS} == known | {
        name: YOUNG[name] for name in unheard
    }


@pytest.mark.parametrize("name", YOUNG)
def test_numbers_of_young_calls(name):
    assert NUMBERS[name] == (YOUNG[name], YOUNG[name])


@pytest.mark.parametrize("arch", ARCHES)
def test_no_known_call_has_a_number_that_is_said_to_be_unknown(arch):
    library = oracle.load()
    library.seccomp_syscall_resolve_num_arch.restype = oracle.ctypes.c_void_p
    unknown = {nr for first, last in UNKNOWN[arch] for nr in range(first, min(last, 1000) + 1)}
    # names of calls that this architecture lacks have numbers below zero there
    named = {nr for nr in range(1000) if library.seccomp_syscall_resolve_num_arch(ARCHES[arch], nr)}
    # a later libseccomp knows calls that are younger than our table
    youngest = UNKNOWN[arch][-1][0]

    assert {435, number("mount", arch)} <= named
    assert {nr for nr in named & unknown if nr < youngest} == set()
    assert not unknown & {number(name, arch) for name in NUMBERS}


def test_the_table_holds_no_number_twice():
    for arch in ARCHES:
        numbers = [nr for name in NUMBERS if (nr := syscalls.number(name, arch)) is not None]
        assert len(numbers) == len(set(numbers))
