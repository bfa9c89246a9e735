"""The spawner by itself, spoken to over its socket."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from sandq.child import spawner as spawner_package

PROGRAM = Path(spawner_package.__file__).parent
DEADLINE_S = 20


class Spawned:
    """A spawner, and our end of its socket."""

    def __init__(self, *before):
        """`before`: words of a command that becomes the spawner."""
        self.socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.settimeout(DEADLINE_S)
        self.process = subprocess.Popen(
            [*before, sys.executable, "-I", "-S", str(PROGRAM), str(theirs.fileno())],
            env={},
            pass_fds=(theirs.fileno(),),
            start_new_session=True,
        )
        theirs.close()

    def spawn(self, *argv, path="/bin/sh", cwd=None, rlimits=None):
        """Start a child with our own streams; the answer is the spawner's."""
        request = {
            "op": "spawn", "n": 1, "argv": list(argv), "path": path,
            "env": {"PATH": "/usr/bin:/bin"}, "cwd": cwd, "rlimits": rlimits or {},
        }  # fmt: skip
        with open(os.devnull, "r+b") as null:
            socket.send_fds(self.socket, [json.dumps(request).encode()], [null.fileno()] * 3)
        return self.receive()

    def ask(self, **request):
        self.socket.send(json.dumps(request).encode())

    def receive(self):
        return json.loads(self.socket.recv(1 << 20))


@pytest.fixture
def spawner():
    one = Spawned()
    yield one
    one.socket.close()
    one.process.wait(DEADLINE_S)


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_child_is_started_and_its_end_told_with_what_it_used(spawner):
    pid = spawner.spawn("sh", "-c", "exit 3")["pid"]
    end = spawner.receive()

    assert end["exit"] == pid
    assert os.waitstatus_to_exitcode(end["status"]) == 3
    assert end["max_rss_kb"] > 0


@pytest.mark.parametrize(
    ("request_", "step", "errno"),
    [
        ({"path": "/no/such/program"}, "exec", 2),
        ({"cwd": "/no/such/folder"}, "cwd", 2),
        ({"rlimits": {"RLIMIT_NOFILE": -5}}, "limits", 22),
    ],
)
def test_the_step_that_failed_is_named(spawner, request_, step, errno):
    answer = spawner.spawn("sh", "-c", "exit 0", **request_)

    assert (answer["step"], answer["errno"]) == (step, errno)


def test_a_signal_reaches_the_whole_group_even_a_stopped_one(spawner):
    pid = spawner.spawn("sh", "-c", "sleep 60 & kill -STOP $$; wait")["pid"]
    spawner.ask(op="kill", pid=pid, signal=signal.SIGTERM)
    end = spawner.receive()

    assert (end["exit"], os.WTERMSIG(end["status"])) == (pid, signal.SIGTERM)


def test_a_stranger_is_never_signalled(spawner):
    spawner.ask(op="kill", pid=os.getpid(), signal=signal.SIGKILL)
    pid = spawner.spawn("sh", "-c", "exit 0")["pid"]

    assert spawner.receive()["exit"] == pid


TELL = """
import os, sys, time
def tell(name):
    with open(name + ".new", "w") as note:
        note.write(str(os.getpid()))
    os.rename(name + ".new", name)
"""

# its grandchild leaves the session, does what is filled in, and tells its pid in the file named
STRAY = (
    TELL
    + """
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        %s
    os._exit(0)
os.wait()
while not os.path.exists(sys.argv[1]):
    pass
if len(sys.argv) > 2:
    time.sleep(60)
"""
)
STAYS = STRAY % "tell(sys.argv[1]); time.sleep(60)"

# it becomes another program, with an environment of its own
OTHER = f"{TELL}\ntell(sys.argv[1]); time.sleep(60)"
CHANGES = STRAY % (
    f"os.execve({sys.executable!r}, [{sys.executable!r}, '-c', {OTHER!r}, sys.argv[1]], {{}})"
)


def test_what_left_its_group_and_session_dies_with_its_child(spawner, tmp_path, wait):
    note = tmp_path / "pid"
    spawner.spawn("python", "-c", STAYS, str(note), path=sys.executable)
    wait(lambda: note.exists() and note.read_text(), "the stray has told its pid")
    end = spawner.receive()

    assert end["status"] == 0
    assert not alive(int(note.read_text()))


def test_what_has_thrown_its_mark_away_dies_as_well(spawner, tmp_path, wait):
    note = tmp_path / "pid"
    spawner.spawn("python", "-c", CHANGES, str(note), path=sys.executable)
    wait(lambda: note.exists() and note.read_text(), "the stray has told its pid")
    spawner.receive()

    assert not alive(int(note.read_text()))


def test_the_strays_of_a_living_child_are_left_alone(spawner, tmp_path, wait):
    note = tmp_path / "pid"
    spawner.spawn("python", "-c", STAYS, str(note), "stay", path=sys.executable)
    wait(lambda: note.exists() and note.read_text(), "the stray has told its pid")
    pid = spawner.spawn("sh", "-c", "exit 0")["pid"]

    assert spawner.receive()["exit"] == pid
    assert alive(int(note.read_text()))


def test_the_end_of_the_supervisor_is_the_end_of_everything(spawner, tmp_path, wait):
    note = tmp_path / "pid"
    pid = spawner.spawn("python", "-c", STAYS, str(note), "stay", path=sys.executable)["pid"]
    wait(lambda: note.exists() and note.read_text(), "the stray has told its pid")
    stray = int(note.read_text())
    assert alive(pid)
    assert alive(stray)

    spawner.socket.close()
    spawner.process.wait(DEADLINE_S)

    assert not alive(pid)
    assert not alive(stray)


def test_the_end_of_the_spawner_is_the_end_of_its_children(spawner, wait):
    pid = spawner.spawn("sh", "-c", "trap '' TERM HUP INT; sleep 60 & wait")["pid"]
    spawner.process.kill()
    spawner.process.wait(DEADLINE_S)

    wait(lambda: not alive(pid), "the kernel has killed the child", 5)


def test_the_terminals_signals_do_not_end_it(spawner):
    # once it has answered it has begun
    spawner.spawn("sh", path="/no/such/program")
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        os.kill(spawner.process.pid, number)
    pid = spawner.spawn("sh", "-c", "kill -TERM $$")["pid"]
    end = spawner.receive()

    # and a child has the default actions, not ours
    assert (end["exit"], os.WTERMSIG(end["status"])) == (pid, signal.SIGTERM)


def test_no_signal_is_ignored_in_a_child_because_its_supervisor_was_started_so(tmp_path):
    note = tmp_path / "ignored"
    # what a shell does for a command in the background, and more
    one = Spawned("/bin/sh", "-c", "trap '' INT QUIT USR1; exec \"$@\"", "sh")
    try:
        one.spawn("sh", "-c", f"exec grep -E 'Sig(Ign|Blk)' /proc/self/status > {note}")
        end = one.receive()
    finally:
        one.socket.close()
        one.process.wait(DEADLINE_S)
    told = dict(line.split(":\t") for line in note.read_text().splitlines())

    assert end["status"] == 0
    # the C library keeps 32 and 33 for itself
    assert int(told["SigIgn"], 16) & ~(3 << 31) == 0
    assert int(told["SigBlk"], 16) == 0
