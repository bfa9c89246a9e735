"""A thousand hostile jobs in one supervisor leave nothing behind."""

import os
import sys
from collections import Counter
from pathlib import Path

import pytest

from sandq.clock import monotonic_s
from sandq.conformance.zoo import outside
from sandq.conformance.zoo.candidate import Candidate

pytestmark = pytest.mark.timeout(300)

HANDLER = Path(__file__).with_name("hostile.sh")

JOBS, POOL, KILL_GRACE_MS = 1_000, 8, 50

#: How much larger the supervisor may be at the end, in KiB: what is kept of a job is not more.
GROWTH_KIB = 10 * 1024

# name of a job -> what must come of it
WANTED = {
    "exit": "crashed",
    "die": "crashed",
    "half": "crashed",
    "twice": "protocol_error",
    "nan": "protocol_error",
    "version": "protocol_error",
    "hello": "protocol_error",
    "fatal": "crashed",
    "long": "output_limit",
    "output": "crashed",
    "silent": "timed_out",
    "daemon": "crashed",
    "flood": "completed",
    "noise": "completed",
    "error": "error",
    "good": "completed",
}
NAMES = list(WANTED)


@pytest.fixture
def supervisor(tmp_path):
    mark = f"thousand-{os.getpid()}"
    (tmp_path / "temporary").mkdir()
    command = [sys.executable, "-m", "sandq", "exec", "--jobs"]
    candidate = Candidate(command, {**os.environ, "TMPDIR": str(tmp_path / "temporary")})
    handler = {"command": ["/bin/sh", str(HANDLER)], "env": {outside.MARK: mark}}
    candidate.send({"handler": handler, "kill_grace_ms": KILL_GRACE_MS, "pool": POOL})
    yield candidate, mark, tmp_path / "temporary"
    candidate.close()
    outside.end_all(mark)


def run(candidate, names, deadline_s):
    """All jobs at once; the answer is what came of each name."""
    for number, name in enumerate(names):
        timeout = {"timeout_ms": 100} if name == "silent" else {}
        candidate.send({"id": f"{name}-{number}", "name": name, **timeout})
    ends = Counter()
    until_s = monotonic_s() + deadline_s
    for _ in names:
        told = candidate.next_line(until_s)
        assert told is not None, (dict(ends), candidate.errors)
        line = told[1]
        ends[line["id"].split("-")[0], line["kind"] or line["state"]] += 1

    return ends


def settled(candidate, mark, temporary, wait):
    """What the supervisor holds once all its children stand ready, and nothing else lives."""
    wait(lambda: len(outside.marked(mark)) == POOL, f"{POOL} children and no more are there")

    return outside.look(candidate.pid, outside.marked(mark), temporary)


def test_a_thousand_hostile_jobs_leave_nothing_behind(supervisor, wait):
    candidate, mark, temporary = supervisor
    # as many of each at once as there can be, so that what floods need in passing is there before
    run(candidate, NAMES * POOL, 60)
    before = settled(candidate, mark, temporary, wait)
    names = [NAMES[number % len(NAMES)] for number in range(JOBS)]

    ends = run(candidate, names, 200)

    counts = Counter(names)
    assert ends == {(name, WANTED[name]): counts[name] for name in NAMES}
    wait(
        lambda: not settled(candidate, mark, temporary, wait).grown(before),
        "processes, descriptors, threads and files are as before",
    )
    after = settled(candidate, mark, temporary, wait)
    assert after.now_kib - before.now_kib < GROWTH_KIB
    candidate.end_input()
    metrics = candidate.next_line(monotonic_s() + 30)[1]["metrics"]
    assert candidate.exit_code(monotonic_s() + 30) == 0
    assert sum(metrics["jobs"].values()) == JOBS + len(NAMES) * POOL
    assert outside.marked(mark) == set()
    assert list(temporary.iterdir()) == []
