"""What a program needs of the host, and how a command of Python is split."""

import pytest

from sandq.isolation.bwrap import Bind
from sandq.isolation.program import in_system, program_needs, python_command


@pytest.mark.parametrize(
    ("command", "flags", "rest"),
    [
        ("python3 work.py", "", "work.py"),
        ("python3 work.py -m x", "", "work.py -m x"),
        ("python3 -m mod a b", "", "-m mod a b"),
        ("python3 -mmod a", "", "-m mod a"),
        ("python3 -c pass", "", "-c pass"),
        ("python3 -Im mod", "-I", "-m mod"),
        ("python3 -Ic pass a", "-I", "-c pass a"),
        ("python3 -I -S -u work.py", "-I -S -u", "work.py"),
        ("python3 -ISu work.py", "-ISu", "work.py"),
        ("python3 -X dev work.py", "-X dev", "work.py"),
        ("python3 -Xdev -W error work.py", "-Xdev -W error", "work.py"),
        ("python3 -Werror -OO work.py", "-Werror -OO", "work.py"),
        ("python3 -uX dev work.py", "-uX dev", "work.py"),
        ("python3 -Wmodule work.py", "-Wmodule", "work.py"),
        ("python3 --check-hash-based-pycs never a.py", "--check-hash-based-pycs never", "a.py"),
        ("python3 -I -- work.py a", "-I", "work.py a"),
        ("/opt/py/bin/python3.12 work.py", "", "work.py"),
        ("pypy3 work.py", "", "work.py"),
    ],
)
def test_a_command_of_python_is_split(command, flags, rest):
    assert python_command(command.split()) == (tuple(flags.split()), tuple(rest.split()))


@pytest.mark.parametrize(
    "command",
    [
        *("", "node work.js", "python3", "python3 -", "python3 -I", "python3 -m", "python3 -c"),
        *("python3 -X", "python3 -X dev", "python3 --", "python3 --version", "sh -c python3"),
    ],
)
def test_what_is_no_command_of_python_that_runs_something(command):
    assert python_command(command.split()) is None


class FakeLook:
    """Files, links and texts of a host that is not there."""

    def __init__(self, links=(), texts=(), prefixes=(), scripts=()):
        self.links, self.texts = dict(links), dict(texts)
        self.prefixes, self.scripts = set(prefixes), dict(scripts)

    def link(self, path):
        return self.links.get(path)

    def text(self, path):
        return self.texts.get(path, "")

    def first_line(self, path):
        return self.scripts.get(path, "")

    def is_python_prefix(self, path):
        return path in self.prefixes


PYENV = "/users/me/.pyenv/versions/3.11.7"
VENV_LOOK = FakeLook(
    links={
        "/srv/app/.venv/bin/python": "python3",
        "/srv/app/.venv/bin/python3": f"{PYENV}/bin/python3",
        f"{PYENV}/bin/python3": "python3.11",
    },
    texts={"/srv/app/.venv/pyvenv.cfg": f"home = {PYENV}/bin\nversion = 3.11.7\n"},
    prefixes={PYENV},
    scripts={"/srv/app/.venv/bin/tool": "#!/srv/app/.venv/bin/python -I"},
)


def shown(needs):
    return {bind.inside for bind in needs.binds}


def test_what_everybody_sees_needs_nothing():
    needs = program_needs("/usr/bin/python3", FakeLook(links={"/usr/bin/python3": "python3.11"}))

    assert (needs.binds, needs.links) == ([], {})


def test_a_virtual_environment_comes_with_the_python_it_was_made_from():
    needs = program_needs("/srv/app/.venv/bin/python", VENV_LOOK)

    assert {"/srv/app/.venv", PYENV} <= shown(needs)
    assert all(bind.source == bind.inside for bind in needs.binds)
    assert needs.links["/srv/app/.venv/bin/python"] == "/srv/app/.venv/bin/python3"


def test_a_virtual_environment_of_the_systems_python_comes_alone():
    look = FakeLook(
        links={"/srv/.venv/bin/python": "/usr/bin/python3"},
        texts={"/srv/.venv/pyvenv.cfg": "home = /usr/bin\n"},
    )

    assert shown(program_needs("/srv/.venv/bin/python", look)) == {"/srv/.venv"}


def test_a_python_found_through_a_link_comes_with_the_link_and_not_with_the_home_it_is_in():
    real = "/users/me/.local/share/uv/python/cpython-3.12"
    look = FakeLook(
        links={"/users/me/.local/bin/python3.12": f"{real}/bin/python3.12"}, prefixes={real}
    )
    needs = program_needs("/users/me/.local/bin/python3.12", look)

    assert Bind(real, real) in needs.binds
    assert not {"/users/me", "/users/me/.local"} & shown(needs)
    assert needs.links == {"/users/me/.local/bin/python3.12": f"{real}/bin/python3.12"}


def test_any_other_program_comes_alone():
    look = FakeLook(links={"/opt/node/bin/node": "../lib/node-20"})
    needs = program_needs("/opt/node/bin/node", look)

    assert shown(needs) == {"/opt/node/lib/node-20"}
    assert needs.links == {"/opt/node/bin/node": "/opt/node/lib/node-20"}


def test_a_script_comes_with_its_interpreter():
    needs = program_needs("/srv/app/.venv/bin/tool", VENV_LOOK)

    assert {"/srv/app/.venv/bin/tool", "/srv/app/.venv", PYENV} <= shown(needs)


def test_links_in_a_ring_end():
    look = FakeLook(links={"/a/x": "y", "/a/y": "x"})

    assert program_needs("/a/x", look).binds


@pytest.mark.parametrize(
    ("path", "known"),
    [("/usr/bin/sh", True), ("/lib64/x", True), ("/usrx/a", False), ("/opt", False)],
)
def test_what_every_child_sees(path, known):
    assert in_system(path) is known
