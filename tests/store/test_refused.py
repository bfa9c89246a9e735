"""What the scripts refuse: nothing is written, and the caller gets the class with the code."""

import pytest

from sandq.errors import InvalidInput, QueueFull, SandqError, StaleSettings, StoreError, from_code
from sandq.model.states import JobState
from sandq.model.verdict import Action
from sandq.store import calls, scripts, verbs
from sandq.store.calls import Call
from sandq.store.store import Store

pytestmark = pytest.mark.anyio


def job(*, priority="0", delay_ms="0", extras=""):
    """The values of one job for `add`."""
    return ["x", "work", "1", "", priority, delay_ms, extras]


def series(*, key="k", first="1", anchor="1", priority="0", extras=""):
    return ["", key, first, anchor, "{}", "work", "1", "", priority, extras]


def settlement(action, delay_ms):
    return ["running", "t1", action, delay_ms, "error", "{}", ""]


GOOD = job()
TIMES = "must be whole milliseconds"
WORDS = "must be a text that is not empty and has no control characters"
TAGS = "tags must be a list of texts that are not empty"
OBJECT = "extras must be a JSON object"
PRIORITY = r"priority must be a whole number from 0 to 2\^31"

# script -> what is sent, what is answered
REFUSED = {
    "add": [
        ([], "each job takes 7 values"),
        ([""], "each job takes 7 values"),
        (["", "", "x"], "each job takes 7 values"),
        *(
            # a bad job among good ones stops them all
            (["", "", *GOOD, *bad, *GOOD], words)
            for bad, words in [
                (job(priority="-1"), PRIORITY),
                (job(priority="1.5"), PRIORITY),
                (job(priority="nan"), PRIORITY),
                (job(priority="2147483649"), PRIORITY),
                (job(priority=""), PRIORITY),
                (job(delay_ms="-1"), "delay_ms must be a whole number"),
                (job(delay_ms="inf"), "delay_ms must be a whole number"),
                (job(delay_ms="soon"), "delay_ms must be a whole number"),
                (job(extras="{"), OBJECT),
                (job(extras="1"), OBJECT),
                (job(extras='{"run_at":-1}'), f"run_at {TIMES}"),
                (job(extras='{"run_at":"1"}'), f"run_at {TIMES}"),
                (job(extras='{"expires_at":1.5}'), f"expires_at {TIMES}"),
                (job(extras='{"expires_at":null}'), f"expires_at {TIMES}"),
                (job(extras='{"dedup_ttl_ms":1e300}'), f"dedup_ttl_ms {TIMES}"),
                (job(extras='{"group":""}'), f"group {WORDS}"),
                (job(extras='{"group":"a\\u0000b"}'), f"group {WORDS}"),
                (job(extras='{"group":7}'), f"group {WORDS}"),
                (job(extras='{"dedup":"a\\nb"}'), f"dedup {WORDS}"),
                (job(extras='{"tags":[]}'), TAGS),
                (job(extras='{"tags":"blue"}'), TAGS),
                (job(extras='{"tags":["blue",""]}'), TAGS),
                (job(extras='{"tags":["blue",1]}'), TAGS),
            ]
        ),
    ],
    "settle_and_claim": [
        (["", 0, "t", "w", 1, "running", "t1"], "each settlement takes 7 values"),
        (
            ["", 0, "t", "w", 1, *settlement("explode", 0)],
            "no such action: explode",
        ),
        (
            ["", 0, "t", "w", 1, *settlement("retry", "soon")],
            "delay must be milliseconds: soon",
        ),
        (
            # the first one is in order, and is not written either
            ["", 9, "t", "w", 1, *settlement("complete", 0), *settlement("retry", -1)],
            "delay must be milliseconds: -1",
        ),
    ],
    "report": [
        (
            ["", 1, 9, "running", "t1", "log", "{}", "running", "t1", "rumour", "x"],
            "no such report: rumour",
        ),
        (
            ["", 1, 9, "running", "t1", "log", "{}", "running", "t1", "emit", "{}"],
            "a part of a result has no number: running",
        ),
    ],
    "note": [(["", 1, 9, "running", "rumour", "x"], "no such note: rumour")],
    "page": [(["nowhere", 0, -1, 0], "no such state: nowhere")],
    "clean": [(["", "parked?", 0, 0, 10, 10], r"no such state: parked\?")],
    "empty": [([10, "waiting", "nowhere"], "no such state: nowhere")],
    "retry_many": [
        (["", "waiting", 0, "", 10, ""], "not an ended state: waiting"),
        (["", "nowhere", 0, "", 10, ""], "not an ended state: nowhere"),
    ],
    "configure": [
        (["", "{}", "concurrency"], "settings come in pairs of field and value"),
        (["", "{}", "paused", "1"], "no such setting: paused = 1"),
        (["", "{}", "concurrency", "1", "max_size", "many"], "no such setting: max_size = many"),
        ([""], "settings come in pairs of field and value"),
    ],
    "upsert_series": [
        (series(key=""), "a series has a key, a first occurrence and an anchor"),
        (series(first="soon"), "a series has a key, a first occurrence and an anchor"),
        (series(anchor=""), "a series has a key, a first occurrence and an anchor"),
        (series(priority="high"), PRIORITY),
        (series(extras="[1"), OBJECT),
        (series(extras='{"tags":[1]}'), TAGS),
        (series(key="there", extras='{"group":""}'), f"group {WORDS}"),
    ],
    "audit_index": [(["", 1, "rumours", "", 0, 10], "no such index: rumours")],
    "audit_keys": [(["", 1, "rumour", "x"], "no such kind of key: rumour")],
}


@pytest.fixture
def full(bench):
    """A queue with something of everything in it."""
    bench.configure(group_concurrency=1, max_size=10)
    bench.add("done", "failed", "called off")
    bench.do()
    bench.do(Action.FAIL)
    bench.run(verbs.cancel(["called off"], "", str(bench.now)))
    bench.add("running")
    bench.claim()
    bench.add(bench.new("later", delay_ms=99, tags=["t"], dedup="k"), *bench.many(3, "g"))
    bench.claim(2)
    bench.run(verbs.upsert_series("there", bench.now + 9, 0, b"{}", bench.new(), str(bench.now)))

    return bench


@pytest.mark.parametrize(
    ("name", "args", "words"),
    [(name, args, words) for name, rows in REFUSED.items() for args, words in rows],
)
def test_what_is_refused_leaves_every_key_as_it_was(full, name, args, words):
    before = full.dump()

    with pytest.raises(InvalidInput, match=f"^{words}") as error:
        full.run(Call(name, args, lambda reply: reply))

    assert full.dump() == before
    # the script's own words: the address and the server's log are of no help here
    assert "Redis at" not in str(error.value)
    assert "SANDQ_" not in str(error.value)


def test_every_script_that_refuses_is_tried():
    refusing = {name for name in scripts.names() if scripts.header(name)["ERRORS"] != "none"}

    assert refusing == set(REFUSED)


def test_every_code_of_a_script_is_a_class_that_is_made_of_words():
    codes = {
        code
        for name in scripts.names()
        for code in scripts.header(name)["ERRORS"].split(", ")
        if code != "none"
    }

    assert codes == {"SANDQ_INVALID", "SANDQ_STALE", "SANDQ_FULL"}
    assert all(str(from_code(code)("words")) == "words" for code in codes)


def test_a_full_queue_takes_none_of_the_jobs_and_says_what_to_do(full):
    full.configure(max_size=4)
    before = full.dump()

    with pytest.raises(
        QueueFull,
        match=r"^2 jobs wait and the queue takes 4; wait until some of them have run, or raise the "
        "queue's max_size$",
    ):
        full.add("a", "b", "c")

    assert full.dump() == before
    # delayed jobs do not wait yet, and what is there already is not added
    assert full.add(full.new("d", delay_ms=9), full.new("e", run_at=full.now + 9), "later", "a")
    with pytest.raises(QueueFull):
        full.add("b", full.new("c", run_at=full.now - 1))


def test_a_job_made_by_older_settings_is_refused_whatever_else_is_wrong_with_it(full):
    before = full.dump()

    with pytest.raises(StaleSettings, match=r"^the settings of the queue have changed$"):
        full.run(Call("add", ["", "7", *job(priority="-1")], lambda reply: reply))

    assert full.dump() == before


async def test_the_async_store_raises_the_same(full):
    store = Store("q", full.server.url)
    try:
        with pytest.raises(InvalidInput, match=r"^no such state: nowhere$"):
            await store.run(Call("page", ["nowhere", 0, -1, 0], lambda reply: reply))
        with pytest.raises(StaleSettings):
            await store.run(calls.add([full.new()], "7"))
    finally:
        await store.close()


@pytest.mark.parametrize(
    ("reply", "kind", "words"),
    [
        ("SANDQ_NOVEL from a newer version", StoreError, "Redis at .*: SANDQ_NOVEL from a newer"),
        ("SANDQ_MISSING job 7", SandqError, "^job 7$"),
        ("OTHER SANDQ_FULL", StoreError, "Redis at .*: OTHER SANDQ_FULL; see the server's log"),
    ],
)
def test_only_a_code_that_is_known_and_comes_first_makes_the_class(bench, reply, kind, words):
    refuse = f"return redis.error_reply('{reply}')"

    with pytest.raises(kind, match=words) as error:
        bench.store._command("EVAL", refuse, 0)

    assert type(error.value) is (kind if kind is StoreError else from_code(reply.split()[0]))


def test_an_error_in_a_script_is_told_as_one_of_redis(bench):
    bench.client.set("sandq:{q}:waiting", "not a set")
    try:
        with pytest.raises(StoreError, match=r"Redis at unix://.*WRONGTYPE"):
            bench.run(Call("counts", (), int))
    finally:
        bench.client.flushall()


@pytest.mark.parametrize("states", [[], [JobState.WAITING]])
def test_emptying_an_empty_queue_is_no_error(bench, states):
    assert bench.run(verbs.empty(states)) == (0, 0)
