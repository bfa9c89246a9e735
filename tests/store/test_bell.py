"""An idle supervisor comes when there is work: it hears the bell, or knows when something is due.

Random days of a queue with limits, under a supervisor that asks for jobs at no other time.
"""

import random

import pytest

from sandq.model.rate_limit import RateLimit
from sandq.model.verdict import Action
from sandq.store import calls, reads, verbs
from tests.audit import audit

CHILDREN = 3
ENDS = [Action.COMPLETE, Action.COMPLETE, Action.RETRY, Action.RELEASE, Action.FAIL]


class Day:
    """What happens to a queue, drawn by a seed, and the supervisor that serves it."""

    def __init__(self, bench, seed):
        self.bench, self.draw = bench, random.Random(seed)
        self.held, self.next_due_ms, self.added = [], None, 0
        self.configure()

    # ---- the supervisor

    def note(self, claimed):
        self.held += claimed.claims
        self.next_due_ms = claimed.next_due_ms

    def wake_up(self):
        """Ask as often as there is a reason to; it ends, for no bell rings for ever."""
        for _ in range(300):
            free = CHILDREN - len(self.held)
            due = self.next_due_ms is not None and self.next_due_ms <= self.bench.now
            if free == 0 or not (self.bench.client.lpop("sandq:{q}:wake") or due):
                return
            while free > 0:
                claimed = self.bench.ask(free)
                self.note(claimed)
                free = CHILDREN - len(self.held) if len(claimed.claims) == free else 0
        raise AssertionError("the bell rings, and there is nothing to do")

    def end_one(self):
        if self.held:
            claim = self.held.pop(self.draw.randrange(len(self.held)))
            # some supervisors have nothing to claim for
            n = CHILDREN - len(self.held) if self.draw.random() < 0.7 else 0
            delay_ms = self.draw.choice([0, 0, 200])
            _, claimed = self.bench.settle(claim, self.draw.choice(ENDS), delay_ms=delay_ms, n=n)
            if n:
                self.note(claimed)

    # ---- the others

    def configure(self):
        chance, chosen = self.draw.random, {}
        if chance() < 0.3:
            chosen["concurrency"] = self.draw.randint(1, 3)
        if chance() < 0.4:
            chosen["group_concurrency"] = self.draw.randint(1, 2)
        if chance() < 0.5:
            chosen["rate_limit"] = RateLimit(
                self.draw.randint(1, 3), 1, bounce_back=chance() < 0.5, per_group=chance() < 0.5
            )
        self.bench.configure(**chosen)
        # a janitor is at work as well; it is what finds jobs whose limits were lifted
        self.bench.tend()

    def add(self):
        for _ in range(self.draw.randint(1, 5)):
            extras = {}
            if self.draw.random() < 0.6:
                extras["group"] = self.draw.choice("ab")
            if self.draw.random() < 0.2:
                extras["expires_at"] = self.bench.now + self.draw.randint(1, 1500)
            priority, delay_ms = self.draw.choice([0, 0, 1, 2]), self.draw.choice([0, 0, 300])
            self.bench.add(self.bench.new(priority=priority, delay_ms=delay_ms, **extras))
            self.added += 1

    def time_passes(self):
        self.bench.now += self.draw.choice([10, 100, 400, 1000])
        self.bench.run(calls.renew(self.held, self.bench.lease_ms, str(self.bench.now)))

    def meddle(self):
        job_id, now = str(self.draw.randint(1, self.added or 1)), str(self.bench.now)
        call = self.draw.choice(
            [
                verbs.cancel([job_id], "", now),
                verbs.remove([job_id], self.draw.random() < 0.5, now),
                verbs.retry([job_id], False, now),
                verbs.promote([job_id]),
                verbs.pause(self.draw.random() < 0.3),
            ]
        )
        self.bench.run(call)

    def pass_on(self):
        """One thing happens, and the supervisor does what it has a reason to do."""
        steps = [self.add, self.add, self.end_one, self.end_one, self.time_passes, self.meddle]
        self.draw.choice(steps * 2 + [self.configure])()
        self.wake_up()


@pytest.mark.parametrize("seed", range(30))
def test_no_job_that_may_start_waits_for_a_supervisor_that_sleeps(bench, seed):
    day = Day(bench, seed)
    for _ in range(60):
        day.pass_on()
        if len(day.held) < CHILDREN and day.draw.random() < 0.1:
            # asked without a reason: there is nothing
            claimed = bench.ask(1)
            assert claimed.claims == []
            day.note(claimed)

    bench.run(verbs.pause(False))
    for _ in range(2000):
        day.wake_up()
        while day.held:
            _, claimed = bench.settle(day.held.pop(), n=CHILDREN - len(day.held))
            day.note(claimed)
        counts = bench.run(reads.counts())
        if not any(counts[state] for state in ("waiting", "delayed", "active")):
            break
        assert day.next_due_ms is not None, f"{counts}, and nobody comes"
        bench.now = max(bench.now, day.next_due_ms)
    else:
        raise AssertionError(f"jobs are left for ever: {counts}")

    audit(bench.client)
