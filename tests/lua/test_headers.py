"""What the headers of the Lua scripts say is true: errors, events, keys, and the order of ARGV."""

import inspect
import re
import typing

import pytest

from sandq import errors
from sandq.model import bounds
from sandq.model.events import EventKind
from sandq.model.job import Claim, NewJob
from sandq.model.states import JobState
from sandq.model.verdict import Action, Verdict
from sandq.store import audit_calls, calls, keys, reads, said, scripts, verbs
from sandq.store.audit_calls import Block
from sandq.store.calls import Call, Report, Settlement

SCRIPTS = scripts.names()
FILES = {
    **{name: (scripts._FOLDER / f"{name}.lua").read_text() for name in SCRIPTS},
    **{
        f"include/{name}": (scripts._FOLDER / "include" / f"{name}.lua").read_text()
        for name in scripts.includes()
    },
}
CODES = {
    member.code
    for _, member in inspect.getmembers(errors, inspect.isclass)
    if issubclass(member, errors.SandqError)
}
FUNCTION = re.compile(r"^(?:local )?function ([\w.]+)\(.*?^end$", re.MULTILINE | re.DOTALL)


def words(field):
    """The entries of a header field, none for `none`."""
    return [] if field == "none" else [word.strip() for word in field.split(",")]


def whole(name):
    """The text of a script with all its includes."""
    return scripts.script(name).text


def functions(file):
    """The functions at the top of a source, by the name they are called by."""
    code = re.sub(r"^\s*--.*$", "", FILES[file], flags=re.MULTILINE)

    return {match[1]: match[0] for match in FUNCTION.finditer(code)}


def reached(name):
    """The functions of includes that a script may come to, as (file, function) -> text."""
    known = {file: functions(file) for file in FILES if file.startswith("include/")}
    found = {}
    todo = [(name, FILES[name])]
    while todo:
        file, text = todo.pop()
        used = set(re.findall(r"[\w.]+", text))
        for other, bodies in known.items():
            for function, body in bodies.items():
                table, dot, _ = function.partition(".")
                called = function in used and (dot or other == file)
                # what is chosen at run time, as in DO[action], may be any of its table
                chosen = f"{table}[" in text and other == file
                if (called or chosen) and (other, function) not in found:
                    found[other, function] = body
                    todo.append((other, body))

    return found


def run_by(name):
    """All that may be run when a script is, as one text."""
    return "\n".join([FILES[name], *reached(name).values()])


# ---- headers


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_script_has_a_whole_header(name):
    header = scripts.header(name)

    assert all(header.values()), header
    assert header[name][0].islower(), "the purpose goes on after the name"
    assert header["KEYS"] == "the queue's keys, in the order of sandq/store/keys.py"


@pytest.mark.parametrize("name", SCRIPTS)
def test_the_errors_of_a_header_are_the_codes_that_may_be_replied(name):
    told = words(scripts.header(name)["ERRORS"])
    replied = set(re.findall(r"error_reply\('(\w+)", run_by(name)))

    assert set(told) == replied
    assert replied <= CODES


@pytest.mark.parametrize("name", SCRIPTS)
def test_the_events_of_a_header_are_the_kinds_that_may_be_emitted(name):
    told = words(scripts.header(name)["EVENTS"])
    emitted = set(re.findall(r"Events\.emit\('([^']+)'", run_by(name)))

    assert set(told) == emitted
    assert len(told) == len(emitted)
    assert emitted <= {kind.value for kind in EventKind}


def test_every_kind_of_event_is_emitted_by_some_script():
    told = {kind for name in SCRIPTS for kind in words(scripts.header(name)["EVENTS"])}

    assert told == {kind.value for kind in EventKind}


def test_every_function_of_an_include_is_of_use_to_some_script():
    used = {place for name in SCRIPTS for place in reached(name)}
    there = {
        (file, function)
        for file in FILES
        if file.startswith("include/")
        for function in functions(file)
    }

    assert there - used == set()


def test_the_keys_of_a_script_are_those_that_the_store_gives_in_that_order():
    named = re.findall(r"^  (\w+) = KEYS\[(\d+)\],$", whole("look"), re.MULTILINE)

    assert [name for name, _ in named] == list(keys.ORDER)
    assert [int(number) for _, number in named] == list(range(1, len(keys.ORDER) + 1))
    assert re.findall(r"Keys\.LAYOUT = (\d+)", whole("look")) == [str(keys.LAYOUT)]


# ---- the builders send what the headers say

TOKEN = "00ff00ff00ff00ff"
CLAIM = Claim("q", "a7", TOKEN, "resize", b"1", b"", 0, 0, 0, 1)
VERDICT = Verdict(Action.RETRY, 500, "error", b'"no"')
NEW = NewJob("a7", "resize", b"1", b'{"attempts":2}', 3, 500, b'{"lifo":true}')

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
    "version": ("12", "12"),
    "on": (True, 1),
    "data": (b"[1]", b"[1]"),
    "kind": ("log", "log"),
    "text": (b'{"a":1}', b'{"a":1}'),
    "force": (True, 1),
    "reason": ("no more", "no more"),
    "reset": (True, 1),
    "before": ("99", "99"),
    "grace_ms": (7000, 7000),
    "begin": (11, 11),
    "removals": (13, 13),
    "key": ("nightly", "nightly"),
    "first_ms": (1000, 1000),
    "anchor_ms": (900, 900),
    "rule": (b'{"every":1}', b'{"every":1}'),
    "job": (NEW, None),
    "due_ms": (2000, 2000),
    "drop": (True, 1),
    "next_ms": (3000, 3000),
    "says": (b'{"pid":1}', b'{"pid":1}'),
    "kept_ms": (60_000, 60_000),
    "tag": ("blue", "blue"),
    "asc": (False, None),
    "fix": (True, 1),
    "name": ("failed", None),
    "cursor": (b"7", b"7"),
    "index": ("tag", "tag"),
    "after": ("-inf", "-inf"),
}
# what repeats -> the argument of the builder, one item of it, what is sent of an item
IDS = ("job_ids", "a7", ["a7"])
REPEATED = {
    "add": ("jobs", NEW, ["a7", "resize", b"1", b'{"attempts":2}', 3, 500, b'{"lifo":true}']),
    "settle_and_claim": (
        "settlements",
        Settlement(CLAIM, VERDICT, "5,,,"),
        ["a7", TOKEN, "retry", 500, "error", b'"no"', "5,,,"],
    ),
    "disclaim": ("tokens", TOKEN, [TOKEN]),
    "renew": ("claims", CLAIM, ["a7", TOKEN]),
    "report": ("reports", Report(CLAIM, "log", b"{}"), ["a7", TOKEN, "log", b"{}"]),
    "look": IDS,
    "promote": IDS,
    "remove": IDS,
    "cancel": IDS,
    "retry": IDS,
    "empty": ("states", JobState.DELAYED, ["delayed"]),
    "obliterate": ("names", "totals", ["totals"]),
    "ranks": ("priorities", 4, [4]),
    "fire": ("catch_up", 1500, [1500]),
    "remove_series": ("keys", "nightly", ["nightly"]),
    "audit": ("suspects", ("waiting", b"a7"), ["waiting", b"a7"]),
    "audit_keys": ("keys", ("logs", b"a7"), ["logs", b"a7"]),
    "audit_kinds": ("blocks", Block("-inf", "9", 5, {"error": 5}), ["-inf", "9", 5, "error 5"]),
}
ROWS = {"first": bounds.LOG_ROWS_FIRST, "newest": bounds.LOG_ROWS_NEWEST}
# what no caller gives under this name: script -> word of its header -> what is sent
SENT = {
    "report": ROWS,
    "note": ROWS,
    "follow": {"first": bounds.LOG_ROWS_FIRST, "most": said.ROWS_AT_ONCE},
    "clean": {"looked_at": verbs.LOOKED_AT},
    "call_back": {"looked_at": verbs.LOOKED_AT},
    "empty": {"most": verbs.AT_ONCE},
    "obliterate": {"most": verbs.AT_ONCE},
    "ending": {"most": reads.EVENTS_AT_ONCE},
    "list_series": {"latest_first": 1},
    "audit_set": {"set": "failed"},
    "upsert_series": {
        name: getattr(NEW, name) for name in ("name", "data", "opts", "priority", "extras")
    },
}
# builder -> the script it calls, if that has another name
OTHER_NAMES = {"open_queue": "open", "is_paused": "counts"}

BUILDERS = {
    builder: function
    for module in (calls, verbs, reads, said, audit_calls)
    for builder, function in inspect.getmembers(module, inspect.isfunction)
    if function.__module__ == module.__name__
    and typing.get_origin(function.__annotations__["return"]) is Call
}


def argv(name):
    """The ARGV of a header: the names of the fixed values, and of those that repeat."""
    text = re.sub(r" ?\([^()]*\)", "", scripts.header(name)["ARGV"])
    fixed, _, repeated = text.partition("for each ")
    fixed = fixed.removesuffix("then ").strip().strip(",")

    return words(fixed or "none"), words(repeated.partition(": ")[2] or "none")


def test_every_script_has_a_builder_of_its_name():
    assert {OTHER_NAMES.get(builder, builder) for builder in BUILDERS} == set(SCRIPTS)


@pytest.mark.parametrize("builder", BUILDERS)
@pytest.mark.parametrize("count", [1, 3])
def test_a_builder_sends_the_values_that_the_header_names_in_that_order(builder, count):
    name = OTHER_NAMES.get(builder, builder)
    fixed, repeated = argv(name)
    many, item, sent = REPEATED.get(name, (None, None, []))
    arguments = {
        parameter: [item] * count if parameter == many else GIVEN[parameter][0]
        for parameter in inspect.signature(BUILDERS[builder]).parameters
        if name != "configure" or parameter in ("text", "now")
    }
    if name == "configure":
        arguments["obeyed"] = {f"limit{n}": str(n) for n in range(count)}
        sent = [word for pair in arguments["obeyed"].items() for word in pair]
    call = BUILDERS[builder](**arguments)
    own = SENT.get(name, {})
    expected = [
        own[word] if word in own else GIVEN["job_id" if word == "id" else word][1] for word in fixed
    ]

    assert call.script == name
    assert list(call.args) == expected + (sent if name == "configure" else sent * count)
    assert len(repeated) == (2 if name == "configure" else len(sent))
    hidden = {many, "queue", "job_id", "asc", "job", "obeyed", "name"}
    assert set(arguments) - hidden <= set(fixed), "nothing is left out"


def test_the_values_of_a_new_job_are_the_fields_of_new_job():
    assert argv("add")[1] == ["id", *list(NewJob.__slots__)[1:]]


def test_the_last_values_of_a_settlement_are_the_fields_of_a_verdict_and_what_is_kept():
    assert argv("settle_and_claim")[1] == ["id", "token", *Verdict.__slots__, "retain"]


def test_the_values_of_a_series_are_those_of_a_new_job_that_its_jobs_share():
    own = [name for name in NewJob.__slots__ if name not in ("job_id", "delay_ms")]

    assert argv("upsert_series")[0][-len(own) :] == own


def test_the_actions_of_a_verdict_are_those_that_settle_knows():
    settle = whole("settle_and_claim")
    known = re.search(r"^local ACTIONS = \{(.*)\}$", settle, re.MULTILINE)[1]
    done = re.findall(r"^function DO\.(\w+)", settle, re.MULTILINE)
    # what becomes of any other verdict on a job that is being cancelled
    actions = [*(action.value for action in Action), "cancel"]

    assert re.findall(r"(\w+) = true", known) == actions
    assert sorted(done) == sorted(actions)
