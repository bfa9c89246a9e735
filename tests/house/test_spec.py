"""The pages of spec/ say what the code does: their numbers are its constants, their links lead
somewhere. The other tests of this folder called test_spec_… read their tables."""

import ast
import re
from importlib import import_module

import pytest

from tests.house.numbers import LUA_CONSTANT, NOT_TOLD, NUMBERS, PHRASES, SHARED, constant
from tests.house.pages import LUA, PAGES, ROOT, SPEC, amount, table

#: Rooms whose constants are either told or have a reason why not.
ROOMS = ("model", "store", "flow", "steps", "face")


def constants():
    """The names of all constants that are numbers."""
    found = set()
    for room in ROOMS:
        for file in (ROOT / "sandq" / room).glob("*.py"):
            module = import_module(f"sandq.{room}.{file.stem}")
            for node in ast.parse(file.read_text()).body:
                for target in (
                    ast.walk(node) if isinstance(node, ast.Assign | ast.AnnAssign) else ()
                ):
                    if isinstance(target, ast.Name) and isinstance(target.ctx, ast.Store):
                        value = getattr(module, target.id, None)
                        if type(value) in (int, float):
                            found.add(f"{room}.{file.stem}:{target.id}")
    for name, text in LUA.items():
        found |= {f"lua/{name}:{word}" for word, _ in LUA_CONSTANT.findall(text)}

    return found


@pytest.mark.parametrize("page", NUMBERS)
def test_numbers_are_those_of_the_code(page):
    rows = table(page, "Numbers")
    told = {row["what"]: amount(row["number"]) for row in rows}
    known = {
        what: constant(source) if isinstance(source, str) else source
        for what, source in NUMBERS[page].items()
    }

    assert len(told) == len(rows)
    assert {what: known.get(what) for what in told} == told
    assert set(known) - set(SHARED) <= set(told)


def test_every_constant_is_told_or_has_a_reason():
    told = {
        source
        for numbers in NUMBERS.values()
        for source in numbers.values()
        if isinstance(source, str)
    }
    # a chunk is what Lua's unpack takes, wherever there is one
    known = {name for name in constants() if not name.endswith(":CHUNK")}

    assert sorted(known - told - set(NOT_TOLD)) == []
    assert sorted(set(NOT_TOLD) - known) == []
    assert sorted(set(NOT_TOLD) & told) == []


def test_pieces_are_the_same_for_who_reads_them():
    assert constant("model.job:_PIECE_BYTES") == constant("lua/include/pieces:SIZE")
    assert len(import_module("sandq.model.job")._PIECES) + 1 == constant("lua/include/pieces:MOST")


@pytest.mark.parametrize("page", PHRASES)
def test_numbers_in_the_text_are_those_of_the_code(page):
    text = " ".join((SPEC / f"{page}.md").read_text().split())

    for phrase, source in PHRASES[page].items():
        assert phrase in text
        told = amount(re.search(r"[\d,]+(\.\d)?( (ms|s|years|KiB|MiB))?\b", phrase)[0])
        assert told == (constant(source) if isinstance(source, str) else source), phrase


def test_links_lead_somewhere():
    for page in PAGES:
        for file, anchor in re.findall(r"\]\(([\w./]*)#?([\w-]*)\)", page.read_text()):
            target = page.parent / file if file else page
            headings = re.findall(r"^#+ (.*)$", target.read_text(), re.M)
            slugs = {re.sub(r"[^\w -]", "", h.lower()).replace(" ", "-") for h in headings}

            assert not anchor or anchor in slugs, f"{page.name}: {file}#{anchor}"


def test_the_pages_speak_of_the_project_alone():
    for page in PAGES:
        text = page.read_text()
        assert "/work/" not in text
        assert not re.search(r"[ \t]+$", text, re.M), page.name
        assert text.endswith("\n")
        assert not text.endswith("\n\n")
