"""What waits of one attempt is bounded, and what is left out is counted at its place."""

import random
import sys

import orjson
import pytest

from sandq.flow.telling import Telling
from sandq.model.bounds import (
    FIRST_BYTES_WAITING,
    LOG_ROWS_FIRST,
    LOG_ROWS_NEWEST,
    NEWEST_BYTES_WAITING,
)
from sandq.model.job import Claim
from sandq.protocol.messages import Captured

CLAIM = Claim("q", "1", "t", "work", b"1", b"", 0, 0, 0, 0)


def rows_of(telling):
    return [orjson.loads(report.text) for report in telling.reports()]


def line(number, size=0):
    return Captured("stderr", str(number).ljust(size, "."))


def check(rows, said):
    """Each line stands at its place: as many were said before it as its number tells."""
    position = 0
    for row in rows:
        if "cut" in row:
            position += row["cut"]
        else:
            assert int(row["text"].strip(".")) == position
            position += 1
    assert position == said


@pytest.mark.parametrize("said", [0, 1, 100, 101, 1000, 1001, 50_000])
def test_the_first_and_the_newest_rows_stay_in_their_order(said):
    telling = Telling(CLAIM)
    for number in range(said):
        telling.add_row(line(number))
    rows = rows_of(telling)

    check(rows, said)
    if said <= LOG_ROWS_FIRST + LOG_ROWS_NEWEST:
        assert len(rows) == said
    else:
        left_out = said - LOG_ROWS_FIRST - LOG_ROWS_NEWEST
        assert rows[LOG_ROWS_FIRST] == {"cut": left_out}
        assert len(rows) == LOG_ROWS_FIRST + 1 + LOG_ROWS_NEWEST


@pytest.mark.parametrize(("letter", "size"), [("x", 2_000), ("x", 100_000), ("\U0001f600", 2_000)])
def test_long_rows_are_bounded_in_bytes(letter, size):
    telling = Telling(CLAIM)
    most = 0
    for number in range(2_000):
        telling.add_row(Captured("stdout", letter * size))
        if number % 50 == 0:
            rows = [row["text"] for row in rows_of(telling) if "text" in row]
            most = max(most, sum(sys.getsizeof(text) for text in rows))

    assert most <= FIRST_BYTES_WAITING + NEWEST_BYTES_WAITING
    assert sum(row.get("cut", 1) for row in rows_of(telling)) == 2_000


def test_one_row_stays_however_long_it_is():
    telling = Telling(CLAIM)
    for number in range(3):
        telling.add_row(line(number, NEWEST_BYTES_WAITING * 2))

    check(rows_of(telling), 3)
    assert [list(row) for row in rows_of(telling)] == [["cut"], ["stream", "text"]]


def test_what_was_left_out_before_is_counted_where_it_was():
    telling = Telling(CLAIM)
    telling.add_row(line(0))
    telling.add_row(7)
    telling.add_row(line(8))
    assert rows_of(telling) == [
        {"stream": "stderr", "text": "0"},
        {"cut": 7},
        {"stream": "stderr", "text": "8"},
    ]
    for number in range(9, 5_000):
        telling.add_row(line(number))

    check(rows_of(telling), 5_000)


@pytest.mark.parametrize("seed", range(20))
def test_what_comes_back_goes_before_what_was_said_since(seed):
    chosen = random.Random(seed)
    said, telling = 0, Telling(CLAIM)
    for _ in range(chosen.randrange(1, 8)):
        for _ in range(chosen.choice([0, 1, 80, 900, 2_500])):
            if chosen.random() < 0.01:
                left_out = chosen.randrange(1, 100)
                telling.add_row(left_out)
                said += left_out
            else:
                telling.add_row(line(said, chosen.choice([0, 0, 0, 3_000])))
                said += 1
        if chosen.random() < 0.7:
            reports, telling = telling.reports(), Telling(CLAIM)
            for report in reports:
                telling.add(report)
        check(rows_of(telling), said)


def test_a_flood_costs_no_more_memory_than_a_thousand_lines():
    telling = Telling(CLAIM)
    for number in range(LOG_ROWS_FIRST + LOG_ROWS_NEWEST):
        telling.add_row(line(number))
    held = len(telling._first) + len(telling._newest)
    for number in range(100_000):
        telling.add_row(line(number))

    assert len(telling._first) + len(telling._newest) == held
