"""Both faces behind one way of calling: tests of the public API run on each of them alike."""

import inspect
import time
from contextlib import asynccontextmanager
from functools import partial

import anyio
import anyio.to_thread
import pytest

import sandq
from sandq import sync
from sandq.queue import Job
from tests.flow import conftest as flow

#: Queue's methods that are blocks: `async with`.
BLOCKS = {"run", "process", "process_file"}

#: Methods that give one item after the other: `async for`.
ITERATORS = {"subscribe", "follow_logs", "follow_emitted"}

#: Longest wait for anything, in seconds; only a hang comes near it.
DEADLINE_S = 30

#: As many threads as anybody needs who waits on the synchronous face.
THREADS = 100


class Awaited:
    """A Queue, a Job or a QueueHandle of the synchronous face, whose methods are awaited."""

    def __init__(self, target, twin):
        self._target = target
        self._twin = twin

    def __getattr__(self, name):
        member = getattr(self._target, name)
        if name in BLOCKS:
            return partial(_block, member)
        if name in ITERATORS:
            # what is wrong with the arguments is told at once, as by the other face
            return lambda *args, **options: _iteration(member(*args, **options))
        if not callable(member) or not inspect.iscoroutinefunction(getattr(self._twin, name)):
            return member

        return partial(_in_thread, member)

    def __repr__(self):
        return repr(self._target)


def awaited(answer):
    """What a synchronous method returned, its jobs to be awaited as well."""
    match answer:
        case sync.Job():
            return Awaited(answer, Job)
        case sync.QueueHandle():
            return Awaited(answer, sandq.queue.QueueHandle)
        case list():
            return [awaited(item) for item in answer]
        case tuple() if any(isinstance(item, sync.Job) for item in answer):
            return tuple(awaited(item) for item in answer)
        case _:
            return answer


async def _in_thread(method, *args, **options):
    args = [getattr(arg, "_target", arg) for arg in args]
    call = partial(method, *args, **options)
    limiter = anyio.CapacityLimiter(THREADS)

    return awaited(await anyio.to_thread.run_sync(call, limiter=limiter))


@asynccontextmanager
async def _block(method, *args, **options):
    manager = method(*args, **options)
    handle = await anyio.to_thread.run_sync(manager.__enter__)
    try:
        yield awaited(handle)
    except BaseException as error:
        if not await anyio.to_thread.run_sync(
            manager.__exit__, type(error), error, error.__traceback__
        ):
            raise
    else:
        await anyio.to_thread.run_sync(manager.__exit__, None, None, None)


async def _iteration(items):
    end = object()
    take = partial(next, items, end)
    while (item := await anyio.to_thread.run_sync(take, abandon_on_cancel=True)) is not end:
        yield item


class Face:
    """One of the two faces: makes queues whose methods are awaited, whichever it is."""

    def __init__(self, name, url):
        self.name = name
        self._url = url
        self._made = []

    @property
    def Job(self):  # noqa: N802 - it stands for the class
        return Job if self.name == "async" else Awaited(sync.Job, Job)

    def queue(self, name="q", **options):
        if self.name == "async":
            made = sandq.Queue(name, self._url, **options)
        else:
            made = Awaited(sync.Queue(name, self._url, **options), sandq.Queue)
        self._made.append(made)

        return made

    async def close(self):
        for made in self._made:
            await made.close()


@pytest.fixture(params=["async", "sync"])
async def face(request, url):
    one = Face(request.param, url)
    yield one
    await one.close()


@pytest.fixture
async def until():
    """Ask again and again until an awaited condition holds; for what sends no event."""

    async def wait(condition, what, deadline_s=DEADLINE_S):
        end = time.monotonic() + deadline_s
        while not (answer := await condition()):
            assert time.monotonic() < end, f"waited in vain until {what}"
            await anyio.sleep(0.002)

        return answer

    return wait


# supervisors as processes of their own, to be signalled and killed
supervisor = flow.supervisor
