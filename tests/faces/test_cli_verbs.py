"""The verbs of `sandq` that look after jobs and queues: what they do, print and refuse."""

import json

import pytest

from sandq.cli.main import SHARED, VERBS, main
from sandq.model.schedule import Repeat
from sandq.sync import Queue


@pytest.fixture
def sandq(url, capsys, monkeypatch):
    """Run a verb in this process: (exit code, output, errors)."""
    monkeypatch.setenv("SANDQ_REDIS_URL", url)

    def run(*words):
        code = main(words)
        output = capsys.readouterr()
        return code, output.out, output.err

    return run


@pytest.fixture
def sandq_json(sandq):
    """Run a verb that must succeed, with --json: the values it prints."""

    def run(*words):
        code, output, errors = sandq(*words, "--json")
        assert (code, errors) == (0, "")
        return [json.loads(line) for line in output.splitlines()]

    return run


@pytest.fixture
def queue(url):
    with Queue("q", url) as queue:
        yield queue


def fail(queue, *names):
    """Jobs that were worked by hand and failed; their ids."""
    ids = []
    for name in names:
        queue.add(name)
        job = queue.get_next_job()
        job.move_to_failed("no luck")
        ids.append(job.id)
    return ids


def test_every_shared_verb_is_a_verb():
    assert {verb for verbs in SHARED.values() for verb in verbs} <= set(VERBS)


def test_cancel_tells_what_became_of_each_job(sandq, sandq_json, queue):
    queue.add_bulk([("a", 1), ("a", 2), ("a", 3)])
    running = queue.get_next_job()

    code, output, errors = sandq("cancel", "q", "2", running.id, "99", "--reason", "too late")

    assert code == 2
    assert output == "job 2: cancelled\njob 1: is being stopped\n"
    assert errors == "sandq: job '99' does not exist, or was removed\n"
    assert queue.get_job("2").failure == {"kind": "cancelled", "message": "too late"}
    assert sandq_json("cancel", "q", "3") == [{"id": "3", "state": "cancelled"}]


def test_a_refusal_is_json_too(sandq, queue):
    code, output, errors = sandq("promote", "q", "99", "--json")

    assert (code, errors) == (2, "")
    assert json.loads(output)["error"] == "SANDQ_MISSING"


def test_retry_runs_named_jobs_or_all_of_a_state(sandq, sandq_json, queue):
    ids = fail(queue, "a", "b", "c")

    assert sandq("retry", "q", ids[0]) == (0, f"job {ids[0]}: waiting\n", "")
    assert sandq_json("retry", "q", "--all", "--limit", "1", "--reset") == [{"retried": 1}]
    assert sandq("retry", "q", "--all") == (0, "1 jobs wait again\n", "")
    assert [job.attempts for job in queue.get_waiting()] == [1, 0, 1]
    code, _, errors = sandq("retry", "q", ids[0], "--all")
    assert code == 2
    assert "name the jobs to be retried, or give --all" in errors


def test_promote_lets_a_delayed_job_start(sandq, queue):
    queue.add("a", delay=3600)

    assert sandq("promote", "q", "1") == (0, "job 1: waiting\n", "")
    assert sandq("promote", "q", "1")[0] == 2


def test_rm_removes_named_jobs_or_those_of_a_pattern(sandq, sandq_json, queue):
    for job_id in ("a-1", "a-2", "b-1", "b-2"):
        queue.add("work", job_id=job_id)

    assert sandq("rm", "q", "b-1") == (0, "job b-1: removed\n", "")
    assert sandq_json("rm", "q", "--match", "a-*") == [{"removed": 2}]
    assert [job.id for job in queue.get_waiting()] == ["b-2"]
    assert "matches all jobs" in sandq("rm", "q", "--match", "*")[2]
    assert "name the jobs to be removed" in sandq("rm", "q")[2]
    running = queue.get_next_job()
    assert "is being run" in sandq("rm", "q", running.id)[2]
    assert sandq("rm", "q", running.id, "--force")[0] == 0


def test_logs_are_printed_oldest_first(sandq, sandq_json, queue):
    job = queue.add("a")
    job.log("one")
    job.log("two", "warning", page=7)

    code, output, _ = sandq("logs", "q", job.id)
    assert code == 0
    assert [line.split(" ", 1)[1] for line in output.splitlines()] == [
        "info one",
        "warning two page=7",
    ]
    assert [row["message"] for row in sandq_json("logs", "q", job.id, "--last", "1")] == ["two"]
    assert "--last must be at least 1" in sandq("logs", "q", job.id, "--last", "0")[2]


def test_dead_jobs_are_looked_at_and_replayed(sandq, sandq_json, queue):
    ids = fail(queue, "a", "b")

    code, output, _ = sandq("dead", "peek", "q")
    assert code == 0
    assert [line.split()[0] for line in output.splitlines()] == ["ID", *ids, "error:"]
    assert [job["id"] for job in sandq_json("dead", "peek", "q", "--limit", "1")] == ids[:1]
    assert sandq_json("dead", "replay", "q", "--kind", "timed_out") == [{"replayed": []}]
    assert "failure kind 'bad' is not known" in sandq("dead", "replay", "q", "--kind", "bad")[2]
    assert sandq_json("dead", "replay", "q", "--limit", "1") == [{"replayed": ids[:1]}]
    assert sandq("dead", "replay", "q") == (0, "1 jobs wait again\n", "")
    assert sandq("dead", "peek", "q") == (0, "queue 'q' has no failed jobs\n", "")


def test_series_are_added_listed_and_ended(sandq, sandq_json, queue):
    assert sandq("repeat", "ls", "q") == (0, "queue 'q' has no series\n", "")

    key = sandq("repeat", "add", "q", "tick", "--every", "1h", "--data", "[1 ]")[1].strip()
    assert key == Repeat.every(3600).key_for("tick")
    added = sandq_json(
        "repeat", "add", "q", "tock", "--cron", "30 2 * * *", "--tz", "Europe/Berlin", "--key", "k"
    )
    assert added == [{"key": "k"}]
    listed = {series["key"]: series for series in sandq_json("repeat", "ls", "q")}
    assert listed.keys() == {key, "k"}
    assert (listed["k"]["name"], listed["k"]["made"]) == ("tock", 1)
    assert sandq("repeat", "ls", "q")[1].splitlines()[0].split() == ["KEY", "NAME", "NEXT", "MADE"]
    assert {job.data_text for job in queue.get_delayed()} == {b"[1 ]", b"null"}
    assert sandq("repeat", "rm", "q", "k") == (0, "series 'k' has ended\n", "")
    assert sandq("repeat", "rm", "q", key, "--json")[1] == json.dumps({"removed": key}) + "\n"
    assert queue.count() == 0


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["repeat", "add", "q", "tick"], "either --every or --cron"),
        (["repeat", "add", "q", "tick", "--every", "1s", "--cron", "* * * * *"], "either --every"),
        (["repeat", "add", "q", "--every", "1s"], "the name of its jobs"),
        (["repeat", "add", "q", "tick", "--cron", "61 * * * *"], "61 * * * *"),
        (["repeat", "add", "q", "tick", "--every", "1s", "--missed", "some"], "some"),
        (["repeat", "rm", "q"], "give the key"),
        (["repeat", "rm", "q", "none"], "has no series 'none'"),
        (["empty", "q"], "give --yes"),
        (["obliterate", "q"], "give --yes"),
        (["clean", "q", "--state", "done"], "state 'done' is not known"),
        (["clean", "q", "--older", "soon"], "grace is not a duration"),
        (["settings", "q", "--set", '{"max_siz": 3}'], "did you mean 'max_size'"),
        (["settings", "q", "--set", '{"max_size": -3}'], "max_size must be a whole number"),
        (["settings", "q", "--set", "oops"], "not JSON"),
        (["events", "q", "--from", "yesterday"], "from_id must be the id of an event"),
    ],
)
def test_what_cannot_be_done_is_told_in_one_line_and_nothing_is_written(sandq, server, words, told):
    code, output, errors = sandq(*words)

    assert (code, output) == (2, "")
    assert told in errors
    assert errors.count("\n") == 1
    assert server.client.keys("*") == []


def test_a_queue_is_paused_and_resumed(sandq, sandq_json, queue):
    assert sandq("pause", "q") == (0, "queue 'q' is paused\n", "")
    assert queue.is_paused()
    assert sandq_json("resume", "q") == [{"paused": False}]
    assert not queue.is_paused()


def test_old_jobs_are_cleaned_and_waiting_ones_emptied(sandq, sandq_json, queue):
    fail(queue, "a", "b")
    queue.add("c")
    queue.add("d", delay=60)

    assert (
        sandq("clean", "q", "--state", "failed", "--older", "1h")[1] == "0 failed jobs are gone\n"
    )
    assert sandq_json("clean", "q", "--state", "failed", "--limit", "1") == [{"removed": 1}]
    assert sandq("empty", "q", "--yes") == (0, "2 jobs are gone\n", "")
    assert queue.count() == 0


def test_nothing_is_left_of_an_obliterated_queue(sandq, server, queue):
    fail(queue, "a")
    queue.add("b")
    running = queue.get_next_job()

    assert "jobs are being run" in sandq("obliterate", "q", "--yes")[2]
    assert running is not None
    assert sandq("obliterate", "q", "--yes", "--force")[0] == 0
    assert server.client.keys("*") == []


def test_stalled_jobs_are_reclaimed(sandq, sandq_json, server, queue):
    queue.add("a")
    queue.get_next_job()
    server.client.zadd("sandq:{q}:active", {"1": 1})

    assert sandq_json("reclaim", "q") == [{"recovered": ["1"]}]
    assert sandq("reclaim", "q") == (0, "0 jobs were recovered\n", "")


def test_settings_are_printed_and_replaced(sandq, queue):
    text = '{"max_size":3,"defaults":{"attempts":2}}'

    assert sandq("settings", "q") == (0, "{}\n", "")
    assert json.loads(sandq("settings", "q", "--set", text)[1]) == json.loads(text)
    assert queue.get_settings().max_size == 3
    assert sandq("settings", "q", "--set", "{}") == (0, "{}\n", "")


def test_the_numbers_of_a_queue_are_printed(sandq, sandq_json, queue):
    fail(queue, "a")
    queue.add("b")

    (stats,) = sandq_json("stats", "q")
    assert (stats["counts"]["waiting"], stats["dead"]) == (1, {"error": 1})
    assert stats["waiting_since"] > 0
    lines = [line.split() for line in sandq("stats", "q")[1].splitlines()]
    assert ["dead:", "error", "1"] in lines
    assert ["totals:", "added", "2"] in lines


def test_supervisors_are_listed(sandq, sandq_json, queue):
    assert sandq("workers", "q") == (0, "nobody serves queue 'q'\n", "")

    queue.set_handler("*", print)
    with queue.run(concurrency=3) as handle:
        (worker,) = sandq_json("workers", "q")
        assert (worker["id"], worker["slots"], worker["jobs"]) == (handle.worker, 3, [])
        assert sandq("workers", "q")[1].splitlines()[1].split()[0] == handle.worker

    assert sandq("workers", "q")[1] == "nobody serves queue 'q'\n"


def test_events_are_printed_as_they_come(sandq, sandq_json, queue):
    queue.add("a")
    queue.cancel("1", "no need")

    first, second = sandq_json("events", "q", "--from", "0", "--count", "2")
    assert (first["event"], first["job"]) == ("waiting", "1")
    assert (second["event"], second["reason"]) == ("cancelled", "no need")
    code, output, _ = sandq("events", "q", "--from", first["id"], "--count", "1")
    assert code == 0
    assert output.split()[1:] == [second["id"], "cancelled", "1", "reason=no", "need"]


def test_a_job_is_added_with_tags_a_group_and_a_dedup_key(sandq_json, queue):
    words = ("--tag", "x", "--tag", "y", "--group", "acme", "--dedup", "once")

    assert sandq_json("add", "q", "work", *words) == sandq_json("add", "q", "work", *words)
    (job,) = queue.get_waiting()
    assert (list(job.tags), job.group, job.dedup) == (["x", "y"], "acme", "once")
