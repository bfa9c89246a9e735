"""The model's other verbs: what people and janitors do to jobs and queues."""

from sandq.model.states import FINAL, JobState
from tests.store.model import ACTIVE, CANCELLED, DELAYED, FAILED, LEASE_MS, UNSTARTED, WAITING
from tests.store.model_way import Way

MAX_STALLS = 1
#: After so long nobody asks any more whether a job that was removed is to be stopped.
CANCELLING_KEPT_MS = 60_000


class Verbs(Way):
    """What is done to jobs beside their straight way."""

    # ---- supervisors and their janitors

    def renew(self, claims):
        lost = set()
        for job_id, token in claims:
            row = self.rows.get(job_id)
            if row is not None and row.token == token and row.state is ACTIVE:
                row.score = self.now + LEASE_MS
            else:
                lost.add(job_id)
        return lost

    def recover(self, most):
        stalled = [row for row in self.of(ACTIVE) if row.score <= self.now][:most]
        for row in stalled:
            row.stalls += 1
            row.token = ""
            self.totals["stalled"] += 1
            self.tell("stalled", row.id)
            if row.cancel is not None:
                self.call_off(row, row.cancel)
            elif row.stalls > MAX_STALLS:
                self.fail(row, {"kind": "stalled"})
            else:
                self.go(row, WAITING, row.rank)
                self.tell("waiting", row.id)
        self.flush()
        return [(row.id, row.state) for row in stalled]

    def disclaim(self, tokens):
        rows = [row for row in self.of(ACTIVE) if row.token in tokens]
        for row in rows:
            row.token = ""
            if row.cancel is not None:
                self.call_off(row, row.cancel)
            else:
                self.go(row, WAITING, row.rank)
                self.totals["released"] += 1
                self.tell("released", row.id)
        self.flush()
        return [row.id for row in rows]

    def tend(self):
        self.untended = False
        promoted = self.time_brings()
        self.windows_end()
        for group in sorted({row.group for row in self.parked()}):
            self.call_back(group)
        for job_id, (since, _) in list(self.cancelling.items()):
            if since < self.now - CANCELLING_KEPT_MS and job_id not in self.rows:
                self.happened.add("tend: nobody asks any more")
                del self.cancelling[job_id]
        return promoted

    # ---- people

    def cancel(self, job_ids, reason):
        statuses = [self._cancel_one(job_id, reason) for job_id in job_ids]
        self.flush()
        return statuses

    def _cancel_one(self, job_id, reason):
        row = self.rows.get(job_id)
        if row is None:
            return "missing"
        if row.state is ACTIVE:
            if row.cancel is None:
                row.cancel = reason
                self.cancelling[job_id] = (self.now, reason)
                self.tell("cancelling", job_id)
            return "cancelling"
        if row.state in UNSTARTED or row.state is FAILED:
            self.call_off(row, reason)
            return "cancelled"
        return row.state.value

    def call_off(self, row, reason):
        row.cancel = reason
        row.keep_history()
        row.failure = {"kind": "cancelled", "message": reason}
        self.go(row, CANCELLED, self.now)
        self.totals["cancelled"] += 1
        self.tell("cancelled", row.id)

    def remove_many(self, job_ids, force):
        statuses = []
        for job_id in job_ids:
            row = self.rows.get(job_id)
            if row is None:
                statuses.append("missing")
            elif row.state is ACTIVE and not force:
                statuses.append("active")
            else:
                ran = row.state is ACTIVE
                self.remove(row)
                self.tell("removed", job_id)
                if ran:
                    self.cancelling[job_id] = (self.now, "removed")
                statuses.append("removed")
        self.flush()
        return statuses

    def retry(self, job_ids, reset):
        taken, statuses = [], []
        for job_id in job_ids:
            row = self.rows.get(job_id)
            ended = row is not None and row.state in FINAL
            if ended and row not in taken:
                taken.append(row)
            statuses.append("restarted" if ended else row.state.value if row else "missing")
        self._restart(taken, reset)
        return statuses

    def retry_many(self, state, reset, most, before, kind):
        before = self.now if before is None else before
        rows = [
            row
            for row in self.of(state)
            if row.finished <= before and kind in ("", row.failure and row.failure["kind"])
        ][:most]
        self._restart(rows, reset)
        return [row.id for row in rows], before

    def _restart(self, rows, reset):
        for row in rows:
            self.seq += 1
            if row.state is FAILED:
                row.keep_history()
            if reset:
                row.attempts, row.history = 0, []
            row.expires = row.until = row.started = row.finished = row.value = None
            row.failure = row.cancel = row.progress = None
            row.stalls, row.discarded, row.retried = 0, False, self.now
            self.go(row, WAITING, row.rank)
            row.place = -self.seq if row.place < 0 else self.seq
            if row.dedup is not None and not row.lasting:
                self.dedups.setdefault(row.dedup, row.id)
            self.totals["restarted"] += 1
            self.tell("waiting", row.id)
        self.flush()

    def promote(self, job_ids):
        statuses, promoted = [], set()
        for job_id in job_ids:
            row = self.rows.get(job_id)
            if row is not None and row.state is DELAYED:
                self.go(row, WAITING, row.rank)
                promoted.add(job_id)
                self.tell("waiting", job_id)
            state = row.state.value if row else "missing"
            statuses.append("promoted" if job_id in promoted else state)
        return statuses

    def clean(self, where, grace_ms, begin, removals):
        before = self.now - grace_ms
        rows = self.parked() if where == "parked" else self.of(JobState(where))
        if where in FINAL:
            rows = [row for row in rows if row.finished <= before]
        rows = rows[begin:]
        gone, seen = [], 0
        for row in rows:
            if len(gone) == removals:
                break
            seen += 1
            held = row.state is ACTIVE and row.score > self.now
            if not held and (row.finished or row.started or row.created) <= before:
                self.remove(row, one_of_many=True)
                gone.append(row.id)
        self.flush()
        if gone:
            self.tell("cleaned")
        return (begin + seen - len(gone) if seen < len(rows) else -1), gone

    def empty(self, states):
        rows = [row for row in self.rows.values() if row.state in states]
        for _ in {row.state for row in rows}:
            self.tell("cleaned")
        for row in rows:
            self.remove(row, one_of_many=True)
        self.flush()
        return len(rows), 0

    def pause(self, on):
        changed = self.paused != on
        self.paused = on
        if changed:
            self.tell("paused" if on else "resumed")
        return changed

    def configure(self, numbers):
        self.limits, self.untended = numbers, True
        self.version = max(self.now, self.version + 1)
        self.tell("configured")
        return str(self.version)

    def say(self, row, what, text):
        """`what` is update, progress or log."""
        if what == "update":
            row.data = text
            self.tell("updated", row.id)
        elif what == "progress":
            row.progress = text
            self.tell("progress", row.id)
        else:
            row.logs += 1
