"""How a handler's children come to be confined: once, as its sandbox says, or not at all."""

import sys

import pytest

from sandq.child import confining
from sandq.child.confining import Confining, SandboxRefused, base_environment
from sandq.child.pool import Pool
from sandq.child.spawn import StartFailed
from sandq.errors import ConfigError
from sandq.isolation.facts import HostFacts
from sandq.isolation.judge import Escape
from sandq.model.sandbox import Guarantee, Sandbox
from tests.child.lending import GRACE_MS, handler, run, shell

pytestmark = pytest.mark.anyio


def test_an_environment_is_that_of_the_profile_then_what_the_sandbox_names(monkeypatch):
    monkeypatch.setenv("GIVEN", "one")
    monkeypatch.setenv("LANG", "C")
    monkeypatch.setenv("SECRET", "two")
    named = {"env": ("GIVEN", "OWN=x=y", "ABSENT")}
    walled = base_environment(Sandbox.untrusted(**named))
    plain = base_environment(Sandbox(**named))

    assert {"GIVEN": "one", "OWN": "x=y"}.items() <= walled.items() & plain.items()
    assert not {"ABSENT", "SECRET"} & {*walled, *plain}
    assert walled["HOME"] == "/tmp"
    assert plain["LANG"] == "C"
    assert walled["LANG"] == "C.UTF-8"


async def test_what_asks_nothing_of_the_host_is_known_without_a_look(monkeypatch):
    monkeypatch.setattr(confining, "probe", None)
    one = shell("read -r job; echo 1")

    assert Confining().knows(one)
    assert not (await Confining().of(one, "/bin/sh", None)).summary


async def test_it_is_found_out_once(monkeypatch):
    looks = []
    probe = confining.probe
    monkeypatch.setattr(confining, "probe", lambda uids: looks.append(1) or probe(uids))
    one = handler([sys.executable, "-c", "print(1)"], sandbox=Sandbox(pids=10))
    known = Confining()
    first, second = [await known.of(one, sys.executable, None) for _ in range(2)]

    assert first is second
    assert looks == [1]


async def test_a_host_that_was_refused_is_looked_at_again(monkeypatch):
    hosts = [HostFacts(), HostFacts()]
    monkeypatch.setattr(confining, "probe", lambda _: hosts.pop())
    one, known = shell("true", sandbox="untrusted"), Confining()
    for _ in range(2):
        with pytest.raises(SandboxRefused, match="apt-get install bubblewrap"):
            await known.of(one, "/bin/sh", None)

    assert hosts == []
    assert not known.knows(one)


async def test_walls_that_a_canary_gets_out_of_are_refused(monkeypatch):
    async def prove(*_):
        return [Escape(Guarantee.FILES, "it read a secret of the host")]

    monkeypatch.setattr(confining, "prove", prove)
    one = shell("read -r job; echo 1", sandbox="untrusted")
    async with Pool(1, [one], kill_grace_ms=GRACE_MS) as pool:
        with pytest.raises(SandboxRefused, match="it read a secret of the host"):
            await pool._keeper._confining.of(one, "/bin/sh", pool._keeper.starter)


async def test_who_asks_to_be_forked_and_cannot_be_is_refused():
    one = shell("read -r job; echo 1", sandbox=Sandbox.untrusted(start="fork"))
    async with Pool(1, [one], kill_grace_ms=GRACE_MS) as pool:
        with pytest.raises(StartFailed, match="start 'fork' is for a Python script"):
            await run(pool, one)


def test_a_bad_range_of_uids_is_told_when_the_pool_is_made(monkeypatch):
    monkeypatch.setenv("SANDQ_UIDS", "many")
    with pytest.raises(ConfigError, match="SANDQ_UIDS"):
        Pool(1, [shell("true")])
