"""The entries of a sandbox's lists: paths, variables, modules."""

import pytest

from sandq.errors import InvalidInput
from sandq.model.handler import Handler
from sandq.model.sandbox import Sandbox
from sandq.model.sandbox_entries import (
    check_module,
    check_path,
    check_variable,
    host_and_inside,
)


@pytest.mark.parametrize(
    ("entry", "paths"),
    [
        ("/opt/models", ("/opt/models", "/opt/models")),
        ("/opt/models:/models", ("/opt/models", "/models")),
        ("templates:/t", ("templates", "/t")),
        ("/a:/b:c", ("/a", "/b:c")),
        ("/a:", ("/a", "")),
    ],
)
def test_an_entry_names_a_path_here_and_one_inside(entry, paths):
    assert host_and_inside(entry) == paths


@pytest.mark.parametrize(
    ("name", "entry"),
    [
        ("read", "/opt/models"),
        ("read", "/opt/models:/models"),
        ("read", "templates"),
        ("read", "../templates:/t"),
        ("read", "/:/host"),
        ("read", "/tmp/mine"),
        ("read", "/dev/null:/null"),
        ("write", "/srv/out"),
        ("write", "/srv/out:/out"),
    ],
)
def test_a_path_that_can_be_shown(name, entry):
    check_path(name, entry)


@pytest.mark.parametrize(
    ("name", "entry", "message"),
    [
        ("read", "", "takes PATH or HOST:INSIDE"),
        ("read", ":/inside", "takes PATH or HOST:INSIDE"),
        ("read", "/a\0", "takes PATH or HOST:INSIDE"),
        ("read", "/a:", "must begin with a slash"),
        ("read", "/a:b", "must begin with a slash"),
        ("read", "/a/../b", "must not hold '..'"),
        ("read", "/a:/b/..", "must not hold '..'"),
        ("read", "/", "'/' is of the walls themselves"),
        ("read", "/a:/", "'/' is of the walls themselves"),
        ("read", "/a://", "is of the walls themselves"),
        ("read", "/tmp", "'/tmp' is of the walls themselves"),
        ("read", "/a:/tmp/", "is of the walls themselves"),
        ("read", "/dev/nvidia0", "is of the walls themselves"),
        ("read", "/proc/self", "is of the walls themselves"),
        ("read", "/sys", "is of the walls themselves"),
        ("write", "out", "whole paths"),
        ("write", "out:/out", "whole paths"),
        ("write", "/:/", "is of the walls themselves"),
    ],
)
def test_a_path_that_cannot_be_shown_is_refused(name, entry, message):
    with pytest.raises(InvalidInput, match=f"^{name}.*{message}"):
        check_path(name, entry)


@pytest.mark.parametrize("entry", ["LANG", "A=1", "A=", "A=b=c", "SANDQUEUE"])
def test_a_variable(entry):
    check_variable(entry)


@pytest.mark.parametrize(
    "entry", ["", "=1", "A=\0", "SANDQ", "SANDQ=2", "SANDQ_REDIS_URL", "SANDQ_FD=1"]
)
def test_what_is_no_variable_or_our_own_is_refused(entry):
    with pytest.raises(InvalidInput, match=r"^env"):
        check_variable(entry)


@pytest.mark.parametrize("name", ["json", "os.path", "_a1.b"])
def test_a_module(name):
    check_module(name)


@pytest.mark.parametrize("name", ["", "a b", "a.", ".a", "a-b", "a;import os", "1a"])
def test_what_is_no_module_is_refused(name):
    with pytest.raises(InvalidInput, match=r"^preload takes names of modules"):
        check_module(name)


@pytest.mark.parametrize("path", ["/data/a", "/data/a/b"])
def test_what_a_job_could_replace_is_not_shown_to_the_next(path):
    with pytest.raises(InvalidInput, match="lies in '/data'"):
        Sandbox.untrusted(write=["/data:/x"], read=[f"{path}:/in"])
    with pytest.raises(InvalidInput, match="cwd"):
        Handler(command=("true",), cwd=path, sandbox=Sandbox.untrusted(write=["/data/"]))
    with pytest.raises(InvalidInput, match="command"):
        Handler(command=("sh", path), sandbox=Sandbox.untrusted(write=["/data"]))


def test_what_lies_beside_is():
    assert Sandbox.untrusted(write=["/data"], read=["/database", "/data"]).read
