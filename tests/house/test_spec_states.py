"""spec/states.md says what becomes of a job: its tables are decided and settled on a server."""

import re
from contextlib import closing

import pytest

from sandq.flow import slot
from sandq.model import building, options, states, verdict
from sandq.model.backoff import KINDS, Backoff
from sandq.model.handler import Handler
from sandq.model.outcome import Failure, FailureKind, Outcome
from sandq.protocol import reading
from sandq.store import calls, reads, verbs
from sandq.store.store import SyncStore
from tests.house.pages import amount, blocks, plain, table, words


def test_changes_of_state_are_the_legal_ones():
    rows = table("states", "States")
    told = {plain(row["state"]): set(words(row["may change to"])) for row in rows}

    # which script makes which of them is observed in test_spec_writers.py
    assert told == {a.value: {b.value for b in to} for a, to in states.LEGAL.items()}
    picture = blocks("states", "States", "")[0]
    assert all(state in picture for state in told)


MAY, MAY_NOT = Failure(kind=FailureKind.ERROR, message=""), reading.read_error({"retryable": False})
GIVES_UP = {"gives up": lambda failures, failure, options: -1}
OUTCOMES = {
    "a value": (Outcome.returned(b"1"), {}),
    "a failure that may be tried again, attempts left, no wait": (Outcome(failure=MAY), {}),
    "a failure that may be tried again, attempts left, a wait": (
        Outcome(failure=MAY),
        {"backoff": Backoff.fixed(1)},
    ),
    "a failure that may be tried again, no attempt left": (Outcome(failure=MAY), {"attempts": 1}),
    "a failure that may not be tried again": (Outcome(failure=MAY_NOT), {}),
    "a failure whose named backoff gives up": (
        Outcome(failure=MAY),
        {"backoff": Backoff.named("gives up")},
    ),
    "a failure whose named backoff cannot be asked": (
        Outcome(failure=MAY),
        {"backoff": Backoff.named("unknown")},
    ),
    "given back, no wait": (Outcome.give_back(""), {}),
    "given back, a wait": (Outcome.give_back("", 5), {}),
}


@pytest.fixture
def settled(server):
    """Settle a new job by a decision, and tell what came of it in the words of the tables."""
    with closing(SyncStore("q", server.url)) as store:

        def settle(decision, asked=""):
            store.run(calls.add([building.new_job("n", 1, options.DEFAULT_OPTIONS)]))
            [claim] = store.run(calls.claim("q", 1, "t", "w", 10_000)).claims
            if asked == "cancel":
                store.run(verbs.cancel([claim.id], "no more"))
            elif asked == "discard":
                store.run(verbs.discard(claim.id))
            key = f"sandq:{{q}}:job:{claim.id}"
            place = server.client.hget(key, "place")
            settlement = calls.Settlement(claim, decision)
            store.run(calls.settle_and_claim("q", [settlement], 0, "", "w", 1))
            [job] = store.run(reads.look([claim.id]))
            [(_, event)] = server.client.xrevrange("sandq:{q}:events", count=1)
            goes = f"to `{job.state}`"
            if job.state.value in ("waiting", "delayed"):
                moved = server.client.hget(key, "place") != place
                goes += ", at a new place" if moved else ", at its old place"
            server.client.flushall()
            return {
                "attempt spent": "yes" if job.attempts else "no",
                "the job goes": goes,
                "event": f"`{event[b'e'].decode()}`",
            }

        yield settle


def test_verdicts_are_told(settled):
    """Each row is decided, settled on a real server, and looked at."""
    rows = {row["outcome"]: row for row in table("states", "Verdicts")}

    assert set(rows) == set(OUTCOMES)
    assert {plain(row["verdict"]) for row in rows.values()} == {a.value for a in verdict.Action}
    for what, (outcome, given) in OUTCOMES.items():
        stored = options.StoredOptions(**{"attempts": 2, **given})
        decision = verdict.decide(outcome, stored, 0, GIVES_UP)
        assert rows[what] == {
            "outcome": what,
            "verdict": f"`{decision.action}`",
            **settled(decision),
        }


def test_what_is_asked_for_while_a_job_runs_comes_first(settled):
    rows = table("states", "Verdicts", 2)

    assert {(row["asked for"], plain(row["verdict"])) for row in rows} == {
        (asked, action.value) for asked in ("cancel", "discard") for action in verdict.Action
    }
    for row in rows:
        action = verdict.Action(plain(row["verdict"]))
        told = settled(verdict.Verdict(action, 0, "error", b"{}"), row["asked for"])
        assert {name: row[name] for name in told} == told, row


def test_waits_between_attempts_are_told():
    backoffs = {
        "fixed, 5 s": Backoff.fixed(5),
        "exponential, 5 s": Backoff.exponential(5),
        "geometric, 5 s": Backoff.geometric(5),
        "geometric, 5 s, times 3, at most 30 s": Backoff.geometric(5, 3, 30),
        "geometric, 5 s, 1 s of jitter": Backoff.geometric(5, jitter=1),
        "list of 5 s, 1 s and 60 s": Backoff.delays([5, 1, 60]),
    }
    rows = {row.pop("backoff"): list(row.values()) for row in table("states", "Verdicts", 1)}

    assert {name.partition(",")[0].partition(" ")[0] for name in rows} == set(KINDS)
    assert set(rows) == {*backoffs, "named"}
    for name, backoff in backoffs.items():
        for n, cell in enumerate(rows[name], 1):
            low, high = re.fullmatch(r"(?:(\d+) to )?(\d+ s)", cell).groups()
            told = [amount(f"{low} s") if low else amount(high), amount(high)]
            assert told == [backoff.after(n, spread) for spread in (-1, 1)]


def test_kinds_of_failure_are_told():
    told = {plain(row["kind"]): row["tried again"] for row in table("states", "Kinds of failure")}

    assert list(told) == [kind.value for kind in FailureKind]
    final = {MAY_NOT.kind, slot._oversize(1, Handler(command=("x",))).failure.kind}
    final |= {FailureKind.STALLED, FailureKind.EXPIRED}
    assert {kind for kind, again in told.items() if again == "no"} == final
    assert not MAY_NOT.retryable
