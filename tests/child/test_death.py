"""What the end of a process means: the table, row by row, without a process."""

import os
import signal

import pytest

from sandq.child.death import LastFacts, death_of, ended_when_asked, last_outcome
from sandq.child.spawn import Exit
from sandq.child.work import Work
from sandq.model.outcome import FailureKind, LimitHit, Outcome
from sandq.protocol.machine import Spoiled

KILLED, ENDED_WELL, ENDED_3, DATAERR = 9, 0, 3 << 8, 65 << 8
VALUE = Outcome.returned(b"1")
ERROR = Outcome.failed(FailureKind.ERROR, "mine")
SPOILED = Spoiled(FailureKind.PROTOCOL_ERROR, "it wrote nonsense")
TWICE = Spoiled(FailureKind.PROTOCOL_ERROR, "the child answered with no job lent: '2'")

ROWS = [
    # facts, wait status, kind of failure or what else, words
    (LastFacts(spoiled=SPOILED), KILLED, "protocol_error", "it wrote nonsense"),
    (LastFacts(spoiled=SPOILED, answer=VALUE), KILLED, "protocol_error", "had answered already"),
    (LastFacts(spoiled=TWICE, answer=VALUE), KILLED, "protocol_error", "answered twice"),
    (LastFacts(spoiled=SPOILED, ended_by="timeout"), KILLED, "protocol_error", "nonsense"),
    (LastFacts(spoiled=SPOILED, never_read=True), KILLED, "released", "it wrote nonsense"),
    (
        LastFacts(spoiled=SPOILED, never_read=True, answer=VALUE),
        KILLED,
        "protocol_error",
        "had answered already",
    ),
    (LastFacts(answer=VALUE), ENDED_3, "value", "1"),
    (LastFacts(answer=ERROR), ENDED_WELL, "error", "mine"),
    (LastFacts(answer=VALUE, fresh=True), ENDED_WELL, "value", "1"),
    (LastFacts(answer=VALUE, fresh=True), ENDED_3, "crashed", "after it answered ok: exit code 3"),
    (
        LastFacts(answer=VALUE, fresh=True),
        KILLED,
        "crashed",
        "after it answered ok: signal SIGKILL",
    ),
    (LastFacts(answer=VALUE, fresh=True, ended_by="stop"), KILLED, "value", "1"),
    (LastFacts(answer=ERROR, fresh=True), ENDED_3, "error", "mine"),
    (LastFacts(spawner_lost=True), KILLED, "released", "spawner"),
    (LastFacts(ended_by="timeout", timeout_ms=70), KILLED, "timed_out", "70 ms"),
    (LastFacts(ended_by="timeout", said_anything=True), KILLED, "timed_out", "was ended: signal"),
    (LastFacts(ended_by="timeout"), KILLED, "timed_out", "nothing was seen"),
    (LastFacts(ended_by="stop"), KILLED, "released", "stop"),
    (LastFacts(ended_by="lease_lost"), KILLED, "released", "lease_lost"),
    (LastFacts(fresh=True), ENDED_WELL, "value", "null"),
    (LastFacts(fresh=True), ENDED_3, "crashed", "exit code 3"),
    (LastFacts(fresh=True), DATAERR, "unrecoverable", "do not try again"),
    (LastFacts(fresh=True, never_began=True), ENDED_3, "released", "could not be run"),
    (LastFacts(fresh=True, never_read=True), ENDED_WELL, "value", "null"),
    (LastFacts(never_read=True), ENDED_3, "released", "before it read the job: exit code 3"),
    (LastFacts(), ENDED_3, "crashed", "exit code 3"),
    (LastFacts(), ENDED_WELL, "crashed", "exit code 0"),
    (LastFacts(noise=b"oh"), ENDED_3, "crashed", "not JSON: 'oh'"),
    (LastFacts(note="it closed its output"), KILLED, "crashed", "it closed its output: signal"),
    # anybody can send it: it takes the evidence of a limit that was passed
    (LastFacts(), signal.SIGXCPU, "crashed", "signal SIGXCPU"),
    (LastFacts(ended_by="heartbeat", heartbeat_ms=80), KILLED, "heartbeat_lost", "for 80 ms"),
    (LastFacts(ended_by="cancel", answer=VALUE), KILLED, "value", "1"),
    (LastFacts(ended_by="cancel"), KILLED, "released", "cancel"),
]


@pytest.mark.parametrize(("facts", "status", "what", "words"), ROWS)
def test_the_first_row_that_fits_says_what_became_of_the_job(facts, status, what, words):
    outcome = last_outcome(facts, death_of(Exit(status, 0.5, 1000), facts.ended_by, ()))

    if outcome.failure is not None:
        assert outcome.failure.kind == what
        assert words in outcome.failure.message
    elif outcome.value is not None:
        assert (what, words) == ("value", outcome.value.decode())
    else:
        assert what == "released"
        assert words in outcome.released


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("memory", "out_of_memory"),
        ("cpu", "cpu_limit"),
        ("pids", "pids_limit"),
        ("inodes", "disk_limit"),
    ],
)
@pytest.mark.parametrize("fresh", [False, True])
def test_a_limit_that_ended_a_child_is_named_with_its_value_and_the_peak(name, kind, fresh):
    hit = LimitHit(name, 1000, 1234)
    death = death_of(Exit(KILLED, 0.5, 1000, limit=hit), None, (), "bwrap")
    ends = [
        last_outcome(LastFacts(fresh=fresh), death),
        last_outcome(LastFacts(fresh=True, answer=VALUE), death),
    ]

    assert (death.by, death.sandbox) == ("limit", "bwrap")
    for outcome in ends:
        assert outcome.failure.kind == kind
        assert outcome.failure.limit == hit
        assert "1234" in outcome.failure.message
        assert "1000" in outcome.failure.message


def test_a_job_that_sandq_ended_in_time_is_not_blamed_on_a_limit():
    death = death_of(Exit(KILLED, 0.5, 1, limit=LimitHit("cpu", 1, 2)), "timeout", ())
    failure = last_outcome(LastFacts(ended_by="timeout", timeout_ms=70), death).failure

    assert (failure.kind, failure.limit) == ("timed_out", LimitHit("wall", 70))


def test_a_line_that_is_too_long_names_its_limit():
    spoiled = Spoiled(FailureKind.OUTPUT_LIMIT, "a line is too long")
    failure = last_outcome(
        LastFacts(spoiled=spoiled, line_limit=4096), death_of(Exit(KILLED, 0, 0), "protocol", ())
    ).failure

    assert failure.limit == LimitHit("output", 4096)


@pytest.mark.parametrize("number", [s for s in signal.Signals if s not in (signal.SIGSTOP,)])
def test_every_signal_has_its_name(number):
    death = death_of(Exit(number, 0.0, 0), None, ())

    assert (death.how, death.exit_code, death.by) == ("signal", None, "unknown")
    assert death.signal == number.name
    assert os.WTERMSIG(number) == number


def test_a_signal_without_a_name_is_numbered():
    assert death_of(Exit(40, 0.0, 0), None, ()).signal == "signal 40"


@pytest.mark.parametrize("code", [0, 1, 127, 255])
def test_an_exit_is_by_itself_unless_sandq_ended_it(code):
    own = death_of(Exit(code << 8, 1.5, 7), None, ("last",))
    ours = death_of(Exit(code << 8, 1.5, 7), "timeout", ())

    assert (own.how, own.exit_code, own.signal, own.by) == ("exit", code, None, "itself")
    assert (own.cpu_s, own.max_rss_kb, own.stderr_tail) == (1.5, 7, ("last",))
    assert ours.by == "timeout"


@pytest.mark.parametrize(
    ("by", "whose", "kind"),
    [(None, "oom", "out_of_memory"), ("timeout", "timeout", "timed_out")],
)
def test_a_kill_for_want_of_memory_is_told_from_ours(by, whose, kind):
    death = death_of(Exit(KILLED, 0.5, 1000, oom=True), by, ())
    outcome = last_outcome(LastFacts(ended_by=by), death)

    assert death.by == whose
    assert outcome.failure.kind == kind


def test_a_strangers_kill_is_not_said_to_be_for_want_of_memory():
    death = death_of(Exit(KILLED, 0.5, 1000), None, ())

    assert death.by == "unknown"
    assert last_outcome(LastFacts(), death).failure.kind is FailureKind.CRASHED


ASKED = [
    # why it was asked to end, what it answered, what comes of it, words
    (
        "timeout",
        VALUE,
        "timed_out",
        "no answer within 70 ms; asked to end it, the handler answered",
    ),
    ("timeout", ERROR, "timed_out", "the handler said: mine"),
    ("heartbeat", VALUE, "heartbeat_lost", "the job said nothing for 30 ms"),
    ("cancel", VALUE, "value", "1"),
    ("cancel", ERROR, "released", "cancel"),
    ("stop", VALUE, "value", "1"),
    ("stop", ERROR, "released", "stop"),
]


@pytest.mark.parametrize(("condemned", "answer", "what", "words"), ASKED)
def test_what_comes_of_a_job_that_was_asked_to_end_and_did(condemned, answer, what, words):
    work = Work("1", b"", None, None, 70, 30, None)
    work.condemned = condemned
    outcome = ended_when_asked(answer, work)

    if outcome.failure is not None:
        assert outcome.failure.kind == what
        assert words in outcome.failure.message
    elif outcome.value is not None:
        assert (what, words) == ("value", outcome.value.decode())
    else:
        assert (what, words) == ("released", outcome.released)
