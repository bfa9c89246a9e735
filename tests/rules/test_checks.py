"""What several inputs share: numbers, flags, labels, tags, metadata."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandq.errors import InvalidInput
from sandq.model.checks import (
    MAX_LABEL_BYTES,
    MAX_METADATA,
    MAX_METADATA_BYTES,
    MAX_TAGS,
    check_flag,
    check_integer,
    check_label,
    check_metadata,
    check_range,
    check_tags,
    check_text,
)

SURROGATE = "a\ud800"


def test_these_sizes_are_part_of_the_contract():
    assert (MAX_LABEL_BYTES, MAX_TAGS) == (256, 100)
    assert (MAX_METADATA, MAX_METADATA_BYTES) == (64, 16_384)


@pytest.mark.parametrize("value", [1, 2, 9])
def test_a_whole_number_of_the_range_is_taken(value):
    assert check_integer("x", value, 1, 9) == value


@pytest.mark.parametrize("value", [0, 10, True, 1.0, "1", None, 10**400])
def test_another_number_is_refused(value):
    with pytest.raises(InvalidInput, match="x must be a whole number from 1 to 9"):
        check_integer("x", value, 1, 9)


@pytest.mark.parametrize("value", [True, False])
def test_a_flag_is_true_or_false(value):
    assert check_flag("x", value) is value


@pytest.mark.parametrize("value", [0, 1, "yes", None])
def test_nothing_else_is_a_flag(value):
    with pytest.raises(InvalidInput, match="x must be True or False"):
        check_flag("x", value)


@pytest.mark.parametrize("label", ["a", "a:b{c}*", "größe", "x" * 256, "ß" * 128, "😀" * 64])
@pytest.mark.parametrize("spaces", [True, False])
def test_a_label_is_any_printable_text(label, spaces):
    assert check_label("tag", label, spaces=spaces) == label


@pytest.mark.parametrize("label", ["a b", " ", "a\u2003b", "a\u00a0"])
def test_a_label_may_be_asked_to_hold_no_spaces(label):
    assert check_label("tag", label) == label
    with pytest.raises(InvalidInput, match=r"tag .* must hold no spaces and no control"):
        check_label("tag", label, spaces=False)


@pytest.mark.parametrize("spaces", [True, False])
@pytest.mark.parametrize(
    ("label", "message"),
    [
        ("", "tag must be a text that is not empty: ''"),
        (None, "tag must be a text that is not empty: None"),
        (5, "tag must be a text"),
        (b"a", "tag must be a text"),
        ("a\nb", "must hold no .*control characters"),
        ("\0", "must hold no .*control characters"),
        ("a\x7f", "must hold no .*control characters"),
        ("x" * 257, "tag is 257 bytes long; at most 256 are allowed"),
        ("ß" * 129, "tag is 258 bytes long"),
        (SURROGATE, "tag .* holds a lone surrogate"),
    ],
)
def test_another_label_is_refused(label, message, spaces):
    with pytest.raises(InvalidInput, match=message):
        check_label("tag", label, spaces=spaces)


@pytest.mark.parametrize(
    ("tags", "kept"),
    [
        ([], ()),
        ((), ()),
        (["a"], ("a",)),
        (["b", "a", "b", "c", "a"], ("b", "a", "c")),
        (("two words",), ("two words",)),
        (["x"] * 500, ("x",)),
        ([str(n) for n in range(100)], tuple(str(n) for n in range(100))),
    ],
)
def test_tags_are_kept_once_and_in_order(tags, kept):
    assert check_tags(tags) == kept


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        ("urgent", r"tags must be a list of texts, not one text; write \['urgent'\]"),
        (b"urgent", "tags must be a list of texts"),
        (None, "tags must be a list of texts"),
        ({"a"}, "tags must be a list of texts"),
        ({"a": 1}, "tags must be a list of texts"),
        (iter("ab"), "tags must be a list of texts"),
        (["a", ""], "tag must be a text that is not empty"),
        (["a", 5], "tag must be a text that is not empty"),
        (["a\n"], "tag .* must hold no control characters"),
        (["x" * 257], "tag is 257 bytes long"),
        ([str(n) for n in range(101)], "tags are 101; at most 100"),
    ],
)
def test_other_tags_are_refused(tags, message):
    with pytest.raises(InvalidInput, match=message):
        check_tags(tags)


@given(st.lists(st.text(min_size=1, max_size=5)))
def test_any_tags_are_kept_or_refused(tags):
    try:
        kept = check_tags(tags)
    except InvalidInput:
        return

    assert set(kept) == set(tags)
    assert len(set(kept)) == len(kept)


@pytest.mark.parametrize(
    "metadata",
    [{}, {"a": "b"}, {"": ""}, {"two words": "two\nlines"}, {str(n): "x" for n in range(64)}],
)
def test_metadata_are_texts_by_name_and_copied(metadata):
    copy = check_metadata(metadata)

    assert copy == metadata
    assert copy is not metadata


def test_metadata_may_be_as_long_as_the_limit_and_no_longer():
    longest = {"a": "x" * (MAX_METADATA_BYTES - len('{"a":""}'))}

    assert check_metadata(longest) == longest
    with pytest.raises(InvalidInput, match="metadata is 16385 bytes of JSON; at most 16384"):
        check_metadata({"a": longest["a"] + "x"})


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ([("a", "b")], "metadata must be a mapping of text to text"),
        ("a", "metadata must be a mapping of text to text"),
        (5, "metadata must be a mapping of text to text"),
        ({"a": 1}, "metadata must map text to text, not 'a' to 1"),
        ({"a": None}, "metadata must map text to text"),
        ({1: "a"}, "metadata must map text to text, not 1 to 'a'"),
        ({str(n): "" for n in range(65)}, "metadata has 65 entries; at most 64"),
        ({"a": SURROGATE}, "lone surrogate"),
        ({SURROGATE: "a"}, "lone surrogate"),
    ],
)
def test_other_metadata_are_refused(metadata, message):
    with pytest.raises(InvalidInput, match=message):
        check_metadata(metadata)


@pytest.mark.parametrize("text", ["a", " ", "a\nb", "ä" * 10_000])
def test_a_text_is_taken_as_it_is(text):
    assert check_text("reason", text) == text


@pytest.mark.parametrize("text", ["", None, 5, b"a", ["a"], SURROGATE])
def test_other_texts_are_refused(text):
    with pytest.raises(InvalidInput, match=r"^reason "):
        check_text("reason", text)


@pytest.mark.parametrize(("start", "end"), [(0, -1), (-5, -1), (3, 2), (0, 2**53)])
def test_a_range_may_count_from_either_end(start, end):
    check_range(start, end)


@pytest.mark.parametrize(
    ("start", "end", "what"),
    [("0", 1, "start"), (0, None, "end"), (True, 1, "start"), (0, 0.5, "end"), (0, 2**60, "end")],
)
def test_other_ranges_are_refused(start, end, what):
    with pytest.raises(InvalidInput, match=f"^{what} must be a whole number"):
        check_range(start, end)
