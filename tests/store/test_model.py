"""The scripts against a model: several workers, losers and late answers, with a clock of its own.

The model is written from `sandq/model/states.py` and spec/storage.md, not from the Lua: a job is a
row, a set is the rows of a state in their order. After every step all sets, the jobs that were
touched and the reply must be the model's.
"""

from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from sandq.model.job import Claim, NewJob
from sandq.model.states import LEGAL, JobState
from sandq.model.verdict import Action, Verdict
from sandq.store import calls
from sandq.store.calls import Settlement
from sandq.store.store import SyncStore

LEASE_MS = 100

#: Which of the claims so far is meant, counted back from the newest: late answers are old ones.
PICK = st.integers(0, 5)
MAX_STALLS = 1
NO_PRIORITY = 2**32

WAITING, DELAYED, ACTIVE = JobState.WAITING, JobState.DELAYED, JobState.ACTIVE
COMPLETED, FAILED = JobState.COMPLETED, JobState.FAILED


@dataclass
class Row:
    """A job as the model knows it; `order` is what its set is sorted by."""

    id: str
    data: bytes
    priority: int
    place: int
    lifo: bool
    state: JobState
    score: int
    token: str = ""
    attempts: int = 0
    stalls: int = 0
    claims: int = 0
    value: bytes | None = None

    @property
    def rank(self):
        return self.priority or NO_PRIORITY

    @property
    def order(self):
        return (self.score, self.place if self.state in (WAITING, DELAYED) else self.id)

    def go(self, state, score):
        assert state in LEGAL[self.state], f"the model itself goes {self.state} -> {state}"
        self.state, self.score = state, score


class Machine(RuleBasedStateMachine):
    """Steps that any producer, supervisor or janitor may take at any time."""

    server = None

    @initialize()
    def begin(self):
        self.server.client.flushall()
        self.store = SyncStore("q", self.server.url)
        self.now = 1_700_000_000_000
        self.rows = {}
        self.ids = self.seq = self.tokens = 0
        #: Every claim there ever was, newest last.
        self.claims = []
        for _ in range(4):
            self.add("", 0, 0, False)

    def teardown(self):
        if hasattr(self, "store"):
            self.store.close()

    # ---- what is done

    @rule(
        own=st.sampled_from(["", "", "a", "b"]),
        priority=st.sampled_from([0, 0, 1, 2]),
        delay_ms=st.sampled_from([0, 0, 5, 60]),
        lifo=st.booleans(),
    )
    def add(self, own, priority, delay_ms, lifo):
        self.seq += 1
        if not own:
            self.ids += 1
        job_id = own or str(self.ids)
        data = b"%d" % self.seq

        added = self.run(calls.add([NewJob(own, "work", data, b"", priority, delay_ms, lifo)]))

        assert added == [job_id]
        if job_id not in self.rows:
            place = -self.seq if lifo else self.seq
            row = Row(job_id, data, priority, place, lifo, WAITING, priority or NO_PRIORITY)
            if delay_ms:
                row.state, row.score = DELAYED, self.now + delay_ms
            self.rows[job_id] = row

    @rule(n=st.sampled_from([1, 2, 2, 3, 0]))
    def claim(self, n):
        token = self.new_token()
        claimed = self.run(calls.claim("q", n, token, "w", LEASE_MS))
        expected = self.take(n, token)

        self.check_claimed(claimed, expected)

    @precondition(lambda self: self.claims)
    @rule(
        pick=PICK,
        action=st.sampled_from(Action),
        delay_ms=st.sampled_from([0, 0, 30]),
        n=st.integers(0, 2),
    )
    def settle(self, pick, action, delay_ms, n):
        claim = self.picked(pick)
        token = self.new_token()
        verdict = Verdict(action, delay_ms, "error", b'{"kind":"error"}')
        call = calls.settle_and_claim("q", [Settlement(claim, verdict)], n, token, "w", LEASE_MS)

        (status,), claimed = self.run(call)

        assert status == self.end(claim, action, delay_ms)
        self.check_claimed(claimed, self.take(n, token))

    @precondition(lambda self: self.claims)
    @rule(picks=st.lists(PICK, max_size=3))
    def renew(self, picks):
        held = [self.picked(pick) for pick in picks]
        lost = self.run(calls.renew(held, LEASE_MS))

        expected = set()
        for claim in held:
            row = self.rows[claim.id]
            if row.token == claim.token and row.state is ACTIVE:
                row.score = self.now + LEASE_MS
            else:
                expected.add(claim.id)
        # the same job may be among them under an old claim and under the one that holds
        assert lost == expected

    @rule(most=st.integers(1, 3), vanished=st.booleans())
    def recover(self, most, vanished):
        if vanished:
            self.now += LEASE_MS
        recovered = self.run(calls.recover(most, MAX_STALLS))

        stalled = [row for row in self.of(ACTIVE) if row.score <= self.now][:most]
        for row in stalled:
            row.stalls += 1
            row.token = ""
            if row.stalls > MAX_STALLS:
                row.go(FAILED, self.now)
            else:
                row.go(WAITING, row.rank)
        assert [(r.id, r.state) for r in recovered] == [(row.id, row.state) for row in stalled]

    @rule(most=st.integers(1, 3))
    def promote(self, most):
        assert self.run(calls.promote(most)) == self.make_due(most)

    @precondition(lambda self: self.claims)
    @rule(action=st.sampled_from(Action))
    def answer_late(self, action):
        """The holder of the newest claim was taken for dead, and answers after all."""
        self.recover(3, True)
        self.settle(0, action, 0, 0)

    @precondition(lambda self: self.claims)
    @rule(pick=PICK)
    def disclaim(self, pick):
        claim = self.picked(pick)
        given_back = self.run(calls.disclaim([claim.token, "nobody's"]))

        rows = [row for row in self.of(ACTIVE) if row.token == claim.token]
        for row in rows:
            row.token = ""
            row.go(WAITING, row.rank)
        assert given_back == [row.id for row in rows]

    @rule(ms=st.sampled_from([1, 10, 60]))
    def time_passes(self, ms):
        self.now += ms

    # ---- what must be so

    @invariant()
    def everything_is_where_the_model_has_it(self):
        if not hasattr(self, "store"):
            return

        pipe = self.server.client.pipeline(transaction=False)
        for state in JobState:
            pipe.zrange(f"sandq:{{q}}:{state.value}", 0, -1)
        found = [[m.decode() for m in members] for members in pipe.execute()]
        for state, members in zip(JobState, found, strict=True):
            placed = state in (WAITING, DELAYED)
            ids = [member[14:] if placed else member for member in members]
            assert ids == [row.id for row in self.of(state)], state

        for record in self.store.run(calls.look(list(self.rows))):
            row = self.rows[record.id]
            assert (record.state, record.data, record.value) == (row.state, row.data, row.value)
            assert (record.attempts, record.stalls, record.claims) == (
                row.attempts,
                row.stalls,
                row.claims,
            )
        assert self.server.client.llen("sandq:{q}:wake") <= 1

    # ---- the model

    def run(self, call):
        # `now` is the first value of every script that tells the time
        script, args, read = call.script, list(call.args), call.read
        if args and args[0] == "":
            args[0] = str(self.now)
        return self.store.run(calls.Call(script, args, read))

    def picked(self, pick):
        return self.claims[-1 - pick % len(self.claims)]

    def new_token(self):
        self.tokens += 1
        return f"t{self.tokens}"

    def of(self, state):
        return sorted((row for row in self.rows.values() if row.state is state), key=_order)

    def make_due(self, most):
        due = [row for row in self.of(DELAYED) if row.score <= self.now][:most]
        for row in due:
            row.go(WAITING, row.rank)
        return len(due)

    def take(self, n, token):
        self.make_due(1000)
        taken = self.of(WAITING)[:n]
        for row in taken:
            row.go(ACTIVE, self.now + LEASE_MS)
            row.token = token
            row.claims += 1
        return taken

    def end(self, claim, action, delay_ms):
        row = self.rows[claim.id]
        if row.token != claim.token:
            return "lost"
        if row.state is not ACTIVE:
            return "done"

        match action:
            case Action.COMPLETE:
                row.value, row.stalls = b'{"kind":"error"}', 0
                row.go(COMPLETED, self.now)
                return "ok"
            case Action.FAIL:
                row.attempts += 1
                row.go(FAILED, self.now)
                return "ok"
            case Action.RETRY:
                row.attempts += 1
                self.seq += 1
                row.place = -self.seq if row.lifo else self.seq
        if delay_ms:
            row.go(DELAYED, self.now + delay_ms)
        else:
            row.go(WAITING, row.rank)
        return "ok"

    def check_claimed(self, claimed, expected):
        self.claims += claimed.claims
        assert [c.id for c in claimed.claims] == [row.id for row in expected]
        for claim, row in zip(claimed.claims, expected, strict=True):
            assert isinstance(claim, Claim)
            assert (claim.data, claim.attempts, claim.stalls) == (
                row.data,
                row.attempts,
                row.stalls,
            )
        delayed = self.of(DELAYED)
        assert claimed.next_due_ms == (delayed[0].score if delayed else None)


def _order(row):
    return row.order


@pytest.mark.timeout(240)
def test_the_scripts_do_what_the_model_does(each_server):
    class OnThisServer(Machine):
        server = each_server

    run_state_machine_as_test(
        OnThisServer,
        settings=settings(
            max_examples=200,
            stateful_step_count=50,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        ),
    )
