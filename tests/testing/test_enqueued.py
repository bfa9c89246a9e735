"""Asserting what was added: what counts, and what an error tells."""

import re

import pytest

from sandq import JobState
from sandq.errors import InvalidInput
from sandq.testing import assert_enqueued

pytest_plugins = ["sandq.testing"]
pytestmark = pytest.mark.anyio


@pytest.fixture
async def filled(queue, ask):
    await ask(
        queue.add_bulk(
            [
                ("mail", {"to": "ann"}),
                ("mail", {"to": "bob"}, {"delay": 60}),
                ("resize", 7, {"priority": 1, "tags": ["cats"]}),
            ]
        )
    )

    return queue


@pytest.mark.parametrize(
    ("wanted", "ids"),
    [
        ({}, ["3", "1", "2"]),
        ({"name": "mail"}, ["1", "2"]),
        ({"name": "mail", "times": 2}, ["1", "2"]),
        ({"data": {"to": "bob"}}, ["2"]),
        ({"data": {"to": "bob"}, "state": "delayed"}, ["2"]),
        ({"name": "resize", "priority": 1, "tags": ["cats"]}, ["3"]),
        ({"name": "paint", "times": 0}, []),
    ],
)
async def test_jobs_that_wait_or_are_delayed_are_found(filled, ask, wanted, ids):
    assert [job.id for job in await ask(assert_enqueued(filled, **wanted))] == ids


async def test_jobs_of_a_paused_queue_count_and_those_that_were_started_do_not(queue, ask):
    await ask(queue.add_bulk([("mail", 1), ("mail", 2)]))
    await ask(queue.get_next_job())
    await ask(queue.pause())

    (job,) = await ask(assert_enqueued(queue))

    assert (job.data, job.state) == (2, JobState.WAITING)


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (
            {"name": "paint"},
            (
                "expected at least one job with name 'paint', found 0; these are enqueued:\n"
                "  3 resize (waiting): 7\n"
                "  1 mail (waiting): {'to': 'ann'}\n"
                "  2 mail (delayed): {'to': 'bob'}"
            ),
        ),
        (
            {"name": "mail", "times": 1},
            "expected 1 job with name 'mail', found 2; these are enqueued:\n",
        ),
        (
            {"name": "mail", "data": {}, "priority": 5},
            (
                "expected at least one job with name 'mail', data {}, priority 5, found 0; these "
                "are enqueued:\n  3 resize (waiting): 7, priority 1\n"
            ),
        ),
        ({"times": 0}, "expected 0 jobs with any name, found 3; these"),
    ],
)
async def test_an_error_tells_what_there_is(filled, ask, wanted, message):
    with pytest.raises(AssertionError, match=re.escape(message)):
        await ask(assert_enqueued(filled, **wanted))


async def test_an_error_tells_that_there_is_nothing(queue, ask):
    with pytest.raises(AssertionError, match=r"are enqueued:\n  none$"):
        await ask(assert_enqueued(queue))


async def test_a_word_that_no_job_has_is_refused(sandq_sync_queue):
    with pytest.raises(InvalidInput, match="a job has no 'prioriti'; did you mean 'priority'"):
        assert_enqueued(sandq_sync_queue, prioriti=1)
