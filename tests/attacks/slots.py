"""A supervisor to be measured from outside: honest jobs on two slots, an attacker on the third.

It reads the name of an attack from each line of its input, or an empty one for none, and writes
what became of the honest jobs meanwhile.
"""

import json
import sys
import time
from pathlib import Path
from statistics import median

import anyio

from sandq.child.pool import Pool
from sandq.model.handler import Handler
from sandq.model.job import Claim
from sandq.model.payload import encode
from sandq.protocol.messages import job_line

PROGRAMS = Path(__file__).with_name("programs")
COMMAND = (sys.executable, "-I", str(PROGRAMS / "serve.py"), str(PROGRAMS / "lying.py"))

#: The same program twice: a child of one handler never serves the other.
HONEST = Handler(command=COMMAND)
HOSTILE = Handler(command=COMMAND, env=(("HOSTILE", "1"),))

ROUNDS, JOBS_A_ROUND = 5, 40

#: Longest life of an attack, in ms: it is begun anew until the honest jobs are done.
ATTACK_MS = 700


class Slots:
    """Jobs through a pool, as many as are asked for."""

    def __init__(self, pool):
        self.pool = pool
        self.count = 0

    async def job(self, handler, name, timeout_ms=None):
        """One job; its id, and the outcome."""
        self.count += 1
        job_id = f"{name}-{self.count}"
        data = {
            "attack": name,
            "program": "lying.py",
            "token": job_id,
            "last": False,
            "walled": False,
        }
        claim = Claim("q", job_id, "t", name, encode(data), b"", 0, 0, 0, 0)
        line = job_line(claim, delay_ms=0, max_attempts=1, timeout_ms=timeout_ms)
        child = self.pool.lend(handler) or await self.pool.obtain(handler)
        outcome = await child.run(job_id, line, timeout_ms, lambda _: None)
        self.pool.give_back(child)

        return job_id, outcome

    async def honest(self, wrong):
        """Half of a round: one slot's part."""
        for _ in range(JOBS_A_ROUND // 2):
            job_id, outcome = await self.job(HONEST, "honest")
            if outcome.value != f'"{job_id}"'.encode():
                wrong.append(repr(outcome))

    async def rounds(self, attack):
        """The rate of the honest jobs, and how the attacks have ended."""
        rates, wrong, ends, over = [], [], [], False

        async def go_on_attacking():
            while not over:
                _, outcome = await self.job(HOSTILE, attack, ATTACK_MS)
                ends.append(repr(outcome)[:300])

        async with anyio.create_task_group() as group:
            if attack:
                group.start_soon(go_on_attacking)
            while len(rates) < ROUNDS or (attack and not ends):
                began_s = time.monotonic()
                async with anyio.create_task_group() as slots:
                    slots.start_soon(self.honest, wrong)
                    slots.start_soon(self.honest, wrong)
                rates.append(JOBS_A_ROUND / (time.monotonic() - began_s))
            over = True

        return {"rate": median(rates), "wrong": wrong[:3], "ends": ends[:3], "attacks": len(ends)}


async def main():
    async with Pool(3, [HONEST, HOSTILE], kill_grace_ms=300) as pool:
        slots = Slots(pool)
        while line := await anyio.to_thread.run_sync(sys.stdin.readline):
            print(json.dumps(await slots.rounds(line.strip())), flush=True)


if __name__ == "__main__":
    anyio.run(main)
