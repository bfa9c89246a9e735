"""What one child may use, and how sizes are written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandq.errors import InvalidInput
from sandq.model.limits import DEFAULT_LINE_BYTES, Limits, to_bytes
from sandq.model.payload import MAX_DATA_BYTES

UNITS = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3, "T": 1024**4}


@pytest.mark.parametrize(
    ("written", "size"),
    [
        (0, 0),
        (65536, 65536),
        ("65536", 65536),
        ("64K", 65536),
        ("64k", 65536),
        ("64KB", 65536),
        ("64KiB", 65536),
        ("64 KiB", 65536),
        (" 1M ", 1024**2),
        ("1.5G", 3 * 1024**3 // 2),
        ("2T", 2 * 1024**4),
        ("10B", 10),
    ],
)
def test_numbers_and_texts_become_bytes(written, size):
    assert to_bytes(written, "memory") == size


@given(st.integers(0, 4096), st.sampled_from(sorted(UNITS)), st.sampled_from(["", "B", "iB"]))
def test_a_text_is_its_number_times_its_unit(count, unit, suffix):
    if unit == "":
        suffix = ""

    assert to_bytes(f"{count}{unit}{suffix}", "memory") == count * UNITS[unit]


@pytest.mark.parametrize(
    "written",
    ["", "M", "-1M", "1X", "1 000", "1e6", "1,5G", "0x10", pytest.param("9" * 400, id="big")],
)
def test_a_text_that_is_no_size_is_refused(written):
    with pytest.raises(InvalidInput, match="memory"):
        to_bytes(written, "memory")


@pytest.mark.parametrize("written", [True, None, 1.5, b"1M", [1]])
def test_another_type_is_no_size(written):
    with pytest.raises(InvalidInput, match="memory must be bytes or a text"):
        to_bytes(written, "memory")


def test_a_child_may_use_what_the_system_allows_but_its_lines_are_bounded():
    assert Limits() == Limits(
        line=1024 * 1024, cpu=None, memory=None, file_size=None, open_files=None
    )


def test_a_job_with_the_largest_data_still_fits_into_a_line():
    assert DEFAULT_LINE_BYTES - MAX_DATA_BYTES >= 64 * 1024


@pytest.mark.parametrize("name", ["cpu", "memory", "file_size", "open_files"])
@pytest.mark.parametrize("value", [0, -1])
def test_a_limit_leaves_something(name, value):
    with pytest.raises(InvalidInput, match=f"limit {name} must be at least 1: {value}"):
        Limits(**{name: value})


@pytest.mark.parametrize("name", ["cpu", "memory", "file_size", "open_files"])
def test_the_smallest_limit_is_one(name):
    assert getattr(Limits(**{name: 1}), name) == 1


@pytest.mark.parametrize("line", [1023, 0, -1])
def test_a_line_has_room_for_a_message(line):
    with pytest.raises(InvalidInput, match="limit line must be at least 1024 bytes"):
        Limits(line=line)

    assert Limits(line=1024).line == 1024


@pytest.mark.parametrize("name", ["line", "memory"])
@pytest.mark.parametrize("value", ["256M", 4096.5, True])
def test_a_limit_is_a_whole_number(name, value):
    with pytest.raises(InvalidInput, match=f"limit {name}"):
        Limits(**{name: value})
