"""The house is in order: sizes, a test file for every module, nothing of one machine, no sleeps."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "sandq"

LONGEST_FILE = 300

# file that is longer -> how long it may be, and why
LONGER = {"sandq/handler.py": (620, "users copy it: it is one file, and speaks the whole protocol")}

SOURCES = sorted(
    path.relative_to(ROOT).as_posix()
    for suffix in ("py", "lua")
    for path in PACKAGE.rglob(f"*.{suffix}")
)
TESTS = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.glob("tests/**/*.py"))

# module without a test file of its own name -> where it is tested, and why it has none
TESTED_ELSEWHERE = {
    "sandq/child/fork_servers.py": ("tests/child/test_fork_server.py", "they are its owners"),
    "sandq/child/starting.py": ("tests/child/test_fork_server.py", "it chooses who starts"),
    "sandq/child/tail.py": ("tests/child/test_fork_server.py", "it is what a server said last"),
    "sandq/child/forkserver/kernel.py": ("tests/child/test_fork_server.py", "it is its kernel"),
    "sandq/child/forkserver/preload.py": ("tests/child/test_fork_server.py", "a server loads"),
    "sandq/child/forkserver/room.py": ("tests/child/test_fork_server.py", "a job has a room"),
    "sandq/child/forkserver/server.py": ("tests/child/test_fork_server.py", "it is the server"),
    "sandq/child/spawner/loop.py": ("tests/child/test_spawner.py", "it is the spawner"),
    "sandq/child/spawner/living.py": (
        "tests/child/spawner/test_walls.py",
        "a child is tried by being started",
    ),
    "sandq/isolation/ways.py": ("tests/isolation/test_plan.py", "a plan chooses among them"),
    "sandq/isolation/confinement.py": ("tests/isolation/test_confine.py", "it is what comes of it"),
    "sandq/child/around.py": ("tests/child/test_pool.py", "it is what a pool's children share"),
    "sandq/child/asking.py": ("tests/child/test_calls.py", "calls are tried with a child"),
    "sandq/child/process.py": ("tests/child/test_channels.py", "a process is tried as a child"),
    "sandq/child/pulse.py": ("tests/child/test_calls.py", "pings are tried with a child"),
    "sandq/child/result_file.py": ("tests/child/test_channels.py", "it is a channel"),
    "sandq/child/timekeeper.py": ("tests/child/test_ending.py", "its limits end jobs"),
    "sandq/child/work.py": ("tests/child/test_death.py", "it is what a death is judged by"),
    "sandq/child/child.py": ("tests/child/test_pool.py", "a child is tried through its pool"),
    "sandq/child/crew.py": ("tests/child/test_growth.py", "it is everybody in a pool"),
    "sandq/child/family.py": ("tests/child/test_pool_key.py", "it has the keys of a handler"),
    "sandq/child/health.py": ("tests/child/test_pool.py", "it is told by starts that fail"),
    "sandq/child/keeper.py": ("tests/child/test_recycling.py", "it does what is planned"),
    "sandq/child/library.py": ("tests/child/test_pool_library.py", "it is the pool by itself"),
    "sandq/child/making.py": ("tests/child/test_pool_library.py", "it makes handlers for pools"),
    "sandq/child/size.py": ("tests/child/test_recycling.py", "large children are replaced"),
    "sandq/child/sync_pool.py": ("tests/child/test_pool_library.py", "it is the same pool"),
    "sandq/child/tally.py": ("tests/child/test_recycling.py", "a pool counts what happens"),
    "sandq/child/upkeep.py": ("tests/child/test_recycling.py", "it looks after idle children"),
    "sandq/child/children.py": ("tests/child/test_pool.py", "it is the pool's record"),
    "sandq/child/spawn.py": ("tests/child/test_pool.py", "it starts the children of a pool"),
    "sandq/cli/add.py": ("tests/faces/test_cli.py", "verbs are tried as commands"),
    "sandq/cli/common.py": ("tests/faces/test_cli.py", "verbs are tried as commands"),
    "sandq/cli/exec.py": ("tests/faces/test_cli.py", "verbs are tried as commands"),
    "sandq/cli/ls.py": ("tests/faces/test_cli.py", "verbs are tried as commands"),
    "sandq/cli/main.py": ("tests/faces/test_cli.py", "verbs are tried as commands"),
    "sandq/cli/dead.py": ("tests/faces/test_cli_verbs.py", "verbs are tried as commands"),
    "sandq/cli/jobs.py": ("tests/faces/test_cli_verbs.py", "verbs are tried as commands"),
    "sandq/cli/queues.py": ("tests/faces/test_cli_verbs.py", "verbs are tried as commands"),
    "sandq/cli/run.py": ("tests/faces/test_cli.py", "verbs are tried as commands"),
    "sandq/cli/server.py": ("tests/faces/test_cli.py", "verbs are tried as commands"),
    "sandq/cli/show.py": ("tests/faces/test_cli.py", "verbs are tried as commands"),
    "sandq/cli/conformance.py": ("tests/conformance/test_handler_kit_cli.py", "it is a command"),
    "sandq/cli/conformance_handler.py": (
        "tests/conformance/test_handler_kit_cli.py",
        "it is a command",
    ),
    "sandq/conformance/dialogue.py": (
        "tests/conformance/test_handler_kit_wrongs.py",
        "every case goes through it",
    ),
    "sandq/conformance/files.py": ("tests/conformance/test_cases.py", "it finds the cases"),
    "sandq/conformance/kit.py": ("tests/conformance/test_handler_kit.py", "it is the kit itself"),
    "sandq/conformance/running.py": (
        "tests/conformance/test_handler_kit_wrongs.py",
        "every case goes through it",
    ),
    "sandq/conformance/subject.py": (
        "tests/conformance/test_handler_kit.py",
        "it is what a kit is about",
    ),
    "sandq/cli/conformance_supervisor.py": ("tests/conformance/test_tap.py", "it tells results"),
    "sandq/cli/job_lines.py": ("tests/conformance/test_exec_jobs.py", "its lines are given there"),
    "sandq/conformance/zoo/candidate.py": ("tests/conformance/test_zoo.py", "it is the one tried"),
    "sandq/conformance/zoo/catalogue.py": ("tests/conformance/test_zoo.py", "its cases are played"),
    "sandq/conformance/zoo/outside.py": (
        "tests/conformance/test_zoo_wrongs.py",
        "it sees what is left",
    ),
    "sandq/conformance/zoo/stage.py": ("tests/conformance/test_zoo.py", "cases are played on it"),
    "sandq/conformance/zoo/trial.py": ("tests/conformance/test_zoo.py", "it plays the cases"),
    "sandq/face/base.py": ("tests/faces/test_queue.py", "every verb goes through it"),
    "sandq/face/management.py": ("tests/faces/test_bulk.py", "its verbs are tried one by one"),
    "sandq/face/sync_base.py": ("tests/faces/test_sync.py", "every verb goes through it"),
    "sandq/face/sync_job.py": ("tests/house/test_docs.py", "every example is run without await"),
    "sandq/face/sync_management.py": ("tests/house/test_docs.py", "the same"),
    "sandq/face/sync_reading.py": ("tests/house/test_docs.py", "the same"),
    "sandq/flow/handle.py": ("tests/faces/test_queue.py", "it is what a run gives"),
    "sandq/flow/inprocess.py": ("tests/flow/test_slot.py", "it runs jobs for a slot"),
    "sandq/flow/janitor.py": ("tests/flow/test_supervisor.py", "it needs a vanished supervisor"),
    "sandq/flow/lane.py": ("tests/flow/test_slot.py", "it finds the handlers of jobs"),
    "sandq/flow/lease.py": ("tests/flow/test_supervisor.py", "it needs time and a rival"),
    "sandq/model/bounds.py": ("tests/flow/test_telling.py", "it is what is kept of what is said"),
    "sandq/model/shown.py": ("tests/faces/test_figures.py", "it is what a queue tells of itself"),
    "sandq/steps/jobs.py": ("tests/faces/test_life.py", "its verbs are tried one by one"),
    "sandq/steps/looking.py": ("tests/faces/test_queue.py", "its verbs are tried one by one"),
    "sandq/steps/runner.py": ("tests/faces/test_queue.py", "every verb goes through it"),
    "sandq/store/commands.py": ("tests/store/test_store.py", "it is what a store sends"),
    "sandq/store/embedded_folder.py": ("tests/store/test_embedded.py", "it is the server's folder"),
    "sandq/store/endings.py": ("tests/faces/test_queue.py", "it is how a job is waited for"),
    "sandq/store/following.py": ("tests/faces/test_subscribe.py", "it is how a queue is followed"),
    "sandq/store/find.py": ("tests/store/test_store.py", "it needs a store with queues"),
    "sandq/store/problems.py": ("tests/store/test_audit.py", "each is made and found there"),
    "sandq/store/scripts.py": ("tests/lua/test_scripts_loader.py", "it belongs to the Lua sources"),
    "sandq/store/url.py": ("tests/store/test_connect.py", "a URL is for connecting"),
}

# test file -> how often it sleeps, and why it must
SLEEPS = {
    "tests/attacks/runner.py": (1, "a handler that has failed to start is tried after its pause"),
    "tests/conftest.py": (1, "it asks again and again for what sends no event"),
    "tests/rules/test_clock.py": (1, "the door to sleeping is tested, with the sleep taken out"),
    "tests/conformance/bad_supervisor.py": (2, "a supervisor of its own: it waits for its child"),
    "tests/faces/conftest.py": (1, "it asks again and again for what sends no event"),
    "tests/faces/test_ledgers.py": (1, "a function that does not end in time is what is tested"),
    "tests/faces/test_limits_live.py": (1, "jobs take a moment, so that they overlap"),
    "tests/faces/test_waiting.py": (1, "a function that does not end by itself is cancelled"),
    "tests/faces/test_queue.py": (1, "a function that does not end in time is what is tested"),
    "tests/flow/test_slot.py": (2, "functions that do not end in time are what is tested"),
}


def texts():
    """Every text file that belongs to the project, as (path, text)."""
    for path in sorted(ROOT.rglob("*")):
        parts = path.relative_to(ROOT).parts
        foreign = any(
            (part.startswith(".") and part not in (".ci", ".gitignore", ".github"))
            or part in ("__pycache__", "build", "dist")
            or part.endswith(".egg-info")
            for part in parts
        )
        if foreign or not path.is_file():
            continue
        try:
            yield "/".join(parts), path.read_text()
        except UnicodeDecodeError:
            continue


@pytest.mark.parametrize("source", SOURCES)
def test_a_source_file_is_short_enough_to_be_read_in_one_go(source):
    assert len((ROOT / source).read_text().splitlines()) <= LONGER.get(source, (LONGEST_FILE,))[0]


def test_every_module_has_a_test_file_of_its_name():
    tested = {Path(path).stem.removeprefix("test_") for path in TESTS if "/test_" in path}
    modules = {
        source
        for source in SOURCES
        if source.endswith(".py") and Path(source).stem not in ("__init__", "__main__")
    }
    untested = {module for module in modules if Path(module).stem not in tested}

    assert sorted(untested - set(TESTED_ELSEWHERE)) == [], "these need a test file"
    assert sorted(set(TESTED_ELSEWHERE) - untested) == [], "these have one"


@pytest.mark.parametrize(("module", "elsewhere"), TESTED_ELSEWHERE.items())
def test_a_module_without_a_test_file_is_tested_elsewhere(module, elsewhere):
    file, reason = elsewhere

    assert (ROOT / file).is_file()
    assert reason


@pytest.mark.parametrize(
    ("pattern", "meaning"),
    [
        (r"(?<![\w.:/~-])/(?:work|root|home/\w+)(?![\w.-])", "a folder of one machine"),
        (
            r"\b(?:test\.)?pypi\.org|pythonhosted\.org|registry\.npmjs|--(?:extra-)?index-url",
            "a registry",
        ),
    ],
    ids=["folder", "registry"],
)
def test_no_file_knows_the_machine_it_was_written_on(pattern, meaning):
    found = {
        path: match[0]
        for path, text in texts()
        # the tests that look for such words hold them; attacks go where every host has secrets
        if not path.startswith(("tests/house/", "tests/attacks/"))
        and (match := re.search(pattern, text)) is not None
    }

    assert found == {}, meaning


def test_the_whole_project_is_looked_at():
    paths = {path for path, _ in texts()}

    assert {"pyproject.toml", "README.md", "sandq/lua/add.lua", "handlers/probe.mjs"} <= paths
    assert {*SOURCES, *TESTS} <= paths


def sleeps(text):
    """The lines of a program that call a function named sleep, however it was imported."""
    return [
        node.lineno
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call)
        and (
            (isinstance(node.func, ast.Attribute) and node.func.attr in ("sleep", "block_s"))
            or (isinstance(node.func, ast.Name) and node.func.id in ("sleep", "block_s"))
        )
    ]


def test_no_test_sleeps_without_a_reason():
    found = {test: lines for test in TESTS if (lines := sleeps((ROOT / test).read_text()))}
    allowed = {test: count for test, (count, _) in SLEEPS.items()}

    assert {test: len(lines) for test, lines in found.items()} == allowed, found


@pytest.mark.parametrize(
    ("program", "count"),
    [
        ("import time\ntime.sleep(1)", 1),
        ("from asyncio import sleep\nasync def f():\n    await sleep(1)", 1),
        ("import anyio\nlambda: anyio.sleep(0)", 1),
        ("text = 'time.sleep(1)'", 0),
        ("import anyio\nanyio.sleep_forever()", 0),
    ],
)
def test_a_sleep_is_seen_however_it_was_imported(program, count):
    assert len(sleeps(program)) == count
