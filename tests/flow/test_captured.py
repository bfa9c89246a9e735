"""What children say and write, end to end: it is in Redis before the end of their job."""

import pytest

from sandq import Handler, Queue
from sandq.errors import JobFailed
from sandq.model.bounds import LOG_ROWS_FIRST, LOG_ROWS_NEWEST

pytestmark = pytest.mark.anyio

DEADLINE_S = 30


@pytest.fixture
async def queue(url):
    async with Queue("q", url) as queue:
        yield queue


async def rows_of(job):
    rows = await job.logs()
    assert [row["at"] for row in rows] == sorted(row["at"] for row in rows)
    return [{name: value for name, value in row.items() if name != "at"} for row in rows]


async def test_the_last_words_of_a_child_that_is_killed_are_in_the_log(queue, flaky):
    queue.set_handler_file("*", flaky)
    job = await queue.add("work", {"stderr": "help!", "log": ["dying"], "signal": 9})
    async with queue.run():
        with pytest.raises(JobFailed) as failed:
            await job.finished(DEADLINE_S)

    rows = await rows_of(job)
    assert {"stream": "stderr", "text": "help!"} in rows
    assert {"level": "info", "message": "dying"} in rows
    assert failed.value.failure["death"]["signal"] == "SIGKILL"


async def test_lines_of_jobs_that_share_a_child_are_each_ones_own(queue, flaky):
    queue.set_handler_file("*", flaky)
    jobs = [await queue.add("work", {"stderr": f"job {n}", "value": n}) for n in range(20)]
    async with queue.run():
        for job in jobs:
            await job.finished(DEADLINE_S)

    for number, job in enumerate(jobs):
        assert await rows_of(job) == [{"stream": "stderr", "text": f"job {number}"}]


TALKS = """
import sys

sys.stdin.readline()
for n in range(LINES):
    print(n, file=sys.stderr)
print(1)
"""


async def test_a_flood_is_counted_and_costs_no_more_than_is_kept(queue, program):
    lines = 20_000
    queue.set_handler_file("*", program(TALKS.replace("LINES", str(lines))), fresh=True)
    job = await queue.add("work")
    async with queue.run():
        assert await job.finished(DEADLINE_S) == 1
    rows = await rows_of(job)

    position = 0
    for row in rows:
        if "cut" in row:
            position += row["cut"]
        else:
            assert row == {"stream": "stderr", "text": str(position)}
            position += 1
    assert position == lines
    assert [row["text"] for row in rows[:LOG_ROWS_FIRST]] == [str(n) for n in range(100)]
    assert len(rows) <= LOG_ROWS_FIRST + 2 * LOG_ROWS_NEWEST


TELLS = """
import json, sys

def say(**message):
    print(json.dumps({"sandq": 1, **message}), flush=True)

say(type="hello", version=1, sdk="test", caps=["emit", "call", "progress"])
for line in sys.stdin:
    job = json.loads(line)
    if job["type"] != "job":
        continue
    for part in ({"n": 1.0}, [], None):
        say(type="emit", id=job["id"], chunk=part)
    replies = []
    for number, (verb, args) in enumerate(job["data"]):
        say(type="call", id=job["id"], re=number, verb=verb, args=args)
        reply = {}
        while reply.get("type") != "reply":
            reply = json.loads(sys.stdin.readline())
        replies.append(reply["value"] if reply["ok"] else reply["error"]["type"])
    say(type="progress", id=job["id"], value=len(replies))
    say(type="result", id=job["id"], status="ok", result=replies)
"""


async def test_a_child_tells_parts_and_is_answered(queue, program):
    calls = [
        ("update_data", {"data": {"seen": True}}),
        ("add_job", {"name": "other", "opts": {"delay_ms": 60_000, "job_id": "mine"}}),
        ("get_result", {"id": "mine"}),
        ("extend_timeout", {"ms": 0}),
        ("forget", {}),
    ]
    allowed = tuple(verb for verb, _ in calls[:-1])
    queue._handlers["work"] = Handler(command=tuple(program(TELLS)), calls=allowed)
    job = await queue.add("work", calls)
    async with queue.run():
        value = await job.finished(DEADLINE_S)
    await job.refresh()

    assert value == [
        None,
        {"id": "mine"},
        {"state": "delayed", "value": None},
        "sandq.bad_args",
        "sandq.not_allowed",
    ]
    assert (job.data, job.progress) == ({"seen": True}, 5)
    assert await job.emitted() == [{"n": 1.0}, [], None]
