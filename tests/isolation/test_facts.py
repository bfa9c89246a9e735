"""What follows from facts."""

import pytest

from sandq.isolation.facts import UNTRIED, WORKS, Bwrap, elsewhere
from tests.isolation.hosts import DELEGATED, HOSTS, host, root


def test_slots_have_uids_of_their_own_when_root_can_give_them():
    assert root().slot_uids
    assert not root(uids=None).slot_uids
    assert not host(uids=(70000, 70999)).slot_uids


@pytest.mark.parametrize(
    ("cgroup", "controls"), [(None, False), (host().cgroup, False), (DELEGATED, True)]
)
def test_a_controller_can_be_used_where_it_is_handed_down(cgroup, controls):
    assert host(cgroup=cgroup).controls("memory") is controls
    assert not host(cgroup=cgroup).controls("io")


def test_elsewhere_there_is_nothing():
    assert elsewhere() == HOSTS["macos"]
    assert not elsewhere().linux


def test_what_was_not_tried_does_not_work():
    assert WORKS.ok
    assert not UNTRIED.ok
    assert Bwrap(path="/b", version=(0, 11, 0)).shown == "0.11.0"
