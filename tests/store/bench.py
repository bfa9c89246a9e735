"""A bench: the verbs of one queue under a clock that the test sets, and all its keys to look at."""

import orjson

from sandq.model.job import NewJob
from sandq.model.queue_settings import QueueSettings
from sandq.model.verdict import Action, Verdict
from sandq.store import calls, reads, verbs
from sandq.store.calls import Settlement
from sandq.store.store import SyncStore

LEASE_MS = 30_000

FAILURE = b'{"kind":"error","message":"no"}'


class Bench:
    """Queue q on a server; `now` is what every call is told the time is."""

    base = "sandq:{q}:"
    lease_ms = LEASE_MS

    def __init__(self, server):
        self.server, self.client = server, server.client
        self.store = SyncStore("q", server.url)
        self.now = 1_700_000_000_000
        self._tokens = 0

    # ---- verbs

    def run(self, call):
        return self.store.run(call)

    def new(self, job_id="", *, name="work", data=b"1", opts=b"", priority=0, delay_ms=0, **extras):
        """A job; what is not a field of NewJob goes into its extras."""
        text = orjson.dumps(extras) if extras else b""
        return NewJob(job_id, name, data, opts, priority, delay_ms, text)

    def many(self, count, group=None, **options):
        """Jobs named after their group."""
        extras = {} if group is None else {"group": group}
        return [self.new(f"{group or 'j'}{n}", **options, **extras) for n in range(count)]

    def add(self, *jobs, version=""):
        """Ids of jobs; a text stands for a plain job of that id."""
        new = [self.new(job) if isinstance(job, str) else job for job in jobs]
        return self.run(calls.add(new, version, str(self.now)))

    def token(self):
        self._tokens += 1
        return f"t{self._tokens}"

    def ask(self, n=1):
        """The whole reply of a claim."""
        return self.run(calls.claim("q", n, self.token(), "w1", LEASE_MS, str(self.now)))

    def claim(self, n=1):
        """The claims of a claim."""
        return self.ask(n).claims

    def take(self, n=1):
        """The ids of the jobs that a claim takes."""
        return [claim.id for claim in self.claim(n)]

    def settle(self, claim, action=Action.COMPLETE, *, delay_ms=0, retain="", payload=None, n=0):
        """The status, and the reply of the claim of `n` that goes with it."""
        if payload is None:
            payload = b"1" if action is Action.COMPLETE else FAILURE
        verdict = Verdict(action, delay_ms, "error", payload)
        batch = [Settlement(claim, verdict, retain)]
        (status,), claimed = self.run(
            calls.settle_and_claim("q", batch, n, self.token(), "w1", LEASE_MS, str(self.now))
        )

        return status, claimed

    def do(self, action=Action.COMPLETE, **more):
        """Claim one job and settle it; its id."""
        (claim,) = self.claim()
        status, _ = self.settle(claim, action, **more)
        assert status == "ok"

        return claim.id

    def run_all(self, count, *, step_ms, at_once):
        """Run jobs until `count` have completed: when each was started, and its id, in order."""
        starts = []
        for _ in range(100 * count):
            claims = self.claim(at_once)
            starts += [(self.now, claim.id) for claim in claims]
            for claim in claims:
                assert self.settle(claim)[0] == "ok"
            if len(starts) >= count:
                break
            self.now += step_ms

        return starts

    def recover(self, most=100, max_stalls=1):
        return self.run(calls.recover(most, max_stalls, str(self.now)))

    def tend(self):
        return self.run(calls.tend(str(self.now)))

    def configure(self, **settings):
        chosen = QueueSettings(**settings)
        return self.run(verbs.configure(chosen.to_text(), chosen.to_meta()))

    def look(self, job_id):
        return self.run(reads.look([job_id]))[0]

    # ---- what there is

    def ids(self, state):
        """The ids in a state's set, in order."""
        members = [m.decode() for m in self.client.zrange(self.base + state, 0, -1)]
        if state == "parked":
            return [member.partition("\0")[2][24:] for member in members]
        return [m[14:] for m in members] if state in ("waiting", "delayed") else members

    def count(self, state):
        return self.client.zcard(self.base + state)

    def events(self, job_id=None):
        """The kinds of events, of one job or of all."""
        entries = [fields for _, fields in self.client.xrange(self.base + "events")]
        return [e[b"e"].decode() for e in entries if job_id in (None, e[b"id"].decode())]

    def names(self):
        """The names of the queue's keys, without what they share."""
        return {key.decode().removeprefix(self.base) for key in self.client.keys("*")}

    def hash(self, key):
        found = self.client.hgetall(self.base + key)
        return {field.decode(): value.decode() for field, value in found.items()}

    def dump(self):
        """All there is in the server, byte for byte."""
        return {key: self.client.dump(key) for key in self.client.keys("*")}
