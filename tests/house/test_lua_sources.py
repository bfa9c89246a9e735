"""The Lua sources keep to their rules: one table an include, all includes used, no globals."""

import re
from collections import Counter

import pytest

from sandq.store import scripts

SCRIPTS = {name: (scripts._FOLDER / f"{name}.lua").read_text() for name in scripts.names()}
INCLUDES = {
    name: (scripts._FOLDER / "include" / f"{name}.lua").read_text() for name in scripts.includes()
}
FILES = {**SCRIPTS, **{f"include/{name}": text for name, text in INCLUDES.items()}}


def without_comments(text):
    return re.sub(r"^\s*--.*$|\s--\s.*$", "", text, flags=re.MULTILINE)


def code_of(text):
    """A Lua source without its comments, and with its strings emptied."""
    return re.sub(r"'(?:[^'\\\n]|\\.)*'", "''", without_comments(text))


def camel(name):
    return "".join(part.capitalize() for part in name.split("_"))


def included(text):
    return scripts._INCLUDE.findall(text)


# ---- includes


@pytest.mark.parametrize("name", INCLUDES)
def test_an_include_defines_one_table_that_is_named_like_its_file(name):
    tables = re.findall(r"^local ([A-Z]\w*[a-z]\w*) = \{", INCLUDES[name], re.MULTILINE)

    assert tables == [camel(name)]
    assert INCLUDES[name].startswith(f"-- {name}: ")


@pytest.mark.parametrize("name", FILES)
def test_a_source_names_no_global(name):
    code = code_of(FILES[name])
    known = {camel(other) for other in INCLUDES}
    for pattern in (
        r"\blocal ([\w, ]+)",
        r"\bfor ([\w, ]+) (?:in|=)",
        r"function [\w.]*\(([\w, ]*)",
    ):
        known |= {word for names in re.findall(pattern, code) for word in re.split(r"\W+", names)}
    known |= set(re.findall(r"local function (\w+)", code))

    # what stands in the braces of a table are fields, not variables
    while code != (flat := re.sub(r"\{[^{}]*\}", "", code)):
        code = flat
    assigned = {
        word
        for names in re.findall(r"^\s*(?!for )(\w[\w, ]*?)\s*=[^=]", code, re.MULTILINE)
        for word in re.split(r"\W+", names.removeprefix("local "))
    }
    functions = set(re.findall(r"^\s*function (\w+)\s*\(", code, re.MULTILINE))

    assert assigned - known == set()
    assert functions == set()


@pytest.mark.parametrize("name", FILES)
def test_a_source_includes_the_tables_it_uses_and_no_others(name):
    used = set(re.findall(r"\b([A-Z]\w*[a-z]\w*)[.\[]", code_of(FILES[name])))
    own = {camel(name.removeprefix("include/"))}

    assert used - own == {camel(other) for other in included(FILES[name])}


@pytest.mark.parametrize("name", SCRIPTS)
def test_no_name_at_the_top_of_a_script_hides_another(name):
    local = re.findall(r"^local (?:function )?(\w+)", scripts.script(name).text, re.MULTILINE)

    assert [word for word, count in Counter(local).items() if count > 1] == []


def test_only_kinds_written_out_are_emitted():
    for name, text in FILES.items():
        calls_of_emit = len(re.findall(r"Events\.emit\((?!kind)", text))

        assert calls_of_emit == len(re.findall(r"Events\.emit\('", text)), name
