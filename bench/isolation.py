#!/usr/bin/env python3
"""What isolation costs: jobs a second and latency of no-op Python jobs, under each way to run them.

    bench/isolation.py [--rounds 5] [--seconds 1] [--pool 4] [--only NAME]… [--first]
                       [--json FILE] [--nsjail PATH]

Jobs go through sandq's own pool, without Redis; beside it stand bubblewrap and nsjail as one
starts them by hand for each job. In each round every way is opened, measured for --seconds with as
many runners as the pool has places, then for as long with one job at a time, and closed; the order
turns round from one round to the next. Shown are the median of the rounds and their range; p99 is
that of all rounds together. Nothing is promised by the exit code: figures of a busy machine fail
bars that a quiet one passes.
"""

import argparse
import asyncio
import ctypes
import json
import logging
import math
import os
import platform
import resource
import statistics
import time
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from pathlib import Path

import psutil
from ways import Missing, all_ways, together

#: The bars: their words, the bound, and a figure of a way, or its ratio to that of another way.
BARS = (
    ("limits, of none", ">= 0.95", "jobs_per_s", "limits", "none"),
    ("limits, numbers, of none", ">= 0.95", "jobs_per_s", "limits, numbers", "none"),
    ("parked: ms to the answer", "< 1", "p50_ms", "untrusted, parked", None),
    ("forked, parked: ms to the answer", "< 1", "p50_ms", "untrusted, forked", None),
    ("forked, none parked: ms to it", "< 3", "p50_ms", "untrusted, forked, none parked", None),
    ("forked: jobs/s", ">= 400", "jobs_per_s", "untrusted, forked", None),
    ("forked, times bare bwrap", ">= 5", "jobs_per_s", "untrusted, forked", "bare bwrap"),
)

#: A round of those that are open together is cut into so many; each begins so late, in seconds.
SLICES, CATCHES_UP_S = 5, 0.05

PR_SET_CHILD_SUBREAPER = 36


def main():
    options = read_options()
    ways = all_ways(options.nsjail)
    if options.only:
        ways = {name: way for name, way in ways.items() if name in options.only}
    # it warns of what is measured here
    logging.getLogger("sandq").setLevel(logging.ERROR)
    # what a sandbox leaves behind is ours then, and its processor time counts
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    rounds, missing = [], {}
    for number in range(options.rounds):
        order = list(ways) if number % 2 == 0 else list(reversed(ways))
        turn = {name: ways[name] for name in order}
        try:
            rounds.append(asyncio.run(one_round(turn, missing, options)))
        except Missing as error:
            raise SystemExit(f"in the midst of measuring: {error}") from error

    print("\n".join(table(ways, rounds, missing, options)))
    if options.json:
        about = {"cores": os.cpu_count(), "kernel": platform.release(), "options": vars(options)}
        for figures in (figures for one in rounds for figures in one.values()):
            del figures["took_ms"]
        document = {**about, "rounds": rounds, "missing": missing, "bars": judged(rounds)}
        Path(options.json).write_text(json.dumps(document, indent=1))


def read_options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each measurement")
    parser.add_argument("--pool", type=int, default=4, help="places of the pool, and runners")
    parser.add_argument("--only", action="append", choices=all_ways(), help="may be repeated")
    parser.add_argument(
        "--first",
        action="store_true",
        help="measure with real-time priority, as root: for figures of a busy machine",
    )
    parser.add_argument("--nsjail", help="the path of one")
    parser.add_argument("--json", metavar="FILE", help="all figures of all rounds")

    return parser.parse_args()


# ---- measuring


async def one_round(ways, missing, options):
    """The figures of each way; those that serve many jobs with a child are open together, and are
    measured in slices, as they differ by less than a busy machine does from second to second."""
    figures = {}
    steady = {name: way for name, way in ways.items() if way.steady}
    async with AsyncExitStack() as stack:
        figures |= await measure(steady, SLICES, stack, missing, options)
    for name, way in ways.items():
        if not way.steady:
            async with AsyncExitStack() as stack:
                figures |= await measure({name: way}, 1, stack, missing, options)

    return figures


async def measure(ways, slices, stack, missing, options):
    """The figures of these ways, in turn; each in so many slices."""
    runs = {}
    for name in [name for name in ways if name not in missing]:
        try:
            runs[name] = await stack.enter_async_context(ways[name].open(options.pool))
            if len(ways) > 1:
                ways[name].stop()
        except Missing as error:
            missing[name] = str(error)
    rates, took_ms = {name: [] for name in runs}, {}
    for _ in range(slices):
        for name, run in runs.items():
            async with alone(ways, name):
                with before_others(options.first):
                    rates[name].append(await many(run, options.seconds / slices, options.pool))
    for name, run in runs.items():
        async with alone(ways, name):
            await ways[name].settle()
            with before_others(options.first):
                took_s = await one_at_a_time(ways[name], run, options)
        took_ms[name] = sorted(s * 1000 for s in took_s)

    return {name: summary(rates[name], took_ms[name]) for name in runs}


@asynccontextmanager
async def alone(ways, name):
    """One of several that are open together, while nothing of the others takes time from it."""
    if len(ways) == 1:
        yield
        return
    ways[name].go_on()
    # what its watchdog has missed is not part of the slice
    await asyncio.sleep(CATCHES_UP_S)
    try:
        yield
    finally:
        ways[name].stop()


@contextmanager
def before_others(wanted):
    """If wanted, nothing else on this machine takes time from us and all that live below us."""
    if not wanted:
        yield
        return
    schedule(os.SCHED_RR, 1)
    try:
        yield
    finally:
        schedule(os.SCHED_OTHER, 0)


def schedule(policy, priority):
    ours = psutil.Process()
    for process in (ours, *ours.children(recursive=True)):
        with suppress(psutil.NoSuchProcess, ProcessLookupError):
            for thread in process.threads():
                os.sched_setscheduler(thread.id, policy, os.sched_param(priority))


def summary(rates, took_ms):
    jobs, seconds, cpu_s = (sum(column) for column in zip(*rates, strict=True))

    return {
        "jobs_per_s": jobs / seconds,
        "cpu_us": cpu_s / jobs * 1e6,
        "p50_ms": statistics.median(took_ms),
        "p99_ms": percentile(took_ms, 0.99),
        "took_ms": took_ms,
    }


async def many(run, seconds, runners):
    """All runners at once: jobs, seconds, and seconds of processor time. The first jobs are left
    out: what they need was kept ready."""
    jobs, first = 0, None

    async def runner():
        nonlocal jobs, first
        while first is None or time.perf_counter() < first[0] + seconds:
            await run()
            jobs += 1
            if first is None and jobs >= 2 * runners:
                cpu_s = cpu_now_s()
                jobs, first = 0, (time.perf_counter(), cpu_s)

    await together(runner, runners)
    ended_s = time.perf_counter()

    return jobs, ended_s - first[0], cpu_now_s() - first[1]


async def one_at_a_time(way, run, options):
    """The seconds of each job, one after the other, at the way's own rate if it has one."""
    took_s = []
    begun_s = time.perf_counter()
    while time.perf_counter() - begun_s < options.seconds:
        if way.per_s is not None:
            await asyncio.sleep(begun_s + (len(took_s) + 1) / way.per_s - time.perf_counter())
        took_s.append(await run())

    return took_s


def percentile(ordered, share):
    return ordered[max(math.ceil(len(ordered) * share) - 1, 0)]


def cpu_now_s():
    """Processor time so far: ours, of what we have waited for, and of all that live below us."""
    bury()
    waited_for = resource.getrusage(resource.RUSAGE_CHILDREN)
    total_s = time.process_time() + waited_for.ru_utime + waited_for.ru_stime
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            total_s += sum(process.cpu_times()[:4])

    return total_s


def bury():
    """Wait for what was left to us: only then the time of short processes is known exactly."""
    for process in psutil.Process().children():
        with suppress(psutil.NoSuchProcess, ChildProcessError):
            if process.status() == psutil.STATUS_ZOMBIE:
                os.waitpid(process.pid, os.WNOHANG)


# ---- telling


def values(rounds, figure, name, to=None):
    """A figure of a way in each round; as a ratio to that of the other way, if there is one."""
    both = [one for one in rounds if one.get(name) and (to is None or one.get(to))]

    return [one[name][figure] / (one[to][figure] if to else 1) for one in both]


def table(ways, rounds, missing, options):
    yield f"no-op Python jobs, pool of {options.pool}, median of {len(rounds)} rounds (range)"
    yield f"{'':32}{'jobs/s':>24}{'p50 ms':>24}{'p99 ms':>10}{'CPU us a job':>14}"
    for name, way in ways.items():
        if name in missing:
            yield f"{name:32}missing: {missing[name]}"
            continue
        cpu_us = f"{statistics.median(values(rounds, 'cpu_us', name)):,.0f}"
        took_ms = sorted(ms for one in rounds for ms in one[name]["took_ms"])
        yield (
            f"{name:32}{spread(values(rounds, 'jobs_per_s', name), 0):>24}"
            f"{spread(values(rounds, 'p50_ms', name), 3):>24}{percentile(took_ms, 0.99):10.3f}"
            f"{'over ' * way.hides + cpu_us:>14}"
        )
    for bar in judged(rounds):
        yield f"{bar['bar']:40}{bar['bound']:>10}{spread(bar['values'], 2):>24}  {bar['word']}"


def judged(rounds):
    """Each bar with what was measured, and whether its median holds."""
    bars = []
    for words, bound, *figure in BARS:
        measured = values(rounds, *figure)
        if measured:
            sign, number = bound.split()
            median = statistics.median(measured)
            holds = median >= float(number) if sign == ">=" else median < float(number)
            word = "pass" if holds else "fail"
            bars.append({"bar": words, "bound": bound, "values": measured, "word": word})

    return bars


def spread(numbers, digits):
    low, middle, high = min(numbers), statistics.median(numbers), max(numbers)
    return f"{middle:,.{digits}f} ({low:,.{digits}f} to {high:,.{digits}f})"


if __name__ == "__main__":
    main()
