"""Limits, groups and series against a model, while jobs go their way."""

import math

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule

from sandq.model.queue_settings import QueueSettings
from sandq.model.rate_limit import RateLimit
from sandq.store import reads, verbs
from tests.store.compare import same
from tests.store.machine import run_machine
from tests.store.machine_steps import STORIES, Steps
from tests.store.model import DELAYED, WAITING
from tests.store.model_series import Series

RATE_MS = 60

RATES = st.one_of(
    st.none(),
    st.builds(
        RateLimit,
        max=st.integers(1, 2),
        duration=st.just(RATE_MS / 1000),
        bounce_back=st.booleans(),
        per_group=st.booleans(),
    ),
)
LIMITS = st.builds(
    QueueSettings,
    concurrency=st.sampled_from([None, None, 2, 3]),
    group_concurrency=st.sampled_from([None, 1, 1, 2]),
    rate_limit=RATES,
)
EXTRAS = [
    {}, {"group": "g"}, {"group": "g"}, {"group": "g"}, {"group": "gg"}, {"group": "gg"},
    {"group": "g", "lifo": True}, {"group": "g", "expires_at": 80, "tags": ["t"]},
    {"group": "gg", "dedup": "d"},
]  # fmt: skip
KEYS = st.sampled_from(["k", "l"])

#: What must have happened in the end.
EFFECTS = [
    "claim", "configure: concurrency", "configure: group_concurrency", "configure: rate_max",
    "configure: rate_group", "configure: rate_bounce", "call_back", "parked: no room",
    "parked: rate", "parked: back for another", "parked: called back", "parked: called later",
    "rate: delayed", "rate of a group: delayed", "tend: back", "tend: promoted",
    "upsert_series: new", "upsert_series: replaced", "upsert_series: started", "fire", "fire: late",
    "fire: dropped", "fire: caught up", "fire: ended", "fire: limit reached", "remove_series",
    "settle: called off", "recover: waiting", "remove: active", "retry: failed",
]  # fmt: skip


class Limits(Steps):
    """Jobs of tenants, in a queue whose limits change, with series."""

    @initialize(limits=LIMITS, story=STORIES, more=STORIES)
    def start(self, limits, story, more):
        self.begin()
        self.configure(limits, False)
        self.live(story + more)

    def add_some(self):
        groups = ("g", "g", "gg" if self.serial % 2 else "g")
        self.add_jobs([self.new_job("", 0, 0, {"group": group}) for group in groups])

    @rule(
        jobs=st.lists(
            st.tuples(
                st.sampled_from(["", "", "a", "b"]),
                st.sampled_from([0, 0, 1]),
                st.sampled_from([0, 0, 0, 40]),
                st.sampled_from(EXTRAS),
            ),
            min_size=1,
            max_size=4,
        )
    )
    def add(self, jobs):
        for_all = []
        for job_id, priority, delay_ms, extras in jobs:
            given = dict(extras)
            if "expires_at" in given:
                given["expires_at"] += self.model.now
            for_all.append(self.new_job(job_id, priority, delay_ms, given))
        self.add_jobs(for_all)

    @rule(limits=LIMITS, tended=st.booleans())
    def configure(self, limits, tended):
        version = self.run(verbs.configure(limits.to_text(), limits.to_meta(), now=self.now))

        numbers = {name: int(text) for name, text in limits.to_meta().items()}
        same(version, self.model.configure(numbers))
        for name in self.model.limits:
            self.did("configure: " + name)
        if tended:
            # as whoever sets settings does
            back = self.model.lift()
            same(self.run(verbs.call_back(0)), (-1, back))
            self.did("call_back", back)
            self.tend(0)

    @rule(
        key=KEYS,
        first_ms=st.sampled_from([0, 20, 50, None]),
        priority=st.sampled_from([0, 1]),
        extras=st.sampled_from([{}, {"group": "g"}, {"tags": ["t"]}]),
        limit=st.sampled_from([math.inf, math.inf, math.inf, 2, 3]),
    )
    def upsert_series(self, key, first_ms, priority, extras, limit):
        now = self.model.now
        job = self.new_job("", priority, 0, extras)
        rule = b"{}" if limit == math.inf else b'{"every_ms":1,"limit":%d}' % limit
        # None: the very occurrence that is outstanding
        old = self.model.series.get(key)
        first = old.due if first_ms is None and old else now + (first_ms or 0)
        series = Series(first, now, rule, job, extras, limit)
        call = verbs.upsert_series(key, series.due, now, series.rule, job, now=self.now)
        was_started = any(row.repeat == key and row.claims for row in self.model.rows.values())
        answer = self.run(call)

        same(answer, self.model.upsert_series(key, series))
        self.did("upsert_series: new" if answer[1] else "upsert_series: replaced")
        self.did("upsert_series: started", not answer[1] and was_started)

    @precondition(lambda self: self.model.series)
    @rule(
        key=KEYS,
        late_ms=st.sampled_from([0, 0, 40]),
        drop=st.booleans(),
        following_ms=st.sampled_from([20, 30, 40, None]),
        missed=st.integers(0, 2),
        off_ms=st.sampled_from([0, 0, 0, 1]),
    )
    def fire(self, key, late_ms, drop, following_ms, missed, off_ms):
        """A calendar finds an occurrence due; another one has the same plan, and comes second."""
        series = self.model.series.get(key)
        due = (series.due if series else self.model.now) + off_ms
        self.time_passes(max(0, due - self.model.now) + late_ms)
        following = None if following_ms is None else self.model.now + following_ms
        catch_up = [due + 5 * at for at in range(1, missed + 1)]
        at, rows = self.run(reads.due_series(9, now=self.now))
        same(at, self.model.now)
        same(
            {(row.key, row.due_ms, row.anchor_ms, row.made) for row in rows},
            {
                (key, series.due, series.anchor, series.made)
                for key, series in self.model.series.items()
                if series.due <= at
            },
        )

        for which in ("fire", "fire: late"):
            call = verbs.fire(key, due, drop, following, catch_up, now=self.now)
            total = self.model.totals["added"]
            removed = len(self.model.rows)
            answer = self.run(call)

            same(answer, self.model.fire(key, due, drop, following, catch_up))
            self.did(which, answer is not None if which == "fire" else answer is None)
            added = self.model.totals["added"] - total
            self.did("fire: dropped", len(self.model.rows) - removed < added)
            self.did("fire: caught up", answer is not None and catch_up)
            self.did("fire: ended", answer is not None and following is None)
            limited = following is not None and key not in self.model.series
            self.did("fire: limit reached", answer is not None and limited)

    @precondition(lambda self: self.model.series)
    @rule(key=KEYS)
    def remove_series(self, key):
        same(self.run(verbs.remove_series([key, "none"])), self.model.remove_series([key]))
        self.did("remove_series")

    @precondition(lambda self: len(self.model.rows) > 12)
    @rule()
    def empty(self):
        aside = self.model.parked()
        answer = self.run(verbs.empty([WAITING]))

        same(answer, self.model.empty([WAITING]))
        self.did("empty: parked", aside)

    @invariant()
    def no_parked_job_is_forgotten(self):
        """Where a group has room, one of its jobs comes next, or will be called."""
        if not hasattr(self, "model") or self.model.untended:
            return
        rows = [row for row in self.model.of(DELAYED) if row.score == row.put_off]
        comes = {row.group for row in self.model.of(WAITING) + rows}
        for group in {row.group for row in self.model.parked()}:
            room, _ = self.model.group_room(group)
            assert room <= 0 or group in comes or group in self.model.calls, group


# a failure is made small before it is told, for five minutes at most
@pytest.mark.timeout(600)
def test_limits_and_series_are_as_in_the_model(each_server):
    run_machine(Limits, each_server, EFFECTS)
