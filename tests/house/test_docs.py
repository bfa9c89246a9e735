"""The examples of docs/queue.md are run as they are written, with await and without."""

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

import pytest

import sandq
from sandq import sync
from sandq.model.options import JobOptions
from sandq.model.queue_settings import QueueSettings
from sandq.model.repeat import Repeat
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


def test_its_links_lead_somewhere():
    for file, anchor in re.findall(r"\]\(([\w./]+)#?([\w-]*)\)", PAGE):
        target = (ROOT / "docs" / file).resolve()
        headings = re.findall(r"^#+ (.*)$", target.read_text(), re.M)
        slugs = {re.sub(r"[^\w -]", "", h.lower()).replace(" ", "-") for h in headings}

        assert not anchor or anchor in slugs, f"{file}#{anchor}"
