"""The supervisor's own control group, on trees of files that stand for the kernel's."""

import errno
from pathlib import Path

import pytest

from sandq.isolation import cgroups
from sandq.isolation.cgroups import LEAF, hand_down, own_cgroup, settle
from sandq.isolation.facts import Cgroup
from tests.isolation.hosts import host as host_like


def host_of(group):
    return host_like(cgroup=group)


FILES = ("cgroup.procs", "cgroup.subtree_control", "cgroup.type", "cgroup.kill", "cgroup.freeze")


@pytest.fixture
def host(tmp_path):
    """Make a host: where the supervisor is in the tree, and how the tree is mounted."""

    def make(path="/a.slice/b.service", root="/", kind="cgroup2", controllers="cpu memory pids"):
        proc, tree = tmp_path / "proc", tmp_path / "tree"
        folder = Path(f"{tree}{path.removeprefix(root) if root != '/' else path}")
        folder.mkdir(parents=True, exist_ok=True)
        proc.mkdir(exist_ok=True)
        (proc / "cgroup").write_text(f"1:name=systemd:/x\n0::{path}\n")
        (proc / "mountinfo").write_text(
            f"22 1 0:5 / /proc rw - proc proc rw\n30 22 0:26 {root} {tree} rw - {kind} none rw\n"
        )
        for name in FILES:
            (folder / name).touch()
        (folder / "cgroup.controllers").write_text(f"{controllers}\n")

        return str(proc), str(tmp_path / "systemd"), folder

    return make


def test_its_own_folder_is_found(host):
    proc, systemd, folder = host()

    assert own_cgroup(proc, systemd) == Cgroup(
        folder=str(folder), delegated=True, controllers=frozenset({"cpu", "memory", "pids"})
    )


def test_a_tree_that_is_shown_from_a_folder_on(host):
    proc, systemd, folder = host("/docker/1/job", root="/docker/1")

    assert own_cgroup(proc, systemd).folder == str(folder)


@pytest.mark.parametrize("more", [{"kind": "cgroup"}, {"path": "/../x"}])
def test_there_is_no_tree_for_it(host, more):
    proc, systemd, _ = host(**more)

    assert own_cgroup(proc, systemd) is None


def test_without_a_proc_nothing_is_known(tmp_path):
    assert own_cgroup(str(tmp_path)) is None


def test_under_systemd_a_folder_is_left_alone_unless_it_is_marked(host, monkeypatch):
    proc, systemd, folder = host()
    Path(systemd).mkdir()
    monkeypatch.setattr(cgroups, "_manager_says_so", lambda unit: False)

    assert not own_cgroup(proc, systemd).delegated

    def marked(path, name):
        if str(path) != str(folder) or name != "user.delegate":
            raise OSError(errno.ENODATA, "none")
        return b"1"

    monkeypatch.setattr(cgroups.os, "getxattr", marked)
    assert own_cgroup(proc, systemd).delegated


@pytest.mark.parametrize("answer", [True, False])
def test_an_ordinary_users_manager_is_asked(host, monkeypatch, answer):
    proc, systemd, _ = host("/user.slice/u.service/app.slice/run-1.scope")
    Path(systemd).mkdir()
    asked = []
    monkeypatch.setattr(cgroups.os, "geteuid", lambda: 1000)
    monkeypatch.setattr(cgroups, "_manager_says_so", lambda unit: asked.append(unit) or answer)

    assert own_cgroup(proc, systemd).delegated is answer
    assert asked == ["run-1.scope"]


@pytest.mark.parametrize(("says", "delegated"), [("yes", True), ("no", False)])
def test_the_manager_answers(tmp_path, monkeypatch, says, delegated):
    program = tmp_path / "systemctl"
    program.write_text(f"#!/bin/sh\necho {says}\n")
    program.chmod(0o755)
    run = cgroups.subprocess.run
    monkeypatch.setattr(
        cgroups.subprocess, "run", lambda words, **more: run([str(program), *words[1:]], **more)
    )

    assert cgroups._manager_says_so("a.scope") is delegated
    program.unlink()
    assert not cgroups._manager_says_so("a.scope")


def test_a_supervisor_that_has_moved_is_where_it_was(host):
    proc, systemd, folder = host(f"/b.service/{LEAF}")
    for name in (*FILES, "cgroup.controllers"):
        (folder.parent / name).write_text("memory\n")

    found = own_cgroup(proc, systemd)
    assert (found.folder, found.controllers) == (str(folder.parent), frozenset({"memory"}))


class Kernel:
    """Hands nothing down from a group that has processes; new ones may come meanwhile."""

    def __init__(self, folder, pids, later=()):
        self.folder, self.pids, self.later = folder, list(pids), list(later)
        self.moved, self.handed = [], []

    def write_text(self, path, text):
        if path == self.folder / "cgroup.subtree_control":
            self.pids += [self.later.pop()] if self.later else []
            if self.pids:
                raise OSError(errno.EBUSY, "busy")
            self.handed.append(text)
        elif path == self.folder / LEAF / "cgroup.procs":
            self.pids.remove(text)
            if text == "13":
                raise ProcessLookupError
            self.moved.append(text)

    def read_text(self, path):
        assert path == self.folder / "cgroup.procs"

        return "\n".join(self.pids)


@pytest.fixture
def group(tmp_path, monkeypatch):
    """A group with these processes; the answer is it and its kernel."""

    def make(*pids, later=(), type_="domain"):
        if type_:
            (tmp_path / "cgroup.type").touch()
        kernel = Kernel(tmp_path, pids, later)
        monkeypatch.setattr(
            cgroups.Path, "write_text", lambda path, text: kernel.write_text(path, text)
        )
        monkeypatch.setattr(cgroups.Path, "read_text", lambda path: kernel.read_text(path))
        controllers = frozenset({"cpu", "memory", "pids"})

        return Cgroup(folder=str(tmp_path), delegated=True, controllers=controllers), kernel

    return make


@pytest.mark.parametrize(
    ("later", "moved"), [((), ["7", "21"]), (("40", "30"), ["7", "21", "30", "40"])]
)
def test_controllers_are_handed_down_at_once_when_everybody_has_moved(group, later, moved):
    own, kernel = group("7", "13", "21", later=later)

    assert settle(host_of(own)).cgroup == own
    assert kernel.moved == moved
    assert kernel.handed == ["+memory +pids"]


def test_nobody_is_moved_from_the_root_of_the_tree(group):
    own, kernel = group(type_="")

    hand_down(own)
    assert (kernel.moved, kernel.handed) == ([], ["+memory +pids"])


def test_a_group_that_hands_nothing_down_is_as_good_as_not_delegated(group):
    own, kernel = group("1", later=[str(pid) for pid in range(2, 20)])

    assert not settle(host_of(own)).cgroup.delegated
    assert kernel.handed == []


def test_a_group_that_is_gone_is_as_good_as_not_delegated():
    gone = Cgroup(folder="/none", delegated=True, controllers=frozenset({"memory"}))

    assert not settle(host_of(gone)).cgroup.delegated


@pytest.mark.parametrize(
    "own",
    [
        None,
        Cgroup(folder="/none", controllers=frozenset({"memory"})),
        Cgroup(folder="/none", delegated=True, controllers=frozenset({"cpu"})),
    ],
)
def test_where_there_is_nothing_to_hand_down_nothing_is_done(own):
    assert settle(host_of(own)) == host_of(own)
