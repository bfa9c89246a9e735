#!/usr/bin/env python3
"""How many no-op jobs a second go the whole way, and what processor time each costs.

    bench/throughput.py [--jobs 20000] [--pool 4] [--runs 3] [--url URL] [--json] [-- COMMAND…]

A private redis-server without persistence (or the bundled server, or --url) holds the jobs
before the supervisor starts. The rate is taken between 5 % and 95 % done, as Redis sees it, so
starting up is left out. Processor time is read for the supervisor with its spawner, for the
children, and for Redis, over the same stretch. Several runs, median and range.
"""

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import redis

from sandq.store.embedded import find_binary
from sandq.sync import Queue

REPOSITORY = Path(__file__).parent.parent
NO_OP = [sys.executable, str(REPOSITORY / "handlers" / "flaky.py")]
QUEUE = "bench"

#: The stretch that is measured, as shares of all jobs; and the longest a run may take.
FROM, TO, DEADLINE_S = 0.05, 0.95, 300


def main():
    options = read_options()
    with tempfile.TemporaryDirectory() as folder:
        server, url = (None, options.url) if options.url else start_server(Path(folder))
        try:
            runs = [measure(url, options) for _ in range(options.runs)]
        finally:
            if server is not None:
                server.terminate()
                server.wait()
    print(json.dumps(runs) if options.json else table(runs, options))


def read_options():
    words = sys.argv[1:]
    command = words[words.index("--") + 1 :] if "--" in words else NO_OP
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=20_000)
    parser.add_argument("--pool", type=int, default=4)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--url", help="a server of yours; its queue 'bench' is used and emptied")
    parser.add_argument("--json", action="store_true", help="one JSON list instead of a table")
    options = parser.parse_args(words[: words.index("--")] if "--" in words else words)
    options.command = command

    return options


def start_server(folder):
    binary = shutil.which("redis-server") or find_binary()
    socket = folder / "s"
    process = subprocess.Popen(
        [str(binary), "--port", "0", "--unixsocket", str(socket), "--save", ""],
        stdout=subprocess.DEVNULL,
    )
    url = f"unix://{socket}"
    client = redis.Redis.from_url(url, protocol=2)
    wait_until(lambda: answers(client))

    return process, url


def answers(client):
    try:
        return client.ping()
    except redis.ConnectionError:
        return False


def measure(url, options):
    """One run: fill the queue, drain it, and take the figures on the way."""
    client = redis.Redis.from_url(url, protocol=2)
    for key in client.scan_iter(f"sandq:{{{QUEUE}}}:*", count=10_000):
        client.unlink(key)
    begun_s = time.perf_counter()
    with Queue(QUEUE, url) as queue:
        queue.add_bulk(("no-op", {"value": n}) for n in range(options.jobs))
    added_s = time.perf_counter() - begun_s

    words = ["run", QUEUE, "--url", url, "--pool", str(options.pool), "--", *options.command]
    supervisor = subprocess.Popen(
        [sys.executable, "-m", "sandq", *words], stdout=subprocess.DEVNULL
    )
    done = f"sandq:{{{QUEUE}}}:completed"
    try:
        wait_until(lambda: client.zcard(done) >= options.jobs * FROM)
        first = snapshot(client, supervisor.pid, done)
        wait_until(lambda: client.zcard(done) >= options.jobs * TO)
        last = snapshot(client, supervisor.pid, done)
        wait_until(lambda: client.zcard(done) == options.jobs)
    finally:
        supervisor.terminate()
        supervisor.wait()

    jobs = last["done"] - first["done"]
    seconds = last["at_s"] - first["at_s"]
    each_us = {
        f"{part}_us": (last[part] - first[part]) / jobs * 1e6
        for part in ("supervisor", "children", "redis")
    }

    return {"jobs_per_s": jobs / seconds, "added_per_s": options.jobs / added_s, **each_us}


def snapshot(client, pid, done):
    """How many are done, and the processor seconds spent so far by each part."""
    supervisor = psutil.Process(pid)
    spawner, children = [], []
    for process in supervisor.children(recursive=True):
        is_spawner = process.ppid() == pid
        (spawner if is_spawner else children).append(process)
    cpu = client.info("cpu")

    return {
        "done": client.zcard(done),
        "at_s": time.perf_counter(),
        "supervisor": cpu_s([supervisor, *spawner]),
        "children": cpu_s(children),
        "redis": cpu["used_cpu_user"] + cpu["used_cpu_sys"],
    }


def cpu_s(processes):
    return sum(times.user + times.system for times in (p.cpu_times() for p in processes))


def table(runs, options):
    lines = [
        f"{options.jobs} no-op jobs, pool of {options.pool}, median of {len(runs)} runs (range):"
    ]
    for name, text in {
        "jobs_per_s": "jobs run per second",
        "added_per_s": "jobs added per second, in bulk",
        "supervisor_us": "supervisor, us of CPU per job",
        "children_us": "children, us of CPU per job",
        "redis_us": "Redis, us of CPU per job",
    }.items():
        values = [run[name] for run in runs]
        middle = statistics.median(values)
        lines.append(f"  {text:32} {middle:9,.0f}  ({min(values):,.0f} to {max(values):,.0f})")

    return "\n".join(lines)


def wait_until(condition):
    until_s = time.monotonic() + DEADLINE_S
    while not condition():
        if time.monotonic() > until_s:
            raise SystemExit(f"gave up after {DEADLINE_S} s")
        time.sleep(0.005)


if __name__ == "__main__":
    main()
