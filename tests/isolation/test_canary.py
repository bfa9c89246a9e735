"""The canary, behind walls and where nothing holds it: what it tries does work there."""

import json
import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

import pytest

from sandq.isolation import canary
from sandq.isolation.confine import confine
from sandq.isolation.judge import Bait, canary_sandbox, judge, task
from sandq.isolation.plan import plan
from sandq.isolation.probe import probe
from sandq.model.handler import Handler
from sandq.model.sandbox import Guarantee, Sandbox
from tests.isolation.walled import PYTHON, run

COMMAND = (PYTHON, "-I", "-S", canary.__file__)
FACTS = probe((70000, 70999))


@pytest.fixture
def bait():
    # open to everybody: only the walls are to stand in the way
    folder = Path(tempfile.mkdtemp(prefix="bait-"))
    folder.chmod(0o777)
    (folder / "secret").write_text("s3cret")
    name = f"{folder.name}-{os.getpid()}"
    with (
        socket.create_server(("127.0.0.1", 0)) as port,
        socket.socket(socket.AF_UNIX) as by_path,
        socket.socket(socket.AF_UNIX) as abstract,
    ):
        by_path.bind(f"{folder}/socket")
        abstract.bind(f"\0{name}")
        (folder / "socket").chmod(0o666)
        by_path.listen()
        abstract.listen()
        yield Bait(
            folder=str(folder),
            secret=f"{folder}/secret",
            port=port.getsockname()[1],
            sockets=(f"{folder}/socket", f"@{name}"),
            supervisor=os.getpid(),
        )
    shutil.rmtree(folder)


def planned(**settings):
    return plan(canary_sandbox(Sandbox.untrusted(**settings)), FACTS)


def words(told):
    return json.dumps(told).encode() + b"\n"


@pytest.mark.skipif(not os.path.exists(PYTHON), reason="the walls show /usr")
@pytest.mark.parametrize("net", ["none", "host"])
def test_behind_walls_it_reaches_nothing(bait, net):
    tried = planned(net=net)
    assert tried.refusal == ""
    confinement = confine(tried, Handler(command=COMMAND, sandbox=tried.sandbox), PYTHON)
    # the number of processes is bounded by the spawner
    told = {**task(tried, bait), "forks": 3}
    done = run(confinement, COMMAND, data=words(told))

    assert done.returncode == 0, done.stderr.decode()
    report = json.loads(done.stdout)
    assert judge(tried, report, confinement.environment) == []
    assert report["forks"] == 3
    # it has room, and no more than that
    assert 0 < report["fills"] <= tried.sandbox.disk
    assert ("port" in report["connect"]) is (net == "host")


def test_where_nothing_holds_it_it_reaches_what_there_is(bait):
    tried = planned()
    told = {**task(tried, bait), "forks": 8}
    done = subprocess.run(
        COMMAND,
        env={"REDIS_URL": "redis://secret"},
        input=words(told),
        capture_output=True,
        timeout=60,
        check=True,
    )
    report = json.loads(done.stdout)

    assert bait.secret in report["read"]
    assert bait.folder in report["write"]
    assert {"port", *bait.sockets} <= set(report["connect"])
    assert bait.supervisor in report["processes"]
    assert "REDIS_URL" in report["variables"]
    assert {"unshare", "ptrace"} <= set(report["calls"])
    assert "new privileges" in report["privileges"]
    assert report["forks"] == 8
    assert report["fills"] > tried.sandbox.disk
    broken = {escape.guarantee for escape in judge(tried, report, [])}
    assert broken == {
        *(Guarantee.FILES, Guarantee.NETWORK, Guarantee.IPC, Guarantee.PROCESSES),
        *(Guarantee.ENVIRONMENT, Guarantee.KERNEL, Guarantee.PRIVILEGES, Guarantee.PIDS),
        Guarantee.DISK,
    }
    # and it has left nothing
    assert sorted(os.listdir(bait.folder)) == ["secret", "socket"]


@pytest.mark.parametrize(
    ("program", "arguments", "said"),
    [
        ("/usr/bin/id", (), "uid=1000(job) gid=1000(job)"),
        ("/bin/sh", ("-c", "echo shared > /dev/shm/a && cat /tmp/a > /dev/null && ls /tmp"), "a"),
        ("/bin/sh", ("-c", "touch /x /dev/x /etc/x /usr/x 2>/dev/null || echo sealed"), "sealed"),
        ("/bin/sh", ("-c", "cat /etc/passwd | wc -l; hostname"), "3\njob"),
        (PYTHON, ("-c", "import multiprocessing as m; print(m.Pool(2).map(abs, [-1]))"), "[1]"),
        (PYTHON, ("-c", "import ssl, asyncio; print(len(ssl.RAND_bytes(3)))"), "3"),
        (
            "/usr/bin/node",
            ("-e", "console.log(require('child_process').execSync('id -un')+'')"),
            "job",
        ),
    ],
)
def test_programs_work_behind_the_walls(program, arguments, said):
    if not os.path.exists(program):
        pytest.skip(f"{program} is not there")
    sandbox = Sandbox.untrusted(start="exec", memory="1G")
    command = (program, *arguments)
    confinement = confine(plan(sandbox, FACTS), Handler(command=command, sandbox=sandbox), program)
    done = run(confinement, command)

    assert done.returncode == 0, done.stderr.decode()
    assert said in done.stdout.decode()
