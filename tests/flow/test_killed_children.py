"""A child that is killed with SIGKILL at any step of the conversation: its job does not wait for a
lease to end, and each ledger counts what is its own."""

import os
import signal
from pathlib import Path

import anyio
import pytest

from sandq import Queue
from tests.child.lending import alive

pytestmark = pytest.mark.anyio

#: Far below the lease of 30 s, far above the second that is promised.
DEADLINE_S = 15

# The first process stops at the step that is named, notes its pid, and waits to be killed; every
# other one serves. Data of this length does not fit into a pipe.
HANDLER = """
import os, sys, time
step, notes = sys.argv[1], sys.argv[2]
answer = b'{"status":"ok","result":"done"}\\n'

def reached(name):
    if step == name:
        try:
            os.close(os.open(notes + "/first", os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return
        with open(notes + "/pid.part", "w") as note:
            note.write(str(os.getpid()))
        os.rename(notes + "/pid.part", notes + "/pid")
        while True:
            time.sleep(60)

reached("before read")
while True:
    line = os.read(0, 1)
    if not line:
        break
    reached("mid-read")
    while not line.endswith(b"\\n"):
        line += os.read(0, 65536)
    reached("after read")
    os.write(1, answer[:10])
    reached("mid-write")
    os.write(1, answer[10:])
    reached("after write")
"""

# step: attempts spent, claims
STEPS = {
    "idle": (0, 1),
    "before read": (0, 2),
    "mid-read": (1, 2),
    "after read": (1, 2),
    "mid-write": (1, 2),
    "after write": (0, 1),
}


@pytest.fixture
async def queue(url):
    async with Queue("q", url) as queue:
        yield queue


@pytest.mark.parametrize("step", STEPS)
async def test_a_killed_child(queue, program, tmp_path, step, until, wait):
    attempts, claims = STEPS[step]
    note = Path(tmp_path / "pid")
    queue.set_handler_file("*", [*program(HANDLER), step, str(tmp_path)])

    async def there_is_a_child():
        return handle.pids()

    async def it_has_come_so_far():
        return note.exists() and await job.get_state() == "active"

    async def it_is_not_active():
        return await job.get_state() != "active" or (await job.refresh()).claims == 2

    async with queue.run() as handle:
        if step == "idle":
            [pid] = await until(there_is_a_child)
            os.kill(pid, signal.SIGKILL)
            # a dying process may still read a job that is lent to it
            wait(lambda: not alive(pid), "the child is dead")
        job = await queue.add("work", "x" * 500_000, attempts=2)
        if step not in ("idle", "after write"):
            await until(it_has_come_so_far)
            os.kill(int(note.read_text()), signal.SIGKILL)
            with anyio.fail_after(DEADLINE_S):
                await until(it_is_not_active)
        value = await job.finished(DEADLINE_S)
        if step == "after write":
            os.kill(int(note.read_text()), signal.SIGKILL)
        await job.refresh()
        counts = await queue.get_job_counts()

    assert value == "done"
    assert (job.attempts, job.stalls, job.claims) == (attempts, 0, claims)
    assert counts["active"] == 0
