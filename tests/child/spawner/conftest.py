"""What the tests of the spawner share."""

import uuid

import pytest

from tests.child.spawner.driving import ORDINARY, ROOT, Spawned


@pytest.fixture(params=["ours", "ordinary"] if ROOT else ["ours"])
def spawner(request):
    """A spawner of our own user, and when that is root, one of an ordinary user too."""
    one = Spawned(ORDINARY if request.param == "ordinary" else None)
    yield one
    one.close()


@pytest.fixture
def root_spawner():
    if not ROOT:
        pytest.skip("only root can do it")
    one = Spawned()
    yield one
    one.close()


@pytest.fixture
def mark():
    """A word by which the processes of a test are known."""
    return uuid.uuid4().hex
