"""A uid of its own for each child of root."""

import fcntl
import os
import re
import signal
import stat

import pytest

from sandq.child.spawner import uids
from tests.child.spawner.driving import ROOT, Spawned, walls

pytestmark = pytest.mark.skipif(not ROOT, reason="only root has uids to give")

TWO = [61650, 61651]


def uid_of(pid):
    with open(f"/proc/{pid}/status") as stream:
        return re.search(r"^Uid:\t(\d+)\t(\d+)\t(\d+)\t(\d+)$", stream.read(), re.M).groups()


def groups_of(pid):
    with open(f"/proc/{pid}/status") as stream:
        text = stream.read()
    return re.search(r"^Groups:\t(.*)$", text, re.M)[1].split(), re.search(
        r"^Gid:\t(\d+)", text, re.M
    )[1]


def limited(**more):
    return walls(**{**more, "uids": TWO})


def test_each_child_has_another_and_none_is_roots(root_spawner):
    pids = [root_spawner.spawn("/bin/sleep", "60", walls=limited())["pid"] for _ in range(2)]
    found = {uid_of(pid) for pid in pids}

    assert found == {(str(n),) * 4 for n in TWO}
    assert [groups_of(pid) for pid in pids] == [([], uid_of(pid)[0]) for pid in pids]


def test_no_two_spawners_give_the_same_and_one_that_is_free_is_given_again(root_spawner):
    other = Spawned()
    try:
        first = root_spawner.spawn("/bin/sleep", "60", walls=limited())["pid"]
        second = other.spawn("/bin/sleep", "60", walls=limited())["pid"]
        assert uid_of(first) != uid_of(second)

        answer = other.spawn("/bin/sleep", "60", walls=limited())
        assert answer["step"] == "walls"
        assert "every user id from 61650 to 61651 is taken" in answer["text"]

        root_spawner.kill(first)
        root_spawner.receive()
        assert "pid" in other.spawn("/bin/sleep", "60", walls=limited())
    finally:
        other.close()


def test_what_a_killed_spawner_had_is_free(root_spawner, wait):
    other = Spawned()
    pids = [other.spawn("/bin/sleep", "60", walls=limited())["pid"] for _ in range(2)]
    other.process.kill()
    other.process.wait()
    other.close()
    wait(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in pids), "all are dead")

    assert "pid" in root_spawner.spawn("/bin/sleep", "60", walls=limited())


def test_only_root_looks_into_the_folder(root_spawner):
    root_spawner.run("/bin/true", walls=limited())

    assert stat.S_IMODE(os.stat(uids.FOLDER).st_mode) == 0o700
    assert os.stat(uids.FOLDER).st_uid == 0


def test_a_lock_is_held_until_it_is_released():
    one = uids.take(61660, 61660, set())
    with open(f"{uids.FOLDER}/61660") as stream:
        with pytest.raises(BlockingIOError):
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        one.release()
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_none_is_given_that_we_know_to_be_taken():
    with pytest.raises(OSError, match="every user id"):
        uids.take(61661, 61661, {61661})


@pytest.mark.parametrize("kind", ["bwrap", "landlock"])
def test_the_spawner_is_out_of_a_childs_reach(root_spawner, kind):
    one = limited()
    if kind == "landlock":
        one = {
            "kind": "landlock",
            "read": ["/"],
            "execute": ["/"],
            "write": [],
            "tcp": True,
            "uids": TWO,
        }
    pid = root_spawner.process.pid
    steps = (
        f"kill -0 {pid}; kill -9 {pid}; cat /proc/{pid}/environ /proc/{pid}/maps; ls /proc/{pid}/fd"
    )
    root_spawner.run("/bin/sh", "-c", f"({steps}) && echo reached", walls=one)

    assert "reached" not in root_spawner.output()
    assert root_spawner.run("/bin/true")["status"] == 0


def test_its_processes_alone_count_when_they_are_limited(root_spawner):
    one = limited(inside={"RLIMIT_NPROC": 8, "RLIMIT_NOFILE": 50})
    root_spawner.run("/bin/sh", "-c", "ulimit -n", walls=one)
    assert root_spawner.output() == "50\n"
    pid = root_spawner.spawn("/bin/sleep", "60", walls=one)["pid"]
    with open(f"/proc/{pid}/limits") as stream:
        # and bubblewrap's outer one
        assert re.search(r"Max processes +9 +9 ", stream.read())
    root_spawner.kill(pid, signal.SIGKILL)
