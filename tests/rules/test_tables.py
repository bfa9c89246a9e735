"""Reading what stands under a key of a configuration."""

import re

import pytest

from sandq.errors import ConfigError
from sandq.model import tables


@pytest.mark.parametrize(
    ("read", "value", "read_as"),
    [
        (tables.text, "a", "a"),
        (tables.flag, True, True),
        (tables.number, 5, 5),
        (tables.table, {"a": 1}, {"a": 1}),
        (tables.command, ["a", ""], ("a", "")),
        (tables.texts, [], ()),
        (tables.seconds, "1ms", 1),
    ],
)
def test_a_value_is_read(read, value, read_as):
    assert read(value, "key") == read_as


@pytest.mark.parametrize(
    ("read", "values"),
    [
        (tables.text, ["", 5, None]),
        (tables.flag, [0, "yes"]),
        (tables.number, [True, 1.5, "5"]),
        (tables.table, [[], "a"]),
        (tables.command, ["a", [], [5]]),
        (tables.texts, ["a", [5]]),
    ],
)
def test_another_value_is_refused_with_its_key(read, values):
    for value in values:
        with pytest.raises(ConfigError, match=r"^queues\.a must be "):
            read(value, "queues.a")


READERS = {"size": ("size_b", tables.number), "name": ("name", tables.text)}


def test_a_table_fills_fields():
    assert tables.fill({"size": 5}, READERS, "a.") == {"size_b": 5}


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"sise": 5}, "key 'a.sise' is not known; did you mean 'size'?"),
        ({"x": 5}, "key 'a.x' is not known; known are: name, size"),
        ({"size": "5"}, "a.size must be a whole number: '5'"),
    ],
)
def test_a_table_with_an_error_is_refused(table, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        tables.fill(table, READERS, "a.")
