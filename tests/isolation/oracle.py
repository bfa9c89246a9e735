"""The same policy made by libseccomp, which is not ours."""

import ctypes
import os
import tempfile

import pytest

from sandq.isolation.bpf import Choice
from tests.isolation.filters import ALLOW, ARCHES, ERRNO, KILL_PROCESS

BAD_ARCH_ACTION, MASKED_EQUAL = 2, 7


class Comparison(ctypes.Structure):
    _fields_ = (
        ("argument", ctypes.c_uint),
        ("operator", ctypes.c_int),
        ("mask", ctypes.c_uint64),
        ("value", ctypes.c_uint64),
    )


def load():
    """The library; without it the test fails in CI, and is skipped elsewhere."""
    try:
        library = ctypes.CDLL("libseccomp.so.2")
    except OSError:
        message = "libseccomp.so.2 is not installed: apt-get install libseccomp2"
        if os.environ.get("SANDQ_CI"):
            pytest.fail(message)
        pytest.skip(message)
    library.seccomp_init.restype = ctypes.c_void_p

    return library


def number(library, name, arch):
    """The number that libseccomp knows, None for a call that it knows not to be there.

    -1: it has never heard of it.
    """
    found = library.seccomp_syscall_resolve_name_arch(ARCHES[arch], name.encode())
    return None if found < -1 else found


def export(library, arch, outcomes):
    """The policy as libseccomp's program for an architecture; calls it does not know are left out.

    It takes the numbers of the architecture it runs on, and translates them by name.
    """
    context = ctypes.c_void_p(library.seccomp_init(ctypes.c_uint32(ALLOW)))
    if library.seccomp_arch_exist(context, ARCHES[arch]) != 0:
        demand(library.seccomp_arch_add(context, ARCHES[arch]))
        demand(library.seccomp_arch_remove(context, library.seccomp_arch_native()))
    demand(library.seccomp_attr_set(context, BAD_ARCH_ACTION, ctypes.c_uint32(KILL_PROCESS)))
    for name, outcome in outcomes.items():
        here = library.seccomp_syscall_resolve_name(name.encode())
        if here == -1:
            continue
        for reason, comparisons in refusals(outcome):
            array = (Comparison * len(comparisons))(
                *((argument, MASKED_EQUAL, mask, value) for argument, mask, value in comparisons)
            )
            action = ctypes.c_uint32(ERRNO | reason)
            demand(library.seccomp_rule_add_array(context, action, here, len(array), array))
    with tempfile.TemporaryFile() as file:
        demand(library.seccomp_export_bpf(context, file.fileno()))
        file.seek(0)
        raw = file.read()
    library.seccomp_release(context)

    return raw


def demand(result):
    assert result == 0, os.strerror(-result)


def refusals(outcome, comparisons=()):
    """Every way to a refusal: the errno, and comparisons (argument, mask, value) that all hold."""
    if not isinstance(outcome, Choice):
        if outcome:
            yield outcome, comparisons
        return
    for value, then in outcome.outcomes.items():
        yield from refusals(then, (*comparisons, (outcome.argument, outcome.mask, value)))
    for mask, value in others(outcome.mask, set(outcome.outcomes)):
        yield from refusals(outcome.otherwise, (*comparisons, (outcome.argument, mask, value)))


def others(mask, values):
    """All other values, as (mask, value), for libseccomp compares an argument once in a rule.

    They are found by looking at one bit after the other, from the highest: where no value goes
    on with a bit, everything that does is an other one.
    """
    bits = [1 << bit for bit in reversed(range(32)) if mask >> bit & 1]
    begun, looked_at = {0}, 0
    for bit in bits:
        looked_at |= bit
        begins = {value & looked_at for value in values}
        for begin in begun:
            for longer in {begin, begin | bit} - begins:
                yield looked_at, longer
        begun = begins
