"""spec/storage.md says what is stored: layout, events, records, options, settings, series."""

import inspect
import re
from collections import defaultdict
from contextlib import closing
from dataclasses import fields

import orjson
import pytest

from sandq.errors import InvalidInput, LayoutMismatch
from sandq.flow import presence
from sandq.flow.desk import Desk
from sandq.model import building, checks, names, options
from sandq.model.backoff import KINDS, Backoff
from sandq.model.events import EventKind
from sandq.model.keep import Keep, keep_from
from sandq.model.outcome import Death, Failure, FailureKind, LimitHit
from sandq.model.queue_settings import QueueSettings
from sandq.model.repeat import Missed, Repeat
from sandq.model.stored_options import read_options
from sandq.model.supervision import Supervision
from sandq.store import calls, reads
from sandq.store.store import SyncStore
from tests.house.pages import ALL_LUA, LUA, column, plain, section, table, words
from tests.house.ways import FULL


def new(text="work"):
    return building.new_job(text, 1, options.DEFAULT_OPTIONS)


def test_the_layout_is_set_once_and_a_strange_one_is_refused(server):
    with closing(SyncStore("q", server.url)) as store:
        store.run(reads.counts())
        assert server.client.keys("*") == []
        store.run(calls.add([new()]))
    assert server.client.hget("sandq:{q}:meta", "layout") == b"1"

    server.client.hset("sandq:{q}:meta", "layout", "2")
    with (
        closing(SyncStore("q", server.url)) as other,
        pytest.raises(LayoutMismatch) as refused,
    ):
        other.run(reads.counts())
    assert refused.value.code in section("storage", "The layout number")
    server.client.flushall()


def test_who_may_set_the_layout_is_told():
    setters = {name for name, text in LUA.items() if "Keys.LAYOUT" in text}
    told = re.search(r"sets it \((.*?)\)", section("storage", "The layout number"), re.S)[1]

    assert setters - {"include/keys", "audit_queue"} == set(words(told))


def test_events_are_those_that_lua_emits():
    emitted, of = defaultdict(set), defaultdict(set)
    for kind, job, rest in re.findall(
        r"Events\.emit\('([\w-]+)', ([\w.\[\]]+|'')(.*?)\)\n", ALL_LUA
    ):
        # names and values take turns
        emitted[kind] |= set(re.findall(r"'(\w+)', [^,]+", rest))
        of[kind].add("queue" if job == "''" else "job")
    rows = {plain(row["kind"]): row for row in table("storage", "Events")}

    assert {kind: set(words(row["further fields"])) for kind, row in rows.items()} == emitted
    assert {kind: {row["of"]} for kind, row in rows.items()} == of
    assert list(rows) == [kind.value for kind in EventKind]


def test_what_a_removed_job_leaves_is_what_waiters_read():
    rows = {plain(row["kind"]): row["further fields"] for row in table("storage", "Events")}

    for ending, field in building.TOLD.items():
        assert field in words(rows[ending])
    removed = {kind for kind, cell in rows.items() if "(" in cell}
    assert removed == {"completed", "failed"}


def test_ledgers_are_kept_in_fields_of_jobs():
    kept = [cell for row in table("storage", "Three ledgers") for cell in words(row["kept in"])]

    assert kept == ["attempts", "stalls"]
    assert set(kept) <= set(column("storage", "The fields of a job", "field"))


def test_the_failure_record_has_these_members():
    ends = [Death("exit", 1, None, "itself", 0, 0), Death("signal", None, "SIGKILL", "stop", 0, 0)]
    ends.append(Death("exit", 1, None, "itself", 0, 0, sandbox="bwrap"))
    hit = LimitHit("memory", 1, 2)
    said = {"type": "", "stack": "", "code": 0, "data": 0, "cause": {}, "limit": hit}
    failure = Failure(kind=FailureKind.ERROR, message="", death=ends[0], **said)

    assert column("storage", "The failure record", "member") == list(
        orjson.loads(failure.to_text())
    )
    members = column("storage", "The failure record", "member", 1)
    assert set(members) == set(hit.to_member())
    members = column("storage", "The failure record", "member", 2)
    assert set(members) == {name for end in ends for name in end.to_member()}


# ---- options


def test_stored_options_have_these_members():
    full = options.JobOptions(
        attempts=2,
        backoff=1,
        timeout=1,
        heartbeat_timeout=1,
        pool_key="k",
        delay=1,
        lifo=True,
        remove_on_complete=1,
        remove_on_fail=1,
        result_ttl=1,
        stack_trace_limit=1,
        metadata={"a": "b"},
    )
    told = column("storage", "Stored options", "member")

    assert told == list(orjson.loads(full.to_text()))
    # no option is stored nowhere
    elsewhere = {
        *("job_id", "priority", "repeat"),
        *(name.removesuffix("_ms") for name in members_of_extras()),
    }
    stored = {name.removesuffix("_ms") for name in told}
    assert {field.name for field in fields(options.JobOptions)} == stored | elsewhere


def members_of_extras():
    return column("storage", "Adding a job without sandq", "member", 1)


def test_extras_have_these_members():
    with_all = options.JobOptions(
        lifo=True, run_at=1, expires_at=2, group="g", dedup="d", dedup_ttl=1, tags=["t"]
    )

    assert members_of_extras() == list(orjson.loads(with_all.to_extras()))
    # `name` is every member in turn; `repeat_key` is for series to say
    read = set(re.findall(r"extras\.(\w+)", ALL_LUA)) - {"repeat_key"}
    assert read == set(members_of_extras())


def test_backoffs_are_stored_as_told():
    each = [
        Backoff.fixed(1),
        Backoff.exponential(1),
        Backoff.geometric(1, 3, 9, 1),
        Backoff.delays([1, 2]),
        Backoff.named("mine", a=1),
    ]
    rows = {
        plain(row["`type`"]): words(row["members"]) for row in table("storage", "Stored backoffs")
    }

    assert list(rows) == list(KINDS)
    assert {b.kind: ["type", *rows[b.kind]] for b in each} == {
        b.kind: list(b.to_member()) for b in each
    }


def test_what_is_kept_is_asked_for_as_told():
    told = [plain(row["stored"]) for row in table("storage", "What is kept")]
    asked = [False, True, 7, Keep(age=60), Keep(5, 60)]
    stored = ["nothing"]
    for removal in asked[1:]:
        member = keep_from("", removal).to_member()
        stored.append(orjson.dumps(member).decode())

    shown = [re.sub(r"\d+", "0", text) for text in stored]
    assert shown == [re.sub(r":[a-z]", ":0", text) for text in told]
    example = options.JobOptions(remove_on_complete=Keep(100, "1h"), result_ttl=10)
    assert f"`{read_options(example.to_text()).retain_completed}`" in section(
        "storage", "What is kept"
    )


# ---- settings, series, supervisors


def test_settings_have_these_members():
    rows = {plain(row["member"]): row for row in table("storage", "Settings")}

    assert list(rows) == list(orjson.loads(FULL.to_text()))
    assert words(rows["rate_limit"]["form"]) == list(FULL.rate_limit.to_member())
    standard = QueueSettings()
    for name, row in rows.items():
        value = getattr(standard, name.removesuffix("_ms"))
        assert row["default"] == ("none" if value in (None, {}) else str(value))


def test_what_scripts_obey_of_the_settings_is_in_meta():
    told = set(column("storage", "The queue's own fields", "field"))
    obeyed = set(re.findall(r"'(\w+)'", re.search(r"OBEYED = \{(.*?)\}", ALL_LUA, re.S)[1]))

    assert set(FULL.to_meta()) == obeyed
    assert told - obeyed == {"layout", "ids", "seq", "paused", "settings", "version"}


def test_rules_of_series_have_these_members():
    rows = {plain(row["member"]): row for row in table("storage", "Rules of series")}
    known = {field.name: field.default for field in fields(Repeat)}

    assert list(rows) == list(known)
    for name in ("tz", "missed", "catch_up", "align"):
        assert rows[name]["default"] == str(known[name]).lower().replace("utc", "UTC")
    kinds = [plain(row["`missed`"]) for row in table("storage", "Rules of series", 1)]
    assert kinds == [missed.value for missed in Missed] == words(rows["missed"]["form"])


def test_clock_changes_are_as_told():
    """Berlin's clocks went forward on 29 March 2026 at 01:00 UTC, and back on 25 October."""
    hour_ms, half_ms = 3_600_000, 1_800_000
    forward, back = 1_774_746_000_000, 1_792_890_000_000
    rows = table("storage", "Rules of series", 2)

    assert [words(row["hour field"]) for row in rows] == [["2", "1,2,14"], ["*", "*/2", "1-3"]]
    numbered = Repeat.crontab("30 2 * * *", tz="Europe/Berlin")
    # left out: fires at once after the gap; shown twice: fires the first time
    assert numbered.newest(9, forward - hour_ms, forward + hour_ms, 0) == (forward,)
    assert numbered.newest(9, back - 12 * hour_ms, back + 12 * hour_ms, 0) == (back - half_ms,)
    some = Repeat.crontab("30 1-3 * * *", tz="Europe/Berlin")
    assert some.newest(9, forward - hour_ms, forward + hour_ms, 0) == (
        forward - half_ms,
        forward + half_ms,
    )
    assert some.newest(9, back - hour_ms, back + hour_ms, 0) == (
        back - half_ms,
        back + half_ms,
    )


def test_a_supervisor_tells_these_members():
    teller = presence.Presence([], Desk(Supervision()), "w", 1)
    said = re.search(r"says = \{\*\*self\._says, (.*)\}\n", inspect.getsource(presence))[1]

    assert column("storage", "Supervisors", "member") == [
        *teller._says,
        *re.findall(r'"(\w+)":', said),
    ]


# ---- names


def test_names_are_allowed_as_told():
    told = {row["what"]: row["allowed"] for row in table("storage", "Names", 1)}
    alphabets = {"queue name": names.check_queue_name, "prefix": names.check_prefix}
    for what, check in alphabets.items():
        marks = re.search(r"A-Z a-z 0-9 ([^`]*)`", told[what])[1].split()
        for char in map(chr, range(1, 128)):
            allowed = char in marks or char.isalnum()
            assert allowed == (not _refused(check, char))
        assert not _refused(check, "x" * 128)
        assert _refused(check, "x" * 129)

    assert _refused(names.check_job_id, "7")
    assert _refused(names.check_job_id, "a b")
    assert _refused(names.check_job_id, "repeat:a")
    assert not _refused(names.check_job_name, "7 b")
    assert _refused(names.check_job_name, "a\nb")
    for what in ("group", "tag", "series key", "dedup key"):
        spaces = "spaces" not in told["group" if told[what] == "the same" else what]
        assert _refused(lambda text, s=spaces: checks.check_label("", text, spaces=s), "a\nb")
        given = {
            "group": lambda text: options.JobOptions(group=text),
            "tag": lambda text: options.JobOptions(tags=[text]),
            "series key": lambda text: Repeat.every(1, key=text),
            "dedup key": lambda text: options.JobOptions(dedup=text),
        }[what]
        assert _refused(given, "a b") != spaces
        assert _refused(given, "x" * 257)
        assert not _refused(given, "x" * 256)


def _refused(check, name):
    try:
        check(name)
    except InvalidInput:
        return True
    return False
