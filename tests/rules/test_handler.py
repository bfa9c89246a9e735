"""A handler: a command line and how it is to be run."""

from functools import partial

import pytest

from sandq.errors import InvalidInput
from sandq.model.handler import Handler, HandlerFunction
from sandq.model.limits import Limits


def resize(job):
    return job


@pytest.mark.parametrize("command", [(), ("a", 5), ("a", None), (b"a",)])
def test_a_command_is_a_list_of_words(command):
    with pytest.raises(InvalidInput, match="must be a list of words"):
        Handler(command=command)


def test_a_text_is_no_list_of_words():
    with pytest.raises(InvalidInput, match="must be a list of words"):
        Handler(command="node probe.mjs")


@pytest.mark.parametrize("command", [("a\0",), ("a", "b\0c")])
def test_a_command_holds_no_nul_byte(command):
    with pytest.raises(InvalidInput, match="NUL byte"):
        Handler(command=command)


def test_a_timeout_of_nothing_is_refused():
    with pytest.raises(InvalidInput, match="timeout must be more than zero"):
        Handler(command=("a",), timeout_ms=0)


def test_a_handler_is_warm_patient_and_lenient_unless_asked():
    handler = Handler(command=("a",))

    assert (handler.cwd, handler.env, handler.timeout_ms) == (None, (), None)
    assert (handler.fresh, handler.strict, handler.limits) == (False, False, Limits())


@pytest.mark.parametrize(
    "difference",
    [
        {"command": ("b",)},
        {"cwd": "/"},
        {"env": (("A", "1"),)},
        {"timeout_ms": 1},
        {"fresh": True},
        {"strict": True},
        {"limits": Limits(cpu=1)},
    ],
)
def test_equal_handlers_share_their_children_and_others_do_not(difference):
    handler = Handler(command=("a",))
    children = {handler: "children"}

    assert children[Handler(command=("a",), limits=Limits())] == "children"
    assert Handler(**{"command": ("a",), **difference}) not in children


def test_a_handler_is_shown_as_its_command():
    assert str(Handler(command=("node", "probe.mjs"))) == "node probe.mjs"


@pytest.mark.parametrize(
    ("function", "shown"),
    [
        (resize, "resize"),
        (Handler.__str__, "Handler.__str__"),
        (partial(resize, 1), "functools.partial"),
    ],
)
def test_a_function_is_shown_by_its_name(function, shown):
    assert str(HandlerFunction(function)).startswith(shown)
