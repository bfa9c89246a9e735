"""The steps that every machine takes: those of workers, janitors, and people who mend things."""

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from sandq.model.states import FINAL, JobState
from sandq.store import calls, reads, verbs
from tests.store.compare import same
from tests.store.machine import Action, Machine
from tests.store.model import ACTIVE, DELAYED, FAILED, LEASE_MS, WAITING, Retain
from tests.store.model_verbs import CANCELLING_KEPT_MS, MAX_STALLS

#: One of many: a job, a claim or a state is picked by it, see `Machine`.
PICK = st.integers(0, 199)
PICKS = st.lists(PICK, min_size=1, max_size=2)
DELAYS_MS = st.sampled_from([0, 0, 30])
SOON_MS = [1, 10, 30, 60]

RETAINS = [
    Retain(), Retain(count=0), Retain(), Retain(count=1), Retain(), Retain(count=2), Retain(),
    Retain(age_ms=20), Retain(), Retain(2, 50), Retain(), Retain(ttl_ms=15), Retain(history=0),
    Retain(ttl_ms=25), Retain(history=1),
]  # fmt: skip

#: How attempts end all the time: action, delay, and what is kept.
ANSWERS = {
    "complete": (Action.COMPLETE, 0, Retain()),
    "complete, one kept": (Action.COMPLETE, 0, Retain(count=1)),
    "complete, none kept": (Action.COMPLETE, 0, Retain(count=0)),
    "complete, for a time": (Action.COMPLETE, 0, Retain(ttl_ms=15)),
    "fail": (Action.FAIL, 0, Retain()),
    "fail, kept a while": (Action.FAIL, 0, Retain(age_ms=20)),
    "retry": (Action.RETRY, 0, Retain()),
    "retry, later": (Action.RETRY, 40, Retain()),
    "retry, one record": (Action.RETRY, 0, Retain(history=1)),
    "retry, no record": (Action.RETRY, 0, Retain(history=0)),
    "release": (Action.RELEASE, 0, Retain()),
    "cancel": (Action.CANCEL, 0, Retain()),
}
#: What else does.
STORY = [
    "add", "add", "add once", "claim", "claim", "claim", "time", "time", "vanish", "call off",
    "kick", "discard", *ANSWERS, "retry", "retry",
]  # fmt: skip
STORIES = st.lists(st.sampled_from(STORY), min_size=2, max_size=6)


def with_jobs(machine):
    """There are enough jobs to spare some."""
    return len(machine.model.rows) > 5


def some_ended(machine):
    return any(machine.model.of(state) for state in FINAL)


class Steps(Machine):
    """Steps that any producer, supervisor or janitor may take at any time."""

    @rule(story=STORIES)
    def live(self, story):
        """What happens all the time goes on for a while."""
        for word in story:
            if word == "add":
                self.add_some()
            elif word == "add once":
                self.add_jobs([self.new_job("", 0, 0, {"dedup": "d"})])
            elif word == "claim":
                self.claim(2)
            elif word == "time":
                self.time_passes(30)
            elif word == "vanish":
                self.recover(1, True)
            elif word == "call off":
                self.cancel([1])
            elif word == "kick":
                self.remove([1], True)
            elif word == "discard":
                self.discard(0)
            elif self.claims:
                # a job that has failed before does so again
                claim = max(map(self.claim_at, (2, 10, 18)), key=self.attempts_of)
                self.settle_claims([claim], *ANSWERS[word], 1)

    def attempts_of(self, claim):
        row = self.model.rows.get(claim[0])
        return row.attempts if row else 0

    @rule(n=st.sampled_from([1, 2, 2, 3, 0]))
    def claim(self, n):
        token = self.new_token()
        claimed = self.run(calls.claim("q", n, token, "w", LEASE_MS, now=self.now))

        self.check_claimed(claimed, n, token)

    @precondition(lambda self: self.claims)
    @rule(
        picks=PICKS,
        action=st.sampled_from(Action),
        delay_ms=DELAYS_MS,
        retain=st.sampled_from(RETAINS),
        n=st.integers(0, 2),
    )
    def settle(self, picks, action, delay_ms, retain, n):
        self.settle_claims([self.claim_at(pick) for pick in picks], action, delay_ms, retain, n)

    @precondition(lambda self: self.claims)
    @rule(action=st.sampled_from(Action), n=st.integers(0, 1))
    def answer(self, action, n):
        """The newest claim is answered at once, as most are."""
        self.settle_claims(self.claims[-1:], action, 0, Retain(), n)

    @precondition(lambda self: self.model.of(ACTIVE))
    @rule(most=st.integers(1, 3), vanished=st.sampled_from([True, True, False]))
    def recover(self, most, vanished):
        if vanished:
            self.time_passes(LEASE_MS)
        recovered = self.run(calls.recover(most, MAX_STALLS, now=self.now))

        expected = self.model.recover(most)
        same([(job.id, job.state) for job in recovered], expected)
        for _, state in expected:
            self.did(f"recover: {state}")

    @rule(ms=st.sampled_from(SOON_MS))
    def time_passes(self, ms):
        self.listen()
        self.model.now += ms
        # what time alone brings, supervisors know by the reply of their last claim
        self.before = self.startable()

    @rule(ms=st.sampled_from([0, 0, *SOON_MS, 2 * CANCELLING_KEPT_MS]))
    def tend(self, ms):
        self.time_passes(ms)
        was_aside = len(self.model.parked())
        promoted, more = self.run(calls.tend(now=self.now))

        same((promoted, more), (self.model.tend(), False))
        self.did("tend: promoted", promoted)
        self.did("tend: back", len(self.model.parked()) < was_aside)

    @precondition(with_jobs)
    @rule(picks=PICKS)
    def cancel(self, picks):
        wanted = (ACTIVE,) if picks[0] % 2 else (WAITING, DELAYED, FAILED)
        job_ids = [self.job(pick, *wanted) for pick in picks]
        was_aside = {row.id for row in self.model.parked()}
        was = [self.state(job_id) for job_id in job_ids]
        reason = self.new_text()
        statuses = self.run(verbs.cancel(job_ids, reason, now=self.now))

        same(statuses, self.model.cancel(job_ids, reason))
        for job_id, state, status in zip(job_ids, was, statuses, strict=True):
            self.did(f"cancel: {status} of {state}")
            self.did("cancel: parked", job_id in was_aside)

    @precondition(with_jobs)
    @rule(picks=PICKS, force=st.booleans())
    def remove(self, picks, force):
        wanted = (ACTIVE,) if picks[0] % 2 else JobState
        job_ids = [self.job(pick, *wanted) for pick in picks]
        statuses = self.run(verbs.remove(job_ids, force, now=self.now))

        active = {job_id for job_id in job_ids if self.state(job_id) is ACTIVE}
        same(statuses, self.model.remove_many(job_ids, force))
        self.did("remove", "removed" in statuses)
        self.did("remove: active", force and active)
        self.did("remove: refused", "active" in statuses)

    @precondition(some_ended)
    @rule(picks=PICKS, reset=st.booleans())
    def retry(self, picks, reset):
        job_ids = [self.job(pick, *FINAL) for pick in picks]
        was = [self.state(job_id) for job_id in job_ids]
        statuses = self.run(verbs.retry(job_ids, reset, now=self.now))

        same(statuses, self.model.retry(job_ids, reset))
        for state, status in zip(was, statuses, strict=True):
            self.did(f"retry: {state}", status == "restarted")

    @precondition(with_jobs)
    @rule(
        pick=PICK,
        grace_ms=st.sampled_from([0, 0, 0, 30, 100]),
        begin=st.sampled_from([0, 0, 0, 1]),
        removals=st.integers(1, 2),
    )
    def clean(self, pick, grace_ms, begin, removals):
        where = self.place(pick, *JobState, "parked")
        answer = self.run(verbs.clean(str(where), grace_ms, begin, removals, now=self.now))

        same(answer, self.model.clean(where, grace_ms, begin, removals))
        self.did(f"clean: {where}", answer[1])

    @precondition(lambda self: self.model.of(ACTIVE))
    @rule(pick=PICK)
    def discard(self, pick):
        job_id = self.job(pick, ACTIVE)
        row = self.model.rows.get(job_id)
        same(self.run(verbs.discard(job_id)), row is not None)
        if row is not None:
            row.discarded = True
            self.did("discard")

    @rule(on=st.sampled_from([True, False, False, False]))
    def pause(self, on):
        changed = self.run(verbs.pause(on))

        same(changed, self.model.pause(on))
        self.did("pause" if on else "resume", changed)

    @rule(state=st.sampled_from(JobState), newest_first=st.booleans())
    def look(self, state, newest_first):
        figures = self.run(reads.figures(now=self.now))
        page = self.run(reads.page(state, 0, -1, newest_first))

        model = self.model
        listed = model.of(state) + (model.parked() if state is WAITING else [])
        same([record.id for record in page], [r.id for r in listed][:: -1 if newest_first else 1])
        counts = {state.value: len(model.of(state)) for state in JobState}
        waiting = counts["waiting"] + len(model.parked())
        counts["waiting"], counts["paused"] = (0, waiting) if model.paused else (waiting, 0)
        same(figures.counts, counts)
        delayed = model.of(DELAYED)
        same(figures.first_due_ms, delayed[0].score if delayed else None)
        reasons = {job_id: reason for job_id, (_, reason) in model.cancelling.items()}
        same(self.run(calls.heed()), reasons)
