"""What the end of a process means: the table, row by row, without a process."""

import os
import signal

import pytest

from sandq.child.death import LastFacts, death_of, last_outcome
from sandq.child.spawn import Exit
from sandq.model.outcome import FailureKind, Outcome
from sandq.protocol.machine import Spoiled

KILLED, ENDED_WELL, ENDED_3, DATAERR = 9, 0, 3 << 8, 65 << 8
VALUE = Outcome.returned(b"1")
ERROR = Outcome.failed(FailureKind.ERROR, "mine")
SPOILED = Spoiled(FailureKind.PROTOCOL_ERROR, "it wrote nonsense")

ROWS = [
    # facts, wait status, kind of failure or what else, words
    (LastFacts(spoiled=SPOILED), KILLED, "protocol_error", "it wrote nonsense"),
    (LastFacts(spoiled=SPOILED, answer=VALUE), KILLED, "protocol_error", "answered twice"),
    (LastFacts(spoiled=SPOILED, ended_by="timeout"), KILLED, "protocol_error", "nonsense"),
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
    (LastFacts(fresh=True, never_read=True), ENDED_WELL, "value", "null"),
    (LastFacts(never_read=True), ENDED_3, "released", "before it read the job: exit code 3"),
    (LastFacts(), ENDED_3, "crashed", "exit code 3"),
    (LastFacts(), ENDED_WELL, "crashed", "exit code 0"),
    (LastFacts(noise=b"oh"), ENDED_3, "crashed", "not JSON: 'oh'"),
    (LastFacts(note="it closed its output"), KILLED, "crashed", "it closed its output: signal"),
    (LastFacts(), signal.SIGXCPU, "cpu_limit", "processor time"),
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
