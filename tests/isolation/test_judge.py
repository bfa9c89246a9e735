"""What a canary is told to try, and how its report is judged."""

import pytest

from sandq.isolation.judge import Bait, canary_sandbox, judge, task
from sandq.isolation.plan import plan
from sandq.model.sandbox import MIB, Guarantee, Sandbox
from tests.isolation.hosts import HOSTS

BAIT = Bait(
    folder="/bait",
    secret="/bait/secret",
    port=4711,
    sockets=("/bait/socket", "@bait"),
    supervisor=99,
)
QUIET = {
    "read": [],
    "write": [],
    "connect": [],
    "processes": [],
    "variables": ["PATH", "PWD"],
    "calls": [],
    "raised": [],
    "privileges": [],
    "forks": 31,
    "fills": 64 * MIB,
}
CORE = "/proc/sys/kernel/core_pattern"


def judged(sandbox=None, host="user", **report):
    planned = plan(sandbox or Sandbox.untrusted(), HOSTS[host])

    return [str(escape) for escape in judge(planned, {**QUIET, **report}, ["PATH"])]


def test_a_canary_that_reaches_nothing_breaks_nothing():
    assert judged() == []


@pytest.mark.parametrize(
    ("report", "escape"),
    [
        ({"read": ["/bait/secret"]}, "files: it can read /bait/secret"),
        ({"write": ["/etc"]}, "files: it can write to /etc"),
        ({"write": [CORE]}, f"privileges: it can write to {CORE}"),
        ({"connect": ["port"]}, "network: it can connect to a port of the host"),
        ({"connect": ["@bait"]}, "ipc: it can connect to the socket @bait"),
        ({"processes": [99, 100]}, "processes: it sees process 99"),
        ({"variables": ["REDIS_URL"]}, "environment: it sees the variable REDIS_URL"),
        ({"calls": ["ptrace"]}, "kernel: the call ptrace is open to it"),
        ({"raised": ["RLIMIT_DATA"]}, "privileges: it can raise RLIMIT_DATA"),
        ({"privileges": ["capabilities"]}, "privileges: it has capabilities"),
        ({"forks": 32}, "pids: it had 33 processes of 32"),
        ({"fills": 64 * MIB + 1}, f"disk: it has written {64 * MIB + 1} bytes of {64 * MIB}"),
    ],
)
def test_what_it_reaches_breaks_a_guarantee(report, escape):
    assert judged(**report) == [escape]


def test_what_is_not_promised_is_not_broken():
    assert judged(Sandbox.untrusted(net="host"), connect=["port", "@bait"]) == []
    without = Sandbox.untrusted(without=["processes"])
    assert judged(without, "docker unconfined", processes=[99]) == []


def test_a_canary_is_told_what_to_reach_for():
    told = task(plan(Sandbox.untrusted(), HOSTS["user"]), BAIT)

    assert {"/bait/secret", "/etc/shadow"} <= set(told["read"])
    assert {"/bait", "/usr", CORE} <= set(told["write"])
    assert told["sockets"] == ["/bait/socket", "@bait"]
    assert (told["port"], told["supervisor"]) == (4711, 99)
    assert (told["forks"], told["fills"]) == (64, 128 * MIB)


def test_it_does_not_reach_for_what_the_handler_is_shown():
    told = task(plan(Sandbox.untrusted(read=["/etc"], write=["/bait"]), HOSTS["user"]), BAIT)

    assert told["read"] == []
    assert told["sockets"] == ["@bait"]
    assert not {"/bait", "/etc"} & set(told["write"])


def test_it_does_not_fork_where_it_would_be_killed_for_that():
    assert task(plan(Sandbox.untrusted(), HOSTS["old kernel"]), BAIT)["forks"] == 0


def test_its_own_limits_are_soon_tried():
    large = Sandbox.untrusted(memory="8G", disk="8G", pids=999, cpu=60, preload=["json"])
    own = canary_sandbox(large)

    assert (own.disk, own.pids, own.memory, own.cpu) == (MIB, 8, 8 * 1024 * MIB, 60)
    assert (own.start, own.preload) == (large.start, ())
    small = canary_sandbox(Sandbox.untrusted(memory="8M", disk="64K", pids=2, cpu=1))
    assert (small.disk, small.pids, small.memory, small.cpu) == (65536, 2, 64 * MIB, 10)


@pytest.mark.parametrize("guarantee", Guarantee)
def test_an_escape_names_its_guarantee(guarantee):
    planned = plan(Sandbox.untrusted(), HOSTS["no bwrap"])

    # nothing is broken that was not held
    gaps = {line.guarantee for line in planned.gaps}
    report = {**QUIET, "read": ["/x"], "connect": ["port"], "calls": ["mount"]}
    assert not {escape.guarantee for escape in judge(planned, report, ["PATH"])} & gaps
