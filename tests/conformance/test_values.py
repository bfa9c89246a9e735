"""The values of the case language."""

import json

import pytest

from sandq.conformance.values import differs, fill, members_differ, show, to_text

NAMES = {"id": "7", "n": 3, "value": {"a": [1]}, "re": "x"}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("$id", '"7"'),
        ("$$id", '"$id"'),
        ("costs $5", '"costs $5"'),
        (["$n", {"deep": "$value"}], '[3,{"deep":{"a": [1]}}]'),
        ({"$json": "-0"}, "-0"),
        ({"$json": "$id"}, "7"),
        ({"$deep": 3}, "[[[]]]"),
        ({"a": None, "b": True}, '{"a":null,"b":true}'),
        ("日本", '"日本"'),
    ],
)
def test_names_and_generators_are_replaced(value, text):
    assert json.loads(to_text(fill(value, NAMES))) == json.loads(text)
    if isinstance(value, dict) and "$json" in value:
        assert to_text(fill(value, NAMES)) == text


@pytest.mark.parametrize("size", [2, 3, 100, 102_400])
def test_a_generated_text_has_its_length(size):
    assert len(to_text(fill({"$text": size}, {}))) == size


SAME = [
    (1, 1.0),
    (0, -0.0),
    (2**53 - 1, 2**53 - 1),
    (1e308, 1e308),
    (None, None),
    ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
    ([[], {}], [[], {}]),
    ({"$any": True}, None),
    ({"$type": "string"}, ""),
    ({"$type": "integer"}, 5),
    ({"$type": "strings"}, []),
    ({"$in": [1, {"$type": "string"}]}, "x"),
    ({"$has": {"a": 1}}, {"a": 1, "b": 2}),
    ({"$optional": 1}, 1),
    ({"a": {"$any": True}}, {"a": 5}),
]

DIFFERENT = [
    (1, True),
    (0, False),
    (0, ""),
    (None, False),
    (2**53 - 1, 2**53),
    (1e308, 1.1e308),
    ("é", "e"),
    ([1], [1, 2]),
    ([1, 2], [2, 1]),
    ({}, []),
    ({"a": 1}, {"a": 1, "b": 2}),
    ({"a": 1}, {}),
    ({"a": {"b": 1}}, {"a": {"b": 2}}),
    ({"$type": "integer"}, True),
    ({"$type": "integer"}, 1.5),
    ({"$type": "strings"}, ["a", 1]),
    ({"$in": [1, 2]}, 3),
    ({"$has": {"a": 1}}, {"b": 1}),
    ({"$has": {"a": 1}}, [1]),
    ({"$optional": 1}, 2),
    ({"$absent": True}, None),
]


@pytest.mark.parametrize(("expected", "actual"), SAME)
def test_what_is_the_same(expected, actual):
    assert differs(expected, actual, "it") is None


@pytest.mark.parametrize(("expected", "actual"), DIFFERENT)
def test_what_is_different(expected, actual):
    assert "it" in differs(expected, actual, "it")


def test_the_reason_names_the_place():
    assert differs({"a": [1, {"b": 2}]}, {"a": [1, {"b": "2"}]}, "result") == (
        'result.a[1].b is "2"; 2 was expected'
    )
    assert members_differ({"error": {"$has": {"code": 1}}}, {"error": {}}) == (
        "error.code is missing; 1 was expected"
    )


def test_a_message_may_have_more_members():
    assert members_differ({"a": 1}, {"a": 1, "x-new": 5}) is None
    assert members_differ({"a": {"$absent": True}, "b": {"$optional": 1}}, {}) is None
    assert members_differ({"a": {"$any": True}}, {}) == "a is missing"


def test_what_is_shown_stays_short():
    assert show("x" * 1000) == '"' + "x" * 119 + "… (882 more characters)"
    assert show("\ud800") == '"\\ud800"'
    assert show(float) == "<class 'float'>"
