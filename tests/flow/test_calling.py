"""What a job may ask for while it runs, with a real store and a child that only counts time."""

from types import SimpleNamespace

import orjson
import pytest

from sandq import Queue, QueueSettings
from sandq.child.asking import CallRefused
from sandq.flow import calling
from sandq.flow.calling import perform
from sandq.model import handler
from sandq.model.duration import MAX_MS
from sandq.model.payload import MAX_DATA_BYTES
from sandq.model.states import JobState
from sandq.model.verdict import Action, Verdict
from sandq.store import calls, reads

pytestmark = pytest.mark.anyio


class Child:
    """Stands for a child whose time is prolonged."""

    def __init__(self):
        self.asked_ms = []

    def extend(self, more_ms):
        self.asked_ms.append(more_ms)
        return 500 + more_ms


@pytest.fixture
async def queue(url):
    async with Queue("q", url) as queue:
        yield queue


@pytest.fixture
async def held(queue):
    """The claim on job 1."""
    await queue.add("work", {"n": 1})
    (claim,) = (await queue._store.run(calls.claim("q", 1, "t", "w", 60_000))).claims
    return SimpleNamespace(claim=claim, lane=SimpleNamespace(store=queue._store), child=Child())


async def ask(held, verb, args):
    text = args if isinstance(args, bytes) else orjson.dumps(args)
    return orjson.loads(await perform(held, verb, text))


async def refused(held, verb, args):
    with pytest.raises(CallRefused) as caught:
        await ask(held, verb, args)
    return caught.value.kind, str(caught.value)


def test_the_verbs_are_those_that_a_handler_may_allow():
    assert tuple(calling.VERBS) == handler.VERBS


async def test_an_unknown_verb_is_refused_and_the_nearest_is_named(held):
    kind, message = await refused(held, "update_date", {})

    assert kind == "sandq.unknown_verb"
    assert message == "verb 'update_date' is not known; did you mean 'update_data'?"


@pytest.mark.parametrize("args", [b"[]", b"1", b'"x"', b"{"])
@pytest.mark.parametrize("verb", handler.VERBS)
async def test_arguments_that_are_no_object_are_refused(held, verb, args):
    assert (await refused(held, verb, args))[0] == "sandq.bad_args"


# ---- update_data


async def test_data_are_replaced_byte_for_byte(held, queue):
    text = b'{"b": 1.50, "a": [1e3], "big": 123456789012345678901234567890}'

    assert await ask(held, "update_data", b'{"data": %b}' % text) is None
    (record,) = await queue._store.run(reads.look(["1"]))
    assert record.data == text


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ({}, "data is missing"),
        ({"data": "x" * MAX_DATA_BYTES}, f"at most {MAX_DATA_BYTES} are allowed"),
    ],
    ids=["missing", "too long"],
)
async def test_data_that_cannot_be_are_refused(held, args, words):
    kind, message = await refused(held, "update_data", args)

    assert (kind, message.partition(":")[0]) == ("sandq.bad_args", "update_data")
    assert words in message


async def test_only_the_claim_that_holds_changes_data(held, queue):
    await queue._store.run(calls.disclaim(["t"]))
    assert await refused(held, "update_data", {"data": 2}) == (
        "sandq.failed",
        "job '1' is not this worker's any more",
    )

    assert (await queue.get_job("1")).data == {"n": 1}


# ---- add_job


async def test_a_job_is_added_as_a_producer_adds_it(held, queue):
    await queue.set_settings(QueueSettings(defaults={"attempts": 5, "timeout": 9, "tags": ["t"]}))
    plain = await ask(held, "add_job", {"name": "more"})
    told = await ask(
        held,
        "add_job",
        b'{"name":"more","data":{"x": 1.0},"opts":{"attempts":2,"delay_ms":60000,"priority":3,'
        b'"job_id":"mine","timeout_ms":1500}}',
    )
    again = await ask(held, "add_job", {"name": "more", "opts": {"job_id": "mine"}})
    first, second = await queue.get_job(plain["id"]), await queue.get_job("mine")

    assert told == again == {"id": "mine"}
    assert (first.name, first.data, first.state) == ("more", None, JobState.WAITING)
    assert first.opts == {"attempts": 5, "timeout_ms": 9000}
    assert (second.state, second.priority, second.tags) == (JobState.DELAYED, 3, ["t"])
    assert second.opts == {"attempts": 2, "timeout_ms": 1500, "delay_ms": 60_000}
    (record,) = await queue._store.run(reads.look(["mine"]))
    assert record.data == b'{"x": 1.0}'


async def test_an_option_that_is_null_is_as_if_it_was_not_given(held, queue):
    opts = dict.fromkeys(calling.OPTIONS)
    added = await ask(held, "add_job", {"name": "more", "data": None, "opts": opts})

    assert (await queue.get_job(added["id"])).opts == {}
    assert await ask(held, "add_job", {"name": "more", "opts": None})


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ({}, "job name must be a text"),
        ({"name": "a\nb"}, "no control characters"),
        ({"name": "n", "opts": []}, "opts must be an object: []"),
        ({"name": "n", "opts": [1]}, "opts must be an object: [1]"),
        ({"name": "n", "opts": {"delay": 1}}, "opts has no 'delay'; did you mean 'delay_ms'?"),
        ({"name": "n", "opts": {"delay_ms": 1.5}}, "delay_ms must be a whole number"),
        ({"name": "n", "opts": {"delay_ms": -1}}, "delay_ms must be a whole number"),
        ({"name": "n", "opts": {"timeout_ms": 0}}, "timeout must be more than zero"),
        ({"name": "n", "opts": {"timeout_ms": MAX_MS + 1}}, "timeout_ms must be a whole number"),
        ({"name": "n", "opts": {"attempts": 0}}, "attempts must be a whole number"),
        ({"name": "n", "opts": {"priority": "high"}}, "priority must be a whole number"),
        ({"name": "n", "opts": {"job_id": "7"}}, "is reserved"),
        ({"name": "n", "data": "x" * MAX_DATA_BYTES}, "are allowed"),
    ],
)
async def test_a_job_that_cannot_be_is_not_added(held, queue, args, words):
    kind, message = await refused(held, "add_job", args)

    assert kind == "sandq.bad_args"
    assert message.startswith("add_job: ")
    assert words in message
    assert await queue.get_waiting_count() == 0


async def test_a_queue_that_is_full_takes_no_job_of_a_job(held, queue):
    await queue.set_settings(QueueSettings(max_size=1))
    await ask(held, "add_job", {"name": "more"})
    kind, message = await refused(held, "add_job", {"name": "more"})

    assert kind == "sandq.failed"
    assert message.startswith("add_job: ")
    assert await queue.get_waiting_count() == 1


# ---- get_result


async def test_the_result_of_another_job_is_told(held, queue):
    job = await queue.add("other", 1)
    assert await ask(held, "get_result", {"id": job.id}) == {"state": "waiting", "value": None}
    (claim,) = (await queue._store.run(calls.claim("q", 1, "u", "w", 60_000))).claims
    assert await ask(held, "get_result", {"id": job.id}) == {"state": "active", "value": None}
    done = calls.Settlement(claim, Verdict(Action.COMPLETE, payload=b"[1.50, {}]"))
    await queue._store.run(calls.settle_and_claim("q", [done], 0, "", "w", 1))

    text = await perform(held, "get_result", orjson.dumps({"id": job.id}))
    assert text == b'{"state":"completed","value":[1.50, {}]}'


async def test_the_result_of_nobody_is_refused(held):
    assert await refused(held, "get_result", {"id": "nobody"}) == (
        "sandq.failed",
        "job 'nobody' does not exist, or was removed",
    )
    for args in ({}, {"id": 1}, {"id": ""}, {"id": None}):
        assert (await refused(held, "get_result", args))[0] == "sandq.bad_args"


# ---- extend_timeout


async def test_the_child_is_given_more_time(held):
    assert await ask(held, "extend_timeout", {"ms": 60_000}) == {"timeout_ms": 60_500}
    assert held.child.asked_ms == [60_000]


@pytest.mark.parametrize("ms", [None, 0, -1, 1.5, "1", True, MAX_MS + 1])
async def test_no_time_is_no_time_that_can_be_given(held, ms):
    assert (await refused(held, "extend_timeout", {"ms": ms}))[0] == "sandq.bad_args"
    assert held.child.asked_ms == []


async def test_a_job_that_is_being_ended_gets_no_more_time(held):
    held.child = None

    assert (await refused(held, "extend_timeout", {"ms": 5}))[0] == "sandq.failed"


async def test_a_store_that_is_away_is_told_to_the_job(held, tmp_path):
    async with Queue("q", f"unix://{tmp_path}/nowhere") as away:
        held.lane.store = away._store
        for verb, args in (
            ("update_data", {"data": 1}),
            ("add_job", {"name": "n"}),
            ("get_result", {"id": "1"}),
        ):
            assert (await refused(held, verb, args))[0] == "sandq.failed"
