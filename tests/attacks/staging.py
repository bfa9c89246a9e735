"""An ordinary user, and what the runner needs, where that user can reach it."""

import importlib.util
import os
import pwd
import shutil
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]

#: What the runner imports, beside the standard library; some need others, some do not.
PACKAGES = ("anyio", "hiredis", "idna", "orjson", "psutil", "redis", "sniffio", "typing_extensions")

USER = "sandq-attacked"


def make_user():
    """A user of the suite's own, without a home; a left one is taken."""
    try:
        return pwd.getpwnam(USER)
    except KeyError:
        command = ["useradd", "--system", "--no-create-home", "--shell", "/bin/false", USER]
        subprocess.run(command, check=True, capture_output=True)
        return pwd.getpwnam(USER)


def remove_user():
    """Only if it has no process any more, which userdel looks for."""
    subprocess.run(["userdel", USER], capture_output=True, check=False)


def stage(folder):
    """Copies of sandq, of these tests and of the packages, for whoever cannot read this folder."""
    packages = folder / "packages"
    packages.mkdir()
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(REPOSITORY / "sandq", packages / "sandq", ignore=ignored)
    shutil.copytree(Path(__file__).parent, packages / "tests" / "attacks", ignore=ignored)
    for name in PACKAGES:
        found = importlib.util.find_spec(name)
        if found is None or found.origin is None:
            continue
        origin = Path(found.origin)
        if origin.name == "__init__.py":
            shutil.copytree(origin.parent, packages / name, ignore=ignored)
        else:
            shutil.copy(origin, packages)
    for path in [folder, *folder.rglob("*")]:
        path.chmod(path.stat().st_mode | (0o755 if path.is_dir() else 0o444))

    return packages


def as_user(user, command):
    """The command line that runs a command as this user; None: as we are."""
    if user is None:
        return command
    ids = [f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]

    return ["setpriv", *ids, "--inh-caps=-all", *command]


def find_python(user, packages):
    """An interpreter that this user can run, and that can import what the runner needs; or None."""
    names = (sys.executable, "/usr/bin/python3", "/usr/local/bin/python3", shutil.which("python3"))
    for python in dict.fromkeys(filter(None, names)):
        # it may run by a path that its user cannot look at afterwards
        program = "import os, sys, tests.attacks.runner; os.stat(sys.executable)"
        command = as_user(user, [python, "-c", program])
        done = subprocess.run(
            command, env={"PYTHONPATH": str(packages)}, cwd="/", capture_output=True, check=False
        )
        if done.returncode == 0:
            return python

    return None


def run(user, python, packages, folder, mode):
    """The runner of one mode under this user; its folder is its own."""
    world = folder / f"{mode}-{os.getuid() if user is None else user.pw_uid}"
    world.mkdir(mode=0o755)
    if user is not None:
        os.chown(world, user.pw_uid, user.pw_gid)

    return world, as_user(user, [python, "-m", "tests.attacks.runner"])
