"""Lending jobs to one child, and what the tests of spec/protocol.md need for it."""

import anyio
import orjson

from sandq.child.pool import Pool
from sandq.model.job import Claim
from sandq.protocol import messages

LINE = messages.job_line(
    Claim("q", "7", "", "n", b"1", b"", 0, 0, 0, 0), delay_ms=0, max_attempts=1, timeout_ms=None
)


def claim_of(line):
    """The claim that a job line was made of."""
    job = orjson.loads(line)
    return Claim(
        queue=job["queue"],
        id=job["id"],
        token="secret",
        name=job["name"],
        data=orjson.dumps(job["data"]),
        opts=orjson.dumps(job["opts"]) if job["opts"] else b"",
        attempts=job["attempt"] - 1,
        stalls=job["stalls"],
        priority=job["priority"],
        created_ms=job["timestamp"],
    )


def outcomes_of(handler, *lines, extra=None):
    """What becomes of jobs that a pool lends to one child after the other."""
    outcomes = []

    async def run():
        async with Pool(1, [handler], kill_grace_ms=200) as pool:
            for line in lines:
                one = await pool.obtain(handler, extra)
                job_id = orjson.loads(line)["id"]
                timeout_ms = handler.timeout_ms
                outcomes.append(await one.run(job_id, line, timeout_ms, lambda _: None))
                pool.give_back(one)

    anyio.run(run)

    return outcomes
