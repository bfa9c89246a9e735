"""Bytes to lines: the same lines however the bytes were cut, and never more than the limit."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandq.protocol.lines import LineReader, LineTooLong

LIMIT = 20
SHORT = st.binary(max_size=LIMIT).filter(lambda line: b"\n" not in line)
LONG = st.binary(min_size=LIMIT + 1, max_size=3 * LIMIT).filter(lambda line: b"\n" not in line)


@st.composite
def cuts(draw, length):
    """Places to cut a text of this length; pieces may be empty."""
    return sorted(draw(st.lists(st.integers(0, length), max_size=12)))


def pieces(data, places):
    return [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True)]


def read(reader, data, places, lines=None):
    """Feed the data in pieces; what was read before an error is in `lines` all the same."""
    lines = [] if lines is None else lines
    for piece in pieces(data, places):
        lines += reader.feed(piece)

    return lines


@given(st.data(), st.lists(SHORT), SHORT)
def test_the_lines_are_the_same_however_the_bytes_are_cut(data, lines, rest):
    text = b"".join(line + b"\n" for line in lines) + rest
    reader = LineReader(LIMIT)

    assert read(reader, text, data.draw(cuts(len(text)))) == lines
    assert reader.take_rest() == rest


@given(st.data(), st.lists(SHORT))
def test_nothing_is_kept_of_lines_that_are_complete(data, lines):
    text = b"".join(line + b"\n" for line in lines)
    reader = LineReader(LIMIT)
    read(reader, text, data.draw(cuts(len(text))))

    assert reader.take_rest() == b""


@given(st.data(), LONG, st.booleans(), st.lists(SHORT, max_size=3), st.binary(max_size=50))
def test_a_line_over_the_limit_is_refused_however_it_is_cut(data, line, ends, before, after):
    text = b"".join(good + b"\n" for good in before) + line + (b"\n" + after if ends else b"")
    places = data.draw(cuts(len(text)))

    lines = []
    with pytest.raises(LineTooLong, match=f"a line is longer than {LIMIT} bytes") as caught:
        read(LineReader(LIMIT), text, places, lines)

    assert lines + caught.value.before == before
    assert caught.value.limit == LIMIT
    assert line.startswith(caught.value.head)
    assert len(caught.value.head) > LIMIT


@pytest.mark.parametrize("places", [[], [1], [LIMIT - 1], [LIMIT], list(range(LIMIT + 1))])
@pytest.mark.parametrize("before", [b"", b"a\n", b"\n\n"])
def test_a_line_of_exactly_the_limit_is_a_line(places, before):
    line = b"x" * LIMIT
    reader = LineReader(LIMIT)
    lines = [*before.split(b"\n")[:-1], line]

    assert read(reader, before + line + b"\n", [len(before) + place for place in places]) == lines


@pytest.mark.parametrize("ending", [b"", b"\n", b"\nb", b"\nb\n"])
@pytest.mark.parametrize("before", [b"", b"a\n", b"\n\n"])
@pytest.mark.parametrize("size", [LIMIT + 1, 1_000])
def test_a_line_of_one_byte_more_is_refused(before, size, ending):
    with pytest.raises(LineTooLong):
        LineReader(LIMIT).feed(before + b"x" * size + ending)


def test_a_last_line_without_its_newline_is_bounded_too():
    reader = LineReader(LIMIT)

    assert reader.feed(b"x" * LIMIT) == []
    with pytest.raises(LineTooLong):
        reader.feed(b"x")


def test_of_a_line_that_is_far_too_long_only_the_head_is_told():
    with pytest.raises(LineTooLong) as caught:
        LineReader(1_024).feed(b"ab" * 5_000)

    assert caught.value.head == b"ab" * 100


def test_the_rest_is_taken_once():
    reader = LineReader(LIMIT)
    reader.feed(b"a\nb")

    assert reader.take_rest() == b"b"
    assert reader.take_rest() == b""


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        (b"", []),
        (b"\n", [b""]),
        (b"\n\n", [b"", b""]),
        (b"a\r\nb\r\n", [b"a\r", b"b\r"]),
        (b"a\x00b\n", [b"a\x00b"]),
        (b"a\x0bb\x0cc\x85\xe2\x80\xa8\n", [b"a\x0bb\x0cc\x85\xe2\x80\xa8"]),
    ],
)
def test_only_a_newline_ends_a_line(data, lines):
    reader = LineReader(LIMIT)

    assert reader.feed(data) == lines
    assert reader.take_rest() == b""
