"""The loader of the scripts: includes once each and in order, circles told, headers read."""

import hashlib

import pytest

from sandq.errors import StoreError
from sandq.store import scripts


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder of scripts of the test's own: write(name=text, include_name=text)."""
    (tmp_path / "include").mkdir()
    monkeypatch.setattr(scripts, "_FOLDER", tmp_path)
    scripts.script.cache_clear()

    def write(**files):
        for name, text in files.items():
            path = tmp_path / f"{name.replace('include_', 'include/')}.lua"
            path.write_text(text)

    yield write
    scripts.script.cache_clear()


def header(name, **changes):
    fields = {"KEYS": "k", "ARGV": "a", "REPLY": "r", "ERRORS": "none", "EVENTS": "none", **changes}
    lines = [f"-- {field}  {text}" for field, text in fields.items() if text is not None]

    return "\n".join([f"-- {name}: does it", *lines, "return 1"])


def test_a_script_is_its_text_without_comments_and_blank_lines(folder):
    folder(a="-- a: says one\n\n-- why\nlocal one = 1 -- kept\n\nreturn one\n")

    assert scripts.script("a").text == "local one = 1 -- kept\nreturn one"


def test_a_script_is_known_by_the_sha1_of_its_text(folder):
    folder(a="return 1\n", b="-- other words\nreturn 1\n", c="return 2\n")
    a, b, c = map(scripts.script, "abc")

    assert (a.name, a.sha) == ("a", hashlib.sha1(b"return 1").hexdigest())
    assert a.sha == b.sha
    assert a.sha != c.sha


def test_an_include_stands_before_what_includes_it(folder):
    folder(
        a="-- include: one\nreturn One",
        include_one="-- include: two\nlocal One = Two",
        include_two="local Two = 2",
    )

    assert scripts.script("a").text == "local Two = 2\nlocal One = Two\nreturn One"


def test_an_include_that_several_want_is_put_in_once(folder):
    folder(
        a="-- include: one\n-- include: two\n-- include: base\nreturn 1",
        include_one="-- include: base\nlocal One = 1",
        include_two="-- include: base\nlocal Two = 2",
        include_base="local Base = 0",
    )

    assert scripts.script("a").text == "local Base = 0\nlocal One = 1\nlocal Two = 2\nreturn 1"


@pytest.mark.parametrize(
    ("files", "circle"),
    [
        ({"include_one": "-- include: one"}, "a -> one -> one"),
        (
            {"include_one": "-- include: two", "include_two": "-- include: one"},
            "a -> one -> two -> one",
        ),
    ],
)
def test_includes_that_go_in_a_circle_are_told(folder, files, circle):
    folder(a="-- include: one\nreturn 1", **files)

    with pytest.raises(StoreError, match=f"Lua include goes in a circle: {circle}"):
        scripts.script("a")


def test_a_missing_include_is_an_error(folder):
    folder(a="-- include: nowhere\nreturn 1")

    with pytest.raises(FileNotFoundError, match=r"nowhere\.lua"):
        scripts.script("a")


def test_names_are_sorted_and_includes_apart(folder):
    folder(b="", a="", include_z="", include_y="")

    assert scripts.names() == ["a", "b"]
    assert scripts.includes() == ["y", "z"]


def test_a_header_is_read_field_by_field_over_several_lines(folder):
    folder(
        a=header("a", ARGV="now,\n--         then for each: id, token", REPLY="a list:\n--  x, y")
    )

    assert scripts.header("a") == {
        "a": "does it",
        "KEYS": "k",
        "ARGV": "now, then for each: id, token",
        "REPLY": "a list: x, y",
        "ERRORS": "none",
        "EVENTS": "none",
    }


@pytest.mark.parametrize("field", scripts.HEADER_FIELDS)
def test_a_header_without_one_of_its_fields_is_refused(folder, field):
    folder(a=header("a", **{field: None}))

    with pytest.raises(StoreError, match=r"the header of a\.lua must have"):
        scripts.header("a")


def test_a_header_with_its_fields_in_another_order_is_refused(folder):
    lines = header("a").splitlines()
    folder(a="\n".join([lines[0], lines[2], lines[1], *lines[3:]]))

    with pytest.raises(StoreError, match=r"the header of a\.lua must have"):
        scripts.header("a")


def test_a_header_of_another_name_is_refused(folder):
    folder(a=header("b"))

    with pytest.raises(StoreError, match=r"a\.lua must begin with '-- a: '"):
        scripts.header("a")


def test_what_follows_the_includes_is_no_header(folder):
    text = header("a").replace("return 1", "-- include: one\n-- EVENTS  more\nreturn 1")
    folder(a=text, include_one="local One = 1")

    assert scripts.header("a")["EVENTS"] == "none"


@pytest.mark.parametrize("name", scripts.names())
def test_every_script_of_ours_loads_and_holds_each_include_once(name):
    text = scripts.script(name).text
    tables = [line for line in text.splitlines() if line.endswith("= {}") and line[6].isupper()]

    assert scripts.script(name) is scripts.script(name)
    assert len(tables) == len(set(tables))
    assert "-- include" not in text
