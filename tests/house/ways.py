"""A queue with something of every kind in it, and every way in which each script can be called."""

import orjson

from sandq.model.job import NewJob
from sandq.model.queue_settings import QueueSettings
from sandq.model.rate_limit import RateLimit
from sandq.model.states import JobState
from sandq.model.verdict import Action, Verdict
from sandq.store import audit_calls, calls, reads, said, verbs
from sandq.store.calls import Report, Settlement
from sandq.store.keys import SINGLE

BASE = "sandq:{q}:"

#: The moment at which scripts are watched; most of the queue was built some seconds before.
BUILT, NOW = 1_000_000, 1_010_000
LATER, FAR = NOW + 500_000, NOW + 900_000

#: A lease that is good at NOW and over at FAR.
LEASE_MS = 600_000

#: Ways a queue may be set up; each of them is tried with every script.
SETTINGS = (
    QueueSettings(),
    QueueSettings(rate_limit=RateLimit(1, 60), metrics_points=0),
    QueueSettings(rate_limit=RateLimit(1, 60, per_group=True)),
    QueueSettings(rate_limit=RateLimit(1, 60, per_group=True, bounce_back=True)),
    QueueSettings(group_concurrency=1, metrics_points=1),
)

#: All that a queue may be told.
FULL = QueueSettings(
    max_size=1,
    max_delay=2,
    concurrency=3,
    group_concurrency=4,
    rate_limit=RateLimit(5, 6, per_group=True, bounce_back=True),
    group_key="tenant.id",
    metrics_points=7,
    defaults={"attempts": 8},
)


def new(job_id, *, group="", at=1, expires=LATER, delay=0, run_at=0):
    """A job that has everything a job may have."""
    extras = {"dedup": f"d-{job_id}", "tags": [f"t-{job_id}"], "expires_at": expires}
    extras |= {"group": group} if group else {}
    extras |= {"run_at": run_at} if run_at else {}
    data = b'"%s"' % (b"x" * 498)

    return NewJob(job_id, "n", data, b'{"attempts":9}', at, delay, orjson.dumps(extras))


def repeated(group="r"):
    """The jobs of a series: no more than a series may have."""
    extras = orjson.dumps({"tags": ["t"], "group": group})

    return NewJob("", "n", b'"%s"' % (b"x" * 498), b'{"attempts":9}', 1, 0, extras)


class Builder:
    """Builds the queue, with plain calls at times of its own."""

    def __init__(self, store):
        self.run = store.run

    def configure(self, settings):
        text = settings.to_text()
        self.run(verbs.configure(b"" if text == b"{}" else text, settings.to_meta()))

    def add(self, *jobs, now=BUILT):
        self.run(calls.add(jobs, "", str(now)))

    def claim(self, n=1, token="t", lease_ms=LEASE_MS, now=BUILT):
        return self.run(calls.claim("q", n, token, "w", lease_ms, str(now))).claims

    def settle(self, claim, action, delay_ms=0, retain="", now=BUILT):
        verdict = Verdict(Action(action), delay_ms, "error", b'{"kind":"error","message":""}')
        settlement = Settlement(claim, verdict, retain)
        self.run(calls.settle_and_claim("q", [settlement], 0, "", "w", 1, str(now)))

    def active(self, job_id, *, token="", lease_ms=LEASE_MS, spoken=True, tried=0, **more):
        """An active job that has said something of each kind, and with attempts that failed."""
        self.add(new(job_id, **more))
        for _ in range(tried):
            [claim] = self.claim()
            self.settle(claim, "retry")
        [claim] = self.claim(token=token or f"t-{job_id}", lease_ms=lease_ms)
        assert claim.id == job_id
        if spoken:
            self.run(calls.report([Report(claim, "progress", b"1")], str(BUILT)))
            self.run(calls.report([Report(claim, "log", b"{}")], str(BUILT)))
            self.run(calls.report([Report(claim, "emit", b"0 {}")], str(BUILT)))
        return claim

    def ended(self, job_id, action, *, retain="", **more):
        claim = self.active(job_id, tried=2, **more)
        self.settle(claim, action, retain=retain)

    def stalled_once(self, job_id, lease_ms=5):
        """An active job whose supervisor has vanished once."""
        self.active(job_id, group="s", lease_ms=5)
        self.run(calls.recover(9, 9, str(BUILT + 10)))
        [claim] = self.claim(token=f"t-{job_id}", lease_ms=lease_ms, now=BUILT + 10)
        return claim

    def cancelled(self, job_id, **more):
        """An active job that is to be stopped."""
        claim = self.active(job_id, group="c", **more)
        self.run(verbs.cancel([job_id], "no more", str(BUILT)))
        return claim


def build(store):
    """The queue; the answer is the claims that are held, by job id."""
    made = Builder(store)
    held = {}
    made.configure(QueueSettings())
    # what has ended
    made.ended("c-due", "complete", group="c", retain=",,5000,")
    made.ended("c-kept", "complete", group="c", retain=",,99999999,")
    made.ended("f-old", "fail", group="f")
    made.ended("f-new", "fail", group="f")
    made.ended("x-old", "fail", group="x")
    made.run(verbs.cancel(["x-old"], "no", str(BUILT)))
    odd = made.stalled_once("f-odd", LEASE_MS)
    made.run(verbs.discard("f-odd"))
    made.settle(odd, "release", 10)
    [odd] = made.claim(now=BUILT + 20)
    made.settle(odd, "retry")
    # what is being run
    for name in ("a1", "a2", "a3", "a4"):
        held[name] = made.active(name, tried=2, group=name)
    held["a-discard"] = made.active("a-discard", tried=2, group="a")
    made.run(verbs.discard("a-discard"))
    held["a-cancel"] = made.cancelled("a-cancel", tried=2)
    held["a-lost"] = made.active("a-lost", token="lost", group="a")
    held["a-lost-cancel"] = made.cancelled("a-lost-cancel", token="lost")
    held["a-stalled"] = made.stalled_once("a-stalled")
    held["a-again"] = made.stalled_once("a-again", LEASE_MS)
    made.active("a-over", lease_ms=5, group="a", tried=1)
    made.cancelled("a-over-cancel", lease_ms=5)
    made.active("a-gone")
    made.run(verbs.remove(["a-gone"], True, str(BUILT)))
    store._client.hset(f"{BASE}cancelling", "long-ago", "1 removed")
    # parked behind one of its group that has ended since, and behind a window that has ended
    made.configure(QueueSettings(group_concurrency=1))
    held["p1"] = made.active("p1", group="p", token="lost")
    made.active("q1", group="q", lease_ms=5)
    made.add(new("p2", group="p"), new("q2", group="q"))
    made.claim(2)
    per_group = RateLimit(1, 1, per_group=True, bounce_back=True)
    made.configure(QueueSettings(rate_limit=per_group))
    made.active("v1", group="v")
    made.add(new("v2", group="v"), new("v3", group="v"))
    made.claim(2)
    made.configure(QueueSettings())
    # what waits, what is due, what has expired
    made.add(*(new(f"d{n}", group="d", delay=50, at=1) for n in (1, 2)))
    made.add(new("d-far", group="d", run_at=LATER))
    made.add(new("d-expired", group="d", delay=9_000_000, expires=BUILT + 5000))
    made.add(*(new(f"w{n}", group="w") for n in (1, 2, 3)), new("w4"))
    made.add(NewJob("plain", "n", b"1", b"", 0, 0, b""))
    made.run(verbs.note("w1", "log", b"{}", str(BUILT)))
    for key, due in (("s-due", BUILT + 100), ("s-far", LATER)):
        made.run(verbs.upsert_series(key, due, BUILT, b"{}", repeated("p"), str(BUILT)))
    made.run(verbs.beat("old", b"{}", 60_000, str(BUILT - 90_000)))
    made.run(verbs.beat("w", b"{}", 60_000, str(BUILT)))

    return held


def ways(held):
    """Every script in the ways it can be called: a list of calls for each watch."""
    yield [calls.open_queue()]
    yield [
        calls.add([new("n1", group="n"), new("n2", group="n", delay=5), new("a1")], "", str(NOW))
    ]
    yield [calls.add([NewJob("", "n", b"1", b"", 3, 0, b'{"dedup":"k","dedup_ttl_ms":90000}')])]
    yield [calls.add([new("dup")]), calls.add([new("dup")])]
    for job_id in ("a1", "a-cancel", "a-discard", "a-again"):
        for action in Action:
            yield [end(held[job_id], action)]
            yield [end(held[job_id], action, 500)]
        for retain in ("0,,,", "1,,,", ",1,,", ",,60000,", ",,,1"):
            yield [end(held[job_id], "complete", retain=retain)]
            yield [end(held[job_id], "fail", retain=retain)]
    yield [calls.disclaim(["lost"], str(NOW))]
    yield [calls.ring()]
    yield [calls.renew([held["a1"], held["a2"]], 900_000, str(NOW))]
    yield [calls.recover(50, 1, str(NOW))]
    yield [calls.heed()]
    yield [calls.report([Report(held["a1"], "progress", b"7")], str(NOW))]
    yield [calls.report([Report(held["a1"], "log", b"{}")], str(NOW))]
    # the second is another attempt than the one that told the parts which are there
    for job_id in ("a1", "a-again"):
        yield [calls.report([Report(held[job_id], "emit", b"1 {}")], str(NOW))]
    yield from verbs_of(str(NOW), str(FAR))
    yield from reads_of(str(NOW))


def end(claim, action, delay_ms=0, retain=""):
    """The end of an attempt."""
    verdict = Verdict(Action(action), delay_ms, "error", b'{"kind":"error","message":"no"}')
    settlement = Settlement(claim, verdict, retain)

    return calls.settle_and_claim("q", [settlement], 0, "t9", "w2", 500, str(NOW))


def gated(held):
    """The scripts that go by the settings of the queue."""
    for now in (str(NOW), str(FAR)):
        for n in (1, 50):
            yield [calls.claim("q", n, "t9", "w2", 500, now)]
            yield [calls.settle_and_claim("q", [], n, "t9", "w2", 500, now)]
        yield [calls.tend(now)]
    yield [end(held["p1"], "complete")]
    yield [calls.claim("q", 50, "t9", "w2", 500, str(NOW)), verbs.call_back(0)]
    claim = calls.claim("q", 1, "t9", "w2", 500, str(NOW))
    yield [claim, calls.ring(), verbs.obliterate(SINGLE)]
    due, following = BUILT + 100, NOW + 500
    # the occurrence that is outstanding is delayed, waits, or waits for its group
    claim = calls.claim("q", 50, "t9", "w2", 500, str(NOW))
    for first in ([], [calls.tend(str(NOW))], [claim]):
        for key in ("s-new", "s-due"):
            yield [*first, verbs.upsert_series(key, following, NOW, b"{}", repeated(), str(NOW))]
        yield [*first, verbs.fire("s-due", due, False, following, [], str(NOW))]
        yield [*first, verbs.fire("s-due", due, True, following, [due + 100], str(NOW))]
        yield [*first, verbs.fire("s-due", due, True, None, [], str(NOW))]
        yield [*first, verbs.remove_series(["s-far", "s-due"])]


def verbs_of(now, far):
    everybody = [
        *("w1", "w2", "d1", "d-far", "a1", "a-cancel", "c-due", "c-kept", "f-old", "f-new"),
        *("f-odd", "x-old", "p1", "p2", "plain", "none"),
    ]
    yield [verbs.configure(b"{}", FULL.to_meta())]
    yield [verbs.configure(b"", {})]
    yield [verbs.pause(True)]
    yield [verbs.pause(True), verbs.pause(False)]
    yield [verbs.update("w1", b"1")]
    yield [verbs.discard("plain")]
    yield [verbs.note("w1", "progress", b"1", now)]
    yield [verbs.note("w1", "log", b"{}", now)]
    for force in (False, True):
        yield [verbs.remove(everybody, force, now)]
    yield [verbs.cancel(everybody, "enough", now)]
    for reset in (False, True):
        yield [verbs.retry(everybody, reset, now)]
        for state in ("completed", "failed", "cancelled"):
            yield [verbs.retry_many(JobState(state), reset, 9, "", "", now)]
    yield [verbs.promote(everybody)]
    for state in (*(state.value for state in JobState), "parked"):
        yield [verbs.clean(state, 0, 0, 50, far)]
    yield [verbs.empty(list(JobState))]
    # a job of its group is parked, and comes back
    yield [verbs.remove(["p1"], True, now)]
    yield [verbs.empty([JobState.ACTIVE])]
    yield [verbs.beat("w", b'{"busy":1}', 60_000, now)]
    yield [verbs.beat("w", b"", 0, now)]


def reads_of(now):
    yield [reads.look(["a1", "none"])]
    for state in JobState:
        yield [reads.page(state, 0, -1, False)]
    yield [reads.counts()]
    yield [reads.figures(now)]
    yield [reads.metrics(JobState.FAILED, now)]
    yield [reads.ending("f-new")]
    yield [reads.failures("f-new")]
    yield [reads.tagged("t-w1")]
    yield [reads.ranks([0, 1])]
    yield [reads.due_series(9, now)]
    yield [reads.list_series(0, -1, True)]
    yield [reads.list_workers()]
    yield [reads.logs("a1", 0, -1)]
    yield [said.follow("a1", 0)]
    yield [said.emitted("a1", 0)]


def audits(fix=False):
    """The scripts of an audit, which write only what they repair."""
    now = str(NOW)
    yield audit_calls.audit([("job", b"a1"), ("active", b"none")], fix, now)
    yield audit_calls.audit_keys([("dedup", b"d-a1"), ("emitted", b"none")], fix, now)
    yield audit_calls.audit_index("expiry", b"", b"0", 9, fix, now)
    yield audit_calls.audit_set("active", b"0", 9)
    yield audit_calls.audit_queue(9, fix)
    yield audit_calls.audit_failed("-inf", now, 9)
    yield audit_calls.audit_kinds([], 99, fix)
