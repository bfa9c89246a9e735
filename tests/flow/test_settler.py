"""Outcomes in, settlements out."""

from dataclasses import replace
from types import SimpleNamespace

from sandq.flow.settler import (
    BATCH,
    REPORT_BYTES_AT_ONCE,
    REPORTS_AT_ONCE,
    Settler,
    in_batches,
)
from sandq.model.bounds import EMITTED_BYTES, EMITTED_KEPT, LOG_ROWS_KEPT
from sandq.model.job import Claim
from sandq.model.options import StoredOptions
from sandq.model.outcome import FailureKind, Outcome
from sandq.model.verdict import Action
from sandq.protocol.messages import Captured, Emit, Log, Progress
from sandq.store.calls import Report


def held(job_id="1", failures=0, **options):
    """A claim in hand, of a job that has failed so often, with these stored options."""
    claim = Claim("q", job_id, "t", "work", b"1", b"", failures, 0, 0, 0)
    return SimpleNamespace(claim=claim, options=StoredOptions(**options))


def test_outcomes_become_verdicts_in_their_order():
    settler = Settler()
    settler.add(held("1"), Outcome.returned(b"5"))
    settler.add(held("2", failures=2), Outcome.failed(FailureKind.ERROR, "no"))
    settler.add(held("3", failures=9), Outcome.give_back("x"))
    settlements = [settlement for _, settlement in settler.take()]

    assert [(s.claim.id, s.verdict.action) for s in settlements] == [
        ("1", Action.COMPLETE),
        ("2", Action.FAIL),
        ("3", Action.RELEASE),
    ]
    assert not settler


def test_attempts_left_are_tried_again():
    settler = Settler()
    settler.add(held("1", failures=2, attempts=3), Outcome.failed(FailureKind.ERROR, "no"))
    settler.add(held("2", failures=1, attempts=3), Outcome.failed(FailureKind.ERROR, "no"))

    assert [s.verdict.action for _, s in settler.take()] == [Action.FAIL, Action.RETRY]


def test_batches_are_bounded_and_what_could_not_be_told_comes_first_again():
    settler = Settler()
    for n in range(BATCH + 10):
        settler.add(held(str(n)), Outcome.returned(b"1"))
    first = settler.take()
    settler.put_back(first)
    again, rest = settler.take(), settler.take()

    assert [h.claim.id for h, _ in again] == [str(n) for n in range(BATCH)]
    assert [h.claim.id for h, _ in rest] == [str(n) for n in range(BATCH, BATCH + 10)]
    assert first == again
    assert not settler


def texts(settler):
    return [(report.kind, report.text) for report in settler.take_reports()]


def test_of_progress_the_newest_counts_and_rows_keep_their_order():
    settler = Settler()
    claim = held().claim
    for n in range(5):
        settler.say(claim, Progress("1", b"%d" % n))
        settler.say(claim, Log("1", b"%d" % n))
        settler.say(claim, Captured("stderr", f"line {n}"))
    assert settler.has_reports

    assert texts(settler) == [
        *(
            row
            for n in range(5)
            for row in (("log", b"%d" % n), ("log", b'{"stream":"stderr","text":"line %d"}' % n))
        ),
        ("progress", b"4"),
    ]
    assert not settler.has_reports


def test_a_job_that_talks_much_takes_nothing_from_another():
    settler = Settler()
    for _ in range(LOG_ROWS_KEPT * 2):
        settler.say(held("loud").claim, Log("loud", b"1"))
    settler.say(held("quiet").claim, Log("quiet", b"2"))

    assert [r.claim.id for r in settler.take_reports()].count("quiet") == 1


def test_reports_that_could_not_be_told_do_not_hide_newer_ones():
    settler = Settler()
    claim = held().claim
    settler.say(claim, Progress("1", b"old"))
    settler.say(claim, Log("1", b"first"))
    settler.say(claim, Emit("1", b"[]"))
    lost = settler.take_reports()
    settler.say(claim, Progress("1", b"new"))
    settler.say(claim, Log("1", b"second"))
    settler.say(claim, Emit("1", b"{}"))
    settler.put_back_reports(lost)

    assert texts(settler) == [
        ("log", b"first"),
        ("log", b"second"),
        ("emit", b"0 []"),
        ("emit", b"1 {}"),
        ("progress", b"new"),
    ]


def test_an_attempt_that_was_given_up_takes_nothing_from_the_one_after_it():
    settler = Settler()
    old, new = held().claim, replace(held().claim, token="u")
    for n in range(2):
        for claim in (old, new):
            settler.say(claim, Log("1", b"row %d" % n))
            settler.say(claim, Emit("1", b"%d" % n))

    # the parts of each are numbered from the first on; what is told of a lost claim is refused
    said = [(r.claim.token, r.kind, r.text) for r in settler.take_reports()]
    assert said == [
        (token, kind, text)
        for token in ("t", "u")
        for kind, text in [
            ("log", b"row 0"),
            ("log", b"row 1"),
            ("emit", b"0 0"),
            ("emit", b"1 1"),
        ]
    ]


def test_parts_are_counted_for_an_attempt_and_the_log_says_once_that_there_are_too_many():
    settler = Settler()
    claim = held().claim
    for _ in range(3):
        for _ in range(EMITTED_KEPT // 2):
            settler.say(claim, Emit("1", b"1"))
        settler.take_reports()
        # other jobs have ended meanwhile
        settler.forget_all_but({"1": None})
    settler.say(claim, Emit("1", b"1"))
    assert texts(settler) == []

    # in the hands of another attempt
    settler.forget_all_but({})
    settler.say(claim, Emit("1", b"1"))
    assert texts(settler) == [("emit", b"0 1")]


def test_parts_of_many_bytes_are_as_bounded_as_many_parts():
    settler = Settler()
    claim = held().claim
    settler.say(claim, Emit("1", b"1" * (EMITTED_BYTES - 1)))
    settler.say(claim, Emit("1", b"22"))
    settler.say(claim, Emit("1", b"3"))
    first, *rest = texts(settler)[::-1]

    assert len(first[1]) == EMITTED_BYTES - 1 + len(b"0 ")
    assert [(kind, b"more was emitted than is kept" in text) for kind, text in rest] == [
        ("log", True)
    ]


def test_a_call_brings_only_so_much():
    claim = held().claim
    small = [Report(claim, "log", b"x") for _ in range(REPORTS_AT_ONCE + 5)]
    large = [Report(claim, "log", b"x" * (REPORT_BYTES_AT_ONCE // 2)) for _ in range(5)]
    huge = [Report(claim, "log", b"x" * (REPORT_BYTES_AT_ONCE * 2)) for _ in range(2)]

    assert list(in_batches([])) == []
    assert [len(batch) for batch in in_batches(small)] == [REPORTS_AT_ONCE, 5]
    assert [len(batch) for batch in in_batches(large)] == [2, 2, 1]
    assert [len(batch) for batch in in_batches(huge)] == [1, 1]
    assert [r for batch in in_batches(small + large) for r in batch] == small + large
