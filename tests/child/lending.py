"""What tests of children share: handlers in a line, and a job lent to a child of a pool."""

import os

import anyio

from sandq.child.pool import Pool
from sandq.model.handler import Handler
from sandq.model.job import Claim
from sandq.model.payload import encode
from sandq.protocol.messages import job_line

GRACE_MS = 300

#: A child of the full level in Python, without the SDK: `say(**members)` writes a message, `job` is
#: the first one. What the test gives is run after that.
FULL = """
import json, os, signal, sys, time
def say(**members):
    out = 3 if os.environ.get("SANDQ_FD") == "3" else 1
    os.write(out, json.dumps({"sandq": 1, **members}).encode() + b"\\n")
heard = []
def hear():
    line = sys.stdin.readline()
    if not line: sys.exit(0)
    heard.append(json.loads(line))
    return heard[-1]
say(type="hello", caps=CAPS)
def next_job():
    while (message := hear())["type"] != "job": pass
    return message
def answer(job, value): say(type="result", id=job["id"], status="ok", result=value)
def refuse(job, words): say(type="result", id=job["id"], status="error", error={"message": words})
job = next_job()
"""


def handler(command, **settings):
    return Handler(command=tuple(command), **settings)


def shell(script, **settings):
    return handler(["/bin/sh", "-c", script], **settings)


def full(python, script, caps, **settings):
    """A handler of the full level with these capabilities."""
    return handler([python, "-c", FULL.replace("CAPS", repr(list(caps))) + script], **settings)


def claim(data=None, job_id="1"):
    return Claim("q", job_id, "t", "work", encode(data), b"", 0, 0, 0, 0)


async def lend(pool, one, data=None, *, job_id="1", said=None, **limits):
    """A child of the pool, and the future of the job it was lent."""
    shown = {name: limits.get(name) for name in ("timeout_ms", "heartbeat_ms")}
    line = job_line(claim(data, job_id), delay_ms=0, max_attempts=1, **shown)
    child = pool.lend(one) or await pool.obtain(one)
    say = (said if said is not None else []).append

    return child, child.run(
        job_id, line, shown["timeout_ms"], say, shown["heartbeat_ms"], limits.get("perform")
    )


async def run(pool, one, data=None, **options):
    """One job through a child of the pool; the answer is the outcome."""
    child, job = await lend(pool, one, data, **options)
    outcome = await job
    pool.give_back(child)

    return outcome


async def outcome_of(one, data=None, **options):
    """One job in a pool of its own."""
    async with Pool(1, [one], kill_grace_ms=GRACE_MS) as pool:
        return await run(pool, one, data, **options)


async def until(condition):
    """Let the pool work until the condition holds."""
    with anyio.fail_after(20):
        while not condition():
            await anyio.lowlevel.checkpoint()


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def children_of(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as children:
        return children.read().split()


def open_descriptors():
    return set(os.listdir("/proc/self/fd"))
