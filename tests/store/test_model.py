"""The life of jobs against a model: producers, workers, losers, late answers, people, a clock."""

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

from sandq.model.states import FINAL
from sandq.store import calls, verbs
from tests.store.compare import same
from tests.store.machine import Action, as_claim, run_machine
from tests.store.machine_steps import PICK, PICKS, STORIES, Steps, some_ended
from tests.store.model import ACTIVE, COMPLETED, DELAYED, FAILED, WAITING, Retain

#: What jobs are added with, beside id, priority and delay; moments are from now.
EXTRAS = [
    {}, {}, {}, {"lifo": True}, {"run_at": 25}, {"run_at": -5}, {"expires_at": 20},
    {"expires_at": 50}, {"expires_at": 150, "tags": ["t"]}, {"dedup": "d"},
    {"dedup": "d", "tags": ["t", "u"]}, {"dedup": "e", "lifo": True},
    {"dedup": "f", "dedup_ttl_ms": 10**9}, {"group": "g"},
    {"tags": ["u"], "group": "g", "dedup": "e", "expires_at": 60},
]  # fmt: skip
MOMENTS = ("run_at", "expires_at")

#: What must have happened in the end.
EFFECTS = [
    "add", "add: nothing", "claim", "settle: complete", "settle: retry", "settle: fail",
    "settle: release", "settle: cancel", "settle: called off", "settle: whoever holds it",
    "settle: done", "settle: lost", "settle: missing", "settle: gone at once", "recover: waiting",
    "recover: failed", "recover: cancelled", "renew", "renew: lost", "disclaim: waiting",
    "disclaim: cancelled", "tend: promoted", "cancel: cancelled of waiting",
    "cancel: cancelled of failed", "cancel: cancelling of active", "remove", "remove: active",
    "retry: completed", "retry: failed", "retry: cancelled", "retry_many", "promote", "discard",
    "update", "progress", "log", "clean: waiting", "pause", "resume", "dedup: free again",
    "expired: waiting", "failures: several", "kept no more: age", "kept no more: count",
]  # fmt: skip


class Life(Steps):
    """Jobs of a queue without limits."""

    @initialize(story=STORIES, more=STORIES)
    def start(self, story, more):
        self.begin()
        self.live(story + more)

    def add_some(self):
        self.add_jobs(
            [self.job_of("", 0, 0, extras) for extras in ({}, EXTRAS[self.serial % len(EXTRAS)])]
        )

    @rule(
        jobs=st.lists(
            st.tuples(
                st.sampled_from(["", "", "a", "b", "c"]),
                st.sampled_from([0, 0, 1, 2]),
                st.sampled_from([0, 0, 5, 60]),
                st.sampled_from(EXTRAS),
            ),
            min_size=1,
            max_size=3,
        )
    )
    def add(self, jobs):
        self.add_jobs([self.job_of(*job) for job in jobs])

    def job_of(self, job_id, priority, delay_ms, extras):
        # the two exclude each other
        delay_ms = 0 if "run_at" in extras else delay_ms
        moments = {name: self.model.now + extras[name] for name in MOMENTS if name in extras}
        return self.new_job(job_id, priority, delay_ms, {**extras, **moments})

    @precondition(lambda self: self.claims)
    @rule(action=st.sampled_from(Action))
    def answer_late(self, action):
        """The holder of the newest claim was taken for dead, and answers after all."""
        claim = self.claims[-1]
        self.recover(3, True)
        self.settle_claims([claim], action, 0, Retain(), 0)

    @precondition(lambda self: self.claims)
    @rule(picks=PICKS)
    def renew(self, picks):
        held = [self.claim_at(pick) for pick in picks]
        lost = self.run(calls.renew([as_claim(*claim) for claim in held], 100, now=self.now))

        # the same job may be among them under an old claim and under the one that holds
        same(lost, self.model.renew(held))
        self.did("renew", len(lost) < len({job_id for job_id, _ in held}))
        self.did("renew: lost", lost)

    @precondition(lambda self: self.claims)
    @rule(pick=PICK, cancelled=st.booleans())
    def disclaim(self, pick, cancelled):
        job_id, token = self.claim_at(pick)
        if cancelled:
            self.run(verbs.cancel([job_id], "why", now=self.now))
            self.model.cancel([job_id], "why")
        given_back = self.run(calls.disclaim([token, "nobody's"], now=self.now))

        same(given_back, self.model.disclaim({token, "nobody's"}))
        for given in given_back:
            self.did(f"disclaim: {self.state(given)}")

    @precondition(some_ended)
    @rule(
        pick=PICK,
        reset=st.booleans(),
        most=st.integers(1, 3),
        ago_ms=st.sampled_from([None, 0, 20]),
        kind=st.sampled_from(["", "", "error", "stalled", "expired"]),
    )
    def retry_many(self, pick, reset, most, ago_ms, kind):
        state = self.place(pick, FAILED, *FINAL)
        kind = kind if state is FAILED else ""
        before = None if ago_ms is None else self.model.now - ago_ms
        text = "" if before is None else str(before)
        ids, at = self.run(verbs.retry_many(state, reset, most, text, kind, now=self.now))

        same((ids, int(at)), self.model.retry_many(state, reset, most, before, kind))
        self.did("retry_many", ids)
        self.did("retry_many: of a kind", ids and kind)

    @precondition(lambda self: self.model.of(DELAYED))
    @rule(picks=PICKS)
    def promote(self, picks):
        job_ids = [self.job(pick, DELAYED) for pick in picks]
        delayed = {row.id for row in self.model.of(DELAYED)}
        statuses = self.run(verbs.promote(job_ids))

        same(statuses, self.model.promote(job_ids))
        self.did("promote", delayed & set(job_ids))

    @rule(pick=PICK, what=st.sampled_from(["update", "progress", "log"]))
    def say(self, pick, what):
        """Something is said of a job that does not move it."""
        job_id, text = self.job(pick, ACTIVE), self.new_data()
        row = self.model.rows.get(job_id)
        update = what == "update"
        note = verbs.note(job_id, what, text, now=self.now)
        same(self.run(verbs.update(job_id, text) if update else note), row is not None)
        if row is not None:
            self.did(what)
            self.model.say(row, what, text)

    @precondition(lambda self: len(self.model.rows) > 12)
    @rule(states=st.sampled_from([[WAITING], [DELAYED], [COMPLETED, FAILED], [ACTIVE, DELAYED]]))
    def empty(self, states):
        answer = self.run(verbs.empty(states))

        same(answer, self.model.empty(states))
        self.did("empty", answer[0])


# a failure is made small before it is told, for five minutes at most
@pytest.mark.timeout(600)
def test_the_life_of_jobs_is_as_in_the_model(each_server):
    run_machine(Life, each_server, EFFECTS)
