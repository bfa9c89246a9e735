"""bubblewrap around a child, as root with a uid for it and as an ordinary user."""

import base64
import os
import signal
import socket
import struct

import pytest

from tests.child.spawner.driving import DEADLINE_S, ROOT, alive, find, walls

ENDED = "bubblewrap ended with exit code 1 before the program began"
SECRET = "a-secret-of-the-supervisor"


@pytest.fixture(autouse=True)
def _bwrap(need_program):
    need_program("bwrap", "bubblewrap")


def test_a_child_behind_walls_is_started_and_its_end_told(spawner):
    end = spawner.run("/bin/sh", "-c", "whoami; ls /etc; exit 3", walls=True)

    assert os.waitstatus_to_exitcode(end["status"]) == 3
    assert end["max_rss_kb"] > 0
    assert "began" not in end
    assert spawner.output().split() == ["job", "alternatives", "passwd"]


def test_nothing_inside_tells_of_the_environment_but_the_childs_own(spawner):
    look = "env; cat /proc/1/environ /proc/1/cmdline /proc/self/mountinfo; ls /proc/self/fd"
    spawner.run("/bin/sh", "-c", look, walls=True, env={"PATH": "/usr/bin", "KEY": SECRET})
    text = spawner.output()

    # once by env, and nowhere else
    assert text.count(SECRET) == 1
    assert "SANDQ" not in text
    assert text.split("\n")[-5:] == ["0", "1", "2", "3", ""]


def test_no_word_of_a_variable_is_taken_for_an_option(spawner):
    env = {"FIRST": "--chdir", "SECOND": "--share-net", "THIRD": "--chdir"}
    look = "pwd; env; readlink /proc/self/ns/net"
    spawner.run("/bin/sh", "-c", look, walls=True, env=env, cwd="/usr")
    lines = spawner.output().split()

    assert lines[0] == "/usr"
    assert {f"{name}={value}" for name, value in env.items()} <= set(lines)
    assert lines[-1] != os.readlink("/proc/self/ns/net")


def test_a_signal_of_the_program_is_told_as_one(spawner):
    end = spawner.run("/bin/sh", "-c", "kill -SEGV $$", walls=True)

    assert os.WTERMSIG(end["status"]) == signal.SIGSEGV


def test_bubblewraps_refusal_is_a_failed_set_up_and_its_words_are_on_the_childs_stderr(spawner):
    one = walls(user=spawner.user)
    one["options"] += ["--ro-bind", "/no/such/folder", "/x"]
    answer = spawner.spawn("/bin/true", walls=one)

    assert (answer["n"], answer["step"]) == (1, "walls")
    assert "bubblewrap ended with exit code 1" in answer["text"]
    assert "/no/such/folder" in spawner.output()


def test_a_bubblewrap_that_is_not_there_is_a_failed_set_up(spawner):
    answer = spawner.spawn("/bin/true", walls=walls(user=spawner.user, program="/no/such/bwrap"))

    assert answer["step"] == "walls"
    assert "No such file" in answer["text"]


def test_a_program_that_is_not_in_the_walls_has_not_begun(spawner):
    answer = spawner.spawn("/no/such/program", walls=True)
    if "pid" in answer:
        assert spawner.receive()["began"] is False
    else:
        # bubblewrap has ended before the spawner saw that the walls stood
        assert (answer["step"], answer["text"]) == ("walls", ENDED)

    assert "execvp" in spawner.output()


def test_a_program_that_fails_like_bubblewrap_has_begun(spawner):
    end = spawner.run("/bin/sh", "-c", "echo 'bwrap: no' >&2; exit 1", walls=True)

    assert "began" not in end


def stalled(spawner):
    """Walls whose set-up reads a file to its end from descriptor 3: a pipe that does not end."""
    one = walls(user=spawner.user)
    at = one["options"].index("--remount-ro")
    one["options"][at:at] = ["--ro-bind-data", "3", "/file"]
    return one


def test_walls_of_an_unknown_kind_are_refused(spawner):
    answer = spawner.spawn("/bin/true", walls={"kind": "paper"})

    assert answer["step"] == "walls"


def test_no_descriptor_is_left_in_the_spawner(spawner, tmp_path):
    folder = f"/proc/{spawner.process.pid}/fd"
    spawner.run("/bin/true", walls=True, watch={"inodes": 100})
    before = set(os.listdir(folder)) if ROOT else set()
    for _ in range(3):
        spawner.run("/bin/true", walls=True, watch={"inodes": 100})
        spawner.spawn("/bin/true", walls=walls(user=spawner.user, program="/no/such/bwrap"))
        spawner.spawn("/bin/true", walls=walls("--no-such-option", user=spawner.user))

    assert not ROOT or set(os.listdir(folder)) == before


def test_sets_up_of_many_at_once_do_not_wait_for_each_other(spawner, mark, tmp_path):
    read, write = os.pipe()
    one = stalled(spawner)
    stuck = spawner.request("/bin/true", mark, walls=one, fds=[read])
    numbers = [spawner.request("/bin/sh", "-c", "exit 0", walls=True) for _ in range(8)]
    messages = [spawner.receive() for _ in range(16)]

    assert {m["n"] for m in messages if "n" in m} == set(numbers)
    assert stuck not in numbers

    # and it can be killed where it is
    [pid] = [pid for pid in find(mark) if parent(pid) == spawner.process.pid]
    spawner.kill(pid)
    answer = spawner.receive()
    assert (answer["n"], answer["step"]) == (stuck, "walls")
    assert find(mark) == []
    os.close(read)
    os.close(write)


def parent(pid):
    with open(f"/proc/{pid}/stat") as stat:
        return int(stat.read().rpartition(")")[2].split()[1])


def test_the_end_of_the_supervisor_ends_what_is_being_set_up_and_what_runs(spawner, mark, wait):
    read, write = os.pipe()
    one = stalled(spawner)
    spawner.request("/bin/true", mark, walls=one, fds=[read])
    spawner.spawn("/bin/sh", "-c", "setsid sleep 60 & sleep 60", mark, walls=True)
    wait(lambda: len(find(mark)) >= 5, "all are there")
    spawner.socket.close()
    spawner.process.wait(DEADLINE_S)

    assert find(mark) == []
    os.close(read)
    os.close(write)


def test_a_spawner_killed_at_once_leaves_nothing(spawner, mark, wait):
    script = "setsid sleep 60 & setsid sh -c 'sleep 60 & exec sleep 60' & sleep 60"
    spawner.spawn("/bin/sh", "-c", script, mark, walls=True)
    pids = tree(spawner.process.pid)
    wait(lambda: len(tree(spawner.process.pid)) >= 6, "all are there")
    pids = tree(spawner.process.pid)
    spawner.process.kill()

    wait(lambda: not any(map(alive, pids)), "all are dead", 5)


def tree(pid):
    found = [pid]
    for one in found:
        with open(f"/proc/{one}/task/{one}/children") as stream:
            found += map(int, stream.read().split())
    return found[1:]


def test_who_leaves_the_session_dies_with_the_child_and_before_its_report(spawner, mark):
    script = f"setsid sh -c 'sleep 60; :' {mark} & setsid sleep 60 & exit 0"
    end = spawner.run("/bin/sh", "-c", script, mark, walls=True)

    assert end["status"] == 0
    assert find(mark) == []
    assert tree(spawner.process.pid) == []


def test_a_kill_ends_all_and_is_told_as_the_signal(spawner, mark):
    pid = spawner.spawn("/bin/sh", "-c", "setsid sleep 60 & trap '' TERM; sleep 60", walls=True)[
        "pid"
    ]
    spawner.kill(pid)
    end = spawner.receive()

    assert os.WTERMSIG(end["status"]) == signal.SIGKILL
    assert "began" not in end
    assert tree(spawner.process.pid) == []


def test_a_polite_signal_comes_to_the_program_not_to_bubblewrap(spawner):
    pid = spawner.spawn(
        "/bin/sh", "-c", "trap 'echo told; exit 7' TERM; echo up; sleep 60 & wait", walls=True
    )["pid"]
    assert spawner.line() == "up"
    spawner.kill(pid, signal.SIGTERM)
    end = spawner.receive()

    assert os.waitstatus_to_exitcode(end["status"]) == 7
    assert spawner.output() == "told\n"


FORK = """
import os, signal
count = 0
try:
    while os.fork():
        count += 1
    signal.pause()
except OSError:
    print(count, flush=True)
"""


def test_limits_inside_count_the_processes_of_this_child_alone(spawner):
    one = walls(user=spawner.user, inside={"RLIMIT_NPROC": 10})
    for _ in range(2):
        spawner.request("/usr/bin/python3", "-c", FORK, walls=one)
    assert {"pid"} <= set(spawner.receive()) | set(spawner.receive())

    ends = [spawner.receive() for _ in range(2)]
    assert [end["status"] for end in ends] == [0, 0]
    # its first process and itself are among the ten
    assert [spawner.output(n) for n in (1, 2)] == ["8\n", "8\n"]


def test_a_private_channel_is_descriptor_three(spawner):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        spawner.spawn(
            "/bin/sh", "-c", "echo hello >&3; ls /proc/self/fd", walls=True, fds=[theirs.fileno()]
        )
        theirs.close()
        assert ours.recv(100) == b"hello\n"
    spawner.receive()

    # and ls has a folder open
    assert spawner.output().split() == ["0", "1", "2", "3", "4"]


def test_a_filter_is_in_force(spawner):
    # errno 99 for getppid (110 on x86-64, 173 elsewhere)
    number = {"x86_64": 110}.get(os.uname().machine, 173)
    steps = [(0x20, 0, 0, 0), (0x15, 0, 1, number), (6, 0, 0, 0x50000 | 99), (6, 0, 0, 0x7FFF0000)]
    program = b"".join(struct.pack("HBBI", *step) for step in steps)
    one = walls(user=spawner.user, seccomp=base64.b64encode(program).decode())
    call = "import os; print(os.getppid())"
    for _ in range(3):
        spawner.request("/usr/bin/python3", "-c", call, walls=one)
    for _ in range(6):
        spawner.receive()

    assert [spawner.output(n) for n in (1, 2, 3)] == ["-99\n"] * 3


@pytest.mark.skipif(not ROOT, reason="only root has uids to give")
def test_the_streams_can_be_opened_again_by_a_uid_of_its_own(root_spawner):
    root_spawner.run("/bin/sh", "-c", "echo one >/dev/stdout; echo two >/dev/stderr", walls=True)

    assert root_spawner.output() == "one\ntwo\n"


def test_what_a_child_behind_walls_has_used_is_told(spawner):
    burn = "import time\nwhile time.process_time() < 0.3: pass"
    end = spawner.run("/usr/bin/python3", "-c", burn, walls=True)

    assert 0.3 <= end["cpu_s"] < 3


def test_the_folder_it_runs_in(spawner):
    spawner.run("/bin/pwd", walls=True, cwd="/usr/lib")

    assert spawner.output() == "/usr/lib\n"
