"""Who is held to limits: here what a child has started, by its number."""

import os
import subprocess

import pytest

from tests.child.spawner.driving import PYTHON, alive

MIB = 1024 * 1024

# a server: it starts one process for each line that it is told, and tells its number
SERVER = """
import os, signal, sys
hog = None
while sys.stdin.buffer.raw.read(1):
    pid = os.fork()
    if pid == 0:
        hog = b"x" * (60 << 20)
        os.fork()
        signal.pause()
    print(pid, flush=True)
    try:
        os.waitpid(pid, 0)
    except OSError:
        pass
    print("ended", flush=True)
"""


@pytest.fixture
def started(spawner):
    """A child of the spawner and a process that it has started."""
    read, write = os.pipe()
    os.write(write, b"1")
    script = f"exec {PYTHON} -c '{SERVER.replace(chr(39), chr(34))}' <&3"
    pid = spawner.spawn("/bin/sh", "-c", script, fds=[read])["pid"]
    job = int(spawner.line())
    yield pid, job
    os.close(read)
    os.close(write)


@pytest.mark.parametrize(
    ("limits", "name"), [({"memory": 30 * MIB}, "memory"), ({"pids": 1}, "pids")]
)
def test_the_limit_is_told_before_the_process_is_killed(spawner, started, limits, name):
    pid, job = started
    spawner.ask("watch", job, watch=limits)
    told = spawner.receive()

    assert told["limit_hit"] == job
    assert told["limit"]["name"] == name
    assert told["limit"]["peak"] > told["limit"]["value"]
    assert spawner.line() == "ended"
    assert not alive(job)
    # the child that had started it lives on
    assert alive(pid)


def test_who_is_watched_no_more_is_left_alone(spawner, started):
    _, job = started
    spawner.ask("watch", job, watch={"memory": 30 * MIB})
    spawner.ask("unwatch", job)
    end = spawner.run("/bin/sleep", "0.3")

    assert end["status"] == 0
    assert alive(job)


def test_a_stranger_is_never_watched(spawner):
    with subprocess.Popen(["sleep", "60"]) as stranger:
        spawner.ask("watch", stranger.pid, watch={"pids": 0})
        spawner.ask("watch", os.getpid(), watch={"pids": 0})
        spawner.ask("watch", 1, watch={"pids": 0})
        spawner.run("/bin/sleep", "0.3")
        assert stranger.poll() is None
        stranger.kill()


def test_who_has_ended_is_forgotten(spawner, started):
    pid, job = started
    spawner.ask("watch", job, watch={"cpu_s": 50})
    spawner.kill(pid)
    assert spawner.receive()["exit"] == pid

    assert spawner.run("/bin/sleep", "0.3")["status"] == 0
