#!/usr/bin/env python3
"""What each verb costs as the queue grows, and how much memory a waiting job takes.

    bench/costs.py [--sizes 1000,100000,1000000] [--rounds 20] [--calls 100] [--json]

One private redis-server without persistence holds a queue of each size, all jobs with data of 80
bytes and random priorities. In every round each verb is called one at a time on each queue in
turn, so that a noisy moment hits all sizes alike. Given are the microseconds of Redis per call
(its own count, INFO commandstats), the median over the rounds, and as a ratio to the smallest
queue. Every round leaves the queues as long as they were.
"""

import argparse
import json
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path

import redis

sys.path.insert(0, str(Path(__file__).parent))
from throughput import start_server

from sandq.model.job import NewJob
from sandq.model.verdict import Action, Verdict
from sandq.store import calls, verbs
from sandq.store.calls import Settlement
from sandq.store.store import SyncStore

#: 80 bytes of JSON text, as the memory figures of other queues are given.
DATA = b'"' + b"x" * 78 + b'"'
PRIORITIES, WORKER, LEASE_MS, BULK = 1000, "bench:1:00000000", 3_600_000, 1000


def main():
    options = read_options()
    with tempfile.TemporaryDirectory() as folder:
        server, url = start_server(Path(folder))
        try:
            client = redis.Redis.from_url(url, protocol=2)
            report = measure(client, url, options)
        finally:
            server.terminate()
            server.wait()
    print(json.dumps(report) if options.json else table(report, options))


def read_options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", default="1000,100000,1000000", help="waiting jobs, with commas")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--calls", type=int, default=100, help="calls of each verb in a round")
    parser.add_argument("--json", action="store_true", help="JSON instead of a table")
    options = parser.parse_args()
    options.sizes = sorted(int(size) for size in options.sizes.split(","))

    return options


def measure(client, url, options):
    queues, memory = {}, {}
    for size in options.sizes:
        store = SyncStore(f"q{size}", url)
        before = client.info("memory")["used_memory"]
        fill(store, size)
        memory[size] = client.info("memory")["used_memory"] - before
        queues[size] = Bench(client, store)

    figures = {size: {} for size in options.sizes}
    for _ in range(options.rounds):
        for verb in VERBS:
            for size, bench in queues.items():
                cost_us = verb(bench, options.calls)
                figures[size].setdefault(verb.__name__, []).append(cost_us)
    for bench in queues.values():
        bench.store.close()

    return {
        "redis_us": {
            size: {name: statistics.median(costs) for name, costs in verbs_.items()}
            for size, verbs_ in figures.items()
        },
        "memory_bytes": memory,
    }


def fill(store, size):
    for start in range(0, size, BULK):
        jobs = [new_job() for _ in range(min(BULK, size - start))]
        store.run(calls.add(jobs))


def new_job(priority=None, delay_ms=0):
    chosen = random.randint(1, PRIORITIES) if priority is None else priority
    return NewJob("", "resize", DATA, b"", chosen, delay_ms, b"")


class Bench:
    """One queue, and how its calls are timed by Redis itself."""

    def __init__(self, client, store):
        self.client, self.store = client, store

    def timed(self, builders):
        """Redis's microseconds per call, over all of them, and what they answered."""
        begun = self.client.info("commandstats")["cmdstat_evalsha"]
        answers = [self.store.run(call) for call in builders]
        ended = self.client.info("commandstats")["cmdstat_evalsha"]

        return (ended["usec"] - begun["usec"]) / (ended["calls"] - begun["calls"]), answers

    def claim(self, count):
        cost_us, claimed = self.timed(
            [calls.claim("q", 1, f"{n:016x}", WORKER, LEASE_MS) for n in range(count)]
        )
        return cost_us, [one.claims[0] for one in claimed]

    def settle(self, claims, verdict):
        return self.timed(
            [
                calls.settle_and_claim("q", [Settlement(c, verdict)], 0, "f" * 16, WORKER, LEASE_MS)
                for c in claims
            ]
        )[0]


def add(bench, count):
    """Without a priority: at the end of the queue."""
    cost_us, answers = bench.timed([calls.add([new_job(0)]) for _ in range(count)])
    remove(bench, answers)

    return cost_us


def add_with_priority(bench, count):
    """Somewhere in the middle of the queue."""
    cost_us, answers = bench.timed([calls.add([new_job()]) for _ in range(count)])
    remove(bench, answers)

    return cost_us


def claim(bench, count):
    cost_us, claims = bench.claim(count)
    bench.settle(claims, Verdict(Action.RELEASE))

    return cost_us


def settle(bench, count):
    _, claims = bench.claim(count)
    cost_us = bench.settle(claims, Verdict(Action.COMPLETE, payload=b"null"))
    bench.store.run(verbs.retry([c.id for c in claims], True))

    return cost_us


def promote(bench, count):
    added = bench.store.run(calls.add([new_job(delay_ms=3_600_000) for _ in range(count)]))
    cost_us, _ = bench.timed([verbs.promote([job_id]) for job_id in added])
    remove(bench, [added])

    return cost_us


def retry(bench, count):
    _, claims = bench.claim(count)
    bench.settle(claims, Verdict(Action.FAIL, kind="error", payload=b'{"kind":"error"}'))
    cost_us, _ = bench.timed([verbs.retry([c.id], True) for c in claims])

    return cost_us


def cancel(bench, count):
    added = bench.store.run(calls.add([new_job() for _ in range(count)]))
    cost_us, _ = bench.timed([verbs.cancel([job_id], "bench") for job_id in added])
    remove(bench, [added])

    return cost_us


VERBS = (add, add_with_priority, claim, settle, promote, retry, cancel)


def remove(bench, answers):
    ids = [job_id for answer in answers for job_id in answer]
    bench.store.run(verbs.remove(ids, False))


def table(report, options):
    costs, sizes = report["redis_us"], options.sizes
    head = "".join(f"{size:>14,}" for size in sizes)
    lines = [
        f"Redis microseconds per call, median of {options.rounds} rounds of {options.calls} calls",
        "(ratio to the smallest queue)",
        f"  {'waiting jobs':<20}{head}",
    ]
    for verb in VERBS:
        name = verb.__name__
        base = costs[sizes[0]][name]
        cells = "".join(
            f"{costs[size][name]:>8.1f} {f'({costs[size][name] / base:.2f})':>5}" for size in sizes
        )
        lines.append(f"  {name.replace('_', ' '):<20}{cells}")
    lines.append("memory of the waiting jobs, data of 80 bytes each")
    for size in sizes:
        used = report["memory_bytes"][size]
        lines.append(f"  {size:>10,} jobs  {used / 1e6:>8.1f} MB  {used / size:>6.0f} bytes a job")

    return "\n".join(lines)


if __name__ == "__main__":
    begun_s = time.perf_counter()
    main()
    print(f"in {time.perf_counter() - begun_s:.0f} s", file=sys.stderr)
