"""The helpers behind one way of calling: tests of them run with both faces alike."""

import inspect

import pytest


@pytest.fixture(params=["sandq_queue", "sandq_sync_queue"])
def queue(request):
    """The test's queue, by the one face and by the other."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def ask():
    """`await ask(queue.count())` is the answer, whichever face the queue has."""

    async def answer(called):
        return await called if inspect.isawaitable(called) else called

    return answer
