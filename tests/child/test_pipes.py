"""Our ends of a child's pipes, against a reader and a writer of the test's own."""

import asyncio
import os
from contextlib import suppress

import anyio
import pytest

from sandq.child.pipes import Input, Output

pytestmark = pytest.mark.anyio


@pytest.fixture
def pipe():
    """Both ends of a pipe, ours not blocking; closed at the end if they still are open."""
    ends = os.pipe()
    for end in ends:
        os.set_blocking(end, False)
    yield ends
    for end in ends:
        try:
            os.close(end)
        except OSError:
            continue


async def until(condition):
    with anyio.fail_after(10):
        while not condition():
            await anyio.lowlevel.checkpoint()


def drain(fd):
    taken = b""
    while True:
        try:
            data = os.read(fd, 1 << 20)
        except BlockingIOError:
            return taken
        if not data:
            return taken
        taken += data


async def test_a_line_larger_than_the_pipe_is_written_as_it_is_read(pipe):
    read, write = pipe
    line = os.urandom(300_000)
    given = Input(asyncio.get_running_loop(), write, pytest.fail)
    given.write(line)
    taken = b""
    busy = given.busy

    with anyio.fail_after(10):
        while len(taken) < len(line):
            taken += drain(read)
            await anyio.lowlevel.checkpoint()
    given.close()

    assert busy
    assert not given.busy
    assert taken == line


async def test_closing_after_the_line_ends_the_input(pipe):
    read, write = pipe
    given = Input(asyncio.get_running_loop(), write, pytest.fail)
    given.write(b"line\n", then_close=True)

    assert os.read(read, 100) == b"line\n"
    assert os.read(read, 100) == b""
    given.close()


@pytest.mark.parametrize(("taken", "nothing"), [(0, True), (1, False), (5, False)])
async def test_it_is_known_whether_anything_was_read(pipe, taken, nothing):
    read, write = pipe
    given = Input(asyncio.get_running_loop(), write, pytest.fail)
    unwritten = given.nothing_read()
    given.write(b"line\n")
    if taken:
        os.read(read, taken)

    assert not unwritten
    assert given.nothing_read() is nothing
    given.close()


async def test_a_closed_reader_refuses(pipe):
    read, write = pipe
    refused = []
    given = Input(asyncio.get_running_loop(), write, lambda: refused.append(True))
    os.close(read)
    given.write(b"line\n")

    assert refused == [True]
    assert given.nothing_read()
    given.close()
    given.close()


async def test_a_reader_that_leaves_in_the_middle_has_read_something(pipe):
    read, write = pipe
    refused = []
    given = Input(asyncio.get_running_loop(), write, lambda: refused.append(True))
    given.write(b"x" * 300_000)
    os.read(read, 4096)
    os.close(read)
    await until(lambda: refused)

    assert not given.nothing_read()
    given.close()


async def test_output_is_told_as_it_comes_and_its_end_once(pipe):
    read, write = pipe
    data, ends = [], []
    Output(asyncio.get_running_loop(), read, data.append, lambda: ends.append(True))
    os.write(write, b"one")
    await until(lambda: data)
    os.close(write)
    await until(lambda: ends)
    for _ in range(5):
        await anyio.lowlevel.checkpoint()

    assert (data, ends) == ([b"one"], [True])


async def test_what_a_dead_writer_left_is_drained(pipe):
    read, write = pipe
    data = []
    output = Output(asyncio.get_running_loop(), read, data.append, pytest.fail)
    os.write(write, b"last words")
    output.drain_and_close()

    assert data == [b"last words"]


async def test_what_was_read_of_a_job_is_counted_from_its_line_on(pipe):
    read, write = pipe
    given = Input(asyncio.get_running_loop(), write, pytest.fail)
    given.write(b"x" * 100_000)
    given.write(b"the job\n", job=True)
    given.write(b"a reply\n")
    taken = drain(read)
    with anyio.fail_after(10):
        while given.busy:
            await anyio.lowlevel.checkpoint()
            if len(taken) < 100_000:
                with suppress(BlockingIOError):
                    taken += os.read(read, 100_000 - len(taken))
    unread = given.nothing_read()
    os.read(read, 1)
    begun = given.nothing_read()
    given.close()

    assert (unread, begun) == (True, False)


async def test_lines_come_in_the_order_they_were_written(pipe):
    read, write = pipe
    given = Input(asyncio.get_running_loop(), write, pytest.fail)
    lines = [bytes([65 + n]) * 70_000 + b"\n" for n in range(3)]
    for line in lines:
        given.write(line)
    taken = b""
    with anyio.fail_after(10):
        while len(taken) < 3 * 70_001:
            taken += drain(read)
            await anyio.lowlevel.checkpoint()
    open_before = given.open
    given.close()

    assert taken == b"".join(lines)
    assert (open_before, given.open) == (True, False)


async def test_output_that_takes_long_to_read_rests_and_is_read_to_its_end(pipe, monkeypatch):
    monkeypatch.setattr("sandq.child.pipes.LONG_READ_S", -1)
    read, write = pipe
    data, ends, pauses = [], [], []
    loop = asyncio.get_running_loop()
    output = Output(loop, read, data.append, lambda: ends.append(1))
    later = loop.call_later
    monkeypatch.setattr(
        loop, "call_later", lambda delay, *rest: pauses.append(delay) or later(delay, *rest)
    )
    for piece in (b"one", b"two"):
        os.write(write, piece)
        with anyio.fail_after(10):
            while piece not in data:
                await anyio.lowlevel.checkpoint()
    os.close(write)
    output.read()
    for _ in range(20):
        await anyio.lowlevel.checkpoint()
    monkeypatch.undo()
    output.drain_and_close()

    assert data == [b"one", b"two"]
    assert ends == [1]
    assert len([delay for delay in pauses if delay < 1]) == 2


async def test_output_that_ends_a_job_does_not_rest(pipe, monkeypatch):
    monkeypatch.setattr("sandq.child.pipes.LONG_READ_S", -1)
    read, write = pipe
    data = []
    output = Output(asyncio.get_running_loop(), read, lambda one: not data.append(one), pytest.fail)
    for piece in (b"one\n", b"two\n", b"x" * 60_000):
        os.write(write, piece)
        output.read()

    # of short lines less is taken at once, for each is some work
    assert data == [b"one\n", b"two\n", b"x" * 16_384]
    output.read()
    assert len(data[-1]) == 60_000 - 16_384
    output.drain_and_close()
