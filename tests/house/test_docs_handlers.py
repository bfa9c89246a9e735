"""The handlers of docs/handlers.md do what the comments above them say."""

import json
import re
import shutil
import sys

import pytest

from sandq.child import Pool, handler_file
from sandq.child.library import HandlerFailed
from tests.conftest import need
from tests.house.pages import ROOT

pytestmark = pytest.mark.anyio

PAGE = (ROOT / "docs/handlers.md").read_text()
PROGRAMS = [
    (language, text)
    for language, text in re.findall(r"^```(python|js|sh)\n(.*?)^```$", PAGE, re.M | re.S)
    if re.search(r"^(#|//) result:", text, re.M)
]
SUFFIX = {"python": "py", "js": "mjs", "sh": "sh"}


def told(text, word):
    found = re.search(rf"^(?:#|//) {word}: (.*)$", text, re.M)

    return json.loads(found[1]) if found else None


def test_every_language_with_a_helper_has_an_example():
    assert {language for language, _ in PROGRAMS} == set(SUFFIX)


@pytest.mark.parametrize(("language", "text"), PROGRAMS, ids=range(len(PROGRAMS)))
async def test_a_handler_answers_as_is_said(language, text, tmp_path):
    if language == "js":
        need("node", "nodejs")
    shutil.copytree(ROOT / "handlers/sdk", tmp_path / "sdk")
    file = tmp_path / f"program.{SUFFIX[language]}"
    file.write_text(text)
    data = told(text, "data")
    if "path" in data:
        (tmp_path / "lines").write_text("one\n")
        data = {"path": str(tmp_path / "lines")}
    emitted = []
    handler = handler_file(str(file), cwd=str(tmp_path), timeout="20s")
    async with Pool(1, [handler]) as pool:
        value = await pool.call(handler, data, on_emit=emitted.append)
        with pytest.raises(HandlerFailed):
            await pool.call(handler, {})

    assert value == told(text, "result")
    assert emitted == (told(text, "emitted") or [])


def test_the_line_that_sets_a_handler_is_right(tmp_path):
    from sandq import Queue

    [line] = re.findall(r"^queue\.set_handler_file\(.*\)$", PAGE, re.M)
    (tmp_path / "render.py").write_text("")
    queue = Queue("q", "redis://127.0.0.1:1")
    eval(line.replace("handlers/render.py", str(tmp_path / "render.py")), {"queue": queue})

    assert sys.executable in str(queue._handlers["render"].command)
