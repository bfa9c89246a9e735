"""Processes as /proc shows them."""

import mmap
import os
import signal
import subprocess
import sys
import threading

import pytest

from sandq.child.spawner import tree

MIB = 1024 * 1024
GONE = 2**22 - 1


@pytest.fixture
def shell():
    """A shell with a child and a grandchild."""
    script = "sh -c 'sleep 60 & echo up; wait' & wait"
    process = subprocess.Popen(
        ["/bin/sh", "-c", script], stdout=subprocess.PIPE, start_new_session=True
    )
    assert process.stdout.readline() == b"up\n"
    yield process
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()


def test_all_that_descends_from_a_process(shell):
    found = tree.descendants(shell.pid)

    assert len(found) == 2
    assert [tree.stat_of(pid).parent for pid in found] == [shell.pid, found[0]]
    assert shell.pid in tree.our_children()


def test_what_a_thread_has_started_descends_from_the_process():
    """Even while the thread lives."""
    started, done, pids = threading.Event(), threading.Event(), []

    def start():
        process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
        pids.append(process.pid)
        started.set()
        done.wait()
        process.kill()
        process.wait()
        process.stdin.close()

    thread = threading.Thread(target=start)
    thread.start()
    started.wait()
    try:
        assert pids[0] in tree.our_children()
        assert tree.stat_of(os.getpid()).threads >= 2
    finally:
        done.set()
        thread.join()


def test_a_process_at_one_moment(shell, wait):
    now = tree.stat_of(shell.pid)
    assert (now.parent, now.group, now.exiting, now.runs) == (os.getpid(), shell.pid, False, True)
    assert now.own_s < 5

    os.kill(shell.pid, signal.SIGSTOP)
    wait(lambda: not tree.stat_of(shell.pid).runs, "it is stopped")
    os.kill(shell.pid, signal.SIGKILL)
    wait(lambda: tree.stat_of(shell.pid).exiting, "it is dead, though nobody has waited for it")


def test_a_name_cannot_forge_anything(program):
    name = program("read line\n", name=") Z 1 1", mode=0o755)[0]
    with open(name, "w") as stream:
        stream.write("#!/bin/sh\nread line\n")
    process = subprocess.Popen([name], stdin=subprocess.PIPE)
    try:
        assert tree.stat_of(process.pid).parent == os.getpid()
    finally:
        process.communicate(b"\n")


def test_a_process_that_is_gone():
    assert tree.stat_of(GONE) is None
    assert tree.descendants(GONE) == []
    assert tree.resident(GONE) == tree.shared_out(GONE) == (0, 0)
    assert tree.shared_maps(GONE) == {}
    assert tree.marks_of(GONE) == set()


def test_memory_that_is_not_of_files_is_counted_shared_or_not():
    before = tree.resident(os.getpid()), tree.shared_out(os.getpid())
    with mmap.mmap(-1, 20 * MIB) as shared:
        hog = bytearray(20 * MIB)
        shared[::4096] = b"x" * (20 * MIB // 4096)
        hog[::4096] = shared[::4096]
        after = tree.resident(os.getpid()), tree.shared_out(os.getpid())
        shared.madvise(mmap.MADV_DONTNEED)
        hidden = tree.resident(os.getpid())
        maps = tree.shared_maps(os.getpid())

    for one, other in zip(before, after, strict=True):
        assert 19 * MIB < other.own - one.own < 30 * MIB
        assert 19 * MIB < other.shared - one.shared < 30 * MIB
    assert hidden.shared < after[0].shared - 19 * MIB
    assert 20 * MIB in maps.values()
