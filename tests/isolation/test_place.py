"""What of the host is there for the children of a handler."""

import base64
from dataclasses import replace

import pytest

from sandq.isolation.confine import confine
from sandq.isolation.look import Look
from sandq.isolation.place import FORK_SERVER
from sandq.isolation.plan import plan
from sandq.isolation.seccomp import filter_bytes
from sandq.model.handler import Handler
from sandq.model.sandbox import Sandbox
from tests.isolation.hosts import HOSTS


class FakeLook(Look):
    """A host of which some files are there, and some are closed to others."""

    interpreter = "/usr/bin/python3"
    package = "/usr/lib/python3/dist-packages/sandq"
    links = {"/bin": "usr/bin", "/lib": "usr/lib"}  # noqa: RUF012
    files = ("/srv/app/work.py", "/users/me/secret.py", "/usr/bin/env", "/srv/app/data/a.json")

    def folder(self):
        return "/srv/app"

    def is_file(self, path):
        return path in self.files

    def is_folder(self, path):
        return path in ("/usr", "/lib64")

    def link(self, path):
        return self.links.get(path)

    def text(self, path):
        return ""

    def first_line(self, path):
        return ""

    def is_python_prefix(self, path):
        return False

    def open_to_all(self, path):
        return not path.startswith("/users")


def place(*command, name="user", program="/usr/bin/python3", look=None, cwd=None, **settings):
    sandbox = Sandbox.untrusted(**{"start": "exec", **settings})
    handler = Handler(command=command, sandbox=sandbox, cwd=cwd)

    return confine(plan(sandbox, HOSTS[name]), handler, program, look or FakeLook())


def binds(confinement, option="--ro-bind"):
    """Inside -> what of the host is there."""
    words = confinement.walls["options"]

    return {words[at + 2]: words[at + 1] for at, word in enumerate(words) if word == option}


def test_the_systems_folders_are_there_as_they_are_on_the_host():
    confinement = place("python3", "-m", "x")
    words = confinement.walls["options"]

    assert binds(confinement)["/usr"] == "/usr"
    assert binds(confinement)["/lib64"] == "/lib64"
    assert "/bin" not in binds(confinement)
    assert words[words.index("/bin") - 2 :][:3] == ["--symlink", "usr/bin", "/bin"]


def test_files_of_the_command_are_there_and_nothing_beside_them():
    shown = binds(place("python3", "/srv/app/work.py", "/srv/none.py", "/usr/bin/env", "word"))

    assert shown["/srv/app/work.py"] == "/srv/app/work.py"
    assert not {"/srv/none.py", "/usr/bin/env", "/srv/app"} & set(shown)


def test_relative_words_are_found_where_the_supervisor_is_but_its_folder_is_not_shown():
    confinement = place("python3", "work.py", "./data/a.json")

    assert confinement.cwd == "/srv/app"
    assert {"/srv/app/work.py", "/srv/app/data/a.json"} <= set(binds(confinement))
    assert "/srv/app" not in binds(confinement)
    assert place("python3", "none.py").cwd == "/tmp"


def test_a_folder_of_the_handlers_is_shown_and_it_runs_there():
    confinement = place("python3", "work.py", cwd="/srv/app/")

    assert confinement.cwd == "/srv/app"
    assert binds(confinement)["/srv/app"] == "/srv/app"
    # it is in there
    assert "/srv/app/work.py" not in binds(confinement)


@pytest.mark.parametrize("cwd", ["/", "/tmp", "/proc", "/dev"])
def test_a_folder_that_is_there_anyway_is_not_the_hosts(cwd):
    confinement = place("python3", "work.py", cwd=cwd)

    assert confinement.cwd == cwd
    assert cwd not in binds(confinement)


def test_what_is_named_is_there():
    confinement = place("x", read=["/opt/models", "/opt/a:/b"], write=["/var/out:/out"])

    assert binds(confinement)["/opt/models"] == "/opt/models"
    assert binds(confinement)["/b"] == "/opt/a"
    assert binds(confinement, "--bind") == {"/out": "/var/out"}


def test_the_interpreter_of_sandq_finds_the_package():
    class Elsewhere(FakeLook):
        package = "/srv/sandq"

    assert binds(place("python3", look=Elsewhere()))["/srv/sandq"] == "/srv/sandq"
    node = place("node", program="/usr/bin/node", look=Elsewhere())
    assert "/srv/sandq" not in binds(node)


def test_a_fork_server_is_there_for_who_is_forked():
    forked = place("python3", "-m", "x", start="fork")

    assert binds(forked)[FORK_SERVER].endswith("/child/forkserver")
    assert "--disable-userns" not in forked.walls["options"]
    assert FORK_SERVER not in binds(place("python3", "-m", "x"))
    assert "--disable-userns" in place("python3").walls["options"]


def test_what_the_uid_of_a_slot_does_not_reach_is_staged():
    walls = place("python3", "/users/me/secret.py", name="root").walls

    assert walls["uids"] == (70000, 70999)
    assert walls["stage"] == ["/users/me/secret.py"]
    at = walls["options"].index("@stage/0")
    assert walls["options"][at + 1] == "/users/me/secret.py"
    assert place("python3", "/users/me/secret.py").walls["stage"] == []
    host = replace(HOSTS["root"], stages=False)
    sandbox = Sandbox.untrusted()
    handler = Handler(command=("python3", "/users/me/secret.py"), sandbox=sandbox)
    assert not confine(plan(sandbox, host), handler, "/usr/bin/python3", FakeLook()).walls["stage"]


@pytest.mark.parametrize(
    ("settings", "name", "net", "shared_memory"),
    [
        ({}, "user", False, False),
        ({"net": "host"}, "user", True, False),
        ({}, "delegated", False, True),
        ({"start": "fork"}, "delegated", False, False),
    ],
)
def test_the_filter_lets_through_what_is_counted(settings, name, net, shared_memory):
    text = place("python3", "-m", "x", name=name, **settings).walls["seccomp"]

    assert base64.b64decode(text) == filter_bytes("x86_64", net=net, shared_memory=shared_memory)


def test_landlock_lets_open_what_is_named():
    def walls(name="docker", **settings):
        return place("python3", "/srv/app/work.py", name=name, backend="landlock", **settings).walls

    plain = walls(write=["/var/out"])
    assert {"/usr", "/srv/app/work.py", "/dev/null"} <= set(plain["read"])
    assert "/srv/app/work.py" in plain["execute"]
    assert "/var/out" in plain["write"]
    assert not {"/", "/tmp", "/etc", "/proc"} & {*plain["read"], *plain["write"]}
    assert (plain["tcp"], plain["scope"]) == (False, True)
    assert walls(net="host")["tcp"]
    # older ones know neither; the filter refuses sockets of the network anyway
    old = walls("user")
    assert (old["tcp"], old["scope"]) == (True, False)
