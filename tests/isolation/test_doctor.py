"""A plan, as it is told to people and to programs."""

import json

import pytest

from sandq.isolation.doctor import healthy, lines, members
from sandq.isolation.judge import Escape
from sandq.isolation.plan import plan
from sandq.model.sandbox import Guarantee, Sandbox
from tests.isolation.hosts import HOSTS

ESCAPE = Escape(Guarantee.FILES, "it can read /etc/shadow")


def told(name, tried=None, sandbox=None):
    return lines(plan(sandbox or Sandbox.untrusted(), HOSTS[name]), tried)


def test_a_line_for_each_guarantee_and_its_mend_below_it():
    text = told("no bwrap")
    at = next(n for n, line in enumerate(text) if line.startswith("files "))

    assert text[at].split()[:2] == ["files", "gap"]
    assert text[at].endswith("bubblewrap is not installed")
    assert text[at + 1].strip().startswith("mend: apt-get install bubblewrap")
    assert text[-1].startswith("its handlers are refused")
    assert {line.split()[0] for line in text} >= set(Guarantee)


def test_what_would_be_better_is_told_of_what_is_held():
    assert any(line.strip().startswith("better: Delegate=yes") for line in told("user"))
    assert not any("better:" in line for line in told("delegated"))


@pytest.mark.parametrize(
    ("tried", "last"),
    [
        ([], "tried from inside: nothing is broken"),
        ([ESCAPE], "broken: files: it can read /etc/shadow"),
        ("its walls could not be tried: …", "its walls could not be tried: …"),
    ],
)
def test_what_came_of_trying(tried, last):
    assert told("user", tried)[-1] == last
    assert healthy(plan(Sandbox.untrusted(), HOSTS["user"]), tried) is (tried == [])


@pytest.mark.parametrize(
    ("name", "first"),
    [
        (
            "user",
            "on Linux 6.1.0 x86_64 as an ordinary user; bubblewrap 0.8.0 at /usr/bin/bwrap",
        ),
        (
            "docker",
            "on Linux 6.1.0 x86_64 as root, in a container (docker); bubblewrap 0.8.0",
        ),
    ],
)
def test_the_host_is_told(name, first):
    assert told(name)[0].startswith(f"sandbox untrusted, {first}")


@pytest.mark.parametrize("name", HOSTS)
@pytest.mark.parametrize("tried", [None, [], [ESCAPE], "it could not be tried"])
def test_the_same_for_programs(name, tried):
    planned = plan(Sandbox.untrusted(), HOSTS[name])
    told = members(planned, tried)

    assert json.loads(json.dumps(told)) == told
    assert told["ok"] is (not planned.gaps and not tried)
    assert [line["guarantee"] for line in told["guarantees"]] == list(Guarantee)
    assert told["tried"] is (tried is not None)
    assert bool(told["broken"]) == bool(tried)
