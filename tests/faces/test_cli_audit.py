"""`sandq audit`: one line for every finding, with what to do; the exit code says what is left."""

import json

import pytest

from sandq.cli.main import main
from sandq.model.schedule import Repeat
from sandq.store.problems import PROBLEMS
from sandq.sync import Queue


@pytest.fixture
def queue(url):
    with Queue("q", url) as queue:
        yield queue


@pytest.fixture
def sandq(url, capsys):
    """Run a command in this process: its exit code, and what it printed."""

    def run(*words):
        code = main([*words, "--url", url])
        return code, capsys.readouterr().out

    return run


def break_it(server, queue):
    """Job 1 is in no set, and a tag finds nobody."""
    queue.add("work", tags=["blue"])
    server.client.delete("sandq:{q}:waiting")
    server.client.sadd("sandq:{q}:tag:blue", "ghost")


def test_a_queue_in_order_is_said_to_be(sandq, queue):
    queue.add("work")

    assert sandq("audit", "q") == (0, "queue 'q' is in order\n")
    assert sandq("audit", "q", "--json") == (0, "")
    assert sandq("audit", "none", "--fix") == (0, "queue 'none' is in order\n")


def test_findings_are_told_one_a_line_with_what_to_do(sandq, server, queue):
    break_it(server, queue)

    code, text = sandq("audit", "q")
    again, repaired = sandq("audit", "q", "--fix")
    clean = sandq("audit", "q")

    assert code == 1
    assert sorted(text.splitlines()[:-1]) == [
        f"stuck 1: in no set, its state is waiting; --fix: {PROBLEMS['stuck'].repair}",
        "tag_dangling tag:blue: job ghost is gone, or does not bear it; --fix: the entry goes",
    ]
    assert text.endswith("2 found; sandq audit q --fix repairs what can be repaired\n")
    assert again == 0
    assert repaired.count("; repaired: ") == 2
    assert repaired.endswith("2 found, 2 repaired, 0 left\n")
    assert clean == (0, "queue 'q' is in order\n")
    assert [job.id for job in queue.get_waiting()] == ["1"]


def test_findings_in_json_have_all_that_is_known(sandq, server, queue):
    break_it(server, queue)

    code, text = sandq("audit", "q", "--json")
    found = [json.loads(line) for line in text.splitlines()]
    again, repaired = sandq("audit", "q", "--json", "--fix")

    assert (code, again) == (1, 0)
    assert {row["problem"] for row in found} == {"stuck", "tag_dangling"}
    for row in found:
        problem = PROBLEMS[row["problem"]]
        assert set(row) == {"problem", "subject", "detail", "fixed", "meaning", "repair"}
        assert (row["meaning"], row["repair"]) == (problem.meaning, problem.repair)
    assert [json.loads(line)["fixed"] for line in repaired.splitlines()] == [True, True]


def test_what_cannot_be_repaired_is_left_and_said(sandq, queue):
    queue.upsert_repeatable("nightly", Repeat.every(3600), "work")
    for job in queue.get_delayed():
        job.remove()

    code, text = sandq("audit", "q", "--fix")

    assert code == 1
    assert text.startswith("series_unmade repeat:nightly: ")
    assert "; left: none is needed: " in text
    assert text.endswith("1 found, 0 repaired, 1 left\n")


def test_what_others_wrote_stays_on_its_line(sandq, server, queue):
    queue.add("work")
    server.client.sadd("sandq:{q}:tag:blue", "gh\nost\x1b[31m")

    code, text = sandq("audit", "q", "--fix")

    assert code == 0
    assert len(text.splitlines()) == 2
    assert "gh\\nost\\x1b[31m" in text
