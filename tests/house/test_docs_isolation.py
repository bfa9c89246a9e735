"""docs/isolation.md: its configurations are loaded, its lines evaluated, its programs run."""

import ast
import os
import re
import subprocess
import sys
from dataclasses import fields
from importlib import import_module

import pytest

from sandq import Ceilings, Queue, Sandbox
from sandq.child.command import command_for_file
from sandq.isolation.plan import plan
from sandq.isolation.probe import probe
from sandq.model.limits import to_bytes
from sandq.model.sandbox import Guarantee, Profile
from sandq.settings import load_config, uid_range
from tests.house.pages import ROOT, plain

PAGE = (ROOT / "docs/isolation.md").read_text()
PROGRAMS = {
    re.match(r"# (\w+\.py)\n", text)[1]: text
    for text in re.findall(r"^```python\n(# \w+\.py\n.*?)^```$", PAGE, re.M | re.S)
}
LINES = [
    text
    for text in re.findall(r"^```python\n(.*?)^```$", PAGE, re.M | re.S)
    if text not in PROGRAMS.values()
]
CONFIGS = re.findall(r"^```toml\n(.*?)^```$", PAGE, re.M | re.S)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with the files that the page speaks of."""
    for name in ("fonts", "templates"):
        (tmp_path / "handlers" / name).mkdir(parents=True)
    (tmp_path / "handlers/render.py").write_text("")
    for name, text in PROGRAMS.items():
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)

    return tmp_path


@pytest.mark.parametrize("text", LINES, ids=range(len(LINES)))
def test_a_handler_is_set_as_is_said(text, folder):
    queue = Queue("images", "redis://127.0.0.1:1")
    namespace = {"queue": queue, "Sandbox": Sandbox}
    exec(text, namespace)

    made = [handler.sandbox for handler in queue._handlers.values()]
    made += [value for value in namespace.values() if isinstance(value, Ceilings)]
    assert len(made) == 1
    assert made[0].profile is Profile.UNTRUSTED or "report" in text


@pytest.mark.parametrize("text", CONFIGS, ids=range(len(CONFIGS)))
def test_a_configuration_is_loaded(text, folder):
    (folder / "sandq.toml").write_text(text)
    config = load_config(folder / "sandq.toml")
    handler = config.handlers["images"]["render"]

    assert handler.sandbox.walled
    assert command_for_file(handler.command[0])[0] == sys.executable


@pytest.mark.parametrize("name", [name for name in PROGRAMS if name != "words.py"])
def test_a_program_prints_what_it_says(name, folder, deadline_s):
    if refusal := plan(Sandbox.untrusted(), probe(uid_range())).refusal:
        pytest.skip(refusal)
    done = subprocess.run(
        [sys.executable, "-W", "error", name],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=deadline_s,
        check=False,
    )

    assert done.stderr == ""
    assert done.stdout.splitlines() == re.findall(r"\bprint\b.*\)  # (.*)$", PROGRAMS[name], re.M)


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_names_that_a_program_imports_are_there(name):
    imported = [
        (node.module, alias.name)
        for node in ast.walk(ast.parse(PROGRAMS[name]))
        if isinstance(node, ast.ImportFrom) and node.module.startswith("sandq")
        for alias in node.names
    ]

    assert imported
    assert all(hasattr(import_module(module), member) for module, member in imported)


def test_the_numbers_are_those_of_the_code():
    sandbox = Sandbox.untrusted()
    told = dict(re.findall(r"^\| `(\w+)` \| (\d+[sM]?) \|", PAGE, re.M))

    assert told.pop("wall") == f"{sandbox.wall:.0f}s"
    assert told.pop("cpu") == f"{sandbox.cpu}s"
    assert told.pop("pids") == str(sandbox.pids)
    assert told.pop("output") == "1M"
    assert {name: to_bytes(text, name) for name, text in told.items()} == {
        "memory": sandbox.memory,
        "disk": sandbox.disk,
    }


def test_every_profile_and_every_key_is_in_it():
    profiles = [plain(word) for word in re.findall(r"^\| (`\w+`) \| code of", PAGE, re.M)]

    assert profiles == list(Profile)
    names = {field.name for field in fields(Sandbox)} - {"max_jobs"}
    assert {name for name in names if not re.search(rf"\b{name}\b", PAGE)} == set()


def test_guarantees_are_called_by_their_names():
    [without] = re.findall(r"^without = (\[.*?\])", PAGE, re.M)

    assert set(ast.literal_eval(without)) <= set(Guarantee)
