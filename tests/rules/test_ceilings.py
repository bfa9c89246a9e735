"""The most that the handlers of a queue may have."""

import re
from dataclasses import fields

import pytest

from sandq.errors import InvalidInput
from sandq.model.ceilings import CEILINGS, Ceilings
from sandq.model.handler import Handler, HandlerFunction
from sandq.model.limits import Limits
from sandq.model.sandbox import MIB, Profile, Sandbox


def handler(sandbox="limits", **settings):
    return Handler(command=("a",), sandbox=Sandbox.of(sandbox), **settings)


def test_there_are_none_unless_they_are_given():
    ceilings = Ceilings.of({})

    assert ceilings == Ceilings(profile=Profile.NONE)
    for sandbox in Profile:
        ceilings.check(handler(sandbox), "a")
    ceilings.check(HandlerFunction(print), "a")


def test_every_key_is_read_as_that_of_a_sandbox():
    assert ("profile", *CEILINGS) == tuple(field.name for field in fields(Ceilings))
    given = Ceilings.of(
        {
            "profile": "untrusted",
            "wall": "1m",
            "cpu": "30s",
            "memory": "1G",
            "pids": 64,
            "disk": "1M",
            "output": "64K",
        }
    )

    assert given == Ceilings(
        profile=Profile.UNTRUSTED,
        wall=60.0,
        cpu=30,
        memory=1024 * MIB,
        pids=64,
        disk=MIB,
        output=64 * 1024,
    )
    assert Ceilings.of(given) is given


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (5, "queues.a.ceilings must be a table: 5"),
        ("untrusted", "queues.a.ceilings must be a table"),
        ({"memry": 1}, "queues.a.ceilings.memry is not known; did you mean 'memory'?"),
        ({"read": []}, "queues.a.ceilings.read is not known"),
        ({"profile": "safe"}, "queues.a.ceilings.profile must be one of"),
        ({"profile": None}, "queues.a.ceilings.profile must be one of"),
        ({"memory": "much"}, "queues.a.ceilings.memory is not a size"),
        ({"wall": 0}, "queues.a.ceilings.wall must be at least"),
        ({"pids": "5"}, "queues.a.ceilings.pids must be a whole number"),
    ],
)
def test_what_cannot_be_is_refused_with_its_key(table, message):
    with pytest.raises(InvalidInput, match=re.escape(message)):
        Ceilings.of(table, "queues.a.ceilings")


FITS = [
    ({"profile": "limits"}, handler("limits")),
    ({"profile": "limits"}, handler("untrusted")),
    ({"profile": "untrusted", "memory": "256M", "wall": 60}, handler("untrusted")),
    ({"wall": 10}, handler({"wall": 10})),
    ({"wall": 10}, handler({"profile": "none", "wall": 5})),
    ({"output": "1M"}, handler()),
    ({"output": "2K"}, handler({"output": 1024})),
    ({"output": "2K"}, handler(limits=Limits(line=2048))),
    ({"disk": "64M"}, handler("untrusted")),
]


@pytest.mark.parametrize(("ceilings", "fits"), FITS)
def test_a_handler_below_them_is_taken(ceilings, fits):
    Ceilings.of(ceilings).check(fits, "h.sandbox")


ABOVE = [
    ({"profile": "limits"}, handler("none"), ".profile is 'none'; the queue asks for 'limits'"),
    ({"profile": "untrusted"}, handler(), ".profile is 'limits'; the queue asks for 'untrusted'"),
    ({"wall": 10}, handler(), ".wall has no limit; the queue allows at most 10"),
    ({"wall": 10}, handler({"wall": 11}), ".wall is 11.0; the queue allows at most 10"),
    ({"cpu": 5}, handler("untrusted"), ".cpu is 10; the queue allows at most 5"),
    ({"memory": "1M"}, handler({"memory": "2M"}), ".memory is 2097152; the queue allows at most"),
    ({"pids": 8}, handler("untrusted"), ".pids is 32; the queue allows at most 8"),
    ({"disk": "1M"}, handler(), ".disk has no limit"),
    ({"output": "64K"}, handler(), ".output is 1048576; the queue allows at most 65536"),
    ({"output": 1024}, handler({"output": 2048}), ".output is 2048; the queue allows at most"),
    ({"wall": 10}, HandlerFunction(print), ": a function of this process has no limits at all"),
]


@pytest.mark.parametrize(("ceilings", "above", "message"), ABOVE)
def test_a_handler_above_them_is_refused_with_its_key(ceilings, above, message):
    with pytest.raises(InvalidInput, match=f"^{re.escape('queues.q.h.sandbox' + message)}"):
        Ceilings.of(ceilings).check(above, "queues.q.h.sandbox")


def test_every_ceiling_is_tried():
    assert {key for ceilings, _, _ in ABOVE for key in ceilings} == {"profile", *CEILINGS}
