"""Who writes what: every script is run on a real server, and what it changes is compared with the
tables of spec/storage.md and spec/states.md."""

import re

import pytest

from sandq.model import states
from sandq.model.outcome import FailureKind
from sandq.store import keys, scripts
from sandq.store.store import SyncStore
from tests.house.pages import ALL_LUA, LUA, column, plain, section, table, words
from tests.house.watched import content, watch
from tests.house.ways import audits, build

AUDITS = {name for name in scripts.names() if name.startswith("audit")}


@pytest.fixture(scope="module")
def seen(redis_server):
    redis_server.client.flushall()
    return watch(redis_server)


def told_keys():
    return [name.removeprefix("sandq:{q}:") for name in column("storage", "Keys", "key")]


def writes():
    """Script -> the keys it writes."""
    return {
        plain(row["script"]): set(words(row["writes"]))
        for row in table("storage", "Scripts")
        if plain(row["script"]) not in AUDITS
    }


def fields(heading):
    """Field -> its writers; a row may tell of several that are numbered."""
    found = {}
    for row in table("storage", heading):
        first, *last = words(row["field"])
        start = re.sub(r"\d+$", "", first)
        names = [f"{start}{n}" for n in range(1, int(last[0][len(start) :]) + 1)] if last else []
        assert not names or names[0] == first
        for name in names or [first]:
            assert name not in found
            found[name] = set(words(row["written by"]))

    return found


def test_every_script_is_watched(seen):
    assert seen.scripts == set(scripts.names()) - AUDITS
    assert {call.script for call in audits()} == AUDITS


def test_every_key_is_told(seen):
    told = told_keys()

    assert set().union(*seen.keys.values()) == set(told)
    assert told[: len(keys.ORDER)] == list(keys.ORDER)
    assert keys.QueueKeys("q").base == f"{keys.DEFAULT_PREFIX}:{{q}}:"
    order = re.search(r"in this order: (.*?)\. All", section("storage", "Scripts"), re.S)[1]
    assert tuple(order.replace("\n", " ").split(", ")) == keys.ORDER


def test_every_key_that_lua_names_is_told():
    made = set(re.findall(r"^  return Keys\.base \.\. '(\w+)", LUA["include/keys"], re.M))
    named = set(re.findall(r"\bKeys\.([a-z_]+)\b(?!\()", ALL_LUA)) - {"base"}
    families = re.findall(r"^function Keys\.([a-z_]+)\(", LUA["include/keys"], re.M)

    # what sorted sets jobs go to, move.lua is told by name
    moved = set(re.findall(r"gather\(\w+, '(\w+)'", ALL_LUA))
    plain_names = {("repeat" if name == "series" else name) for name in named | moved}
    # who makes a key of a family calls a function of its own name, but for a series
    plain_names -= set(families)
    assert plain_names | made | {state.value for state in states.JobState} == {
        name.partition(":")[0] for name in told_keys()
    }


@pytest.mark.parametrize("name", sorted(set(scripts.names()) - AUDITS))
def test_what_a_script_writes_is_told(seen, name):
    assert writes()[name] == seen.keys[name]


def test_who_writes_a_field_of_a_job_is_told(seen):
    told = {f"job.{name}": by for name, by in fields("The fields of a job").items()}

    assert told == {name: by for name, by in seen.fields.items() if name.startswith("job.")}


def test_who_writes_a_field_of_the_queue_is_told(seen):
    told = fields("The queue's own fields")

    assert told == {name: by for name, by in seen.fields.items() if not name.startswith("job.")}


def test_every_field_of_a_job_that_lua_names_is_told():
    """What no run has shown, the sources still name."""
    named = set(re.findall(r"\bfield\('(\w+)'", ALL_LUA))
    named |= set(re.findall(r"fields\[#fields \+ 1\] = '(\w+)'\n *fields", ALL_LUA))
    named |= set(re.findall(r"'(data\d)'", ALL_LUA))
    for text in LUA.values():
        key = r"Keys\.job\([^()]*(?:\([^()]*\))?\)"
        if "local key = Keys.job(" in text:
            key += "|key"
        call = rf"'(H\w+)', (?:{key}), ((?:[^()]|\((?:[^()]|\([^()]*\))*\))*)\)"
        for command, arguments in re.findall(call, text):
            parts = re.split(r",\s*", arguments)
            # names and values take turns in HSET
            parts = parts[::2] if command.startswith("HSET") else parts
            named |= {part[1:-1] for part in parts if re.fullmatch(r"'\w+'", part)}

    told = set(fields("The fields of a job"))
    assert named - told == set()
    # these are only written with a change of state, which the runs show
    assert told - named <= {"token", "worker", "claims", "value", "stalls", "retried"}


def test_hashes_that_scripts_keep_have_the_fields_told(seen):
    totals = {re.sub(r":.*", ":<kind>", name) for name in seen.values["totals"]}
    series = [name for row in table("storage", "Series") for name in words(row["field"])]

    assert set(column("storage", "Figures", "field")) == totals
    assert seen.values["kinds"] <= {kind.value for kind in FailureKind}
    assert len(series) == len(set(series))
    assert set(series) == seen.values["repeat:<key>"]


def test_changes_of_state_are_those_that_scripts_make(seen):
    told = {}
    for row in table("states", "Changes"):
        told[plain(row["from"]), plain(row["to"])] = set(words(row["by"]))

    # a claim promotes what is due and takes it in one go
    moves = {move: by for move, by in seen.moves.items() if move != ("delayed", "active")}
    assert told == moves
    legal = {(a.value, b.value) for a, to in states.LEGAL.items() for b in to}
    assert set(moves) == legal


def test_an_audit_that_repairs_nothing_writes_nothing(server):
    store = SyncStore("q", server.url)
    build(store)
    before = content(server.client)
    for call in audits():
        store.run(call)

    store.close()
    assert content(server.client) == before
    repairs = {
        plain(row["script"])
        for row in table("storage", "Scripts")
        if row["writes"] == "what it repairs"
    }
    assert repairs == {
        name for name in AUDITS if re.search(r"\bfix\b", LUA[name].split("-- EVENTS")[0])
    }
    server.client.flushall()
