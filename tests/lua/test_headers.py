"""What the headers of the Lua scripts say is true: errors, events, keys, and the order of ARGV."""

import inspect
import re

import pytest

from sandq import errors
from sandq.model.events import EventKind
from sandq.model.job import Claim, NewJob
from sandq.model.states import JobState
from sandq.model.verdict import Action, Verdict
from sandq.store import calls, keys, scripts
from sandq.store.calls import Report, Settlement

SCRIPTS = scripts.names()

CODES = {
    member.code
    for _, member in inspect.getmembers(errors, inspect.isclass)
    if issubclass(member, errors.SandqError)
}


def words(field):
    """The entries of a header field, none for `none`."""
    return [] if field == "none" else [word.strip() for word in field.split(",")]


def whole(name):
    """The text of a script with all its includes."""
    return scripts.script(name).text


# ---- headers


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_script_has_a_whole_header(name):
    header = scripts.header(name)

    assert all(header.values()), header
    assert header[name][0].islower(), "the purpose goes on after the name"
    assert header["KEYS"] == "the queue's keys, in the order of sandq/store/keys.py"


@pytest.mark.parametrize("name", SCRIPTS)
def test_the_errors_of_a_header_are_the_codes_that_are_replied(name):
    told = words(scripts.header(name)["ERRORS"])
    replied = set(re.findall(r"error_reply\('(\w+)", whole(name)))

    assert set(told) == replied
    assert replied <= CODES


@pytest.mark.parametrize("name", SCRIPTS)
def test_the_events_of_a_header_are_the_kinds_that_are_emitted(name):
    told = words(scripts.header(name)["EVENTS"])
    emitted = set(re.findall(r"Events\.emit\('([^']+)'", whole(name)))

    assert set(told) == emitted
    assert len(told) == len(emitted)
    assert emitted <= {kind.value for kind in EventKind}


def test_every_kind_of_event_is_emitted_by_some_script():
    told = {kind for name in SCRIPTS for kind in words(scripts.header(name)["EVENTS"])}

    assert told == {kind.value for kind in EventKind}


def test_the_keys_of_a_script_are_those_that_the_store_gives_in_that_order():
    named = re.findall(r"^  (\w+) = KEYS\[(\d+)\],$", whole("look"), re.MULTILINE)

    assert [name for name, _ in named] == list(keys.ORDER)
    assert [int(number) for _, number in named] == list(range(1, len(keys.ORDER) + 1))
    assert re.findall(r"Keys\.LAYOUT = (\d+)", whole("look")) == [str(keys.LAYOUT)]


# ---- the builders send what the headers say

TOKEN = "00ff00ff00ff00ff"
CLAIM = Claim("q", "a7", TOKEN, "resize", b"1", b"", 0, 0, 0, 1)
VERDICT = Verdict(Action.RETRY, 500, "error", b'"no"')
NEW = NewJob("a7", "resize", b"1", b'{"attempts":2}', 3, 500, True)

# argument of a builder -> what a test gives, what is sent
GIVEN = {
    "now": ("123", "123"),
    "n": (5, 5),
    "token": (TOKEN, TOKEN),
    "worker": ("host:1:ab", "host:1:ab"),
    "lease_ms": (30_000, 30_000),
    "most": (50, 50),
    "max_stalls": (2, 2),
    "state": (JobState.FAILED, "failed"),
    "start": (3, 3),
    "stop": (9, 9),
    "newest_first": (True, 1),
    "queue": ("q", None),
    "job_id": ("a7", "a7"),
}
# what repeats -> the argument of the builder, one item of it, what is sent of an item
REPEATED = {
    "add": ("jobs", NEW, ["a7", "resize", b"1", b'{"attempts":2}', 3, 500, 1]),
    "settle_and_claim": (
        "settlements",
        Settlement(CLAIM, VERDICT),
        ["a7", TOKEN, "retry", 500, "error", b'"no"'],
    ),
    "disclaim": ("tokens", TOKEN, [TOKEN]),
    "renew": ("claims", CLAIM, ["a7", TOKEN]),
    "report": ("reports", Report(CLAIM, "log", b"{}"), ["a7", TOKEN, "log", b"{}"]),
    "look": ("job_ids", "a7", ["a7"]),
}
# what no caller chooses
CONSTANTS = {"layout": 1, "kept": calls.LOG_ROWS_KEPT}


def argv(name):
    """The ARGV of a header: the names of the fixed values, and of those that repeat."""
    text = scripts.header(name)["ARGV"]
    fixed, _, repeated = text.partition("for each ")
    fixed = fixed.removesuffix("then ").strip().strip(",")

    return words(fixed or "none"), words(repeated.partition(": ")[2] or "none")


@pytest.mark.parametrize("name", SCRIPTS)
@pytest.mark.parametrize("count", [1, 3])
def test_a_builder_sends_the_values_that_the_header_names_in_that_order(name, count):
    builder = getattr(calls, {"open": "open_queue"}.get(name, name))
    fixed, repeated = argv(name)
    many, item, sent = REPEATED.get(name, (None, None, []))
    arguments = {
        parameter: [item] * count if parameter == many else GIVEN[parameter][0]
        for parameter in inspect.signature(builder).parameters
    }
    call = builder(**arguments)
    expected = [
        CONSTANTS[word] if word in CONSTANTS else GIVEN["job_id" if word == "id" else word][1]
        for word in fixed
    ]

    assert call.script == name
    assert list(call.args) == expected + sent * (count if many else 0)
    assert len(repeated) == len(sent)
    assert set(arguments) - {many, "queue", "job_id"} <= set(fixed), "nothing is left out"


def test_the_values_of_a_new_job_are_the_fields_of_new_job():
    assert argv("add")[1] == ["id", *list(NewJob.__slots__)[1:]]


def test_the_last_values_of_a_settlement_are_the_fields_of_a_verdict():
    assert argv("settle_and_claim")[1] == ["id", "token", *Verdict.__slots__]


def test_the_actions_of_a_verdict_are_those_that_settle_knows():
    settle = whole("settle_and_claim")
    known = re.search(r"^local ACTIONS = \{(.*)\}$", settle, re.MULTILINE)[1]
    done = re.findall(r"^function DO\.(\w+)", settle, re.MULTILINE)

    assert re.findall(r"(\w+) = true", known) == [action.value for action in Action]
    assert sorted(done) == sorted(action.value for action in Action)
