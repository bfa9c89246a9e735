"""What a child writes for people: whose it is, what is kept, and that nothing grows."""

import asyncio
import os
import sys

import anyio
import pytest

from sandq.child.capture import (
    FIRST_AT_ONCE,
    LAST_AT_ONCE,
    LINE_CHARACTERS,
    TAIL_CHARACTERS,
    TAIL_LINES,
    Capture,
)
from sandq.child.pool import Pool
from sandq.protocol.messages import Captured
from tests.child.lending import GRACE_MS, full, outcome_of, run, shell, until

pytestmark = pytest.mark.anyio


@pytest.fixture
async def stream():
    """A captured pipe: the capture, the end to write to, and the lines that were said."""
    read, write = os.pipe()
    os.set_blocking(read, False)
    capture = Capture(asyncio.get_running_loop())
    said = []
    capture.open(read, "stderr")
    capture.say = said.append
    yield capture, write, said
    capture.close()
    capture.close()
    os.close(write)


async def test_lines_are_told_as_they_come(stream):
    _, write, said = stream
    os.write(write, b"one\ntw")
    await until(lambda: said)
    os.write(write, b"o\r\n\n\xff\n")
    await until(lambda: len(said) == 3)

    assert said == [Captured("stderr", text) for text in ("one", "two", "\\xff")]


async def test_the_last_lines_are_kept_for_the_death_record(stream):
    capture, write, _ = stream
    os.write(write, b"".join(b"line %d\n" % n for n in range(100)) + b"\xff half")

    assert capture.tail() == (*(f"line {n}" for n in range(81, 100)), "\\xff half")
    assert len(capture.tail()) == TAIL_LINES


async def test_a_line_without_an_end_does_not_grow(stream):
    capture, write, said = stream
    for _ in range(50):
        os.write(write, b"x" * 10_000)
        await anyio.lowlevel.checkpoint()
        await anyio.lowlevel.checkpoint()

    assert capture.tail() == ("x" * TAIL_CHARACTERS,)
    assert said == [Captured("stderr", "x" * LINE_CHARACTERS + "… (cut)")]


async def test_of_many_lines_at_once_the_first_and_the_last_are_taken(stream):
    _, write, said = stream
    os.write(write, b"".join(b"%d\n" % n for n in range(10_000)))
    await until(lambda: len(said) == FIRST_AT_ONCE + LAST_AT_ONCE)

    assert said[FIRST_AT_ONCE - 1].text == str(FIRST_AT_ONCE - 1)
    assert said[-1].text == "9999"
    assert sum(line.left_out for line in said) == 10_000 - FIRST_AT_ONCE - LAST_AT_ONCE


async def test_what_was_written_before_the_end_is_the_jobs_half_a_line_included(stream):
    capture, write, said = stream
    os.write(write, b"whole\nhalf")
    capture.finish_job()
    os.write(write, b"nobody's\n")
    await anyio.lowlevel.checkpoint()
    await anyio.lowlevel.checkpoint()

    assert [line.text for line in said] == ["whole", "half"]
    assert capture.tail() == ("whole", "half", "nobody's")


async def test_each_job_has_its_own_lines_from_both_streams():
    script = """while read -r job; do
        n=$((n + 1)); echo "out $n"; echo "err $n" >&2; echo '{"status":"ok"}'
    done"""
    one = shell(script)
    said = []
    async with Pool(1, [one]) as pool:
        for _ in range(5):
            said.append([])
            await run(pool, one, said=said[-1])

    texts = [sorted((line.stream, line.text) for line in lines) for lines in said]
    assert texts == [[("stderr", f"err {n}"), ("stdout", f"out {n}")] for n in range(1, 6)]


async def test_the_lines_of_a_killed_child_are_there():
    said = []

    await outcome_of(shell("read -r job; echo last words >&2; kill -9 $$"), said=said)

    assert said == [Captured("stderr", "last words")]


async def test_a_flood_neither_blocks_the_child_nor_fills_us():
    script = """
for n in range(30): os.write(2, (b"y" * 99 + b"\\n") * 10_000)
answer(job, 1)
hear()
"""
    said = []
    one = full(sys.executable, script, [])
    async with Pool(1, [one], kill_grace_ms=GRACE_MS) as pool:
        outcome = await run(pool, one, said=said)

    assert outcome.value == b"1"
    # every line is told, or counted among those left out; half lines at the cuts are whole again
    assert len(said) + sum(line.left_out for line in said) == 300_000
    assert len(said) < 300_000
