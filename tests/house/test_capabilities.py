"""spec/capabilities.md: every test it names is there, every name is there, no row is without."""

import argparse
import ast
import inspect
import re

import pytest

import sandq
import sandq.child
from sandq import errors, handler, queue, sync, testing
from sandq.cli import main as cli
from tests.house.pages import ROOT, SPEC, table, words

HEADINGS = re.findall(r"^## (.*)$", (SPEC / "capabilities.md").read_text(), re.M)
FAULTS, MISSING = "Faults of others", "Not in this version"
ROWS = [
    (heading, row)
    for heading in HEADINGS
    if heading not in (FAULTS, MISSING)
    for row in table("capabilities", heading)
]
TESTS = {
    test
    for heading in HEADINGS
    if heading != MISSING
    for row in table("capabilities", heading)
    for test in words(row["test"])
}

#: What an API name begins with -> where it is looked for; a queue and a job have twins.
OWNERS = {
    "Queue": (sandq.Queue, sync.Queue),
    "Job": (sandq.Job, sync.Job),
    "QueueHandle": (queue.QueueHandle, sync.QueueHandle),
    "errors": (errors,),
    "handler": (handler,),
    "sandq": (sandq,),
    "child": (sandq.child,),
    "testing": (testing,),
}


def owners(word):
    return OWNERS.get(word) or (getattr(sandq, word),)


def options_of(verb):
    parser = argparse.ArgumentParser(add_help=False)
    cli._functions(verb)[0](parser)

    return {name for action in parser._actions for name in action.option_strings}


def names_of(cell):
    """The pieces of code of a cell."""
    return re.findall(r"`([^`]+)`", cell)


@pytest.mark.parametrize("path", sorted({test.partition("::")[0] for test in TESTS}))
def test_every_test_that_is_named_is_there(path):
    tree = ast.parse((ROOT / path).read_text())
    known = {
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    named = {test.partition("::")[2] for test in TESTS if test.startswith(f"{path}::")}

    assert named - known == set()
    assert all(name.startswith("test_") for name in named)


@pytest.mark.parametrize(
    ("heading", "row"), ROWS, ids=[f"{heading}: {row['capability']}" for heading, row in ROWS]
)
def test_a_capability_has_seeds_a_name_and_a_test(heading, row):
    assert re.fullmatch(r"–|[0-4]u?( [0-4]u?)*", row["seeds"])
    assert words(row["test"])
    names = names_of(row["name"])
    assert names
    for name in names:
        if name.startswith("sandq "):
            _, verb, *rest = name.split(" ")
            assert verb in cli.VERBS
            assert set(rest) <= options_of(verb)
        else:
            path, _, argument = name.rstrip(")").partition("(")
            owner, _, member = path.partition(".")
            for found in owners(owner):
                assert not member or hasattr(found, member), name
                made = getattr(found, member) if member else found
                assert not argument or argument in inspect.signature(made).parameters, name


def test_no_capability_is_listed_twice():
    told = [(heading, row["capability"]) for heading, row in ROWS]

    assert len(set(told)) == len(told)


@pytest.mark.parametrize("owner", ["Queue", "Job", "QueueHandle"])
def test_every_public_method_is_a_capability_of_something(owner):
    named = {name.partition("(")[0] for _, row in ROWS for name in names_of(row["name"])}
    methods = {
        f"{owner}.{name}"
        for name, member in inspect.getmembers(OWNERS[owner][0])
        if inspect.isroutine(member) and not name.startswith("_")
    }
    # closing, and looking at what is in hand
    plain = {"close", "refresh", "to_dict", "wait", "pids", "resume"}

    assert {name for name in methods - named if name.partition(".")[2] not in plain} == set()


def test_every_verb_is_a_capability_of_something():
    named = {name.split(" ")[1] for _, row in ROWS for name in names_of(row["name"]) if " " in name}

    assert named == set(cli.VERBS)


def test_a_fault_has_a_seed_and_one_test():
    for row in table("capabilities", FAULTS):
        assert re.fullmatch(r"[0-4]", row["seed"])
        assert len(words(row["test"])) == 1


def test_what_is_missing_is_said():
    assert all(row["capability"] for row in table("capabilities", MISSING))
