"""Payloads: which JSON is taken, and that it is kept as the bytes it came as."""

import json
import math
import re
from dataclasses import dataclass
from enum import Enum

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sandq.errors import InvalidInput
from sandq.model.payload import (
    QUOTE_BYTES,
    InvalidJson,
    JsonText,
    decode,
    decode_stored,
    encode,
    member_text,
    quote,
)

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)
# how another writer puts a value: with escapes or without, with spaces or without
STYLES = st.fixed_dictionaries(
    {
        "ensure_ascii": st.booleans(),
        "indent": st.sampled_from([None, 0, 3, "\t"]),
        "separators": st.sampled_from([(",", ":"), (" , ", " : "), ("\r\n,", ":\t")]),
    }
)
# ways to put a text deeper into a document
WRAPPERS = st.lists(
    st.sampled_from(["[%s]", '{"k":%s}', "[0,%s,{}]", '{"z":[],"k":%s}']), max_size=8
)


@dataclass
class Reading:
    celsius: float


class Level(Enum):
    UNKNOWN = math.nan


@given(VALUES)
def test_any_json_value_survives(value):
    assert decode(encode(value)) == value


@given(VALUES)
def test_another_reader_sees_the_same_value(value):
    assert json.loads(encode(value)) == value


@given(VALUES, STYLES)
def test_the_text_of_another_writer_is_taken(value, style):
    text = json.dumps(value, **style).encode()

    assert decode(text) == value
    assert decode_stored(text) == value
    assert encode(JsonText(text)) == text


@given(VALUES, STYLES)
def test_ready_made_text_is_kept_byte_for_byte_whether_bytes_or_str(value, style):
    text = f" \n{json.dumps(value, **style)}\r\n\t"

    assert encode(JsonText(text)) == text.encode()
    assert encode(JsonText(text.encode())) == text.encode()


@pytest.mark.parametrize(
    "text",
    ["1.0", "1E2", "-0", "0.10", "18446744073709551617", '"\\u0061\\/"', " [ ] ", '{"b":1,"a":2}'],
)
def test_spelling_number_digits_and_member_order_of_ready_made_text_are_kept(text):
    assert encode(JsonText(text)) == text.encode()


@given(WRAPPERS, TEXTS, VALUES, VALUES, st.booleans(), st.booleans(), st.booleans())
@example([], "a", 1, 2, True, False, True)
def test_a_repeated_member_is_refused_at_any_depth(
    wrappers, name, one, two, before, between, escaped
):
    again = "".join(f"\\u{ord(c):04x}" for c in name) if escaped and name.isascii() else None
    twice = json.dumps(name) if again is None else f'"{again}"'
    middle = f"{json.dumps(name + 'x')}:0," if between else ""
    first = f"{json.dumps(name + 'y')}:0," if before else ""
    text = f"{{{first}{json.dumps(name)}:{json.dumps(one)},{middle}{twice}:{json.dumps(two)}}}"
    for wrapper in wrappers:
        text = wrapper % text

    with pytest.raises(InvalidJson, match=re.escape(f"member {name!r} appears twice")):
        decode(text.encode())
    with pytest.raises(InvalidInput, match="appears twice"):
        encode(JsonText(text))


@pytest.mark.parametrize(
    "text",
    ['{"a":{"a":1}}', '[{"a":1},{"a":2}]', '{"a":"a","b":"a"}', '{"a":1,"A":2}', '["a","a"]'],
)
def test_the_same_name_in_another_object_is_no_repetition(text):
    assert decode(text.encode()) == json.loads(text)


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize(
    "hide",
    [
        lambda number: number,
        lambda number: [1, number],
        lambda number: {"a": {"b": [None, number]}},
        lambda number: (None, number),
        lambda number: [None, {"a": (number,)}],
        lambda number: Reading(number),
        lambda number: [{"a": Reading(number)}],
    ],
    ids=["alone", "list", "object", "tuple", "mixed", "dataclass", "dataclass inside"],
)
def test_nan_and_infinity_are_refused_wherever_they_hide(hide, number):
    with pytest.raises(InvalidInput, match="data holds NaN or infinity"):
        encode(hide(number))


def test_nan_is_refused_as_the_value_of_an_enumeration_too():
    with pytest.raises(InvalidInput, match="data holds NaN or infinity"):
        encode([Level.UNKNOWN])


def test_a_null_beside_finite_numbers_is_no_nan():
    assert encode([None, 1.5, {"a": None}]) == b'[null,1.5,{"a":null}]'


@pytest.mark.parametrize(
    "value",
    [
        2**64,
        -(2**63) - 1,
        [10**30],
        b"a",
        {1},
        object(),
        {1: 2},
        {None: 1},
        1j,
        "\ud800",
        ["\udfff"],
    ],
    # the address in a repr is another in each process, and an id must not be
    ids=lambda value: repr(value).partition(" at ")[0],
)
def test_what_has_no_json_text_is_refused(value):
    with pytest.raises(InvalidInput, match="progress cannot be written as JSON"):
        encode(value, "progress")


def test_a_value_that_holds_itself_is_refused():
    value = []
    value.append(value)

    with pytest.raises(InvalidInput, match="cannot be written as JSON"):
        encode(value)


BAD_TEXTS = [
    b"",
    b" ",
    b"NaN",
    b"[Infinity]",
    b"-Infinity",
    b"1e400",
    b"-1e999",
    b"1" * 5_000,
    b"01",
    b"1.",
    b".5",
    b"'a'",
    b'"\\ud800"',
    b'"\\udc00\\ud800"',
    b'"\xff"',
    b"\xef\xbb\xbf1",
    b'"a\nb"',
    b'"\x00"',
    b"1\x00",
    b"[1,]",
    b"[1] [2]",
    b"{a:1}",
    b"tru",
    b"// 1",
]


@pytest.mark.parametrize("text", BAD_TEXTS, ids=lambda text: repr(text[:20]))
def test_text_that_is_not_strict_json_is_refused(text):
    with pytest.raises(InvalidJson):
        decode(text)
    with pytest.raises(InvalidInput, match="progress is not JSON"):
        encode(JsonText(text), "progress")


@pytest.mark.parametrize("text", ['"\ud800"', "\udcff", '{"a\udfff":1}'], ids=ascii)
def test_ready_made_text_with_a_lone_surrogate_is_refused(text):
    with pytest.raises(InvalidInput, match="data"):
        encode(JsonText(text))


def whole_number(digits):
    """An integer where 64 bits hold it; else what most languages make of it."""
    number = int(digits)

    return number if -(2**63) <= number < 2**64 else float(number)


@given(st.binary() | st.text().map(lambda text: text.encode(errors="replace")))
@example(b"20000000000000000001")
def test_any_bytes_are_read_as_another_reader_reads_them_or_refused(text):
    try:
        value = decode(text)
    except InvalidJson:
        return

    assert value == json.loads(text, parse_int=whole_number)


@given(st.floats() | st.integers() | st.text() | st.recursive(st.floats() | st.text(), st.lists))
def test_whatever_is_written_is_read_back_the_same(value):
    try:
        text = encode(value)
    except InvalidInput:
        return

    assert orjson.loads(text) == value
    assert decode(text) == value


@pytest.mark.parametrize(
    ("text", "name", "found"),
    [
        (b"{}", "a", None),
        (b'{"b":1}', "a", None),
        (b'{"b":{"a":1}}', "a", None),
        (b'{"b":"\\"a\\":1","a":2}', "a", b"2"),
        (b' {\n"b" : [1] ,\r\n"a"\t: {"x" : 1.0 } }', "a", b'{"x" : 1.0 }'),
        (b'{"\\u0061":null}', "a", b"null"),
        ('{"ä":"ö"}'.encode(), "ä", '"ö"'.encode()),
    ],
)
def test_a_member_is_found_at_the_top_and_kept_byte_for_byte(text, name, found):
    assert member_text(text, name) == found


@given(st.binary(max_size=3 * QUOTE_BYTES))
def test_a_quote_is_one_short_printable_line(text):
    quoted = quote(text)

    assert quoted.isprintable()
    assert len(quoted) <= 12 * QUOTE_BYTES
    assert ("more bytes" in quoted) is (len(text) > QUOTE_BYTES)


def test_a_quote_says_how_much_was_left_out():
    assert quote(b"ab\xff\n") == repr("ab\\xff\n")
    assert quote(b"x" * 200) == repr("x" * 200)
    assert quote(b"x" * 201) == f"{'x' * 200!r} and 1 more bytes"
