"""Who of the Lua sources may do what: write a set, delete a key, read JSON, ask for the time."""

import re

import pytest

from sandq.model.duration import MAX_MS
from sandq.model.options import MAX_PRIORITY
from sandq.model.queue_settings import METRICS_POINTS
from sandq.store import scripts
from sandq.store.reads import NO_PRIORITY_RANK

SCRIPTS = {name: (scripts._FOLDER / f"{name}.lua").read_text() for name in scripts.names()}
INCLUDES = {
    name: (scripts._FOLDER / "include" / f"{name}.lua").read_text() for name in scripts.includes()
}
FILES = {**SCRIPTS, **{f"include/{name}": text for name, text in INCLUDES.items()}}


def without_comments(text):
    return re.sub(r"^\s*--.*$|\s--\s.*$", "", text, flags=re.MULTILINE)


CALL = re.compile(r"redis\.call\('(\w+)', *((?:[^()]|\((?:[^()]|\([^()]*\))*\))*)\)")


def calls_of(text):
    """The calls of Redis in a source, as (command, arguments)."""
    return [
        (match[1], re.sub(r"\s+", " ", match[2])) for match in CALL.finditer(without_comments(text))
    ]


def users_of(pattern):
    """Source -> what in it fits the pattern, in order; sources with nothing are left out."""
    found = {name: re.findall(pattern, without_comments(text)) for name, text in FILES.items()}

    return {name: uses for name, uses in found.items() if uses}


STATES = ("waiting", "delayed", "active", "completed", "failed", "cancelled", "parked")
# who else may write a sorted set, and why: none of these sets says where a job is
WRITERS = {
    "include/birth": ({"ZADD": "Keys.expiry"}, "when the new job may not be started any more"),
    "include/settle": ({"ZADD": "Keys.expiry"}, "when the value that has come goes"),
    "include/due": ({"ZADD": "Keys.windows"}, "when parked jobs of a group may come back"),
    "fire": ({"ZADD": "Keys.series", "ZREM": "Keys.series"}, "the series moves on, or ends"),
    "upsert_series": ({"ZADD": "Keys.series"}, "the series is made"),
    "remove_series": ({"ZREM": "Keys.series"}, "the series ends"),
    "beat": (
        {"ZADD": "Keys.workers", "ZREM": "Keys.workers", "ZREMRANGEBYSCORE": "Keys.workers"},
        "who is there",
    ),
    "audit": ({"ZADD": "Keys.expiry"}, "a repair: the job is to expire"),
    "audit_index": ({"ZREM": "Keys.series"}, "a repair: nothing says what the series is"),
    "audit_keys": ({"ZADD": "Keys.series"}, "a repair: the series goes on"),
}


def test_only_move_writes_the_sets_of_states():
    writes = r"'(Z(?:ADD|REM\w*|POP\w*|MPOP|INCRBY|\w*STORE)|BZ\w+)'"
    writers = users_of(writes)
    renews = writers.pop("renew")

    assert writers.pop("include/move") == ["ZPOPMIN"]
    # what these are told to write is written with that of all other jobs
    assert writers.pop("include/sets") == ["ZREM", "ZADD"]
    gathers = users_of(r"\bSets\.(?:add|drop)\(('?\w+'?)")
    assert set(gathers) == {"include/sets", "include/move", "include/indexes"}
    assert set(gathers["include/indexes"]) == {"'expiry'"}
    # XX: the score of a job that is active already, so that no job changes its place
    assert renews == ["ZADD"]
    assert "redis.call('ZADD', Keys.active, 'XX', " in SCRIPTS["renew"]
    assert set(writers) == set(WRITERS)
    for name, commands in writers.items():
        written = {
            command: arguments.split(",")[0]
            for command, arguments in calls_of(FILES[name])
            if command in commands
        }
        assert written == WRITERS[name][0], name
        assert not {f"Keys.{state}" for state in STATES} & set(written.values()), name


def test_only_move_writes_the_state_and_the_place_of_a_job():
    for name, text in FILES.items():
        if name == "include/move":
            continue
        for command, arguments in calls_of(text):
            if command in ("HSET", "HSETNX", "HMSET", "HDEL"):
                assert not re.search(r"'(state|place)'", arguments), (name, arguments)


# who may delete which keys, and why
DELETERS = {
    "include/move": (
        ["Keys.job(job.id), Keys.logs(job.id), Keys.emitted(job.id), Keys.failures(job.id)"],
        "the keys of a job that goes",
    ),
    "include/indexes": (["key"], "the dedup key of a job that has ended"),
    "include/restart": (["Keys.failures(job.id)"], "attempts are counted anew"),
    "include/tally": (["key"], "the queue keeps no metrics"),
    "beat": (["Keys.worker(worker)"], "the supervisor leaves"),
    "fire": (["Keys.one_series(key)"], "the series has ended"),
    "remove_series": (["Keys.one_series(key)"], "the series is removed"),
    "obliterate": (
        ["Keys.one_series(key)", "Keys.worker(worker)", "Keys.base .. ARGV[i]"],
        "the whole queue goes",
    ),
    "report": (["key"], "the parts of an earlier attempt's result"),
    "audit_keys": (["key", "key", "Keys.dedup(name)", "key"], "a repair: what nobody needs"),
}


def test_a_key_is_deleted_only_with_what_it_belongs_to():
    deleted = {
        name: [arguments for command, arguments in calls_of(text) if command == "UNLINK"]
        for name, text in FILES.items()
    }

    assert {name: keys for name, keys in deleted.items() if keys} == {
        name: keys for name, (keys, _) in DELETERS.items()
    }
    assert "local key = Keys.dedup(job.dedup)" in INCLUDES["indexes"]
    assert "local key = Keys.emitted(id)" in SCRIPTS["report"]
    # UNLINK, for it does not block; and nothing is deleted any other way
    assert users_of(r"'(DEL|FLUSH\w+|RENAME\w*|GETDEL|COPY|RESTORE|MOVE|MIGRATE)'") == {}


def test_only_what_need_not_be_there_has_a_time_to_live():
    # a dedup key, the window of a rate limit, the word of a supervisor: never a job (seed 4 loses
    # jobs that wait for longer than its time to live)
    lives = {
        name: [arguments for command, arguments in calls_of(text) if "'PX'" in arguments]
        for name, text in FILES.items()
    }

    assert {name: [key.split("(")[0] for key in keys] for name, keys in lives.items() if keys} == {
        "include/birth": ["Keys.dedup"],
        "include/gate": ["Keys.limiter"],
        "beat": ["Keys.worker"],
    }
    assert users_of(r"'(P?EXPIRE\w*|P?SETEX|EX|EXAT|PXAT|GETEX|PERSIST|HP?EXPIRE\w*)'") == {}


# source -> keys that are not written out where they are used, and why
OTHER_KEYS = {
    "counts": ({"KEYS[i]"}, "all states in their order"),
    "figures": ({"KEYS[i]"}, "all states in their order"),
    "page": ({"part[1]"}, "waiting and parked one after the other"),
    "add": ({"job", "dedup"}, "each is asked for once, and remembered under its name"),
}


def test_every_key_comes_from_the_keys_given():
    for name, text in FILES.items():
        code = without_comments(text)
        if name == "include/keys":
            continue
        keys = set(re.findall(r"redis\.call\('?\w+'?, *([\w.\[\]]+)", code))
        others = {key for key in keys if not key.startswith("Keys") and key != "key"}

        assert others == OTHER_KEYS.get(name, (set(),))[0], name
        assert ("KEYS[" in code) == ("KEYS[i]" in others), name
        if "key" in keys:
            local = re.search(r"^ *local key = (?:[\w. ]+ and )?Keys[.\[]", code, re.MULTILINE)
            given = re.search(r"function [\w.]+\(key\b|for key, \w+ in pairs\(sums\)", code)
            assert local or given, name


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        (r"math\.random", "four servers in five draw the same number for everybody"),
        (r"\bos\.", "time comes from the server, or from the caller"),
        (r"loadstring|setfenv|_G\b", "nothing is made up at run time"),
        (r"redis\.pcall", "an error must end the script, not be passed over"),
        (r"'(?:KEYS|SCAN|RANDOMKEY|SORT\w*|BL\w+|EVAL\w*|PUBLISH)'", "it is slow, or blocks"),
    ],
)
def test_what_is_not_for_scripts_is_not_used(word, reason):
    assert users_of(word) == {}, reason


def test_json_is_decoded_only_where_it_is_not_the_users():
    # cjson makes {} of [] and rounds large integers: no payload may go through it
    assert users_of(r"cjson\.decode(?:, |\()([\w.\[\]]+)") == {
        "include/birth": ["text"],  # the extras of a new job, checked member by member
        "include/indexes": ["job.tags"],
        "include/series": ["f[5]"],  # the extras that the jobs of a series share
        "include/record": ["job.tags"],
        "audit_index": ["tags"],
    }
    # what a caller gives may be no JSON at all
    assert users_of(r"\bpcall\(([\w.]+)") == {
        "include/birth": ["cjson.decode"],
        # nor may what an audit finds
        "include/record": ["cjson.decode"],
        "audit_index": ["cjson.decode"],
    }


def test_only_records_and_tags_of_our_own_are_encoded_in_lua():
    assert users_of(r"cjson\.encode\(\{?\s*([\w.]+(?: = '\w+')?)") == {
        "recover": ["kind = 'stalled'", "kind = 'cancelled'"],
        "cancel": ["kind = 'cancelled'"],
        "disclaim": ["kind = 'cancelled'"],
        "include/due": ["kind = 'expired'"],
        "include/settle": ["kind = 'cancelled'"],
        "include/birth": ["extras.tags"],
    }
    assert sum(text.count("cjson.encode") for text in FILES.values()) == 7


def test_no_list_that_grows_is_unpacked():
    # Lua takes some 8,000 values; Bull's metrics fail for ever once a queue was idle that long
    assert users_of(r"\bunpack\(([^()]*)") == {
        "include/sets": ["list, from, math.min"],  # a chunk
        "include/move": ["fields", "fields", "fields"],  # those of a job
        "include/pieces": ["fields"],  # eight at most
        "include/record": ["FIELDS"],  # those that are looked at
        "include/rows": ["back", "texts, from, math.min"],  # the first rows; a chunk
        "renew": ["leases, from, math.min"],  # a chunk
        "configure": ["OBEYED", "ARGV, 3"],  # the settings of a queue
    }
    for name in ("include/sets", "include/rows", "renew"):
        assert re.search(r"^local CHUNK = [1-4]000$", FILES[name], re.MULTILINE), name


def test_time_is_read_at_one_place():
    assert [name for name, text in FILES.items() if "'TIME'" in text] == ["include/clock"]


@pytest.mark.parametrize(
    ("name", "constant", "number"),
    [
        ("include/birth", "MAX_PRIORITY", MAX_PRIORITY),
        ("include/birth", "MAX_DELAY_MS", MAX_MS),
        ("include/move", "LAST_RANK", NO_PRIORITY_RANK),
        ("include/tally", "POINTS", METRICS_POINTS),
    ],
)
def test_a_number_that_python_has_as_well_is_the_same(name, constant, number):
    found = re.search(rf"^local {constant} = '?(\d+)'?$", FILES[name], re.MULTILINE)

    assert int(found[1]) == number
