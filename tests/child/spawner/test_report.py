"""What is told of a child's end."""

import signal

import pytest

from sandq.child.spawner.living import Child
from sandq.child.spawner.report import failed_walls, report


class Walls:
    """bubblewrap that has ended."""

    init = 0

    def __init__(self, began=True):
        self._began = began

    def began(self):
        return self._began


class Group:
    """A control group that was asked for its numbers."""

    def __init__(self, limit=None, kills=0):
        self._limit, self._kills = limit, kills

    def cpu_s(self):
        return 2.5

    def number(self, file):
        return 4096 * 1024

    def oom_kills(self):
        return self._kills

    def limit(self):
        return self._limit


def child(status, *, cpu=None, walls=None, group=None, **more):
    one = Child({"n": 3, "rlimits": {} if cpu is None else {"RLIMIT_CPU": cpu}}, "tag")
    one.pid, one.status, one.walls, one.group = 7, status, walls, group
    for name, value in more.items():
        setattr(one, name, value)
    return one


CODE = 256
MEMORY = {"name": "memory", "value": 10, "peak": 10}
PIDS = {"name": "pids", "value": 3, "peak": 3}


@pytest.mark.parametrize(
    ("status", "walls", "told"),
    [
        (0, None, 0),
        (5 * CODE, None, 5 * CODE),
        (139 * CODE, None, 139 * CODE),
        (139 * CODE, Walls(), signal.SIGSEGV),
        (128 * CODE, Walls(), 128 * CODE),
        (255 * CODE, Walls(), 255 * CODE),
        (signal.SIGKILL, Walls(), signal.SIGKILL),
    ],
)
def test_the_status_is_that_of_the_program(status, walls, told):
    assert report(child(status, walls=walls), False)["status"] == told


@pytest.mark.parametrize(
    ("one", "limit"),
    [
        (child(24, cpu=2, cpu_s=2.1), {"name": "cpu", "value": 2, "peak": 2.1}),
        (child(24, cpu=2, cpu_s=1.9), {"name": "cpu", "value": 2, "peak": 2}),
        # it has sent the signal to itself, or ends as if it had
        (child(24, cpu=2, cpu_s=0.1), None),
        (child(152 * CODE, cpu=2, walls=Walls()), None),
        (child(9, cpu=2, cpu_s=3.0), {"name": "cpu", "value": 2, "peak": 3.0}),
        # it was the supervisor
        (child(9, cpu=2, cpu_s=3.0, killed=True), None),
        (child(9, cpu=2, cpu_s=1.0), None),
        # it was nobody's limit
        (child(24), None),
        (child(9, broken=MEMORY), MEMORY),
        (child(9, group=Group(MEMORY, 1)), MEMORY),
        # one of its processes was killed, and it made the best of it
        (child(0, group=Group(MEMORY, 1)), None),
        (child(1 * CODE, group=Group(PIDS)), PIDS),
        (child(24, cpu=2, cpu_s=2.1, group=Group(PIDS)), {"name": "cpu", "value": 2, "peak": 2.5}),
    ],
)
def test_the_limit_is_told_by_the_evidence(one, limit):
    assert report(one, False).get("limit") == limit


@pytest.mark.parametrize(
    ("one", "kernel", "oom"),
    [
        (child(9), True, True),
        (child(9), False, False),
        (child(0), True, False),
        (child(137 * CODE, walls=Walls()), True, True),
        (child(9, group=Group(MEMORY, 1)), False, True),
        (child(9, broken=MEMORY), True, False),
    ],
)
def test_a_want_of_memory_is_told_of_who_was_killed(one, kernel, oom):
    assert report(one, kernel)["oom"] is oom


@pytest.mark.parametrize(
    ("one", "began"),
    [
        (child(1 * CODE, walls=Walls(False)), False),
        (child(1 * CODE, walls=Walls(True)), True),
        (child(9, walls=Walls(False)), True),
        (child(1 * CODE, walls=Walls(False), killed=True), True),
    ],
)
def test_a_program_that_could_not_be_run_is_told(one, began):
    assert report(one, False).get("began", True) is began


def test_a_group_knows_more_of_what_was_used():
    told = report(child(0, group=Group(), cpu_s=1.0, max_rss_kb=10), False)

    assert (told["exit"], told["cpu_s"], told["max_rss_kb"]) == (7, 2.5, 4096)


@pytest.mark.parametrize(
    ("one", "text"),
    [
        (child(1 * CODE), "bubblewrap ended with exit code 1 before the program began"),
        (child(9), "bubblewrap was killed by signal 9 before the program began"),
        (child(9, trouble="limits inside: no"), "limits inside: no before the program began"),
    ],
)
def test_walls_that_did_not_stand(one, text):
    assert failed_walls(one) == {"n": 3, "step": "walls", "text": text}
