"""What blocks a guarantee, and the command that mends it, is told exactly."""

import pytest

from sandq.isolation import mends
from tests.isolation.hosts import GOOD, HOSTS, SLICE, host, root

# host -> what blocks the walls, and what mends it
WALLS = {
    "no bwrap": ("bubblewrap is not installed", "apt-get install bubblewrap"),
    "old bwrap": ("bubblewrap 0.6.1", "pip install 'sandq[sandbox]'"),
    "no user namespaces": (
        "user.max_user_namespaces = 0",
        "sysctl -w user.max_user_namespaces=15000",
    ),
    "namespaces of root": (
        "kernel.unprivileged_userns_clone = 0",
        "sysctl -w kernel.unprivileged_userns_clone=1",
    ),
    "apparmor": ("AppArmor", "profile bwrap /usr/bin/bwrap flags=(unconfined)"),
    "apparmor, other path": ("not /opt/bwrap", "apt-get install bubblewrap && printf"),
    "docker": ("the container (docker)", "--security-opt seccomp=unconfined"),
    "docker on ubuntu": ("AppArmor", "on the host: sysctl"),
    "root without setuid": ("it lacks CAP_SETUID", "SANDQ_UIDS=60000-60999"),
    "macos": ("it needs Linux", "run the supervisor on Linux"),
}


@pytest.mark.parametrize("name", WALLS)
def test_what_blocks_the_walls(name):
    what, mend = WALLS[name]
    blocker = mends.no_walls(HOSTS[name])

    assert what in blocker.what
    assert mend in blocker.mend
    # where there are no walls there is no /proc either, for the same reason
    assert mends.no_proc(HOSTS[name]) == blocker


@pytest.mark.parametrize("name", ["user", "root", "docker unconfined"])
def test_nothing_blocks_them(name):
    assert mends.no_walls(HOSTS[name]) is None


@pytest.mark.parametrize(
    ("name", "mend"),
    [
        ("docker unconfined", "--security-opt systempaths=unconfined"),
        ("kubernetes", "procMount: Unmasked"),
        ("masked", "findmnt -R /proc"),
    ],
)
def test_what_blocks_a_proc_of_its_own(name, mend):
    blocker = mends.no_proc(HOSTS[name])

    assert "parts of /proc are masked" in blocker.what
    assert "Can't mount proc" in blocker.what
    assert mend in blocker.mend


def test_in_a_container_the_weaker_walls_are_named():
    assert 'backend = "landlock"' in mends.no_walls(HOSTS["docker"]).mend


def test_a_reason_that_is_not_known_is_told_as_it_is():
    odd = mends.no_walls(host(bwrap=HOSTS["docker"].bwrap))

    assert "No permissions to create new namespace" in odd.what
    assert "unshare -Urm true" in odd.mend


@pytest.mark.parametrize(
    ("facts", "what", "mend"),
    [
        (host(cgroup=None), "not mounted", "systemd.unified_cgroup_hierarchy=1"),
        (host(), f"{SLICE} is not delegated", "systemd-run --user --scope -p Delegate=yes"),
        (host(container="docker"), "in this container", "--memory"),
        (HOSTS["delegated"], "'io' is not handed down", "Delegate=yes"),
    ],
)
def test_what_blocks_a_control_group(facts, what, mend):
    blocker = mends.no_cgroup(facts, "io")

    assert what in blocker.what
    assert mend in blocker.mend


def test_what_blocks_a_filter():
    assert "riscv64" in mends.no_seccomp(HOSTS["other processor"]).what
    assert "CONFIG_SECCOMP_FILTER" in mends.no_seccomp(HOSTS["no filters"]).mend
    assert mends.no_seccomp(HOSTS["user"]) is None


def test_what_landlock_lacks():
    assert "5.13" in mends.no_landlock(HOSTS["no landlock"]).mend
    assert "CAP_SETUID" in mends.no_landlock(HOSTS["root without setuid"]).what
    assert "as root" in mends.own_files(HOSTS["user"]).mend
    assert mends.own_files(HOSTS["root"]) is None
    assert "version 2" in mends.signals(HOSTS["user"]).what
    assert mends.signals(HOSTS["docker user"]) is None
    # what it cannot do bubblewrap can, once that can be had
    wanted = mends.not_by_landlock(HOSTS["no bwrap"], "…").mend
    assert "apt-get install bubblewrap" in wanted
    assert mends.not_by_landlock(root(bwrap=GOOD), "…").mend.endswith('backend = "bwrap"')
