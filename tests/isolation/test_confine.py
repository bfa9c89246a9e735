"""From a plan to what the spawner does with a child: the limits."""

import pytest

from sandq.isolation.confine import ENVIRONMENT, confine, forks, inodes
from sandq.isolation.confinement import Confinement
from sandq.isolation.plan import plan
from sandq.model.handler import Handler
from sandq.model.limits import Limits
from sandq.model.sandbox import Sandbox
from tests.isolation.hosts import HOSTS

PYTHON = ("python3", "-I", "/srv/work.py", "fast")
SHELL = ("/bin/sh", "-c", "cat")


def confined(sandbox, name="user", command=SHELL, **settings):
    handler = Handler(command=command, sandbox=sandbox, **settings)

    return confine(plan(sandbox, HOSTS[name]), handler, "/usr/bin/python3")


def test_what_is_trusted_has_the_limits_of_its_handler_alone():
    limits = Limits(cpu=3, memory=5, file_size=7, open_files=9)
    own = {"RLIMIT_CPU": 3, "RLIMIT_DATA": 5, "RLIMIT_FSIZE": 7, "RLIMIT_NOFILE": 9}

    assert confined(Sandbox(profile="none"), limits=limits, cwd="/srv") == Confinement(
        no_new_privileges=False, rlimits=own, cwd="/srv"
    )


def test_the_usual_profile():
    assert confined(Sandbox(), cwd="/srv") == Confinement(
        rlimits={"RLIMIT_CORE": 1}, no_new_privileges=True, cwd="/srv"
    )
    bounded = confined(Sandbox(cpu=2, memory="64M", pids=4), limits=Limits(cpu=1))
    assert bounded.rlimits == {"RLIMIT_CORE": 1, "RLIMIT_CPU": 1, "RLIMIT_DATA": 64 * 2**20}
    assert bounded.watch == {"memory": 64 * 2**20, "cpu_s": 2, "pids": 4}
    assert bounded.walls is None
    assert bounded.environment == {}


@pytest.mark.parametrize(("sandbox", "more"), [(Sandbox(memory="64M", pids=4), 0)])
def test_a_control_group_is_bounded_as_a_whole(sandbox, more):
    confinement = confined(sandbox, "delegated")

    assert confinement.watch == {}
    assert confinement.cgroup == {
        "above": "/sys/fs/cgroup/system.slice/sandq.service",
        "write": {
            "memory.max": "67108864",
            "memory.swap.max": "0",
            "memory.oom.group": "1",
            "pids.max": "4",
        },
    }


def test_behind_walls_the_processes_of_bubblewrap_are_counted_on_top():
    confinement = confined(Sandbox.untrusted(start="exec"), "delegated")

    assert confinement.cgroup["write"]["pids.max"] == "34"
    assert confinement.walls["inside"] == {}
    assert confined(Sandbox.untrusted(start="exec")).walls["inside"] == {"RLIMIT_NPROC": 33}


def test_what_is_not_trusted_has_limits_of_its_own():
    confinement = confined(Sandbox.untrusted())

    assert confinement.environment == ENVIRONMENT
    assert confinement.cwd == "/tmp"
    assert confinement.no_new_privileges
    assert confinement.rlimits == {
        "RLIMIT_CORE": 1,
        "RLIMIT_CPU": 10,
        "RLIMIT_DATA": 256 * 2**20,
        "RLIMIT_FSIZE": 64 * 2**20,
        "RLIMIT_NOFILE": 1024,
    }
    assert confinement.watch == {"memory": 256 * 2**20, "cpu_s": 10, "inodes": 16384}
    own = confined(Sandbox.untrusted(), limits=Limits(open_files=9, file_size=7)).rlimits
    assert (own["RLIMIT_NOFILE"], own["RLIMIT_FSIZE"]) == (9, 7)


@pytest.mark.parametrize(("disk", "files"), [(2**20, 1024), (64 * 2**20, 16384)])
def test_how_many_files_a_room_may_hold(disk, files):
    assert inodes(disk) == files


@pytest.mark.parametrize(
    ("sandbox", "command", "host", "words"),
    [
        (Sandbox.untrusted(), PYTHON, "user", ("/srv/work.py", "fast")),
        (Sandbox.untrusted(start="fork"), PYTHON, "user", ("/srv/work.py", "fast")),
        (Sandbox.untrusted(), ("python3", "-m", "work"), "root", ("-m", "work")),
        (Sandbox.untrusted(start="exec"), PYTHON, "user", None),
        (Sandbox.untrusted(), SHELL, "user", None),
        (Sandbox.untrusted(fresh="key"), PYTHON, "user", None),
        (Sandbox(), PYTHON, "user", None),
        # without a /proc to mount there is none for a job
        (Sandbox.untrusted(without=["processes"]), PYTHON, "docker unconfined", None),
    ],
)
def test_who_is_forked(sandbox, command, host, words):
    planned = plan(sandbox, HOSTS[host])
    handler = Handler(command=command, sandbox=sandbox)

    assert forks(planned, handler) == words
    assert confine(planned, handler, "/usr/bin/python3").fork == words


def test_a_one_shot_handler_is_not_forked():
    planned = plan(Sandbox.untrusted(), HOSTS["user"])

    assert forks(planned, Handler(command=PYTHON, sandbox=Sandbox.untrusted(), fresh=True)) is None


def test_forked_children_are_watched_one_by_one():
    sandbox = Sandbox.untrusted(preload=["json"])
    confinement = confined(sandbox, "delegated", PYTHON)

    assert confinement.cgroup is None
    assert confinement.summary == "bwrap+seccomp+rlimits+watchdog"
    assert confinement.rlimits["RLIMIT_NPROC"] == 32
    assert confinement.walls["inside"] == {}
    assert confinement.watch == {
        "memory": 256 * 2**20,
        "cpu_s": 10,
        "pids": 32,
        "inodes": 16384,
    }
    assert confinement.preload == ("json",)


def test_what_is_refused_and_done_without_has_no_walls():
    everything = [line.guarantee for line in plan(Sandbox.untrusted(), HOSTS["no bwrap"]).gaps]
    confinement = confined(Sandbox.untrusted(without=everything), "no bwrap")

    assert confinement.walls is None
    assert confinement.environment == ENVIRONMENT


def test_landlock():
    sandbox = Sandbox.untrusted(backend="landlock", without=["processes", "ipc"])
    confinement = confined(sandbox, "docker")

    assert confinement.walls["kind"] == "landlock"
    assert confinement.cwd == "/"
    assert confinement.watch == {"memory": 256 * 2**20, "cpu_s": 10}
    assert confinement.walls["inside"] == {"RLIMIT_NPROC": 32}
