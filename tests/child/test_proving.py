"""Walls are tried before the first child, by a canary that the spawner starts."""

import os
from dataclasses import replace

import pytest

from sandq.child.link import StartFailed
from sandq.child.proving import prove
from sandq.child.starting import Starter
from sandq.cli.common import run_async
from sandq.isolation import canary
from sandq.isolation.plan import plan
from sandq.isolation.probe import probe
from sandq.model.handler import Handler
from sandq.model.sandbox import Guarantee, Sandbox

FACTS = probe((70000, 70999))


def proved(sandbox, spoil=lambda confinement: confinement):
    """What the canary has broken; `spoil` changes what the spawner is told."""
    planned = plan(sandbox, FACTS)
    assert planned.refusal == ""

    class Spoiled(Starter):
        async def spawn(self, handler, path, env, on_end, confinement=None):
            return await super().spawn(handler, path, env, on_end, spoil(confinement))

    async def go():
        starter = Spoiled(lambda: None)
        starter.start()
        try:
            return await prove(starter, planned, Handler(command=("sh",), sandbox=sandbox))
        finally:
            starter.close()

    return run_async(go)


@pytest.mark.parametrize(
    "sandbox",
    [
        Sandbox.untrusted(),
        Sandbox.untrusted(net="host", fresh="never"),
        Sandbox.untrusted(memory="16M", pids=1, disk="64K", cpu=1),
    ],
    ids=["usual", "open", "tight"],
)
def test_walls_that_stand_are_not_broken(sandbox):
    assert proved(sandbox) == []


def test_the_weaker_walls_stand_as_well():
    without = ["processes", "ipc", "files", "supervisor"]

    assert proved(Sandbox.untrusted(backend="landlock", without=without)) == []


def changed(**walls):
    return lambda confinement: replace(confinement, walls={**confinement.walls, **walls})


def worded(change):
    """With other options of bubblewrap."""
    return lambda confinement: changed(options=change(confinement.walls["options"]))(confinement)


def left_out(option):
    return worded(lambda words: [word for word in words if word != option])


def shown(source, inside):
    def change(words):
        at = words.index("--chdir")
        return [*words[:at], "--ro-bind", source, inside, *words[at:]]

    return worded(change)


@pytest.mark.parametrize(
    ("spoil", "broken"),
    [
        # the filter still lets it make no other sockets
        (left_out("--unshare-net"), Guarantee.IPC),
        (left_out("--unshare-pid"), Guarantee.PROCESSES),
        (changed(seccomp=None), Guarantee.KERNEL),
        (changed(inside={}), Guarantee.PIDS),
        (shown("/etc", "/etc"), Guarantee.FILES),
    ],
    ids=["network", "processes", "filter", "pids", "files"],
)
def test_what_is_missing_in_them_is_found(spoil, broken):
    if broken is Guarantee.FILES and not os.path.exists("/etc/machine-id"):
        pytest.skip("there is no file that it would look for")

    assert broken in {escape.guarantee for escape in proved(Sandbox.untrusted(), spoil)}


def test_walls_that_cannot_be_built_are_a_failed_start():
    with pytest.raises(StartFailed, match="/none"):
        proved(Sandbox.untrusted(), shown("/none", "/none"))


def test_a_canary_that_does_not_tell_is_a_failed_start():
    with pytest.raises(StartFailed, match="could not be tried: it ended with 2"):
        proved(Sandbox.untrusted(), shown("/dev/null", canary.__file__))
