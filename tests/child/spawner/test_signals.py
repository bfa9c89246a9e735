"""Stopping a child with all it has started, and letting it go on."""

import os
import signal

import pytest

from tests.child.spawner.driving import PYTHON, status_of

# it forks all the time, in sessions of their own, twenty at once
FORKING = """
import os, signal, time
print("up", flush=True)
children = []
while True:
    pid = os.fork()
    if pid == 0:
        os.setsid()
        while True:
            pass
    children.append(pid)
    if len(children) > 8:
        os.kill(children[0], signal.SIGKILL)
        os.waitpid(children.pop(0), 0)
"""

BEHIND = pytest.mark.parametrize("behind", [None, True], ids=["bare", "walls"])


def tree(pid):
    found = [pid]
    for one in found:
        try:
            with open(f"/proc/{one}/task/{one}/children") as stream:
                found += map(int, stream.read().split())
        except OSError:
            pass
    return found


def payload(pid, behind):
    """The processes of a child without those of bubblewrap."""
    return tree(pid)[2 if behind else 0 :]


def stopped(pid, behind):
    pids = payload(pid, behind)
    return len(pids) > 3 and all(status_of(one) in "TZ" for one in pids) and pids


@BEHIND
def test_a_tree_that_forks_all_the_time_is_stopped_and_goes_on(spawner, behind, wait):
    pid = spawner.spawn(PYTHON, "-c", FORKING, walls=behind)["pid"]
    assert spawner.line() == "up"
    wait(lambda: len(payload(pid, behind)) > 3, "it forks")
    for _ in range(3):
        spawner.ask("freeze", pid)
        pids = wait(lambda: stopped(pid, behind), "all is stopped")
        assert payload(pid, behind) == pids

        spawner.ask("thaw", pid)
        wait(lambda before=pids: payload(pid, behind) != before, "it goes on")

    spawner.ask("freeze", pid)
    wait(lambda: stopped(pid, behind), "all is stopped")
    spawner.kill(pid)
    end = spawner.receive()

    assert os.WTERMSIG(end["status"]) == signal.SIGKILL
    assert tree(spawner.process.pid) == [spawner.process.pid]


@BEHIND
def test_a_stopped_child_takes_a_polite_signal(spawner, behind):
    script = "trap 'exit 7' TERM; echo up; kill -STOP $$; while :; do :; done"
    pid = spawner.spawn("/bin/sh", "-c", script, walls=behind)["pid"]
    assert spawner.line() == "up"
    spawner.kill(pid, signal.SIGTERM)

    assert os.waitstatus_to_exitcode(spawner.receive()["status"]) == 7


@pytest.mark.parametrize("op", ["freeze", "thaw"])
def test_a_stranger_is_neither_stopped_nor_started(spawner, op):
    spawner.ask(op, os.getpid())

    assert spawner.run("/bin/true")["status"] == 0
