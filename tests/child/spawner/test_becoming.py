"""What a forked process does until it is the handler."""

import os

import pytest

from tests.child.spawner.driving import ORDINARY, PYTHON, ROOT, Spawned


@pytest.mark.parametrize("behind", [None, True], ids=["bare", "walls"])
def test_a_child_has_its_own_descriptors_and_nothing_to_gain(spawner, behind):
    look = "ls /proc/self/fd; grep -E 'NoNewPrivs|SigIgn|SigBlk' /proc/self/status"
    spawner.run("/bin/sh", "-c", look, walls=behind)
    words = spawner.output().split()

    signs = dict(zip(words[4::2], words[5::2], strict=True))

    assert words[:4] == ["0", "1", "2", "3"]
    assert signs["NoNewPrivs:"] == "1"
    for name in ("SigBlk:", "SigIgn:"):
        # the C library has two for itself, 32 and 33, and a parent may have them ignored
        assert int(signs[name], 16) & ~(3 << 31) == 0


def test_privileges_may_be_gained_if_it_is_wanted(spawner):
    spawner.run("/bin/grep", "NoNewPrivs", "/proc/self/status", no_new_privileges=False)

    assert spawner.output().split() == ["NoNewPrivs:", "0"]


@pytest.mark.parametrize("behind", [None, True], ids=["bare", "walls"])
def test_the_kernel_ends_a_child_before_the_supervisor(spawner, behind):
    spawner.run("/bin/cat", "/proc/self/oom_score_adj", walls=behind)

    assert spawner.output().split() == ["500"]


def test_limits_of_each_process_hold_in_walls_as_well(spawner):
    spawner.run("/bin/sh", "-c", "ulimit -n; ulimit -c", rlimits={"RLIMIT_NOFILE": 64}, walls=True)

    assert spawner.output().split()[0] == "64"


@pytest.mark.parametrize(
    ("request_", "step"),
    [
        ({"cwd": "/no/such/folder"}, "cwd"),
        ({"rlimits": {"RLIMIT_NOFILE": -5}}, "limits"),
    ],
)
def test_the_step_that_failed_is_named(spawner, request_, step):
    assert spawner.spawn("/bin/true", **request_)["step"] == step


def test_a_limit_that_cannot_be_set_for_walls_is_a_failed_set_up(spawner):
    answer = spawner.spawn("/bin/true", rlimits={"RLIMIT_NOFILE": -5}, walls=True)

    assert answer == {"n": 1, "step": "walls", "text": "limits: Invalid argument"}


SPY = """
import os
parent = os.getppid()
for name in ("environ", "maps", "mem", "fd"):
    try:
        os.listdir(f"/proc/{parent}/fd") if name == "fd" else open(f"/proc/{parent}/{name}").close()
        print("open")
    except PermissionError:
        print("no")
"""


@pytest.mark.skipif(not ROOT, reason="another user is needed, who is not root")
def test_nobody_but_root_looks_into_the_spawner():
    spawner = Spawned(ORDINARY)
    try:
        spawner.run(PYTHON, "-I", "-S", "-c", SPY)
        assert spawner.output().split() == ["no"] * 4
    finally:
        spawner.close()


def test_the_spawner_itself_has_no_environment_and_nothing_of_the_package(spawner):
    with open(f"/proc/{spawner.process.pid}/environ") as stream:
        assert stream.read() == ""
    with open(f"/proc/{spawner.process.pid}/maps") as stream:
        text = stream.read()
    for word in ("orjson", "redis", "asyncio"):
        assert word not in text
    assert len(os.listdir(f"/proc/{spawner.process.pid}/task")) == 1
