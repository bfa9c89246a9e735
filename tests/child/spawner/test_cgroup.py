"""Control groups: for real where there is a hierarchy, and as recorded files for the limits."""

import os
import signal

import pytest

from sandq.child.spawner.cgroup import Group, Groups, remove_left_over
from tests.child.spawner.driving import PYTHON, ROOT, find, status_of

GONE = 2**22 - 1


def hierarchy():
    """The folder of version 2, which may be without controllers."""
    with open("/proc/mounts") as stream:
        places = [line.split()[1] for line in stream if line.split()[2] == "cgroup2"]
    return places[0] if ROOT and places and os.access(places[0], os.W_OK) else None


@pytest.fixture
def above():
    """A group of the test's own."""
    place = hierarchy()
    if place is None:
        pytest.skip("there are no control groups of version 2 to write to")
    folder = f"{place}/sandq-tests-{os.getpid()}"
    os.mkdir(folder)
    yield folder
    assert [name for name in os.listdir(folder) if os.path.isdir(f"{folder}/{name}")] == []
    os.rmdir(folder)


def group_of(pid):
    with open(f"/proc/{pid}/cgroup") as stream:
        return next(line[3:].strip() for line in stream if line.startswith("0::"))


@pytest.mark.parametrize("behind", [None, True], ids=["bare", "walls"])
def test_a_child_lives_in_a_group_and_the_group_goes_with_it(root_spawner, above, behind, mark):
    one = {"above": above, "write": {"cgroup.max.descendants": "0"}}
    script = "setsid env -i sleep 60 & cat /proc/self/cgroup; read line"
    read, write = os.pipe()
    pid = root_spawner.spawn(
        "/bin/sh", "-c", f"exec <&3; {script}", cgroup=one, walls=behind, fds=[read]
    )["pid"]
    [name] = [name for name in os.listdir(above) if name.startswith("sandq-")]
    with open(f"{above}/{name}/cgroup.max.descendants") as stream:
        assert stream.read() == "0\n"
    assert group_of(pid).endswith(f"/{name}")
    os.close(write)
    os.close(read)
    end = root_spawner.receive()

    # read at the end of its output is an end of file
    assert os.WIFEXITED(end["status"])
    assert not os.path.exists(f"{above}/{name}")


def test_a_whole_group_is_stopped_goes_on_and_is_killed(root_spawner, above, wait):
    one = {"above": above, "write": {}}
    script = "setsid sleep 60 & echo up; while :; do :; done"
    pid = root_spawner.spawn("/bin/sh", "-c", script, cgroup=one)["pid"]
    assert root_spawner.line() == "up"
    [name] = [name for name in os.listdir(above) if name.startswith("sandq-")]
    group = Group(above, name.removeprefix("sandq-"))
    for op, frozen in (("freeze", 1), ("thaw", 0), ("freeze", 1)):
        root_spawner.ask(op, pid)
        wait(lambda: group.counts("cgroup.events")["frozen"] == frozen, op)  # noqa: B023
    root_spawner.kill(pid)

    assert os.WTERMSIG(root_spawner.receive()["status"]) == signal.SIGKILL


UNPAID = """
import os, signal, time
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
if os.fork() == 0:
    while time.process_time() < 0.4:
        pass
    os._exit(0)
try:
    os.wait()
except OSError:
    pass
"""


def test_the_group_counts_the_processor_of_what_nobody_waited_for(root_spawner, above):
    one = {"above": above, "write": {}}
    end = root_spawner.run(PYTHON, "-c", UNPAID, cgroup=one)
    assert end["cpu_s"] >= 0.4

    end = root_spawner.run(PYTHON, "-c", "while True: pass", cgroup=one, watch={"cpu_s": 1})
    assert end["limit"]["name"] == "cpu"


def test_the_end_of_the_supervisor_removes_the_groups(root_spawner, above, mark):
    one = {"above": above, "write": {}}
    root_spawner.spawn("/bin/sh", "-c", "setsid env -i sleep 60 & sleep 60", mark, cgroup=one)
    root_spawner.socket.close()
    root_spawner.process.wait(20)

    assert find(mark) == []


def test_what_a_killed_spawner_has_left_is_removed_by_the_next(root_spawner, above, wait):
    left = Group(above, f"{GONE}-1")
    left.make({})
    pid = os.fork()
    if pid == 0:
        os.write(left.entrance(), b"0")
        signal.pause()
        os._exit(0)
    wait(lambda: left.counts("cgroup.events")["populated"], "it is in there")
    ours = Group(above, f"{os.getpid()}-1")
    ours.make({})
    root_spawner.run("/bin/true", cgroup={"above": above, "write": {}})

    assert os.WTERMSIG(os.waitpid(pid, 0)[1]) == signal.SIGKILL
    assert not os.path.exists(left.path)
    # but not those of one that lives
    assert ours.remove()


def test_a_group_that_cannot_be_made_is_a_failed_set_up(root_spawner, above):
    one = {"above": above, "write": {"no.such.limit": "1"}}
    answer = root_spawner.spawn("/bin/true", cgroup=one)
    assert answer["step"] == "walls"
    assert "no.such.limit" in answer["text"]

    answer = root_spawner.spawn("/bin/true", cgroup={"above": f"{above}/no", "write": {}})
    assert answer["step"] == "walls"


# as the kernel wrote them, when a hog of 64 MiB was killed and a bomb stopped at 32 processes
RECORDED = {
    "memory.events": "low 0\nhigh 0\nmax 31\noom 1\noom_kill 2\noom_group_kill 1\n",
    "memory.peak": "67108864\n",
    "pids.events": "max 1\n",
    "pids.peak": "32\n",
    "cpu.stat": "usage_usec 1250000\nuser_usec 900000\nsystem_usec 350000\n",
    "cgroup.events": "populated 0\nfrozen 0\n",
}


@pytest.fixture
def recorded(tmp_path):
    """A group made in a folder, with some of the recorded files."""

    def make(*files):
        group = Groups().make(
            "1-1", above=str(tmp_path), write={"memory.max": "67108864", "pids.max": "32"}
        )
        for file in files:
            (tmp_path / "sandq-1-1" / file).write_text(RECORDED[file])
        return group

    return make


def test_limits_are_written_and_their_breach_is_read(recorded, tmp_path):
    group = recorded(*RECORDED)

    assert (tmp_path / "sandq-1-1" / "memory.max").read_text() == "67108864"
    assert group.limit() == {"name": "memory", "value": 67108864, "peak": 67108864}
    assert group.oom_kills() == 2
    assert group.cpu_s() == 1.25
    assert group.empty()


def test_too_many_processes_are_told_when_memory_was_enough(recorded):
    assert recorded("pids.events", "pids.peak").limit() == {"name": "pids", "value": 32, "peak": 32}


def test_without_a_peak_the_limit_is_it(recorded):
    assert recorded("memory.events").limit()["peak"] == 67108864


def test_no_breach(recorded):
    group = recorded()

    assert group.limit() is None
    assert (group.oom_kills(), group.cpu_s(), group.number("memory.peak")) == (0, 0.0, 0)


def test_only_groups_of_dead_spawners_are_left_over(tmp_path):
    for name in (f"sandq-{GONE}-1", "sandq-1-1", "sandq-supervisor", "other"):
        (tmp_path / name).mkdir()
    # a folder with files stays, as one of the kernel's would if something in it lived
    assert status_of(GONE) == ""
    os.chmod(tmp_path, 0o700)
    remove_left_over(str(tmp_path))

    assert {path.name for path in tmp_path.iterdir()} >= {"sandq-1-1", "sandq-supervisor", "other"}
