"""What a queue's settings and a client's defaults make of the jobs that are added."""

import time

import pytest

from sandq import Backoff, JobOptions, JsonText, Keep, QueueSettings
from sandq.errors import InvalidInput, QueueFull, StaleSettings
from sandq.model.payload import MAX_DATA_BYTES

pytestmark = pytest.mark.anyio

DEADLINE_S = 30

# option -> the setting's, the client's and the job's own value, and where to see it: each wins
# over those before it
OPTIONS = {
    "attempts": (2, 3, 1, lambda job: job.opts.get("attempts", 1)),
    "delay": (100, 200, 0, lambda job: job.opts.get("delay_ms", 0) / 1000),
    "priority": (5, 6, 0, lambda job: job.priority),
    "lifo": (True, True, False, lambda job: job.opts.get("lifo", False)),
    "backoff": (
        Backoff.fixed(1),
        Backoff.exponential(2),
        None,
        lambda job: (b := job.opts.get("backoff")) and Backoff.from_member(b),
    ),
    "timeout": (1, 2, None, lambda job: (t := job.opts.get("timeout_ms")) and t / 1000),
    "heartbeat_timeout": (
        *(1, 2, None),
        lambda job: (t := job.opts.get("heartbeat_timeout_ms")) and t / 1000,
    ),
    "pool_key": ("a", "b", "c", lambda job: job.opts.get("pool_key")),
    "remove_on_complete": (
        Keep(1),
        Keep(2, age=5),
        False,
        lambda job: keep(job, "remove_on_complete"),
    ),
    "remove_on_fail": (Keep(1), Keep(2, age=5), False, lambda job: keep(job, "remove_on_fail")),
    "result_ttl": (10, 20, None, lambda job: (t := job.opts.get("result_ttl_ms")) and t / 1000),
    "stack_trace_limit": (1, 0, None, lambda job: job.opts.get("stack_trace_limit")),
    "tags": (["a"], ["b"], [], lambda job: job.tags),
    "metadata": ({"a": "1"}, {"b": "2"}, {}, lambda job: job.metadata),
    "group": ("g", "h", "i", lambda job: job.group),
}


def keep(job, name):
    member = job.opts.get(name)

    return member is not None and Keep.from_member(name, member)


@pytest.mark.parametrize("option", OPTIONS)
async def test_a_jobs_option_wins_over_the_clients_and_that_over_the_queues(face, option):
    stored, client, own, seen = OPTIONS[option]
    await face.queue().set_settings(QueueSettings(defaults={option: stored}))
    plain, with_defaults = face.queue(), face.queue(default_job_options={option: client})
    jobs = [
        await plain.add("work"),
        await with_defaults.add("work"),
        await with_defaults.add("work", **{option: own}),
        *await with_defaults.add_bulk([("work", 1), ("work", 2, {option: own})]),
    ]
    found = [seen(await plain.get_job(job.id)) for job in jobs]

    assert found == [stored, client, own, client, own]
    # what was added tells the same without a look
    assert [seen(job) for job in jobs] == found


async def test_options_object_hides_no_default(face):
    queue = face.queue(default_job_options={"attempts": 3, "priority": 4})
    (job,) = await queue.add_bulk([("work", 1, JobOptions(priority=9))])

    assert (job.opts["attempts"], job.priority) == (3, 9)


async def test_a_moment_of_the_job_takes_the_place_of_a_default_delay(face):
    queue = face.queue(default_job_options={"delay": 100})
    job = await queue.add("work", run_at=time.time() - 1)

    assert await job.get_state() == "waiting"


# ---- settings that change


async def test_the_very_next_add_of_another_client_obeys_new_settings(face):
    settings = QueueSettings(defaults={"attempts": 5}, max_delay=10)
    one, other = face.queue(), face.queue()
    await one.add("work")
    await other.set_settings(settings)
    job = await one.add("work")
    assert job.opts == {"attempts": 5}
    with pytest.raises(InvalidInput, match="max_delay"):
        await one.add("work", delay=11)
    await other.set_settings(QueueSettings())

    assert (await one.add("work", delay=11)).opts == {"delay_ms": 11_000}
    assert await one.get_settings() == await other.get_settings() == QueueSettings()


async def test_settings_that_change_between_the_calls_of_a_bulk_add_nothing_twice(face, server):
    """The second chunk is refused with the old settings, and made anew by the new ones."""
    queue, other = face.queue(), face.queue()
    await queue.add("first")
    number = 0
    new = QueueSettings(defaults={"attempts": 5})
    text, fields = new.to_text(), new.to_meta()

    store = getattr(queue, "_target", queue)._store
    send = store._send

    def change():
        nonlocal number
        number += 1
        if number == 2:
            server.client.hset("sandq:{q}:meta", mapping={"settings": text, **fields})
            server.client.hincrby("sandq:{q}:meta", "version", 1)

    if face.name == "async":

        async def changing(call):
            if call.script == "add":
                change()
            return await send(call)
    else:

        def changing(call):
            if call.script == "add":
                change()
            return send(call)

    store._send = changing
    jobs = await queue.add_bulk([("work", n, {"tags": ["bulk"]}) for n in range(2500)])
    attempts = [job.opts.get("attempts", 1) for job in jobs]

    assert number == 4
    assert [job.id for job in jobs] == [str(n) for n in range(2, 2502)]
    assert attempts == [1] * 1000 + [5] * 1500
    stored = await other.get_waiting()
    assert [job.data for job in stored] == [None, *range(2500)]
    assert [job.opts.get("attempts", 1) for job in stored[1:]] == attempts


async def test_settings_that_never_stop_changing_are_told_in_the_end(face, server):
    queue = face.queue()
    store = getattr(queue, "_target", queue)._store
    learn = store.learn
    if face.name == "async":

        async def restless(anew):
            answer = await learn(anew)
            server.client.hincrby("sandq:{q}:meta", "version", 1)
            return answer
    else:

        def restless(anew):
            answer = learn(anew)
            server.client.hincrby("sandq:{q}:meta", "version", 1)
            return answer

    store.learn = restless
    with pytest.raises(StaleSettings, match="10 times in a row"):
        await queue.add("work")
    with pytest.raises(StaleSettings, match="10 times in a row"):
        await queue.add_bulk([("work", 1)])

    assert await queue.count() == 0


# ---- limits of what may be added


async def test_a_full_queue_refuses_all_of_a_call_and_writes_nothing(face, server):
    queue = face.queue()
    await queue.set_settings(QueueSettings(max_size=3))
    await queue.add_bulk([("work", 1, {"job_id": "a"}), ("work", 2)])
    before = {key: server.client.dump(key) for key in server.client.scan_iter()}
    with pytest.raises(QueueFull, match="2 jobs wait and the queue takes 3"):
        await queue.add_bulk([("work", 3), ("work", 4)])
    assert {key: server.client.dump(key) for key in server.client.scan_iter()} == before
    await queue.add("work", 3)
    with pytest.raises(QueueFull):
        await queue.add("work", 4)

    assert await queue.count() == 3


async def test_a_full_queue_takes_what_adds_nothing_or_waits_elsewhere(face):
    queue = face.queue()
    await queue.set_settings(QueueSettings(max_size=2))
    await queue.add("work", job_id="a")
    await queue.add("work", dedup="d")
    same = await queue.add_bulk([("work", 1, {"job_id": "a"}), ("work", 1, {"dedup": "d"})])
    later = await queue.add("work", delay=60)

    assert [job.id for job in same] == ["a", "1"]
    assert await later.get_state() == "delayed"
    assert (await queue.get_waiting_count(), await queue.get_delayed_count()) == (2, 1)


async def test_jobs_of_one_call_that_are_one_job_count_once_for_a_full_queue(face):
    queue = face.queue()
    await queue.set_settings(QueueSettings(max_size=2))
    jobs = await queue.add_bulk(
        [("work", 1, {"job_id": "a"}), ("work", 2, {"job_id": "a"}), ("work", 3, {"dedup": "d"}),
         ("work", 4, {"dedup": "d"})]
    )  # fmt: skip

    assert [job.id for job in jobs] == ["a", "a", "1", "1"]


async def test_a_bulk_that_fills_the_queue_midway_says_how_much_of_it_was_added(face):
    queue = face.queue()
    await queue.set_settings(QueueSettings(max_size=1500))
    with pytest.raises(QueueFull, match="the first 1000 jobs of the list were added"):
        await queue.add_bulk([("work", n) for n in range(2000)])

    assert await queue.get_waiting_count() == 1000


async def test_jobs_that_ended_or_run_make_room(face):
    queue = face.queue()
    await queue.set_settings(QueueSettings(max_size=1))
    await queue.add("work")
    running = await queue.get_next_job()
    await queue.add("work")
    with pytest.raises(QueueFull):
        await queue.add("work")
    await running.move_to_completed()

    assert await queue.get_waiting_count() == 1


@pytest.mark.parametrize("of", [lambda n: "x" * (n - 2), lambda n: JsonText(b" " * (n - 1) + b"1")])
async def test_the_longest_data_is_taken_and_a_byte_more_is_not(face, of):
    queue = face.queue()
    job = await queue.add("work", of(MAX_DATA_BYTES))
    with pytest.raises(InvalidInput, match=f"{MAX_DATA_BYTES + 1} bytes"):
        await queue.add("work", of(MAX_DATA_BYTES + 1))

    assert len((await queue.get_job(job.id)).data_text) == MAX_DATA_BYTES
    assert await queue.count() == 1


async def test_max_delay_bounds_delays_and_moments(face):
    queue = face.queue()
    await queue.set_settings(QueueSettings(max_delay=60))
    for options in ({"delay": 61}, {"run_at": time.time() + 70}):
        with pytest.raises(InvalidInput, match="max_delay"):
            await queue.add("work", **options)
        with pytest.raises(InvalidInput, match="max_delay"):
            await queue.add_bulk([("work", 1), ("work", 2, options)])
    await queue.add("work", delay=60)
    await queue.add("work", run_at=time.time() + 50)

    assert await queue.count() == 2


@pytest.mark.parametrize(
    ("data", "own", "group"),
    [
        ({"tenant": {"id": "acme"}}, None, "acme"),
        ({"tenant": {"id": 7}}, None, "7"),
        ({"tenant": {"id": "acme"}}, "own", "own"),
        ({"tenant": {"id": ""}}, None, None),
        ({"tenant": {"id": True}}, None, None),
        ({"tenant": {"id": [1]}}, None, None),
        ({"tenant": "acme"}, None, None),
        ({"tenant.id": "acme"}, None, None),
        ([1], None, None),
        (None, None, None),
    ],
)
async def test_the_group_is_taken_from_the_data(face, data, own, group):
    await face.queue().set_settings(QueueSettings(group_key="tenant.id"))
    queue = face.queue()
    job = await queue.add("work", data, **({} if own is None else {"group": own}))
    (bulk,) = await queue.add_bulk([("work", data, {} if own is None else {"group": own})])

    assert (await queue.get_job(job.id)).group == job.group == bulk.group == group
