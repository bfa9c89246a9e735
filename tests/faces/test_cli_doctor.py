"""`sandq doctor`: what the host can guarantee, for people and for programs, and its exit code."""

import json

import pytest

from sandq.cli import doctor
from sandq.cli import main as cli
from sandq.isolation.judge import Escape
from sandq.model.sandbox import Guarantee
from tests.isolation.hosts import HOSTS


def test_this_host_can_run_what_is_not_trusted(capsys):
    assert cli.main(["doctor", "--sandbox"]) == 0
    told = capsys.readouterr().out.splitlines()

    assert told[-1] == "tried from inside: nothing is broken"
    assert {line.split()[0] for line in told} >= set(Guarantee)


@pytest.mark.parametrize("profile", ["none", "limits", "untrusted"])
def test_it_tells_programs_the_same(profile, capsys):
    assert cli.main(["doctor", "--sandbox", "--profile", profile, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)

    assert (told["profile"], told["ok"], told["broken"]) == (profile, True, [])
    assert told["tried"] is (profile == "untrusted")
    asked = {line["guarantee"] for line in told["guarantees"]}
    if profile != "none":
        assert {"memory-total", "pids", "cpu"} <= asked


@pytest.mark.parametrize("name", ["no bwrap", "no user namespaces", "docker unconfined", "macos"])
def test_what_is_missing_is_told_with_its_mend(name, monkeypatch, capsys):
    monkeypatch.setattr(doctor, "probe", lambda uids: HOSTS[name])

    assert cli.main(["doctor", "--sandbox"]) == 1
    told = capsys.readouterr().out
    assert "mend: " in told
    assert "its handlers are refused" in told


def test_the_weaker_walls_are_asked_for_by_name(capsys):
    assert cli.main(["doctor", "--sandbox", "--backend", "landlock", "--json"]) == 1
    lines = json.loads(capsys.readouterr().out)["guarantees"]

    gaps = {line["guarantee"] for line in lines if line["state"] == "gap"}
    assert {"processes", "ipc"} <= gaps


def test_walls_that_do_not_hold_are_told(monkeypatch, capsys):
    async def prove(*_):
        return [Escape(Guarantee.FILES, "it can read /etc/shadow")]

    monkeypatch.setattr(doctor, "prove", prove)

    assert cli.main(["doctor", "--sandbox"]) == 1
    assert "broken: files: it can read /etc/shadow" in capsys.readouterr().out
