"""The limits of all processes of a child together, by looking at them."""

import pytest

from sandq.child.spawner.tree import Stat
from sandq.child.spawner.watchdog import Processor
from tests.child.spawner.driving import PYTHON, find, walls

MIB = 1024 * 1024

HOG = """
import os, signal, sys
for _ in range(int(sys.argv[1]) - 1):
    if os.fork() == 0:
        break
hog = bytearray(int(sys.argv[2]))
for at in range(0, len(hog), 4096):
    hog[at] = 1
signal.pause()
"""

SHARED = """
import mmap, signal, sys
hog = mmap.mmap(-1, int(sys.argv[2]))
for at in range(0, len(hog), 4096):
    hog[at] = 1
signal.pause()
"""

# the kernel keeps pages that the process no longer shows as its own
LET_GO = SHARED.replace("signal.pause()", "hog.madvise(mmap.MADV_DONTNEED)\nsignal.pause()")

# pages are small beside the tables that tell where they are
TABLES = """
import ctypes, mmap, signal, sys
libc = ctypes.CDLL(None)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
size = int(sys.argv[2]) * 512
start = libc.mmap(None, size, 1, 0x4022, -1, 0)
for at in range(start, start + size, 1 << 21):
    ctypes.c_char.from_address(at).value
signal.pause()
"""

# what is sent and not received is kept by the kernel, on nobody's account
SOCKETS = """
import signal, socket
pairs = [socket.socketpair() for _ in range(150)]
for one, _ in pairs:
    one.setblocking(False)
    try:
        while True:
            one.send(bytes(65536))
    except BlockingIOError:
        pass
signal.pause()
"""

# its main thread ends, and with it all that /proc tells of the process
LEADERLESS = """
import ctypes, os, sys, threading, time
def hog():
    hog = bytearray(int(sys.argv[2]))
    for at in range(0, len(hog), 4096):
        hog[at] = 1
    time.sleep(30)
threading.Thread(target=hog).start()
ctypes.CDLL(None).syscall(93 if os.uname().machine == "aarch64" else 60, 0)
"""

# it calls itself what is no text
NAMELESS = (
    """
import ctypes
ctypes.CDLL(None).prctl(15, b"\\xff) \\rRssAnon: x", 0, 0, 0)
"""
    + HOG
)

# what may not be looked at by who is not root
HIDDEN = "import ctypes\nctypes.CDLL(None).prctl(4, 0, 0, 0, 0)\n" + HOG

# what is shared after a fork is counted once
FORKED = """
import os, signal, sys
hog = bytearray(int(sys.argv[2]))
for at in range(0, len(hog), 4096):
    hog[at] = 1
children = [os.fork() or os.execv('/bin/sleep', ['sleep', '0.5']) for _ in range(2)]
pid = os.fork()
if pid == 0:
    import time
    until = time.monotonic() + 0.5
    while time.monotonic() < until:
        pass
    os._exit(0)
os.waitpid(pid, 0)
"""

BOMB = """
import os, signal
while True:
    if os.fork() == 0:
        os.setsid()
        signal.pause()
"""

THREADS = """
import threading
while True:
    threading.Thread(target=threading.Event().wait).start()
"""

# no process lives for long, and none is waited for
SHORT = """
import os, signal, time
signal.signal(signal.SIGCHLD, {on_child})
while True:
    pid = os.fork()
    if pid == 0:
        while time.process_time() < 0.03:
            pass
        os._exit(0)
    try:
        os.waitpid(pid, 0)
    except ChildProcessError:
        pass
"""

FILES = """
import itertools
for n in itertools.count():
    open(f"/tmp/{n}", "w").close()
"""

PLACES = pytest.mark.parametrize("behind", [None, True], ids=["bare", "walls"])


@PLACES
@pytest.mark.parametrize(
    ("program", "processes"), [(HOG, 1), (HOG, 4), (SHARED, 1), (HIDDEN, 1), (NAMELESS, 1)]
)
def test_memory_of_one_process_and_of_several(spawner, mark, behind, program, processes):
    words = (PYTHON, "-c", program, str(processes), str(90 * MIB // processes), mark)
    end = spawner.run(*words, walls=behind, watch={"memory": 60 * MIB})

    assert end["limit"]["name"] == "memory"
    assert end["limit"]["value"] == 60 * MIB
    assert 60 * MIB < end["limit"]["peak"] < 200 * MIB
    assert end["status"] == 9
    assert end["oom"] is False
    assert find(mark) == []


@pytest.mark.parametrize(
    "program",
    [LET_GO, TABLES, SOCKETS, LEADERLESS],
    ids=["let go", "tables of pages", "sockets", "leaderless"],
)
def test_memory_that_is_hidden(spawner, mark, program):
    words = (PYTHON, "-c", program, "1", str(90 * MIB), mark)
    end = spawner.run(*words, walls=True, watch={"memory": 60 * MIB})

    assert end["limit"]["name"] == "memory"
    assert find(mark) == []


@PLACES
def test_memory_that_processes_share_is_counted_once(spawner, behind):
    words = (PYTHON, "-c", FORKED, "1", str(50 * MIB))
    end = spawner.run(*words, walls=behind, watch={"memory": 80 * MIB})

    assert "limit" not in end, end
    assert end["max_rss_kb"] > 50 * 1024


@PLACES
@pytest.mark.parametrize("program", [BOMB, THREADS], ids=["processes", "threads"])
def test_too_many_processes(spawner, mark, behind, program):
    end = spawner.run(PYTHON, "-c", program, mark, walls=behind, watch={"pids": 20})

    assert end["limit"]["name"] == "pids"
    assert end["limit"]["value"] == 20
    assert end["limit"]["peak"] > 20
    assert find(mark) == []


@PLACES
@pytest.mark.parametrize("on_child", ["signal.SIG_DFL", "signal.SIG_IGN"])
def test_processor_time_of_many_short_processes(spawner, mark, behind, on_child):
    program = SHORT.format(on_child=on_child)
    end = spawner.run(PYTHON, "-c", program, mark, walls=behind, watch={"cpu_s": 1})

    assert end["limit"]["name"] == "cpu"
    assert end["limit"]["value"] == 1
    assert end["limit"]["peak"] > 1
    assert end["cpu_s"] >= 1
    assert find(mark) == []


def test_a_flood_of_files(spawner):
    end = spawner.run(PYTHON, "-c", FILES, walls=True, watch={"inodes": 500})

    assert end["limit"]["name"] == "inodes"
    assert end["limit"]["value"] == 500
    assert end["limit"]["peak"] > 500


@PLACES
def test_who_stays_within_all_limits_is_left_alone(spawner, behind):
    limits = {"memory": 200 * MIB, "pids": 20, "cpu_s": 20, "inodes": 1000}
    end = spawner.run("/bin/sh", "-c", "sleep 0.3 & wait", walls=behind, watch=limits)

    assert end["status"] == 0
    assert "limit" not in end


def test_what_left_the_tree_counts_by_its_mark(spawner, mark):
    script = f"setsid setsid {PYTHON} -c '{HOG}' 1 {90 * MIB} {mark} & exec sleep 60"
    end = spawner.run("/bin/sh", "-c", script, watch={"memory": 60 * MIB})

    assert end["limit"]["name"] == "memory"
    assert find(mark) == []


def test_a_limit_of_one_process_is_told_as_well(spawner):
    burn = "while True: pass"
    one = walls(user=spawner.user)
    for behind in (None, one):
        end = spawner.run(PYTHON, "-c", burn, walls=behind, rlimits={"RLIMIT_CPU": 1})
        assert end["status"] == 24
        assert end["limit"]["name"] == "cpu"
        assert end["limit"]["value"] == 1
        assert end["limit"]["peak"] >= 1


def stat(pid, own_s=0.0, reaped_s=0.0, began=1, state="R"):
    return Stat(pid, state, 1, 1, False, own_s, reaped_s, 1, began)


@pytest.mark.parametrize(
    ("looks", "used_s"),
    [
        ([[stat(1, 1.0)], [stat(1, 3.0)]], 3.0),
        # a child that was seen, and has then been waited for
        ([[stat(1, 1.0), stat(2, 2.0)], [stat(1, 1.0, 2.5)]], 3.5),
        # one that was never seen
        ([[stat(1, 1.0)], [stat(1, 1.0, 0.7)]], 1.7),
        # one that was seen, and nobody waited for
        ([[stat(1, 1.0), stat(2, 2.0)], [stat(1, 1.0)]], 3.0),
        # a short one that ran stands for the whole time
        ([[stat(1, 1.0), stat(2, 0.03)], [stat(1, 1.0)]], 1.1),
        ([[stat(1, 1.0), stat(2, 0.03, state="S")], [stat(1, 1.0)]], 1.03),
        # the same number again is another process
        ([[stat(2, 2.0)], [stat(2, 1.0, began=2)]], 3.0),
    ],
)
def test_what_comes_and_goes_is_charged_once(looks, used_s):
    processor = Processor()
    for look in looks:
        processor.look(look)

    assert processor.used_s == pytest.approx(used_s)
