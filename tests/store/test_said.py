"""What jobs say while they run: log rows up to a bound, and parts of their results."""

import random

import orjson
import pytest

from sandq.model.bounds import LOG_ROWS_FIRST, LOG_ROWS_KEPT, LOG_ROWS_NEWEST
from sandq.model.states import JobState
from sandq.model.verdict import Action
from sandq.store import calls, reads, said, verbs
from sandq.store.calls import Report

MOST = LOG_ROWS_FIRST + 2 * LOG_ROWS_NEWEST


@pytest.fixture
def claim(bench):
    bench.add("a")
    (claim,) = bench.claim()
    return claim


def tell(bench, claim, rows, kind="log"):
    """Report texts of one kind; how many were kept."""
    reports = [Report(claim, kind, text) for text in rows]
    return bench.run(calls.report(reports, str(bench.now)))


def numbered(numbers):
    return [orjson.dumps({"level": "info", "message": str(n)}) for n in numbers]


def kept(bench):
    """What the log of the job holds: numbers of rows, and ("cut", n) where n were left out."""
    _, rows = bench.run(reads.logs("a", 0, -1))
    found = [orjson.loads(row.text) for row in rows]
    return [("cut", row["cut"]) if "cut" in row else int(row["message"]) for row in found]


def parts(*values):
    return [b"%d %b" % (number, orjson.dumps(value)) for number, value in enumerate(values)]


# ---- log rows


@pytest.mark.parametrize(
    "batches",
    [[1] * 5, [MOST], [MOST + 1], [1000] * 8, [7] * 500, [5000], [1, MOST, 1, 3000, 899, 901]],
    ids=str,
)
def test_the_first_rows_and_the_newest_stay_and_the_others_are_counted(bench, claim, batches):
    said_so_far = 0
    for size in batches:
        bench.now += 1
        tell(bench, claim, numbered(range(said_so_far, said_so_far + size)))
        said_so_far += size

        rows = kept(bench)
        assert len(rows) <= MOST
        if said_so_far <= MOST:
            assert rows == list(range(said_so_far))
            continue
        assert rows[:LOG_ROWS_FIRST] == list(range(LOG_ROWS_FIRST))
        word, left_out = rows[LOG_ROWS_FIRST]
        newest = rows[LOG_ROWS_FIRST + 1 :]
        assert word == "cut"
        assert newest == list(range(said_so_far - len(newest), said_so_far))
        assert LOG_ROWS_NEWEST <= len(newest) < 2 * LOG_ROWS_NEWEST
        assert LOG_ROWS_FIRST + left_out + len(newest) == said_so_far


def test_rows_that_a_supervisor_has_left_out_are_counted_with_the_others(one_bench):
    bench = one_bench
    bench.add("a")
    (claim,) = bench.claim()
    chosen = random.Random(7)
    all_said = 0
    for _ in range(60):
        rows = []
        for _ in range(chosen.randrange(1, 200)):
            if chosen.random() < 0.05:
                left_out = chosen.randrange(1, 10_000)
                rows.append(b'{"cut":%d}' % left_out)
                all_said += left_out
            else:
                rows += numbered([all_said])
                all_said += 1
        tell(bench, claim, rows)

        # every row stands at its place: as many were said before it as its number tells
        position = 0
        for row in kept(bench):
            if isinstance(row, tuple):
                position += row[1]
            else:
                assert row == position
                position += 1
        assert position == all_said


def test_the_row_that_tells_of_others_is_as_old_as_the_last_of_them(bench, claim):
    for number in range(MOST + 1):
        bench.now += 1
        tell(bench, claim, numbered([number]))
    _, rows = bench.run(reads.logs("a", 0, -1))
    times = [row.at_ms for row in rows]

    assert times == sorted(times)
    assert times[LOG_ROWS_FIRST] == times[LOG_ROWS_FIRST + 1] - 1


def test_a_long_log_is_written_anew_only_now_and_then(one_bench):
    bench = one_bench
    bench.add("a")
    (claim,) = bench.claim()
    tell(bench, claim, numbered(range(MOST)))
    bench.client.config_resetstat()
    for number in range(3 * LOG_ROWS_NEWEST):
        tell(bench, claim, numbered([MOST + number]))
    stats = bench.client.info("commandstats")

    assert stats["cmdstat_ltrim"]["calls"] == 3
    assert stats["cmdstat_rpush"]["calls"] == 3 * LOG_ROWS_NEWEST


def test_notes_of_others_are_rows_like_those_of_the_job(bench, claim):
    tell(bench, claim, numbered(range(MOST)))
    assert bench.run(verbs.note("a", "log", numbered([MOST])[0], str(bench.now)))

    rows = kept(bench)
    assert rows[LOG_ROWS_FIRST] == ("cut", MOST + 1 - LOG_ROWS_KEPT)
    assert rows[-1] == MOST


def test_rows_of_many_jobs_in_one_call_go_each_to_its_own(bench):
    bench.add("a", "b")
    a, b = bench.claim(2)
    reports = [
        Report(claim, kind, text)
        for n in range(3)
        for claim in (a, b)
        for kind, text in (
            ("log", b'{"n":"%s%d"}' % (claim.id.encode(), n)),
            ("progress", b"%d" % n),
        )
    ]

    assert bench.run(calls.report(reports, str(bench.now))) == 12
    for job_id in ("a", "b"):
        _, rows = bench.run(reads.logs(job_id, 0, -1))
        assert [orjson.loads(row.text)["n"] for row in rows] == [f"{job_id}{n}" for n in range(3)]
        assert bench.look(job_id).progress == b"2"


# ---- parts of a result


def chunks(bench, job_id="a", start=0):
    return bench.run(said.emitted(job_id, start)).chunks


def test_parts_are_kept_in_their_order_as_the_bytes_they_are(bench, claim):
    assert tell(bench, claim, [b'0 {"a": 1.0}', b"1 []"], "emit") == 2
    assert tell(bench, claim, [b"2 null"], "emit") == 1

    assert chunks(bench) == [b'{"a": 1.0}', b"[]", b"null"]
    assert chunks(bench, start=2) == [b"null"]
    assert chunks(bench, start=9) == []
    assert bench.run(said.emitted("a", 0)) == said.Emitted(JobState.ACTIVE, 1, chunks(bench))
    assert bench.run(said.emitted("nobody", 0)) == said.Emitted(None, 0, [])
    # one event for all that came at once
    assert bench.events("a")[-2:] == ["emitted", "emitted"]


def test_parts_that_are_told_twice_are_kept_once(bench, claim):
    # the reply of the first call was lost
    tell(bench, claim, parts(1, 2), "emit")
    tell(bench, claim, parts(1, 2, 3), "emit")

    assert chunks(bench) == [b"1", b"2", b"3"]


def test_another_attempt_begins_anew(bench, claim):
    tell(bench, claim, parts("old", "older"), "emit")
    bench.settle(claim, Action.RETRY)
    assert chunks(bench) == [b'"old"', b'"older"'], "until another begins"

    (second,) = bench.claim()
    assert chunks(bench) == []
    assert tell(bench, claim, [b"2 3"], "emit") == 0, "of a claim that is over"
    tell(bench, second, parts("new"), "emit")
    assert chunks(bench) == [b'"new"']
    bench.settle(second)

    assert bench.run(said.emitted("a", 0)) == said.Emitted(JobState.COMPLETED, 2, [b'"new"'])


def test_an_attempt_that_tells_nothing_has_told_nothing(bench, claim):
    tell(bench, claim, parts("old"), "emit")
    bench.settle(claim, Action.RETRY)
    bench.do()

    assert chunks(bench) == []


def test_parts_go_with_their_job(bench, claim):
    tell(bench, claim, parts(1), "emit")
    assert "emitted:a" in bench.names()
    bench.settle(claim)
    bench.run(verbs.remove(["a"], False, str(bench.now)))

    assert bench.names() & {"emitted:a", "job:a"} == set()


# ---- following


def test_a_page_of_a_log_tells_where_the_job_is_and_what_has_changed(bench, claim):
    assert bench.run(said.follow("nobody", 0)) == said.LogPage(None, 0, b"", [])
    assert bench.run(said.follow("a", 0)) == said.LogPage(JobState.ACTIVE, 0, b"", [])
    tell(bench, claim, numbered(range(MOST)))
    page = bench.run(said.follow("a", 1))

    assert (page.state, page.count) == (JobState.ACTIVE, MOST)
    assert [orjson.loads(row.text)["message"] for row in page.rows] == [
        str(n) for n in range(1, 1 + said.ROWS_AT_ONCE)
    ]
    tell(bench, claim, numbered(range(2)))
    assert bench.run(said.follow("a", 1)).mark != page.mark != b""


# ---- data that a job changes itself


def test_data_are_changed_only_by_the_claim_that_holds(bench, claim):
    assert bench.run(verbs.update("a", b"2", claim.token))
    assert not bench.run(verbs.update("a", b"3", "other"))
    bench.settle(claim, Action.RETRY)
    assert not bench.run(verbs.update("a", b"4", claim.token)), "its claim is over"
    assert not bench.run(verbs.update("nobody", b"5", claim.token))

    assert bench.look("a").data == b"2"
    assert bench.run(verbs.update("a", b"6"))
    assert bench.look("a").data == b"6"
