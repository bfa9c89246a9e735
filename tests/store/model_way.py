"""The model's straight way of a job: added, claimed, settled; what limits and time do to it."""

import json
from dataclasses import dataclass

from tests.store.model import (
    ACTIVE,
    CANCELLED,
    COMPLETED,
    DELAYED,
    FAILED,
    HISTORY,
    LEASE_MS,
    UNSTARTED,
    WAITING,
    Rows,
)

#: Nobody is woken more often than this to see jobs expire.
EXPIRY_EVERY_MS = 250
WITHOUT_LIMIT = 10**9


@dataclass
class Window:
    """A span of time in which so many jobs may start; it begins with the first of them."""

    ends: int
    used: int = 0
    excess: int = 0


class Way(Rows):
    """Methods do what the scripts of the same names do, and answer as they do."""

    # ---- limits

    def window(self, group):
        key = group if "rate_group" in self.limits else None
        window = self.windows.get(key)
        if window is None or window.ends <= self.now:
            window = Window(self.now + self.limits["rate_ms"])
        return key, window

    def room(self):
        """How many jobs of the queue may start, and how many but for the rate."""
        if self.paused:
            return 0, 0
        room = max(0, self.limits.get("concurrency", WITHOUT_LIMIT) - len(self.of(ACTIVE)))
        if "rate_max" in self.limits and "rate_group" not in self.limits:
            return min(room, self.limits["rate_max"] - self.window(None)[1].used), room
        return room, room

    def group_room(self, group):
        most = self.limits.get("group_concurrency", WITHOUT_LIMIT)
        room = most - self.active_of(group)
        if "rate_max" in self.limits and "rate_group" in self.limits:
            return min(room, self.limits["rate_max"] - self.window(group)[1].used), room
        return room, room

    def put_off(self, row, group):
        """A job that finds its window full may try again when it is its turn."""
        key, window = self.window(group)
        self.windows[key] = window
        turn = window.excess // self.limits["rate_max"]
        window.excess += 1
        row.put_off = window.ends + turn * self.limits["rate_ms"]
        self.go(row, DELAYED, row.put_off)
        self.tell("rate-limited", row.id)
        self.happened.add("rate of a group: delayed" if group else "rate: delayed")

    def call_back(self, group):
        """As many parked jobs of a group as may start come back; what the rate keeps aside is
        called when the window ends."""
        room, but_for_rate = self.group_room(group)
        back = self.unpark(group, room)
        if back:
            self.happened.add("parked: called back")
        self.calls.pop(group, None)
        if self.parked(group) and room < but_for_rate:
            self.happened.add("parked: called later")
            self.calls[group] = self.window(group)[1].ends
        return back

    def lift(self):
        """What rate limits put off need not wait any more."""
        rows = [row for row in self.of(DELAYED) if row.score == row.put_off]
        for row in rows:
            self.go(row, WAITING, row.rank)
            self.tell("waiting", row.id)
        return len(rows)

    # ---- time

    def time_brings(self):
        due = [row for row in self.of(DELAYED) if row.score <= self.now]
        for row in due:
            self.go(row, WAITING, row.rank)
            self.tell("waiting", row.id)
        for row in list(self.rows.values()):
            if row.state in UNSTARTED and row.expires is not None and row.expires <= self.now:
                self.happened.add(f"expired: {row.state}")
                self.fail(row, {"kind": "expired"})
            elif row.state is COMPLETED and row.until is not None and row.until <= self.now:
                self.happened.add("value: its time is over")
                self.remove(row)
                self.tell("removed", row.id)
        self.flush()
        return len(due)

    def windows_end(self):
        for group in [group for group, at in self.calls.items() if at <= self.now]:
            self.call_back(group)

    def next_due(self):
        """When a claim may find what it does not find now."""
        moments = [row.score for row in self.of(DELAYED)]
        moments += [max(at, self.now + EXPIRY_EVERY_MS) for _, at in self.expiry()]
        moments += self.calls.values() if "rate_group" in self.limits else []
        if "rate_max" in self.limits and "rate_group" not in self.limits and self.of(WAITING):
            window = self.window(None)[1]
            moments += [window.ends] if window.used >= self.limits["rate_max"] else []
        return min(moments, default=None)

    def expiry(self):
        starts = [("x" + r.id, r.expires) for r in self.rows.values() if r.state in UNSTARTED]
        values = [("r" + r.id, r.until) for r in self.rows.values() if r.state is COMPLETED]
        return [(member, at) for member, at in starts + values if at is not None]

    # ---- the straight way

    def add(self, job):
        extras = json.loads(job.extras or b"{}")
        self.seq += 1
        if not job.job_id:
            self.ids += 1
        job_id = job.job_id or str(self.ids)
        known = job_id if job_id in self.rows else self.dedups.get(extras.get("dedup"))
        if known is not None:
            self.tell("duplicated", known)
            return known

        self.born(job_id, job, max(self.now + job.delay_ms, extras.get("run_at", 0)), extras)
        return job_id

    def take(self, n, token):
        self.time_brings()
        if "rate_group" in self.limits:
            self.windows_end()
        room, but_for_rate = self.room()
        taken, told = [], len(self.told)
        while len(taken) < min(n, room) and (waiting := self.of(WAITING)):
            row = waiting[0]
            if row.group is not None and not self._may_start(row):
                continue
            self.go(row, ACTIVE, self.now + LEASE_MS)
            row.token, row.started = token, self.now
            row.claims += 1
            self.tell("active", row.id)
            if "rate_max" in self.limits and (row.group or "rate_group" not in self.limits):
                key, window = self.window(row.group)
                self.windows[key] = window
                window.used += 1
            taken.append(row)

        limited = "rate_max" in self.limits and not {"rate_group", "rate_bounce"} & set(self.limits)
        if limited and self.window(None)[1].used >= self.limits["rate_max"]:
            # what the children were free for waits for the next window
            for row in self.of(WAITING)[: max(0, min(n, but_for_rate) - len(taken))]:
                self.put_off(row, None)
        self.flush()
        put_off = any(kind == "rate-limited" for kind, _ in self.told[told:])
        if taken and not (put_off or self.of(WAITING) or self.parked()):
            self.tell("drained")
        return taken

    def _may_start(self, row):
        room, but_for_rate = self.group_room(row.group)
        if room > 0:
            return True
        if but_for_rate > 0 and "rate_bounce" not in self.limits:
            self.put_off(row, row.group)
            return False
        self.happened.add("parked: no room" if but_for_rate <= 0 else "parked: rate")
        if but_for_rate > 0:
            self.calls[row.group] = self.window(row.group)[1].ends
        row.parked = True
        return False

    def settle(self, settlements):
        """(id, token, verdict, Retain) each; the answer is the statuses."""
        statuses = [self._settle_one(*settlement) for settlement in settlements]
        self.flush()
        for state, keep in self._keeps.items():
            rows = self.of(state)
            excess = 0 if keep.count is None else len(rows) - keep.count
            for at, row in enumerate(rows):
                aged = keep.age_ms is not None and row.finished <= self.now - keep.age_ms
                if at < excess or aged:
                    self.happened.add("kept no more: age" if aged else "kept no more: count")
                    self.remove(row)
        self._keeps = {}
        return statuses

    def _settle_one(self, job_id, token, verdict, retain):
        row = self.rows.get(job_id)
        if row is None:
            self.cancelling.pop(job_id, None)
            return "missing"
        if token not in (row.token, "*"):
            return "lost"
        if row.state is not ACTIVE:
            return "done"

        action = verdict.action.value
        if row.cancel is not None and action != "complete":
            action = "cancel"
        elif row.discarded and action == "retry":
            action = "fail"
        getattr(self, f"_{action}")(row, verdict, retain)
        return "ok"

    def _complete(self, row, verdict, retain):
        row.keep_history()
        row.value, row.failure, row.stalls, row.cancel = verdict.payload, None, 0, None
        row.until = None if retain.ttl_ms is None else self.now + retain.ttl_ms
        self._end(row, COMPLETED, retain)
        self.totals["completed"] += 1
        self.tell("completed", row.id)

    def _cancel(self, row, _, retain):
        row.cancel = row.cancel if row.cancel is not None else "cancelled by its handler"
        row.keep_history()
        row.failure = {"kind": "cancelled", "message": row.cancel}
        self._end(row, CANCELLED, retain)
        self.totals["cancelled"] += 1
        self.tell("cancelled", row.id)

    def _fail(self, row, verdict, retain):
        self._attempt_failed(row, verdict, retain)
        self._end(row, FAILED, retain)
        self._count_failure(row)

    def _retry(self, row, verdict, retain):
        self._attempt_failed(row, verdict, retain)
        self.seq += 1
        row.place = -self.seq if row.place < 0 else self.seq
        self._go_back(row, verdict)
        self.totals["retried"] += 1
        self.tell("retry-scheduled", row.id)

    def _release(self, row, verdict, _):
        self._go_back(row, verdict)
        self.totals["released"] += 1
        self.tell("released", row.id)

    def _go_back(self, row, verdict):
        if verdict.delay_ms:
            self.go(row, DELAYED, self.now + verdict.delay_ms)
        else:
            self.go(row, WAITING, row.rank)

    def _attempt_failed(self, row, verdict, retain):
        kept = HISTORY if retain.history is None else retain.history
        if row.attempts:
            row.keep_history(kept)
        if len(row.history) > 1:
            self.happened.add("failures: several")
        row.attempts += 1
        row.failure = json.loads(verdict.payload)

    def _end(self, row, state, retain):
        self.go(row, state, self.now)
        if retain.count == 0:
            self.remove(row)
        elif retain.count is not None or retain.age_ms is not None:
            self._keeps[state] = retain

    def fail(self, row, failure):
        """Without an attempt that failed."""
        row.keep_history()
        row.failure = failure
        self.go(row, FAILED, self.now)
        self._count_failure(row)

    def _count_failure(self, row):
        self.totals["failed"] += 1
        self.totals["kind:" + row.failure["kind"]] += 1
        self.tell("failed", row.id)
