"""Which mechanism gives each guarantee, on hosts of all kinds; no kernel is asked."""

import pytest

from sandq.isolation.plan import State, Walls, plan
from sandq.model.sandbox import Guarantee, Sandbox
from tests.isolation.hosts import HOSTS

NONE = Sandbox(profile="none")
LIMITS = Sandbox(cpu=1, memory="64M", pids=4)
UNTRUSTED = Sandbox.untrusted()
LANDLOCK = Sandbox.untrusted(backend="landlock")

ALL = {*Guarantee}
# what bubblewrap gives, and nothing else
WALLS = {"files", "network", "processes", "ipc", "residue", "disk", "inodes", "kernel"}


@pytest.mark.parametrize("name", HOSTS)
@pytest.mark.parametrize("sandbox", [NONE, LIMITS, UNTRUSTED, LANDLOCK])
def test_every_guarantee_has_one_line_in_order_and_every_gap_a_mend(name, sandbox):
    planned = plan(sandbox, HOSTS[name])
    told = [line.guarantee for line in planned.lines]

    assert told == [guarantee for guarantee in Guarantee if guarantee in told]
    for line in planned.lines:
        assert line.detail
        assert bool(line.mechanism) == (line.state is not State.GAP)
        assert line.mend or line.state is State.HELD
    assert bool(planned.refusal) == bool(planned.gaps)


@pytest.mark.parametrize(
    ("sandbox", "asked"),
    [
        (NONE, {"environment", "orphans"}),
        (Sandbox(), {"environment", "orphans", "supervisor", "privileges"}),
        (
            LIMITS,
            {"environment", "orphans", "supervisor", "privileges"}
            | {"memory", "memory-total", "pids", "cpu"},
        ),
        (UNTRUSTED, ALL),
        (Sandbox.untrusted(net="host"), ALL - {Guarantee.NETWORK}),
    ],
)
def test_a_plan_is_about_what_is_asked_for(sandbox, asked):
    assert {line.guarantee for line in plan(sandbox, HOSTS["user"]).lines} == asked


# host -> what is missing of `untrusted`
GAPS = {
    "user": set(),
    "root": set(),
    "delegated": set(),
    "root delegated": set(),
    "no landlock": set(),
    "old kernel": set(),
    "old kernel, root": set(),
    "no bwrap": WALLS,
    "old bwrap": WALLS,
    "no user namespaces": WALLS,
    "namespaces of root": WALLS,
    "apparmor": WALLS,
    "apparmor, other path": WALLS,
    "docker": WALLS | {"supervisor", "privileges"},
    "docker user": WALLS,
    "docker on ubuntu": WALLS,
    "docker unconfined": {"processes"},
    "kubernetes": {"processes"},
    "masked": {"processes"},
    "other processor": {"kernel"},
    "no filters": {"kernel"},
    "root without setuid": WALLS | {"supervisor", "privileges"},
    "macos": ALL,
}


@pytest.mark.parametrize("name", HOSTS)
def test_what_is_missing_of_untrusted(name):
    planned = plan(UNTRUSTED, HOSTS[name])

    assert {line.guarantee for line in planned.gaps} == GAPS[name]
    assert planned.walls == (Walls.NONE if GAPS[name] >= WALLS else Walls.BWRAP)


@pytest.mark.parametrize("name", HOSTS)
@pytest.mark.parametrize("sandbox", [NONE, LIMITS])
def test_what_is_trusted_runs_on_every_linux(name, sandbox):
    assert bool(plan(sandbox, HOSTS[name]).refusal) == (name == "macos")


# host -> what is missing when Landlock is named
LANDLOCK_GAPS = {
    "root": {"processes", "ipc"},
    "docker": {"processes", "ipc"},
    "user": {"processes", "ipc", "files", "supervisor"},
    "docker user": {"processes", "ipc", "files"},
    "other processor": {"processes", "ipc", "files", "supervisor", "kernel", "network"},
}


@pytest.mark.parametrize("name", LANDLOCK_GAPS)
def test_what_is_missing_of_the_weaker_walls(name):
    planned = plan(LANDLOCK, HOSTS[name])

    assert {line.guarantee for line in planned.gaps} == LANDLOCK_GAPS[name]
    assert planned.walls is Walls.LANDLOCK


def test_the_weaker_walls_are_taken_only_by_name():
    assert plan(UNTRUSTED, HOSTS["docker"]).walls is Walls.NONE
    sandbox = Sandbox.untrusted(backend="landlock", without=["processes", "ipc"])
    planned = plan(sandbox, HOSTS["docker"])
    assert planned.refusal == ""
    assert planned.summary == "landlock+seccomp+uid+rlimits+watchdog"
    states = {line.guarantee: line.state for line in planned.lines}
    assert states[Guarantee.IPC] is State.WAIVED
    assert plan(sandbox, HOSTS["no landlock"]).refusal


@pytest.mark.parametrize(
    ("name", "sandbox", "summary"),
    [
        ("user", NONE, ""),
        ("user", LIMITS, "rlimits+watchdog"),
        ("delegated", LIMITS, "rlimits+cgroup+watchdog"),
        ("user", Sandbox(), ""),
        ("user", UNTRUSTED, "bwrap+seccomp+rlimits+watchdog"),
        ("root", UNTRUSTED, "bwrap+seccomp+uid+rlimits+watchdog"),
        ("delegated", UNTRUSTED, "bwrap+seccomp+rlimits+cgroup+watchdog"),
    ],
)
def test_the_mechanisms_in_one_word(name, sandbox, summary):
    assert plan(sandbox, HOSTS[name]).summary == summary


@pytest.mark.parametrize(
    ("name", "total", "pids"),
    [
        ("user", "watchdog", "rlimits"),
        ("root", "watchdog", "rlimits"),
        ("delegated", "cgroup", "cgroup"),
        ("old kernel", "watchdog", "watchdog"),
        ("old kernel, root", "watchdog", "rlimits"),
    ],
)
def test_the_best_way_is_taken(name, total, pids):
    planned = plan(UNTRUSTED, HOSTS[name])

    assert planned.by(Guarantee.MEMORY_TOTAL, total)
    assert planned.by(Guarantee.PIDS, pids)
    better = {line.guarantee: line.mend for line in planned.lines if line.state is State.HELD}
    assert bool(better[Guarantee.MEMORY_TOTAL]) == (total == "watchdog")


def test_a_group_without_the_controller_is_not_taken():
    facts = HOSTS["user"]
    planned = plan(UNTRUSTED, HOSTS["delegated"])
    assert planned.by(Guarantee.PIDS, "cgroup")
    assert not plan(UNTRUSTED, facts).by(Guarantee.PIDS, "cgroup")


def test_what_a_handler_does_without_is_no_reason_to_refuse_it():
    sandbox = Sandbox.untrusted(without=["processes"])
    planned = plan(sandbox, HOSTS["docker unconfined"])

    assert planned.refusal == ""
    assert planned.walls is Walls.BWRAP
    assert not planned.has_proc
    assert plan(sandbox, HOSTS["user"]).has_proc
    [line] = [line for line in planned.lines if line.state is State.WAIVED]
    assert line.guarantee is Guarantee.PROCESSES
    assert "masked" in line.detail


def test_a_refusal_tells_each_reason_once_with_its_mend():
    refusal = plan(UNTRUSTED, HOSTS["no bwrap"]).refusal

    assert refusal == (
        "sandbox 'untrusted' cannot be given on this host: files, network, processes, ipc, kernel, "
        "residue, disk, inodes: bubblewrap is not installed; mend: apt-get install bubblewrap, or "
        "pip install 'sandq[sandbox]'"
    )


def test_what_is_not_promised_by_choice_is_told():
    def states(sandbox, name="user"):
        return {
            line.guarantee: (line.state, line.detail) for line in plan(sandbox, HOSTS[name]).lines
        }

    shared = states(Sandbox.untrusted(fresh="key"))[Guarantee.RESIDUE]
    assert shared == (State.WAIVED, "jobs of one key share a child")
    sockets = states(Sandbox.untrusted(net="host"))[Guarantee.IPC]
    assert sockets[0] is State.WAIVED
    by_root = states(LIMITS, "root")[Guarantee.SUPERVISOR]
    assert by_root[0] is State.WAIVED
    assert states(LIMITS)[Guarantee.SUPERVISOR][0] is State.HELD
