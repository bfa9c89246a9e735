"""The whole model: series of repeated jobs, and everything as it should be stored."""

import hashlib
import math
from collections import Counter
from dataclasses import dataclass

from sandq.model.job import NewJob
from sandq.model.states import JobState
from tests.store.model import ACTIVE, FAILED, UNSTARTED
from tests.store.model_verbs import Verbs

#: Places are counted from here (spec/storage.md).
MIDDLE = 0x10000000000000


@dataclass
class Series:
    """Repeated jobs; `due` is when the one that is outstanding may start."""

    due: int
    anchor: int
    rule: bytes
    job: NewJob
    extras: dict
    limit: float = math.inf
    made: int = 1


class Model(Verbs):
    """A queue and all that can be done to it."""

    # ---- series

    def occurrence(self, key, ms):
        return f"repeat:{hashlib.sha1(key.encode()).hexdigest()[:16]}:{ms}"

    def upsert_series(self, key, series):
        old = self.series.get(key)
        if old is not None:
            self._drop(key, old.due)
            self.flush()
        self.series[key] = series
        self._make(key, series.due)
        return self.occurrence(key, series.due), old is None

    def fire(self, key, due, drop, following, catch_up):
        series = self.series.get(key)
        if series is None or series.due != due:
            return None
        made, ids = -1 if drop and self._drop(key, due) else 0, []
        for ms in catch_up:
            if series.made + made < series.limit:
                ids.append(self._make(key, ms))
                made += 1
        if following is None or series.made + made >= series.limit:
            del self.series[key]
        else:
            ids.append(self._make(key, following))
            series.due = following
            series.made += made + 1
        self.flush()
        return [job_id for job_id in ids if job_id is not None]

    def remove_series(self, keys):
        known = [key for key in dict.fromkeys(keys) if key in self.series]
        for key in known:
            self._drop(key, self.series.pop(key).due)
        self.flush()
        return len(known)

    def _make(self, key, ms):
        series, job_id = self.series[key], self.occurrence(key, ms)
        if job_id in self.rows:
            self.tell("duplicated", job_id)
            return None
        self.seq += 1
        self.born(job_id, series.job, ms, series.extras, key)
        return job_id

    def _drop(self, key, ms):
        """The outstanding job goes, unless it was tried already."""
        row = self.rows.get(self.occurrence(key, ms))
        if row is None or row.state not in UNSTARTED or row.attempts or row.stalls:
            return False
        self.remove(row)
        self.tell("removed", row.id)
        return True

    # ---- what is stored

    def stored(self):
        """Everything but the jobs themselves and what lives by the server's own clock."""
        rows = self.rows.values()
        found = {state.value: [(_member(r), r.score) for r in self.of(state)] for state in JobState}
        found["parked"] = [(f"{r.group}\0{r.rank:010}{_member(r)}", 0) for r in self.parked()]
        found["expiry"] = sorted(self.expiry(), key=lambda item: (item[1], item[0]))
        found["windows"] = sorted(self.calls.items(), key=lambda item: (item[1], item[0]))
        found["groups"] = Counter(r.group for r in rows if r.state is ACTIVE and r.group)
        found["kinds"] = Counter(r.failure["kind"] for r in rows if r.state is FAILED)
        found["cancelling"] = {i: f"{since} {why}" for i, (since, why) in self.cancelling.items()}
        found["totals"] = +self.totals
        repeat = [(key, series.due) for key, series in self.series.items()]
        found["repeat"] = sorted(repeat, key=lambda item: (item[1], item[0]))
        for row in rows:
            for tag in row.tags:
                found.setdefault("tag:" + tag, set()).add(row.id)
            if row.history:
                found["failures:" + row.id] = row.history
            if row.logs:
                found["logs:" + row.id] = row.logs
        for key, job_id in self.dedups.items():
            found["dedup:" + key] = job_id
        return {name: content for name, content in found.items() if content}

    def counted(self):
        series = {f"repeat:{key}": (s.anchor, s.made) for key, s in self.series.items()}
        return {
            "seq": self.seq,
            "ids": self.ids,
            "version": self.version,
            "paused": self.paused,
            "completed": self.totals["completed"],
            "failed": self.totals["failed"],
            **series,
        }


def _member(row):
    return f"{MIDDLE + row.place:014x}{row.id}" if row.state in UNSTARTED else row.id
