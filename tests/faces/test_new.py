"""`sandq new`: what it writes works, passes its own test and is conforming; nothing is lost."""

import json
import os
import re
import shlex
import subprocess
import sys
import tomllib

import pytest

from sandq.cli import main as cli
from sandq.cli import new
from sandq.cli.new import LANGUAGES
from tests.house.pages import ROOT

#: Language -> the program that runs its handlers, and the package that has it.
PROGRAMS = {"python": None, "node": ("node", "nodejs"), "shell": ("sh", "dash")}


@pytest.fixture
def sandq(tmp_path, monkeypatch, capsys):
    """Run a command in an empty folder: its exit code and its output."""
    monkeypatch.chdir(tmp_path)

    def run(*words):
        try:
            code = cli.main(words)
        except SystemExit as end:
            code = end.code
        out, err = capsys.readouterr()
        return code, out, err

    return run


def in_process(words, folder, deadline_s):
    """Run a command as a process that finds this sandq, whether it is installed or not."""
    done = subprocess.run(
        words,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=deadline_s,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(params=LANGUAGES)
def language(request, need_program):
    if PROGRAMS[request.param] is not None:
        need_program(*PROGRAMS[request.param])

    return request.param


def test_what_is_written_passes_its_own_test(sandq, language, tmp_path, deadline_s):
    code, out, err = sandq("new", "handler", "count-words", "--lang", language, "--dir", "a/b")
    (test,) = re.findall(r"^test it:  pytest (.*)$", out, re.M)

    assert (code, err) == (0, "")
    told = in_process([sys.executable, "-m", "pytest", "-q", test], tmp_path, deadline_s)
    assert "2 passed" in told


def test_the_commands_that_are_told_work(sandq, language, tmp_path, deadline_s):
    _, out, _ = sandq("new", "handler", "count", "--lang", language, "--dir", "my handlers")
    (tried,) = re.findall(r"^try it:   sandq (.*)$", out, re.M)
    words = shlex.split(tried.replace("-- python ", f"-- {sys.executable} "))

    assert json.loads(
        in_process([sys.executable, "-m", "sandq", *words], tmp_path, deadline_s)
    ) == {"words": 6}
    assert os.access(tmp_path / "my handlers" / f"count{LANGUAGES[language].suffix}", os.X_OK)


def test_what_is_written_is_conforming(sandq, language, tmp_path, deadline_s):
    sandq("new", "handler", "count", "--lang", language)
    (tmp_path / "job.json").write_text('{"data": {"text": "to be or not to be"}}')
    program = {"python": sys.executable, "node": "node", "shell": "sh"}[language]
    # a thousand jobs, of 20 ms each in a shell, are for the tests of the helper
    checks = [f"--only={number}" for number in range(1, 22) if (language, number) != ("shell", 2)]
    kit = [sys.executable, "-m", "sandq", "conformance", "handler", *checks, "--job", "job.json"]
    handler = [program, f"count{LANGUAGES[language].suffix}"]

    told = in_process([*kit, "--", *handler], tmp_path, deadline_s)

    assert " 0 failed" in told
    assert "ok 1 - 1 " in told


@pytest.mark.parametrize("name", ["count.py", "test_count.py"])
def test_nothing_is_overwritten(sandq, tmp_path, name):
    (tmp_path / name).write_text("mine")
    code, out, err = sandq("new", "handler", "count")

    assert (code, out) == (2, "")
    assert err == (
        f"sandq: {name} is there already, so nothing was written; choose another name, or another "
        "folder with --dir\n"
    )
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "mine"


def test_a_helper_that_is_there_is_left_as_it_is(sandq, tmp_path):
    (tmp_path / "sandq.mjs").write_text("mine")
    code, out, _ = sandq("new", "handler", "count", "--lang", "node", "--json")

    assert code == 0
    assert json.loads(out) == {"files": ["count.mjs", "test_count.py"]}
    assert (tmp_path / "sandq.mjs").read_text() == "mine"


@pytest.mark.parametrize("name", ["", "7up", "a/b", "../a", "a.py", "a b", "ä", "-", "a" * 101])
def test_a_name_is_a_name(sandq, tmp_path, name):
    code, _, err = sandq("new", "handler", name)

    assert code == 2
    assert "the name of a handler has letters" in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["handler", "a", "--lang", "cobol"], "'cobol'"),
        (["queue", "a"], "'queue'"),
        (["handler"], "required: name"),
        (["handler", "a", "--dir", "/proc/nowhere"], "cannot write /proc/nowhere"),
    ],
)
def test_what_cannot_be_written_is_told(sandq, words, message):
    code, _, err = sandq("new", *words)

    assert code == 2
    assert message in err


def test_a_helper_is_that_of_the_handlers(sandq, tmp_path):
    for lang in LANGUAGES:
        sandq("new", "handler", f"a-{lang}", "--lang", lang)
    helpers = {"sandq.mjs", "sandq.sh"}

    assert helpers == {language.helper for language in LANGUAGES.values() if language.helper}
    for name in helpers:
        assert (tmp_path / name).read_text() == (ROOT / "handlers/sdk" / name).read_text()


def test_an_installed_package_has_the_helpers(monkeypatch, sandq):
    included = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"][
        "targets"
    ]["wheel"]["force-include"]

    assert ROOT / included["handlers/sdk"] in new._FOLDERS

    monkeypatch.setattr(new, "_FOLDERS", new._FOLDERS[:1])

    assert sandq("new", "handler", "a", "--lang", "node") == (
        2,
        "",
        "sandq: sandq.mjs is missing from this installation of sandq; install it again\n",
    )
