"""The Lua sources keep to their rules: one table an include, no globals, one writer of states."""

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
    used = set(re.findall(r"\b([A-Z]\w*[a-z]\w*)\.\w", code_of(FILES[name])))
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


# ---- who may do what

WRITES_A_SORTED_SET = re.compile(
    r"'(Z(?:ADD|REM\w*|POP\w*|MPOP|INCRBY|\w*STORE)|BZ\w+)'(?:, ([\w.]+), '(\w+)')?"
)


def test_only_move_writes_the_sets_of_states():
    writers = {
        name: WRITES_A_SORTED_SET.findall(text)
        for name, text in FILES.items()
        if WRITES_A_SORTED_SET.search(text)
    }

    assert writers == {
        "include/move": [("ZREM", "", ""), ("ZADD", "", ""), ("ZPOPMIN", "", "")],
        # XX: the score of a job that is active already, so that no job changes its place
        "renew": [("ZADD", "Keys.active", "XX")],
    }


def test_only_move_writes_the_state_and_the_place_of_a_job():
    for name, text in FILES.items():
        if name == "include/move":
            continue
        written = " ".join(re.findall(r"'(?:HSET|HSETNX|HMSET|HDEL)'.*", text))

        assert not re.search(r"'(state|place)'", written), name


def test_no_script_deletes_a_key():
    for name, text in FILES.items():
        assert not re.search(r"'(DEL|UNLINK|FLUSH\w+|EXPIRE\w*|RENAME\w*)'", text), name


def test_every_key_comes_from_the_keys_given():
    for name, text in FILES.items():
        if name in ("include/keys", "counts"):
            continue
        keys = re.findall(r"redis\.call\('\w+', ([^,)]+)", text)

        assert all(key.startswith("Keys") or key in ("key", "''") for key in keys), (name, keys)
        assert "KEYS[" not in without_comments(text), name


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        (r"math\.random", "four servers in five draw the same number for everybody"),
        (r"\bos\.", "time comes from the server, or from the caller"),
        (r"cjson\.decode", "it makes {} of [] and rounds large integers"),
        (r"loadstring|setfenv|_G\b", "nothing is made up at run time"),
        (r"redis\.pcall", "an error must end the script, not be passed over"),
    ],
)
def test_what_is_not_for_scripts_is_not_used(word, reason):
    users = [name for name, text in FILES.items() if re.search(word, without_comments(text))]

    assert users == [], reason


def test_only_a_failure_record_of_our_own_is_encoded_in_lua():
    users = {name: text.count("cjson.encode") for name, text in FILES.items() if "cjson" in text}

    assert users == {"recover": 1}


def test_time_is_read_at_one_place():
    assert [name for name, text in FILES.items() if "'TIME'" in text] == ["include/clock"]
