"""Runs the attacks of each mode once, under each user, and gives the tests what came of them."""

import json
import os
import secrets
import shutil
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.attacks import staging
from tests.conftest import need

#: Longest run of all attacks of a mode, in seconds; only a hang comes near it.
LONGEST_S = 300


@pytest.fixture(scope="session")
def staged():
    """A folder below /tmp: for other users, and short enough for a socket."""
    folder = Path(tempfile.mkdtemp(prefix="sandq-a-", dir="/tmp"))
    try:
        yield folder, staging.stage(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def attacked_user():
    """The ordinary user: made for this if we are root, else the one we are."""
    if os.getuid() != 0:
        yield None
        return
    need("useradd", "passwd")
    need("setpriv", "util-linux")
    yield staging.make_user()
    staging.remove_user()


def _skip(message):
    if os.environ.get("SANDQ_CI"):
        pytest.fail(message)
    pytest.skip(message)


@pytest.fixture(scope="session")
def reports(staged, attacked_user):
    """(user, mode) -> the report of its run, which is made when it is first asked for."""
    need("bwrap", "bubblewrap")
    need("node", "nodejs")
    done = {}
    folder, packages = staged
    users = {"root": None, "user": attacked_user} if os.getuid() == 0 else {"user": None}
    pythons = {who: staging.find_python(user, packages) for who, user in users.items()}

    def run(who, mode):
        done[who, mode] = _run(users[who], pythons[who], mode, folder, packages)

    def report(who, mode):
        if who not in users:
            pytest.skip("only root can be root")
        if pythons[who] is None:
            _skip("an ordinary user finds no Python to run sandq with: apt-get install python3")
        if (who, mode) not in done:
            # behind walls nobody is in anybody's way: both users at once
            some = [who] if mode == "none" else [one for one in users if pythons[one]]
            with ThreadPoolExecutor() as threads:
                list(threads.map(run, some, [mode] * len(some)))
        told = done[who, mode]
        assert isinstance(told, dict), f"the runner has failed: {told}"
        return told["results"]

    return report


def _run(user, python, mode, folder, packages):
    world, command = staging.run(user, python, packages, folder, mode)
    environment = {
        "PATH": os.environ["PATH"],
        "LANG": "C.UTF-8",
        "PYTHONPATH": str(packages),
        "HOME": str(world / "home"),
        "SANDQ_REDIS_URL": f"redis://:{secrets.token_hex(16)}@127.0.0.1:1/0",
    }
    settings = json.dumps({"mode": mode, "folder": str(world)})
    ran = subprocess.run(
        [*command, settings], env=environment, cwd=world, capture_output=True, text=True,
        timeout=LONGEST_S, check=False,
    )  # fmt: skip
    if ran.returncode != 0:
        return ran.stderr[-4000:]

    return json.loads(ran.stdout.splitlines()[-1])
