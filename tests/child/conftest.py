"""What the tests of pools share: cheap children, and a job through a pool."""

import anyio
import pytest

from sandq.model.handler import Handler
from sandq.model.job import Claim
from sandq.model.payload import encode
from sandq.protocol.messages import job_line

# the full level in the shell, ready at once: the value is the child's process id
FULL = """
echo '{"sandq":1,"type":"hello","version":1}'
while read -r job; do
  id=${job#*'"id":"'}
  printf '{"sandq":1,"type":"result","id":"%s","status":"ok","result":%s}\\n' "${id%%'"'*}" $$
done
"""


@pytest.fixture
def full():
    """A handler of the full level that answers with its process id; `before` is run first."""

    def make(before="", **settings):
        return Handler(command=("/bin/sh", "-c", f"{before}\n{FULL}"), **settings)

    return make


async def _run(pool, handler, data=None, *, job_id="1", key=""):
    claim = Claim("q", job_id, "t", "work", encode(data), b"", 0, 0, 0, 0)
    line = job_line(claim, delay_ms=0, max_attempts=1, timeout_ms=None)
    child = pool.lend(handler, key) or await pool.obtain(handler, key=key)
    outcome = await child.run(job_id, line, None, lambda _: None)
    pool.give_back(child)

    return outcome


@pytest.fixture
def run():
    """One job through a child of the pool; the answer is the outcome."""
    return _run


async def _until(condition):
    with anyio.fail_after(20):
        while not condition():
            await anyio.lowlevel.checkpoint()


@pytest.fixture
def until():
    """Let the pool work until the condition holds."""
    return _until
