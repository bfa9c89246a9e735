"""A server and its model side by side: the same is done to both, and after every step all that is
stored, told and counted must be the same. `machine_steps` has the steps."""

import json
from collections import Counter
from enum import StrEnum
from typing import ClassVar

from hypothesis import HealthCheck, event, settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, run_state_machine_as_test

from sandq.model.job import Claim, NewJob
from sandq.model.verdict import Verdict
from sandq.store import calls, reads
from sandq.store.calls import Settlement
from sandq.store.store import SyncStore
from tests import audit
from tests.store.compare import alike, as_modelled, counted, same, stored
from tests.store.model import ACTIVE, LEASE_MS, WAITING
from tests.store.model_series import Model

BASE = "sandq:{q}:"
#: Sizes of data around those where it is stored in another way.
SIZES = (1, 1, 1, 63, 64, 65, 128, 129, 512, 513)
#: Steps of a run that counts when effects are counted: Hypothesis makes many short ones, too.
LONG = 25

#: What a record and a row of the model call alike; moments are in ms in a record's words.
SAME_NAMES = ("state", "data", "value", "priority", "attempts", "stalls", "claims", "group",
              "dedup", "tags", "repeat", "cancel", "discarded", "progress")  # fmt: skip
MOMENTS = ("created", "started", "finished", "retried", "expires")


class Action(StrEnum):
    """All that a settlement may ask for."""

    COMPLETE = "complete"
    RETRY = "retry"
    FAIL = "fail"
    RELEASE = "release"
    CANCEL = "cancel"


class Machine(RuleBasedStateMachine):
    """What every step is made of, and what must be so after it."""

    server = None
    #: Verb -> in how many long runs it had an effect; how many of those there were.
    effects: ClassVar = Counter()
    runs = 0

    def begin(self):
        self.server.client.flushall()
        self.store = SyncStore("q", self.server.url)
        self.model = Model(now=1_700_000_000_000)
        self.tokens = self.serial = 0
        #: Every claim there ever was, newest last: id and token.
        self.claims = []
        self.done, self.steps = set(), 0
        self.before, self.claimed, self.must_ring = set(), False, False
        self.add_some()

    def add_some(self):
        """Add a few jobs of the kinds that this machine is about."""
        raise NotImplementedError

    def teardown(self):
        if hasattr(self, "store"):
            self.store.close()
            self.done |= self.model.happened
            for verb in self.done:
                event(verb)
            if self.steps >= LONG:
                type(self).runs += 1
                type(self).effects.update(self.done)

    # ---- what steps are made of

    @property
    def now(self):
        return str(self.model.now)

    def run(self, call):
        return self.store.run(call)

    def did(self, verb, really=True):
        if really:
            self.done.add(verb)

    def new_token(self):
        self.tokens += 1
        return f"t{self.tokens}"

    def new_text(self):
        self.serial += 1
        return f"text {self.serial}"

    def new_data(self):
        self.serial += 1
        return b"%d" % self.serial * SIZES[self.serial % len(SIZES)]

    def new_job(self, job_id, priority, delay_ms, extras):
        text = json.dumps(extras).encode() if extras else b""
        return NewJob(job_id, "work", self.new_data(), b"", priority, delay_ms, text)

    def add_jobs(self, jobs):
        added = self.run(calls.add(jobs, now=self.now))

        known = set(self.model.rows)
        same(added, [self.model.add(job) for job in jobs])
        self.did("add", set(added) - known)
        self.did("add: nothing", set(added) & known)

    def settle_claims(self, claims, action, delay_ms, retain, n):
        token = self.new_token()
        payload = json.dumps({"kind": "error", "message": self.new_text()}).encode()
        verdict = Verdict(action, delay_ms, "error", payload)
        sent = [Settlement(as_claim(*claim), verdict, retain.text) for claim in claims]
        rows = [self.model.rows.get(job_id) for job_id, _ in claims]
        call = calls.settle_and_claim("q", sent, n, token, "w", LEASE_MS, now=self.now)
        statuses, claimed = self.run(call)

        same(statuses, self.model.settle([(*c, verdict, retain) for c in claims]))
        for (_, held), row, status in zip(claims, rows, statuses, strict=True):
            ok = status == "ok"
            self.did(f"settle: {action}" if ok else f"settle: {status}")
            self.did("settle: whoever holds it", ok and held == "*")
            self.did("settle: gone at once", ok and row.id not in self.model.rows)
            self.did("settle: called off", ok and row.cancel and action is not Action.CANCEL)
        self.check_claimed(claimed, n, token)

    def check_claimed(self, claimed, n, token):
        rows = self.model.take(n, token)
        self.claims += [(claim.id, claim.token) for claim in claimed.claims]
        self.claimed = True
        self.did("claim", rows)
        fires = [series.due for series in self.model.series.values()]
        same(
            [
                (c.id, c.token, c.data, c.attempts, c.stalls, c.priority, c.created_ms)
                for c in claimed.claims
            ],
            [(r.id, token, r.data, r.attempts, r.stalls, r.priority, r.created) for r in rows],
        )
        same(
            (claimed.now_ms, claimed.lease_end_ms, claimed.left),
            (self.model.now, self.model.now + LEASE_MS, len(self.model.of(WAITING))),
        )
        same(claimed.next_due_ms, self.model.next_due())
        same(claimed.next_fire_ms, min(fires, default=None))

    # ---- what a step is about

    def claim_at(self, pick):
        """A claim: mostly one that holds, else a late one, or that of whoever comes without."""
        kind, at = pick % 8, pick // 8
        held = [(job_id, token) for job_id, token in self.claims if self.holds(job_id, token)]
        if kind == 0:
            return (self.job(at, ACTIVE), "*")
        if kind == 1 or not held:
            return self.claims[-1 - at % len(self.claims)]
        return held[at % len(held)]

    def holds(self, job_id, token):
        row = self.model.rows.get(job_id)
        return row is not None and row.token == token and row.state is ACTIVE

    def job(self, pick, *states):
        """The id of a job: mostly one in these states, else any, or that of none."""
        kind, at = pick % 8, pick // 8
        rows = list(self.model.rows.values())
        wanted = [row for row in rows if row.state in states]
        if wanted and kind < 6:
            rows = wanted
        elif kind == 7 or not rows:
            return "nobody"
        return rows[at % len(rows)].id

    def state(self, job_id):
        row = self.model.rows.get(job_id)
        return row and row.state

    def place(self, pick, *places):
        """A state, or parked: mostly one where there are jobs."""
        aside = {"parked": self.model.parked()}
        full = [place for place in places if aside.get(place) or self.model.of(place)]
        chosen = full if full and pick % 8 else places
        return chosen[pick // 8 % len(chosen)]

    # ---- what must be so

    def startable(self):
        room, _ = self.model.room()
        return {row.id for row in self.model.of(WAITING)} if room > 0 else set()

    def listen(self):
        """Whoever may start by what was done now is told of, and what a claim leaves behind."""
        startable = self.startable()
        self.must_ring |= bool(startable - self.before or (self.claimed and startable))
        self.before, self.claimed = startable, False

    @invariant()
    def everything_is_as_the_model_has_it(self):
        if not hasattr(self, "before"):
            return

        self.steps += 1
        # between two steps the bell is heard, and the events are read
        found = audit.snapshot(self.server.client, BASE, BASE + "wake", BASE + "events")
        audit.check(found)
        self.listen()
        assert "wake" in found or not self.must_ring, "nobody is called"
        self.must_ring = False
        self.check_jobs(found)
        alike("stored", stored(found), self.model.stored())
        told = Counter((entry["e"], entry["id"]) for entry in found.get("events", []))
        alike("told", told, Counter(self.model.told))
        self.model.told = []
        alike("counted", counted(found), self.model.counted())

    def check_jobs(self, found):
        jobs = {name[4:] for name in found if name.startswith("job:")}
        same(jobs, set(self.model.rows))
        for row in self.model.rows.values():
            flat = [part for k, v in found["job:" + row.id].items() for part in (k.encode(), v)]
            record = reads.read_record(row.id, flat)
            read = {
                **{name: getattr(record, name) for name in SAME_NAMES},
                **{name: getattr(record, name + "_ms") for name in MOMENTS},
                "token": record.token or "",
                "failure": as_modelled(record.failure),
            }
            alike(f"job {row.id}", read, {name: getattr(row, name) for name in read})


def as_claim(job_id, token):
    """A claim as far as scripts care."""
    return Claim("q", job_id, token, "", b"", b"", 0, 0, 0, 0)


def run_machine(machine, server, effects, examples=250):
    """Drive a machine, and see that what counts has happened: nearly all of it, for what is rare is
    left out by chance now and then (`--hypothesis-show-statistics` tells how often)."""

    class OnThisServer(machine):
        effects: ClassVar = Counter()

    OnThisServer.server = server
    run_state_machine_as_test(
        OnThisServer,
        settings=settings(
            max_examples=examples,
            stateful_step_count=50,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        ),
    )
    missed = [effect for effect in effects if not OnThisServer.effects[effect]]
    assert len(missed) <= len(effects) / 10, f"of {OnThisServer.runs} long runs none had: {missed}"
