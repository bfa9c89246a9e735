"""What is waited for, and what is done when it comes."""

import os
import select

import pytest

from sandq.child.spawner.poller import Poller


@pytest.fixture
def pipes():
    pairs = [os.pipe() for _ in range(2)]
    yield pairs
    for pair in pairs:
        for fd in pair:
            os.close(fd)


def test_a_step_is_done_when_its_descriptor_is_ready(pipes):
    poller, done = Poller(), []
    for name, (read, _) in zip("ab", pipes, strict=True):
        poller.hear(read, select.POLLIN, lambda name=name: done.append(name))
    poller.turn(0)
    os.write(pipes[1][1], b"x")
    poller.turn(None)
    poller.forget(pipes[1][0])
    poller.forget(pipes[1][0])
    poller.turn(0)

    assert done == ["b"]


def test_a_step_that_another_one_has_taken_away_is_not_done(pipes):
    poller, done = Poller(), []
    (one, write_one), (other, write_other) = pipes

    def take_away(own, others):
        done.append(own)
        poller.forget(others)
        # its number is another's now
        poller.hear(others, select.POLLIN, lambda: done.append("new"))

    poller.hear(one, select.POLLIN, lambda: take_away("one", other))
    poller.hear(other, select.POLLIN, lambda: take_away("other", one))
    os.write(write_one, b"x")
    os.write(write_other, b"x")
    poller.turn(None)

    assert len(done) == 1
    assert "new" not in done
