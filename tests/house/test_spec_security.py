"""spec/security.md says what the profiles promise, and how: it is compared with the code."""

import re
from dataclasses import fields
from importlib import import_module

import pytest

from sandq import settings
from sandq.isolation import confine, facts, plan, ways
from sandq.model.outcome import FailureKind, LimitHit
from sandq.model.sandbox import PROMISES, Guarantee, Profile, Sandbox
from sandq.settings import load_config
from tests.house.pages import ROOT, SPEC, blocks, column, section, table, words

PROMISED = "What each profile promises"
HOW = "How it is done"
FULL = {"memory": "1G", "pids": 5, "cpu": 5}


def test_every_guarantee_is_told():
    assert column("security", PROMISED, "guarantee") == list(Guarantee)
    assert column("security", HOW, "guarantee") == list(Guarantee)
    assert [name for name in table("security", PROMISED)[0] if name in set(Profile)] == list(
        Profile
    )


@pytest.mark.parametrize("profile", Profile)
def test_a_profile_promises_what_is_told(profile):
    told = {row["guarantee"][1:-1]: row[profile] for row in table("security", PROMISED)}

    assert {name for name, word in told.items() if word != "–"} == set(PROMISES[profile])
    for name, word in told.items():
        assert word in ("yes", "–") or words(word) == [name.partition("-")[0]]


@pytest.mark.parametrize("profile", Profile)
def test_what_is_told_is_what_is_planned(profile):
    numbers = {} if profile is Profile.NONE else FULL
    planned = plan.plan(Sandbox(profile=profile, **numbers), facts.elsewhere()).lines

    assert {line.guarantee for line in planned} == set(PROMISES[profile])
    told = {row["guarantee"][1:-1]: row[profile] for row in table("security", PROMISED)}
    plain = plan.plan(Sandbox(profile=profile), facts.elsewhere()).lines
    assert {line.guarantee for line in plain} == {n for n, word in told.items() if word == "yes"}


@pytest.mark.parametrize(
    ("column_name", "known"),
    [("without walls", ways.PLAIN), ("bubblewrap", ways.BWRAP), ("Landlock", ways.LANDLOCK)],
)
def test_mechanisms_are_told(column_name, known):
    told = {row["guarantee"][1:-1]: words(row[column_name]) for row in table("security", HOW)}
    used = {
        guarantee: list(
            dict.fromkeys(
                word
                # a way without words is one that there is not
                for way in known.get(guarantee, ())
                if way.detail
                for word in way.mechanism.split("+")
            )
        )
        for guarantee in Guarantee
    }

    assert told == used


def test_every_mechanism_is_explained():
    explained = set(column("security", HOW, "mechanism", 1))
    used = {
        word
        for name in ("without walls", "bubblewrap", "Landlock")
        for row in table("security", HOW)
        for word in words(row[name])
    }

    assert explained == used | {"uid"}


def test_the_environment_behind_walls_is_told():
    text = section("security", "What a child behind walls sees")

    for name, value in confine.ENVIRONMENT.items():
        assert f"`{name}={value}`" in text


def test_kinds_of_failure_are_those_of_the_code():
    kinds = column("security", "What becomes of a job", "kind")
    limits = re.findall(r"^    \| (\w+) +\|", LimitHit.__doc__, re.M)[1:]
    told = [words(row["`limit`"]) for row in table("security", "What becomes of a job")]

    assert set(kinds) <= set(FailureKind)
    assert sorted(word for cell in told for word in cell) == sorted(limits)


@pytest.mark.parametrize(
    "text",
    [
        text
        for heading in ("Another kernel around it", "Docker")
        for text in blocks("security", heading, "toml")
    ],
)
def test_a_configuration_is_loaded(text, tmp_path):
    if "command" not in text:
        text = f'[queues.renders.handlers."*"]\ncommand = ["render"]\n{text}'
    (tmp_path / "sandq.toml").write_text(text)
    [handler] = load_config(tmp_path / "sandq.toml").handlers["renders"].values()

    assert handler.sandbox != Sandbox()


def test_landlock_does_without_what_it_cannot_give():
    [text] = blocks("security", "Docker", "toml")
    [without] = re.findall(r"without = \[(.*)\]", text)
    lacking = {row["guarantee"] for row in table("security", HOW) if not row["Landlock"]}

    assert {f"`{word}`" for word in re.findall(r'"([\w-]+)"', without)} == lacking


def test_numbers_in_the_text_are_those_of_the_code():
    text = (SPEC / "security.md").read_text()
    first, last = settings.UIDS

    assert f"{first}-{last} if not set" in text
    watchdog = import_module("sandq.child.spawner.watchdog")
    assert f"every {watchdog.LOOK_EVERY_S * 1000:.0f} ms" in text


def test_the_keys_of_a_sandbox_are_called_by_their_names():
    known = {field.name for field in fields(Sandbox)}
    sandbox_keys = {"read", "write", "env", "disk", "net", "without", "wall", "fresh", "backend"}

    assert sandbox_keys <= known
    for key in sandbox_keys:
        assert re.search(rf"`{key}\b", (SPEC / "security.md").read_text()), key


def test_the_profiles_are_a_page_of_the_contract():
    assert "[security.md](security.md)" in (ROOT / "spec/README.md").read_text()
