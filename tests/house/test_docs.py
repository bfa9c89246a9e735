"""The examples of docs/ are run as they are written, those of queue.md with await and without."""

import ast
import asyncio
import inspect
import io
import os
import re
import subprocess
import sys
import textwrap
from contextlib import redirect_stdout
from dataclasses import fields
from importlib import import_module

import pytest

import sandq
import sandq.child.library
from sandq import sync, testing
from sandq.model.options import JobOptions
from sandq.model.queue_settings import QueueSettings
from sandq.model.repeat import Repeat
from sandq.testing import plugin
from tests.house.pages import ROOT

PAGE = (ROOT / "docs/queue.md").read_text()
EXAMPLES = re.findall(r"^```python\n(.*?)^```$", PAGE, re.M | re.S)
RUNS = "# a supervisor runs\n"


def expected(example):
    """What the comments behind or below `print` say that it prints."""
    told, below = [], False
    for line in example.splitlines():
        if found := re.search(r"print\(.*\)(?:  # (.*))?$", line):
            told += [found[1]] if found[1] else []
            below = not found[1]
        elif below and (found := re.match(r"\s*# (.*)$", line)):
            told.append(found[1])
        else:
            below = False

    return told


async def slow(job):
    await asyncio.Event().wait()


def fail(job):
    raise ValueError(job.data)


HANDLERS = {"resize": lambda job: job.data, "mail": lambda job: None, "slow": slow, "fail": fail}


async def run_async(example, url):
    namespace = {}
    exec(f"async def example(queue):\n{textwrap.indent(example, '    ')}", namespace)
    async with sandq.Queue("images", url) as queue, sandq.Queue("images", url) as runner:
        for name, function in HANDLERS.items():
            runner.set_handler(name, function)
        if example.startswith(RUNS):
            async with runner.run(concurrency=2, drain_timeout=0):
                await namespace["example"](queue)
        else:
            await namespace["example"](queue)


def run_sync(example, url):
    plain = re.sub(r"\b(?:async|await) ", "", example)
    plain = plain.replace("from sandq import Queue\n", "from sandq.sync import Queue\n")
    namespace = {}
    exec(f"def example(queue):\n{textwrap.indent(plain, '    ')}", namespace)
    with sync.Queue("images", url) as queue, sync.Queue("images", url) as runner:
        for name, function in HANDLERS.items():
            runner.set_handler(name, function)
        if example.startswith(RUNS):
            with runner.run(concurrency=2, drain_timeout=0):
                namespace["example"](queue)
        else:
            namespace["example"](queue)


@pytest.mark.parametrize("face", ["async", "sync"])
@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
def test_an_example_prints_what_it_says(example, face, url):
    output = io.StringIO()
    with redirect_stdout(output):
        if face == "async":
            asyncio.run(run_async(example, url))
        else:
            run_sync(example, url)

    assert output.getvalue().splitlines() == expected(example)


def test_the_first_program_is_one(url):
    [program] = re.findall(r"^```py\n(.*?)^```$", PAGE, re.M | re.S)
    environment = {**os.environ, "SANDQ_REDIS_URL": url}
    subprocess.run([sys.executable, "-c", program], env=environment, check=True, cwd=ROOT)


def test_the_commands_can_be_given(url):
    [commands] = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.M | re.S)
    script = f'sandq() {{ {sys.executable} -m sandq "$@"; }}\n{commands}'
    environment = {**os.environ, "SANDQ_REDIS_URL": url}
    done = subprocess.run(
        ["sh", "-ec", script], env=environment, cwd=ROOT, capture_output=True, text=True
    )

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("owner", [sandq.Queue, sandq.Job], ids=["Queue", "Job"])
def test_every_public_method_is_in_it(owner):
    # those of a state are told as a family
    family = r"get_(waiting|active|delayed|completed|failed|cancelled)(_count)?|__\w+"
    methods = {
        name
        for name, member in inspect.getmembers(owner)
        if inspect.isroutine(member) and not name.startswith("_")
    }
    shown = {name for name in methods if re.search(rf"\b{name}\b", PAGE)}
    elsewhere = {"close", "create", "create_bulk", "from_id", "to_dict"}

    assert {name for name in methods - shown - elsewhere if not re.fullmatch(family, name)} == set()


@pytest.mark.parametrize("owner", [JobOptions, QueueSettings, Repeat])
def test_every_option_is_in_it(owner):
    # what is given as keyword arguments of every() and crontab(), or needs no words
    other = {"every_ms", "cron", "start_ms", "end_ms", "align", "metrics_points", "key"}
    names = {field.name for field in fields(owner)} - other

    assert {name for name in names if not re.search(rf"\b{name}\b", PAGE)} == set()


@pytest.mark.parametrize("page", sorted((ROOT / "docs").glob("*.md")), ids=lambda page: page.name)
def test_its_links_lead_somewhere(page):
    for file, anchor in re.findall(r"\]\(([\w./]+)#?([\w-]*)\)", page.read_text()):
        target = (ROOT / "docs" / file).resolve()
        headings = re.findall(r"^#+ (.*)$", target.read_text(), re.M)
        slugs = {re.sub(r"[^\w -]", "", h.lower()).replace(" ", "-") for h in headings}

        assert not anchor or anchor in slugs, f"{file}#{anchor}"


# ---- docs/testing.md: test files, and the programs they test

TESTING = (ROOT / "docs/testing.md").read_text()
FILES = {
    re.match(r"# (\w+\.py)\n", text)[1]: text
    for text in re.findall(r"^```python\n(.*?)^```$", TESTING, re.M | re.S)
}


@pytest.fixture
def beside(tmp_path, deadline_s):
    """Run a command in a folder with the files of the page; what it printed."""
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, module in (("pytest", "-m pytest"), ("sandq", "-m sandq"), ("python", "")):
        text = f'#!/bin/sh\nexec {sys.executable} -W error {module} "$@"\n'
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    path = f"{programs}:{os.environ['PATH']}"

    def run(command):
        done = subprocess.run(
            ["sh", "-ec", command],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT), "PATH": path},
            capture_output=True,
            text=True,
            timeout=deadline_s,
            check=False,
        )

        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


@pytest.mark.parametrize("file", [name for name in FILES if name.startswith("test_")])
def test_the_tests_of_the_page_pass(beside, file):
    count = len(re.findall(r"^ *(?:async )?def test_", FILES[file], re.M))

    assert count > 0
    assert re.search(rf"^{count} passed in", beside(f"pytest -q {file}"), re.M)


def test_the_commands_of_the_page_can_be_given(beside):
    first, then = re.findall(r"^```sh\n(.*?)^```$", TESTING, re.M | re.S)

    assert beside(first).splitlines()[-1] == '{"words": 6}'
    assert beside(then).splitlines()[-1].endswith("it conforms")


@pytest.mark.parametrize(
    "name", [*testing.__all__, *inspect.signature(testing.run_inline).parameters]
)
def test_all_of_the_testing_helpers_is_in_it(name):
    assert re.search(rf"\b{name}\b", TESTING)


@pytest.mark.parametrize("fixture", ["server", "queue", "sync_queue", "clock"])
def test_all_fixtures_are_in_it(fixture):
    assert hasattr(plugin, f"sandq_{fixture}")
    assert f"`sandq_{fixture}`" in TESTING


# ---- docs/pool.md: programs beside a handler

POOL = (ROOT / "docs/pool.md").read_text()
PROGRAMS = {
    re.match(r"# (\w+\.py)\n", text)[1]: text
    for text in re.findall(r"^```python\n(.*?)^```$", POOL, re.M | re.S)
}
#: What they need beside sandq, which the tests do without.
NEEDS = {"api.py": "fastapi", "tasks.py": "celery"}


@pytest.mark.parametrize("name", [name for name in PROGRAMS if name not in ("words.py", *NEEDS)])
def test_a_program_with_a_pool_prints_what_it_says(name, tmp_path, deadline_s):
    for file, text in PROGRAMS.items():
        (tmp_path / file).write_text(text)
    program = name if name != "jobs.py" else "-c import jobs; print(jobs.count('a b'))"
    done = subprocess.run(
        [sys.executable, "-W", "error", *program.split(" ", 1)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=deadline_s,
        check=False,
    )

    assert done.stderr == ""
    assert done.stdout.splitlines() == (expected_of_calls(PROGRAMS[name]) or ["2"])


def expected_of_calls(program):
    """What the comments behind a line with `print` say that it prints."""
    return re.findall(r"\bprint\b.*\)  # (.*)$", program, re.M)


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_with_a_pool_can_be_compiled_and_its_names_of_sandq_are_there(name):
    tree = ast.parse(PROGRAMS[name])
    compile(tree, name, "exec")
    imported = [
        (node.module, alias.name)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module.startswith("sandq")
        for alias in node.names
    ]

    assert imported
    assert all(hasattr(import_module(module), member) for module, member in imported)


@pytest.mark.parametrize("name", sandq.child.library.Pool.call.__kwdefaults__)
def test_the_options_of_a_call_are_in_it(name):
    # what a child is told of its job is told with the protocol
    assert name in ("name", "job_id") or re.search(rf"\b{name}\b", POOL)
