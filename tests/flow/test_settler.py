"""Outcomes in, settlements out."""

from types import SimpleNamespace

from sandq.flow.settler import BATCH, Settler
from sandq.model.job import Claim
from sandq.model.options import StoredOptions
from sandq.model.outcome import FailureKind, Outcome
from sandq.model.verdict import Action
from sandq.protocol.messages import Log, Progress
from sandq.store.calls import LOG_ROWS_KEPT


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


def test_of_progress_the_newest_and_of_rows_the_newest_are_told():
    settler = Settler()
    claim = held().claim
    for n in range(LOG_ROWS_KEPT + 5):
        settler.say(claim, Progress("1", b"%d" % n))
        settler.say(claim, Log("1", b"%d" % n))
    *rows, progress = settler.take_reports()

    assert progress.text == b"%d" % (LOG_ROWS_KEPT + 4)
    assert [row.text for row in rows] == [b"%d" % n for n in range(5, LOG_ROWS_KEPT + 5)]
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
    lost = settler.take_reports()
    settler.say(claim, Progress("1", b"new"))
    settler.say(claim, Log("1", b"second"))
    settler.put_back_reports(lost)

    assert [r.text for r in settler.take_reports()] == [b"first", b"second", b"new"]
