"""Paths that only root can reach, for bubblewrap that runs as somebody else."""

import os
import subprocess

import pytest

from tests.child.spawner.driving import ROOT, walls

pytestmark = pytest.mark.skipif(not ROOT, reason="only root can stage")


@pytest.fixture
def hidden(tmp_path):
    """A folder and a file below one that only root may enter."""
    shut = tmp_path / "shut"
    (shut / "lib").mkdir(parents=True)
    (shut / "lib" / "tool.sh").write_text("echo from the tool\n")
    (shut / "note").write_text("a note\n")
    shut.chmod(0o700)
    return shut


def staged(hidden):
    one = walls(stage=[str(hidden / "lib"), str(hidden / "note")])
    at = one["options"].index("--remount-ro")
    one["options"][at:at] = ["--ro-bind", "@stage/0", "/lib2", "--ro-bind", "@stage/1", "/note"]
    return one


def test_a_child_sees_what_only_root_can_reach(root_spawner, hidden):
    for _ in range(2):
        root_spawner.run("/bin/sh", "-c", ". /lib2/tool.sh; cat /note", walls=staged(hidden))
        assert root_spawner.output() == "from the tool\na note\n"

    # and may not write to it
    root_spawner.run("/bin/sh", "-c", "echo x >/lib2/new; echo x >/note", walls=staged(hidden))
    assert root_spawner.output().count("Read-only") == 2


def test_nobody_else_on_the_host_sees_it(root_spawner, hidden):
    before = mounts("self")
    root_spawner.run("/bin/true", walls=staged(hidden))

    assert mounts("self") == before
    assert len(mounts(root_spawner.process.pid)) == len(before) + 3


def mounts(pid):
    with open(f"/proc/{pid}/mountinfo") as stream:
        return stream.read().splitlines()


def test_what_the_host_mounts_later_is_seen(root_spawner, hidden, tmp_path):
    place = tmp_path / "mounted"
    place.mkdir()
    root_spawner.run("/bin/true", walls=staged(hidden))
    if subprocess.run(["mount", "-t", "tmpfs", "none", place], check=False).returncode:
        pytest.skip("nothing can be mounted here")
    try:
        shared = any(f" {place} " in line for line in mounts(root_spawner.process.pid))
        here = next(line for line in mounts("self") if f" {place} " in line)
    finally:
        subprocess.run(["umount", place], check=True)

    # a host without systemd shares none of its mounts
    assert shared or "shared:" not in here


def test_a_path_that_is_not_there_is_a_failed_set_up(root_spawner, tmp_path):
    answer = root_spawner.spawn("/bin/true", walls=walls(stage=[str(tmp_path / "no")]))

    assert answer["step"] == "walls"
    assert "No such file" in answer["text"]
    assert os.path.isdir("/run/sandq/stage")
    assert os.listdir("/run/sandq/stage") == []
