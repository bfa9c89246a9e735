"""What may be done to a queue: pause it, give it settings, say that a supervisor is there."""

import pytest

from sandq.errors import StaleSettings
from sandq.store import reads, verbs


def test_nothing_is_claimed_from_a_paused_queue_but_jobs_still_come_due(bench):
    bench.add("a", bench.new("later", delay_ms=50))

    changed = [bench.run(verbs.pause(on)) for on in (True, True)]
    bench.now += 50
    taken = bench.take(5)
    counted = bench.run(reads.counts())
    changed += [bench.run(verbs.pause(on)) for on in (False, False)]

    assert changed == [True, False, True, False]
    assert taken == []
    assert (counted["paused"], counted["waiting"], counted["delayed"]) == (2, 0, 0)
    assert bench.run(reads.is_paused()) is False
    assert bench.take(5) == ["a", "later"]
    assert [kind for kind in bench.events() if kind in ("paused", "resumed")] == [
        "paused",
        "resumed",
    ]


def test_settings_take_the_place_of_all_there_were(bench):
    first = bench.configure(max_size=5, concurrency=2, metrics_points=60)
    second = bench.configure(group_concurrency=3)
    third = bench.configure()

    assert int(first) < int(second) < int(third), "a version never comes again"
    assert bench.hash("meta") == {"layout": "1", "version": third, "settings": "{}"}


def test_a_job_that_was_made_by_older_settings_is_not_added(bench):
    version = bench.configure(max_size=5)
    newer = bench.configure(max_size=6)
    before = bench.dump()

    with pytest.raises(StaleSettings, match="the settings of the queue have changed"):
        bench.add("a", version=version)

    assert bench.dump() == before
    assert bench.add("a", version=newer) == ["a"]
    assert bench.add("b") == ["b"]


def test_supervisors_are_there_as_long_as_they_say_so(bench):
    def beat(worker, kept_ms):
        return bench.run(verbs.beat(worker, b'{"pid":1}', kept_ms, str(bench.now)))

    there = [beat("w1", 60_000), beat("w2", 60_000)]
    bench.now += 60_000
    there.append(beat("w2", 60_000))
    there.append(beat("w2", 0))

    assert there == [1, 2, 1, 0]
    assert bench.run(reads.list_workers()) == []
