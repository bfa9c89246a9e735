"""Queues with one thing broken: what the audit calls it, whom it is about, and how it was done.

Each builder is given a bench, brings its queue into order and breaks it by raw commands.
"""

from sandq.model.verdict import Action
from sandq.store import verbs

#: (problem, whom it is about, what breaks it, what is found in its wake)
CASES = []


def breaks(problem, subject="a", *also):
    def register(function):
        CASES.append((problem, subject, function, also))
        return function

    return register


def key(bench, name):
    return bench.base + name


def member(bench, job_id="a"):
    """The entry of a job in waiting or delayed."""
    return bench.client.hget(key(bench, f"job:{job_id}"), "place") + job_id.encode()


def change(bench, job_id="a", **fields):
    """Give fields of a job other values; None takes them away."""
    name = key(bench, f"job:{job_id}")
    for field, value in fields.items():
        if value is None:
            bench.client.hdel(name, field)
        else:
            bench.client.hset(name, field, value)


def put(bench, state, job_id="a", **extras):
    """A job of a state; its entry in the set of that state."""
    delay_ms = 10**7 if state == "delayed" else 0
    bench.add(bench.new(job_id, delay_ms=delay_ms, **extras))
    if state in ("waiting", "delayed"):
        return member(bench, job_id)
    if state == "cancelled":
        bench.run(verbs.cancel([job_id], "no more"))
    else:
        (claim,) = bench.claim()
        assert claim.id == job_id
        if state != "active":
            bench.settle(claim, {"completed": Action.COMPLETE, "failed": Action.FAIL}[state])

    return job_id


def park(bench):
    """Job a of group g waits for job b of that group; the entry of a."""
    bench.configure(group_concurrency=1)
    bench.add(bench.new("b", group="g"), bench.new("a", group="g"))
    assert bench.take(2) == ["b"]
    (parked,) = bench.client.zrange(key(bench, "parked"), 0, -1)

    return parked


def series(bench, key="s"):
    """A series with its first job far ahead."""
    call = verbs.upsert_series(key, 10**13, 0, b'{"every_ms":60000}', bench.new())

    return bench.run(call)[0]
