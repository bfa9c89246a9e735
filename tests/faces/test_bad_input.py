"""One table: what is wrong, which error says so on both faces, and that nothing was written."""

import inspect

import pytest

from sandq import JobOptions, QueueSettings, errors
from sandq.errors import (
    HandlerInvalid,
    IllegalState,
    InvalidInput,
    JobActive,
    JobMissing,
    QueueBusy,
    QueueFull,
    SupervisorError,
    TokenMismatch,
    UnknownOption,
)
from tests.faces.bad_input import TABLE, enter

pytestmark = pytest.mark.anyio

CODES = {
    InvalidInput: "SANDQ_INVALID",
    UnknownOption: "SANDQ_UNKNOWN_OPTION",
    HandlerInvalid: "SANDQ_HANDLER",
    SupervisorError: "SANDQ_SUPERVISOR",
    JobMissing: "SANDQ_MISSING",
    JobActive: "SANDQ_ACTIVE",
    IllegalState: "SANDQ_STATE",
    TokenMismatch: "SANDQ_TOKEN",
    QueueFull: "SANDQ_FULL",
    QueueBusy: "SANDQ_BUSY",
}


class Some:
    """A queue with a job in each state, and `gone`, which was removed."""

    def __init__(self, queue):
        self.queue = queue

    async def prepare(self):
        queue = self.queue
        queue.set_handler("known", print)
        await queue.set_settings(QueueSettings(max_size=4, max_delay="1d"))
        added = [("work", n, {"job_id": f"j{n}"}) for n in range(4)]
        await queue.add_bulk(added)
        self.completed = await queue.get_next_job()
        self.failed = await queue.get_next_job()
        self.lost = await queue.get_next_job(lease=0.001)
        self.gone = await queue.get_next_job()
        await self.completed.move_to_completed(1)
        await self.failed.move_to_failed("no")
        while await queue.reclaim() != [self.lost.id]:
            pass
        self.active = await queue.get_next_job()
        assert self.active.id == self.lost.id
        await self.gone.remove(force=True)
        self.delayed = await queue.add("work", delay=60)
        self.waiting, *_ = await queue.add_bulk([("work", n) for n in range(4)])


@pytest.mark.parametrize("wrong", TABLE)
async def test_what_is_wrong_is_refused_by_name_and_code_and_nothing_is_written(
    face, server, wrong
):
    error, words, call = TABLE[wrong]
    some = Some(face.queue())
    await some.prepare()
    before = {key: server.client.dump(key) for key in server.client.scan_iter()}
    with pytest.raises(errors.SandqError, match=words) as caught:
        await done(call, some)

    assert (type(caught.value), caught.value.code) == (error, CODES[error])
    assert {key: server.client.dump(key) for key in server.client.scan_iter()} == before


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"name": "a b"}, InvalidInput, "queue name"),
        ({"name": None}, InvalidInput, "queue name"),
        ({"prefix": "a b"}, InvalidInput, "prefix"),
        ({"default_job_options": {"attemps": 1}}, UnknownOption, "did you mean 'attempts'"),
        ({"default_job_options": {"job_id": "a"}}, InvalidInput, "cannot be a default"),
        ({"default_job_options": JobOptions(attempts=2)}, InvalidInput, "mapping"),
        ({"default_job_options": [1]}, InvalidInput, "mapping"),
        ({"default_job_options": {"delay": -1}}, InvalidInput, "delay"),
        ({"id_factory": "uuid"}, InvalidInput, "id_factory"),
    ],
)
async def test_a_queue_that_cannot_be_is_refused_as_it_is_made(face, options, error, words):
    with pytest.raises(error, match=words):
        face.queue(**options)


async def done(call, some):
    answer = call(some)
    if inspect.isawaitable(answer):
        await answer


async def test_a_queue_without_handlers_cannot_be_run(face):
    with pytest.raises(SupervisorError, match="no handler is set"):
        await enter(face.queue().run())


def test_the_table_is_long_enough_and_knows_every_error_a_caller_can_cause():
    assert len(TABLE) > 100
    assert {row[0] for row in TABLE.values()} == set(CODES) - {SupervisorError}
