"""Following a job: its log rows and the parts of its result, as they come and each once."""

import random

import anyio
import orjson
import pytest

from sandq import Job, Queue, sync
from sandq.errors import InvalidInput, JobMissing, StoreUnreachable
from sandq.flow.lane import REPORT_EVERY_S
from sandq.model.bounds import EMITTED_KEPT, LOG_ROWS_FIRST, LOG_ROWS_NEWEST
from sandq.model.job import NewJob
from sandq.model.verdict import Action, Verdict
from sandq.steps import follow
from sandq.steps.runner import run_steps_sync
from sandq.store import calls, verbs
from sandq.store.calls import Report, Settlement
from sandq.store.store import SyncStore

pytestmark = pytest.mark.anyio

DEADLINE_S = 30


class Told:
    """A job that runs, what it says by hand, and what a reader is told of it."""

    def __init__(self, url):
        self.store = SyncStore("q", url)
        self.said = 0
        self.rows = []
        self.begin()

    def begin(self):
        self.store.run(calls.add([NewJob("a", "n", b"1", b'{"attempts":9}', 0, 0, b"")]))
        self.claim_it()

    def claim_it(self):
        (self.claim,) = self.store.run(calls.claim("q", 1, f"t{self.said}", "w", 60_000)).claims

    def say(self, count):
        rows = [
            orjson.dumps({"level": "info", "message": str(self.said + n)}) for n in range(count)
        ]
        self.store.run(calls.report([Report(self.claim, "log", row) for row in rows]))
        self.said += count

    def leave_out(self, count):
        self.store.run(calls.report([Report(self.claim, "log", b'{"cut":%d}' % count)]))
        self.said += count

    def settle(self, action):
        verdict = Verdict(action, 0, "error", b'{"kind":"error","message":"no"}')
        settlement = Settlement(self.claim, verdict)
        self.store.run(calls.settle_and_claim("q", [settlement], 0, "", "w", 1))

    def read(self, reader):
        news = run_steps_sync(self.store, reader.news())
        self.rows += news
        return news

    def check(self):
        """Each row was told at its place, after as many others as had been said before it."""
        position = 0
        for row in self.rows:
            if "cut" in row:
                assert row["cut"] > 0
                position += row["cut"]
            else:
                assert int(row["message"]) == position
                position += 1
        return position


@pytest.fixture
def told(url):
    one = Told(url)
    yield one
    one.store.close()


# ---- what a reader makes of a log that is shortened


@pytest.mark.parametrize("seed", range(12))
def test_rows_are_told_once_and_in_their_order_whatever_is_left_out(told, seed):
    chosen = random.Random(seed)
    reader = follow.LogReader("a")
    for _ in range(40):
        for _ in range(chosen.randrange(1, 4)):
            told.say(chosen.choice([1, 3, 50, 100, 700, 1900]))
            if chosen.random() < 0.2:
                told.leave_out(chosen.randrange(1, 2000))
        for _ in range(chosen.randrange(5)):
            told.read(reader)
    assert not reader.ended
    told.settle(Action.COMPLETE)
    while not reader.ended:
        told.read(reader)

    assert told.check() == told.said


def test_who_keeps_up_is_told_everything(told):
    reader = follow.LogReader("a")
    for _ in range(30):
        told.say(400)
        told.read(reader)

    assert told.check() == told.said == 12_000
    assert not any("cut" in row for row in told.rows)


def test_who_comes_late_is_told_how_much_was_left_out(told):
    told.say(5000)
    reader = follow.LogReader("a")
    while told.read(reader):
        pass

    assert told.check() == 5000
    assert len(told.rows) == LOG_ROWS_FIRST + 1 + LOG_ROWS_NEWEST
    assert told.rows[LOG_ROWS_FIRST]["cut"] == 5000 - LOG_ROWS_FIRST - LOG_ROWS_NEWEST


def test_a_reader_survives_attempts_and_ends_with_the_job(told):
    reader = follow.LogReader("a")
    told.say(2)
    told.settle(Action.RETRY)
    told.read(reader)
    assert not reader.ended, "it will be tried again"
    told.claim_it()
    told.say(1)
    told.settle(Action.FAIL)
    told.read(reader)

    assert reader.ended
    assert told.check() == 3


def test_a_job_that_is_added_anew_begins_anew(told):
    reader = follow.LogReader("a")
    told.say(150)
    told.read(reader)
    told.store.run(verbs.remove(["a"], True))
    told.said, told.rows = 0, []
    told.begin()
    told.say(3)
    told.read(reader)

    assert told.check() == 3
    assert not reader.ended
    told.store.run(verbs.remove(["a"], True))
    told.read(reader)
    assert reader.ended


def test_nobody_cannot_be_followed(told):
    for reader in (follow.LogReader("nobody"), follow.EmittedReader("nobody")):
        with pytest.raises(JobMissing, match="nobody"):
            told.read(reader)


def test_news_come_within_half_a_second():
    # what has been said waits for the next report, and that for the next look
    assert follow.FOLLOW_EVERY_S + REPORT_EVERY_S < 0.5


# ---- both faces


@pytest.fixture
async def queue(face):
    return face.queue()


class Talker:
    """A handler that says what it is told to, and goes on when the test has seen it."""

    def __init__(self):
        self.seen = anyio.Event()

    async def __call__(self, job):
        job.log(f"attempt {job.attempt}", page=7)
        job.emit({"part": job.attempt})
        with anyio.fail_after(DEADLINE_S):
            await self.seen.wait()
        self.seen = anyio.Event()
        job.log("bye")
        job.emit([])
        if job.attempt == 1:
            raise ValueError("once more")


def served(url, handler):
    """A queue of this event loop whose jobs a function serves."""
    runner = Queue("q", url)
    runner.set_handler("*", handler)
    return runner


async def test_a_job_is_followed_while_it_runs_over_its_attempts(queue, url):
    talker = Talker()
    runner = served(url, talker)
    job = await queue.add("talk", attempts=2)
    rows = []
    async with runner, runner.run():
        with anyio.fail_after(DEADLINE_S):
            async for row in job.follow_logs():
                assert row.pop("at") > 0
                rows.append(row)
                if row["message"] != "bye":
                    talker.seen.set()

    assert rows == [
        {"level": "info", "message": "attempt 1", "fields": {"page": 7}},
        {"level": "info", "message": "bye"},
        {"level": "info", "message": "attempt 2", "fields": {"page": 7}},
        {"level": "info", "message": "bye"},
    ]
    assert [row["message"] for row in await job.logs()] == [row["message"] for row in rows]


async def test_parts_of_a_result_are_read_while_the_job_runs(queue, url):
    talker = Talker()
    runner = served(url, talker)
    job = await queue.add("talk", attempts=2)
    seen = []
    async with runner, runner.run():
        with anyio.fail_after(DEADLINE_S):
            async for part in job.follow_emitted():
                seen.append(part)
                if part:
                    assert await job.emitted() == [part]
                    talker.seen.set()

    # the last part of an attempt is gone when the next one begins at once
    assert [part for part in seen if part] == [{"part": 1}, {"part": 2}]
    assert seen[-1] == []
    assert await job.emitted() == [{"part": 2}, []]
    assert await queue.get_emitted(job.id, 1) == [[]]
    assert await queue.get_emitted("nobody") == []


async def test_an_event_tells_that_there_are_parts(queue, url):
    async def emit(job):
        for number in range(5):
            job.emit(number)

    runner = served(url, emit)
    job = await queue.add("emit")
    async with runner, runner.run():
        await job.finished(DEADLINE_S)
    told = []
    async for event in queue.subscribe("0"):
        if event.kind == "emitted":
            told.append((event.job_id, event.fields))
        if event.kind == "completed":
            break

    assert told == [(job.id, {"count": "5"})]


async def test_too_many_parts_are_dropped_and_the_log_says_so_once(queue, url):
    async def emit(job):
        for number in range(EMITTED_KEPT + 50):
            job.emit(number)

    runner = served(url, emit)
    job = await queue.add("emit")
    async with runner, runner.run():
        await job.finished(DEADLINE_S)

    assert await job.emitted() == list(range(EMITTED_KEPT))
    (row,) = await job.logs()
    assert row["level"] == "warning"
    assert "more was emitted than is kept (1,000 parts or 1 MiB of an attempt)" in row["message"]


async def test_lines_of_a_stream_and_all_that_is_said_are_shown(queue, told):
    job = await queue.get_job("a")
    rows = [
        b'{"level":"info","message":"one"}',
        b'{"stream":"stderr","text":"two"}',
        b'{"cut":7}',
        b'{"stream":"stdout","text":"three"}',
    ]
    told.store.run(calls.report([Report(told.claim, "log", row) for row in rows]))
    told.settle(Action.COMPLETE)

    async def followed(stream=None):
        found = []
        async for row in job.follow_logs(stream):
            assert row.pop("at") > 0
            found.append(row)
        return found

    all_rows = [orjson.loads(row) for row in rows]
    assert await followed() == all_rows
    assert await followed("stderr") == all_rows[1:3]
    assert await followed("stdout") == all_rows[2:]
    shown = await job.logs()
    assert [{k: v for k, v in row.items() if k != "at"} for row in shown] == all_rows
    assert await queue.get_job_logs("a") == (4, shown)
    for wrong in ("stdin", 2, ""):
        with pytest.raises(InvalidInput, match="stream must be one of stderr, stdout"):
            job.follow_logs(wrong)


async def test_a_connection_that_is_lost_is_made_again(queue, told, server):
    job = await queue.get_job("a")
    told.say(1)
    messages = []
    with anyio.fail_after(DEADLINE_S):
        async for row in job.follow_logs():
            messages.append(row["message"])
            server.client.client_kill_filter(_type="normal", skipme=True)
            if len(messages) < 3:
                told.say(1)
            else:
                told.settle(Action.COMPLETE)

    assert messages == ["0", "1", "2"]


async def test_who_cannot_begin_is_told_so(tmp_path):
    nowhere = f"unix://{tmp_path}/nowhere"
    async with Queue("q", nowhere) as queue:
        with pytest.raises(StoreUnreachable):
            await anext(Job(queue, "a").follow_logs())
    with sync.Queue("q", nowhere) as queue, pytest.raises(StoreUnreachable):
        next(sync.Job(queue, "a").follow_emitted())
