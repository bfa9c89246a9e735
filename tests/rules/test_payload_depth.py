"""Payloads: how deep arrays and objects may nest, and what only looks deep."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandq.errors import InvalidInput
from sandq.model.payload import MAX_DEPTH, InvalidJson, JsonText, decode, encode


def nested(depth, kind="[]"):
    """A document of `depth` arrays, objects or both, each in the other."""
    text = "1"
    for level in range(depth):
        array = kind == "[]" or (kind == "both" and level % 2)
        text = f"[{text}]" if array else f'{{"a":{text}}}'

    return text


@pytest.mark.parametrize("kind", ["[]", "{}", "both"])
def test_nesting_up_to_the_limit_is_taken(kind):
    text = nested(MAX_DEPTH, kind)

    assert MAX_DEPTH == 64
    assert decode(text.encode()) == json.loads(text)
    assert encode(JsonText(text)) == text.encode()
    assert encode(json.loads(text)) == text.encode()


@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, 300, 2_000, 100_000])
@pytest.mark.parametrize("kind", ["[]", "{}", "both"])
def test_nesting_over_the_limit_is_refused(kind, depth):
    text = nested(depth, kind)

    with pytest.raises(InvalidJson):
        decode(text.encode())
    with pytest.raises(InvalidInput):
        encode(JsonText(text))


@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, 900, 100_000])
def test_a_value_nested_over_the_limit_is_refused(depth):
    value = 1
    for _ in range(depth):
        value = [value]

    with pytest.raises(InvalidInput, match="data"):
        encode(value)


def test_the_depth_is_named_where_it_is_the_only_fault():
    with pytest.raises(InvalidJson, match="nested deeper than 64 levels"):
        decode(nested(65).encode())


@pytest.mark.parametrize(
    "text",
    [
        json.dumps([[]] * 200),
        json.dumps({"k": [{}] * 200}),
        json.dumps("[{" * 200),
        json.dumps(['"' + "[" * 200]),
        json.dumps(["\\", "[" * 200]),
        json.dumps({"[" * 100: "{" * 100}),
    ],
)
def test_many_brackets_side_by_side_or_in_texts_are_not_deep(text):
    assert decode(text.encode()) == json.loads(text)
    assert encode(json.loads(text)) == json.dumps(json.loads(text), separators=(",", ":")).encode()


@given(st.lists(st.sampled_from(["[", "]", "{", "}", '"', "\\"]), max_size=80).map("".join))
def test_what_stands_in_texts_does_not_change_the_depth(text):
    deepest = json.loads(nested(MAX_DEPTH - 1))

    assert decode(encode([text, deepest, text])) == [text, deepest, text]
    with pytest.raises(InvalidInput, match="nested deeper"):
        encode([text, [deepest], text])
