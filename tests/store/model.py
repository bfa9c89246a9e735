"""What the scripts promise, as a model: a job is a row, a set is the rows of a state in order.

Written from `sandq/model/states.py`, the docstrings of options and settings, and the headers of
the scripts; not from their Lua. Here is what a job is, and what all changes have in common;
`model_way` has the straight way of a job, `model_verbs` all other verbs.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

from sandq.model.keep import Keep, retain_text
from sandq.model.states import FINAL, LEGAL, JobState

WAITING, DELAYED, ACTIVE = JobState.WAITING, JobState.DELAYED, JobState.ACTIVE
COMPLETED, FAILED, CANCELLED = JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED
UNSTARTED = (WAITING, DELAYED)

LEASE_MS = 100
NO_PRIORITY = 2**32
#: Failure records of earlier attempts that are kept with a job when nothing is said.
HISTORY, HISTORY_MOST = 10, 1000


class Retain(NamedTuple):
    """What a settlement says of the jobs that ended like this one, see `sandq.model.keep`."""

    count: int | None = None
    age_ms: int | None = None
    ttl_ms: int | None = None
    history: int | None = None

    @property
    def text(self):
        said = self.count is not None or self.age_ms is not None
        keep = Keep(self.count, self.age_ms and self.age_ms / 1000) if said else None
        return retain_text(keep, self.ttl_ms, self.history)


@dataclass
class Row:
    """A job as the model knows it; `score` is what its set is sorted by."""

    id: str
    data: bytes
    priority: int
    place: int
    created: int
    state: JobState = WAITING
    score: int = 0
    #: Aside, because its group has no room; waiting all the same.
    parked: bool = False
    #: When it is due, if a rate limit delayed it.
    put_off: int | None = None
    group: str | None = None
    dedup: str | None = None
    lasting: bool = False
    tags: tuple = ()
    expires: int | None = None
    repeat: str | None = None
    token: str = ""
    attempts: int = 0
    stalls: int = 0
    claims: int = 0
    started: int | None = None
    finished: int | None = None
    retried: int | None = None
    until: int | None = None
    value: bytes | None = None
    failure: dict | None = None
    history: list = field(default_factory=list)
    cancel: str | None = None
    discarded: bool = False
    progress: bytes | None = None
    logs: int = 0

    @property
    def rank(self):
        return self.priority or NO_PRIORITY

    def keep_history(self, most=HISTORY_MOST):
        """Its failure is an earlier one from now on."""
        history = [*self.history, *([self.failure] if self.failure else [])]
        self.history = history[len(history) - min(most, len(history)) :]

    @property
    def order(self):
        return (self.score, self.place if self.state in UNSTARTED else self.id)


class Rows:
    """The jobs of a queue, in their sets, with what follows them about."""

    def __init__(self, now):
        self.now = now
        self.rows = {}
        self.ids = self.seq = self.version = 0
        self.paused = False
        #: What scripts obey of the settings, as numbers.
        self.limits = {}
        #: Group (None: the queue) -> its window.
        self.windows = {}
        #: Group -> when its parked jobs are called back, because its window ends.
        self.calls = {}
        #: Id -> since when it is to be stopped, and why.
        self.cancelling = {}
        #: Dedup key -> id of the job that has it.
        self.dedups = {}
        self.series = {}
        self.totals = Counter()
        #: What has happened so far that no reply tells, in words.
        self.happened = set()
        #: What the event stream tells since it was last read: kind and id.
        self.told = []
        #: Something was done that nobody is called back for, until somebody tends the queue.
        self.untended = False
        self._freed = Counter()
        self._keeps = {}

    # ---- sets

    def of(self, state):
        """The rows of a state, in the order of its set; parked ones are apart."""
        rows = (row for row in self.rows.values() if row.state is state and not row.parked)
        return sorted(rows, key=lambda row: row.order)

    def parked(self, group=None):
        rows = (r for r in self.rows.values() if r.parked and group in (None, r.group))
        return sorted(rows, key=lambda row: (row.group, row.rank, row.place))

    def active_of(self, group):
        return sum(row.state is ACTIVE and row.group == group for row in self.rows.values())

    # ---- changes

    def tell(self, kind, job_id=""):
        self.told.append((kind, job_id))

    def go(self, row, state, score):
        assert state in LEGAL[row.state], f"the model itself goes {row.state} -> {state}"
        self._leave(row, ends=state in FINAL)
        row.state, row.score = state, score
        if state in FINAL:
            row.finished = score
            self._release_dedup(row)

    def remove(self, row, one_of_many=False):
        """`one_of_many`: nobody is called back for what did not start."""
        self.untended |= one_of_many
        self._leave(row, ends=not one_of_many)
        self._release_dedup(row)
        del self.rows[row.id]

    def flush(self):
        """Parked jobs come back for those of their group that have ended."""
        for group, n in self._freed.items():
            if self.unpark(group, n):
                self.happened.add("parked: back for another")
        self._freed.clear()

    def unpark(self, group, n):
        back = self.parked(group)[: max(0, n)]
        for row in back:
            row.parked = False
        return len(back)

    def _leave(self, row, ends):
        # a job that is aside makes no room by ending
        frees = row.state is ACTIVE or (ends and row.state in UNSTARTED and not row.parked)
        if row.group is not None and frees:
            self._freed[row.group] += 1
        if row.state is ACTIVE:
            self.cancelling.pop(row.id, None)
        row.parked = False

    def _release_dedup(self, row):
        if not row.lasting and self.dedups.get(row.dedup) == row.id:
            del self.dedups[row.dedup]
            self.happened.add("dedup: free again")

    def born(self, job_id, job, due, extras, series=None):
        place = -self.seq if extras.get("lifo") else self.seq
        row = Row(job_id, job.data, job.priority, place, self.now, repeat=series)
        row.group, row.dedup = extras.get("group"), extras.get("dedup")
        row.lasting, row.tags = "dedup_ttl_ms" in extras, tuple(extras.get("tags", ()))
        row.expires = extras.get("expires_at")
        row.score = row.rank
        if due > self.now:
            row.state, row.score = DELAYED, due
        if row.dedup is not None:
            self.dedups[row.dedup] = job_id
        # whoever is to be stopped was another job of this id
        self.cancelling.pop(job_id, None)
        self.rows[job_id] = row
        self.totals["added"] += 1
        self.tell(row.state.value, job_id)
