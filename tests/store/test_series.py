"""Series of repeatable jobs: one outstanding occurrence each, fired once, by who comes first."""

import pytest

from sandq.model.states import JobState
from sandq.model.verdict import Action
from sandq.store import calls, reads, scripts, verbs

EVERY = 1000


class Series:
    """A series `s` on a bench; its occurrences are a second apart."""

    def __init__(self, bench):
        self.bench = bench
        self.first = bench.now + EVERY

    def upsert(self, first=None, data=b"1", key="s", rule=b"{}", **extras):
        job = self.bench.new(data=data, **extras)
        first = self.first if first is None else first
        return self.bench.run(
            verbs.upsert_series(key, first, self.bench.now, rule, job, str(self.bench.now))
        )

    def fire(self, due=None, following=-1, *, drop=False, catch_up=()):
        due = self.first if due is None else due
        following = due + EVERY if following == -1 else following
        return self.bench.run(verbs.fire("s", due, drop, following, catch_up, str(self.bench.now)))

    def listed(self):
        return self.bench.run(reads.list_series(0, -1, True))

    def due(self):
        return self.bench.run(reads.due_series(10, str(self.bench.now)))[1]


@pytest.fixture
def series(bench):
    return Series(bench)


def test_a_new_series_has_one_outstanding_occurrence(bench, series):
    job_id, is_new = series.upsert(data=b"[1]", tags=["t"], priority=3)
    record = bench.look(job_id)
    count, (row,) = series.listed()

    assert is_new
    assert (record.state, record.due_ms, record.repeat) == (JobState.DELAYED, series.first, "s")
    assert (record.data, record.tags, record.priority) == (b"[1]", ("t",), 3)
    assert (count, row.key, row.next_ms, row.name, row.made) == (1, "s", series.first, "work", 1)
    assert bench.take() == []


def test_an_occurrence_may_start_at_its_time_though_nobody_fires_the_series(bench, series):
    job_id, _ = series.upsert()
    bench.now = series.first

    asked = bench.ask()

    assert [claim.id for claim in asked.claims] == [job_id]
    assert asked.next_fire_ms == series.first


def test_upsert_replaces_the_outstanding_occurrence(bench, series):
    # Bull ignores other data under the same key
    old, _ = series.upsert(data=b"1")
    new, is_new = series.upsert(data=b"2")
    later, _ = series.upsert(series.first + 7, data=b"3")

    assert (old, is_new) == (new, False)
    assert bench.look(old) is None
    assert bench.ids("delayed") == [later]
    assert bench.look(later).data == b"3"
    assert series.listed()[0] == 1
    assert bench.events(old) == ["delayed", "removed", "delayed", "removed"]


@pytest.mark.parametrize("state", ["active", "completed"])
def test_upsert_leaves_an_occurrence_alone_that_was_started(bench, series, state):
    old, _ = series.upsert(data=b"1")
    bench.now = series.first
    (claim,) = bench.claim()
    if state == "completed":
        bench.settle(claim)

    new, _ = series.upsert(series.first + EVERY, data=b"2")

    assert bench.look(old).state == state
    assert bench.look(new).data == b"2"


def test_an_occurrence_that_waits_for_its_second_attempt_is_not_dropped(bench, series):
    old, _ = series.upsert(data=b"1")
    bench.now = series.first
    bench.do(Action.RETRY, delay_ms=50)

    series.upsert(series.first + EVERY, data=b"2")
    made = series.fire(series.first + EVERY, drop=True)

    assert bench.look(old).state is JobState.DELAYED
    assert len(made) == 1


def test_an_occurrence_is_fired_by_the_first_of_two_callers(bench, series):
    old, _ = series.upsert()
    bench.now = series.first
    due = series.due()

    first, second = series.fire(), series.fire()

    assert [(row.key, row.due_ms, row.made) for row in due] == [("s", series.first, 1)]
    assert len(first) == 1
    assert second is None
    assert bench.ids("delayed") == [old, first[0]]
    assert series.due() == []


@pytest.mark.parametrize("due", [0, 1, 999, 1001, 5000])
def test_an_occurrence_that_is_not_the_outstanding_one_is_not_fired(bench, series, due):
    series.upsert()
    before = bench.dump()

    assert series.fire(series.first - EVERY + due) is None
    assert bench.dump() == before


def test_a_crash_between_looking_and_firing_leaves_the_series_as_it_was(bench, series):
    # Bull ends a series with three calls, and a crash between them ends it for ever
    series.upsert()
    bench.now = series.first
    before = bench.dump()
    series.due()

    assert bench.dump() == before
    # whoever comes next does it all in one step
    (following,) = series.fire()
    assert bench.look(following).due_ms == series.first + EVERY
    assert series.listed()[1][0].next_ms == series.first + EVERY


def test_a_firing_that_dies_on_the_way_to_redis_can_be_sent_again(bench, series):
    series.upsert()
    bench.now = series.first
    (made,) = series.fire()
    after = bench.dump()

    # the reply was lost, so the caller tries again
    assert series.fire() is None
    assert bench.dump() == after
    assert bench.look(made).state is JobState.DELAYED


def test_missed_occurrences_are_dropped_or_made_up_for_as_the_caller_says(bench, series):
    old, _ = series.upsert()
    bench.now = series.first + 10 * EVERY
    missed = [series.first + 8 * EVERY, series.first + 9 * EVERY]

    made = series.fire(following=bench.now + EVERY, drop=True, catch_up=missed)

    assert bench.look(old) is None
    assert [bench.look(job_id).state for job_id in made] == ["waiting", "waiting", "delayed"]
    assert series.listed()[1][0].made == 3
    assert bench.take(9) == made[:2]


def test_an_occurrence_of_the_same_moment_is_made_once(bench, series):
    series.upsert()
    bench.now = series.first + EVERY
    made = series.fire(following=bench.now + EVERY, catch_up=[series.first])

    assert len(made) == 1
    assert bench.count("delayed") == 2


@pytest.mark.parametrize("key", ["s", "a:b", "tägl ich", "s" * 200])
def test_any_key_does_and_its_jobs_have_ids_of_their_own(bench, series, key):
    # in Bull a name or an id with a colon cannot be parsed any more
    one, _ = series.upsert(key=key)
    two, _ = series.upsert(key=key + "x")

    assert one != two
    assert one.startswith("repeat:")
    assert [row.key for row in series.listed()[1]] == sorted([key, key + "x"])
    assert bench.run(verbs.remove_series([key, "never-was"])) == 1


@pytest.mark.parametrize("drop", [True, False])
def test_a_series_that_has_ended_leaves_no_keys(bench, series, drop):
    # Bull keeps the configuration of an ended series for ever
    last, _ = series.upsert()
    bench.now = series.first

    assert series.fire(following=None, drop=drop) == []
    assert (bench.look(last) is None) == drop
    assert {name for name in bench.names() if name.startswith("repeat")} == set()
    assert series.listed() == (0, [])
    assert bench.ask(0).next_fire_ms is None


def test_a_removed_series_goes_with_its_outstanding_occurrence(bench, series):
    series.upsert(tags=["t"], expires_at=bench.now + 9 * EVERY)

    removed = [bench.run(verbs.remove_series(["s"])) for _ in range(2)]

    assert removed == [1, 0]
    assert bench.names() == {"meta", "wake", "events", "totals"}


def test_a_removed_series_leaves_an_occurrence_that_runs(bench, series):
    series.upsert()
    bench.now = series.first
    (claim,) = bench.claim()

    bench.run(verbs.remove_series(["s"]))

    assert bench.settle(claim)[0] == "ok"
    assert series.fire() is None


def test_a_series_whose_hash_is_gone_ends_instead_of_being_due_for_ever(bench, series):
    series.upsert()
    bench.client.delete("sandq:{q}:repeat:s")
    bench.now = series.first

    assert series.fire() == []
    assert series.due() == []


def test_series_are_listed_by_their_next_occurrence(bench, series):
    for n, key in enumerate(["c", "a", "b"]):
        series.upsert(series.first + n, key=key)

    def keys(start, stop, asc):
        return [row.key for row in bench.run(reads.list_series(start, stop, asc))[1]]

    assert keys(0, -1, True) == ["c", "a", "b"]
    assert keys(0, -1, False) == ["b", "a", "c"]
    assert keys(1, 1, True) == ["a"]


def test_a_supervisor_is_woken_for_a_series_that_is_made_while_it_sleeps(bench, series):
    bench.client.delete("sandq:{q}:wake")

    series.upsert()

    assert bench.client.llen("sandq:{q}:wake") == 1


def test_the_ids_of_occurrences_do_not_depend_on_the_server(one_bench):
    job_id, _ = Series(one_bench).upsert()

    text = scripts.script("fire").text.split("local now")[0] + "return Series.id('s', 123)"
    made = one_bench.client.eval(text, 9, *one_bench.store.keys.ordered)

    assert made == b"repeat:a0f1490a20d0211c:123"
    assert job_id.startswith("repeat:a0f1490a20d0211c:")


def test_a_claim_says_when_a_series_is_due_next(bench, series):
    series.upsert(series.first + 5)
    series.upsert(key="other")

    assert bench.ask().next_fire_ms == series.first
    assert bench.run(calls.tend(str(bench.now))) == (0, False)


@pytest.mark.parametrize("started", [True, False])
def test_a_limit_holds_though_an_occurrence_that_was_to_be_dropped_has_been_started(
    bench, series, started
):
    series.upsert(rule=b'{"every_ms":1000,"limit":1}')
    bench.now = series.first + 5 * EVERY
    if started:
        assert len(bench.take()) == 1

    made = series.fire(drop=True)

    assert len(made) == (0 if started else 1)
    assert len(series.listed()[1]) == (0 if started else 1), "the series has ended"
