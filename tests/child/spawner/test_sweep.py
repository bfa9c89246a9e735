"""What children leave behind is found and killed."""

import os

import pytest

from tests.child.spawner.driving import PYTHON, ROOT, alive, find

# a chain: each leaves its session, starts the next one, and goes on
RUNAWAY = """
import os, sys
print("up", flush=True)
while True:
    if os.fork():
        os._exit(0)
    os.setsid()
"""

MANY = """
import os, signal, sys
for _ in range(30):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            signal.pause()
        signal.pause()
print("up", flush=True)
signal.pause()
"""


def test_orphans_with_children_of_their_own(spawner, mark):
    pid = spawner.spawn(PYTHON, "-c", MANY, mark)["pid"]
    assert spawner.line() == "up"
    spawner.kill(pid)
    spawner.receive()

    assert find(mark) == []


def test_a_process_that_changes_its_number_all_the_time(spawner, mark):
    spawner.spawn(PYTHON, "-c", RUNAWAY, mark)
    spawner.receive()

    assert find(mark) == []


@pytest.mark.skipif(not ROOT, reason="for the walls of root")
def test_a_dying_sibling_behind_walls_is_no_stray(root_spawner):
    """The first process of its walls becomes a child of the spawner when it dies."""
    walled = [root_spawner.request("/bin/sleep", "60", walls=True) for _ in range(4)]
    pids = [root_spawner.receive()["pid"] for _ in walled]
    root_spawner.request("/bin/sh", "-c", "setsid env -i sleep 60 & exit 0")
    for pid in pids:
        root_spawner.kill(pid)
    messages = [root_spawner.receive() for _ in range(6)]

    assert sorted(m["exit"] for m in messages if "exit" in m)[-5:]
    assert not any(map(alive, pids))
    assert os.path.exists(f"/proc/{root_spawner.process.pid}")
