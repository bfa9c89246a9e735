"""What a handler's jobs may touch and use: every key, every default, every error."""

import re
from dataclasses import FrozenInstanceError, fields, replace

import pytest

from sandq.errors import InvalidInput
from sandq.model.sandbox import (
    MIB,
    PROMISES,
    Backend,
    Fresh,
    Guarantee,
    Net,
    Profile,
    Sandbox,
    Start,
    warnings_of,
)

KEYS = [field.name for field in fields(Sandbox)]


def test_a_sandbox_limits_unless_it_is_told_otherwise():
    assert Sandbox() == Sandbox.of("limits") == Sandbox.of({})
    assert Sandbox() == Sandbox(
        profile=Profile.LIMITS,
        wall=None,
        cpu=None,
        memory=None,
        pids=None,
        disk=None,
        output=None,
        read=(),
        write=(),
        net=Net.HOST,
        env=(),
        fresh=Fresh.NEVER,
        max_jobs=None,
        without=frozenset(),
        start=Start.AUTO,
        preload=(),
        backend=Backend.AUTO,
    )


def test_what_is_not_trusted_has_numbers_no_network_and_a_child_per_job():
    assert Sandbox.untrusted() == Sandbox.of("untrusted")
    assert Sandbox.untrusted() == Sandbox(
        profile=Profile.UNTRUSTED,
        wall=60.0,
        cpu=10,
        memory=256 * MIB,
        pids=32,
        disk=64 * MIB,
        net=Net.NONE,
        fresh=Fresh.JOB,
    )


def test_none_is_like_limits_but_in_name():
    assert replace(Sandbox.of("none"), profile="limits") == Sandbox()


FULL = {
    "profile": "untrusted",
    "wall": "30s",
    "cpu": "1500ms",
    "memory": "512M",
    "pids": 64,
    "disk": "1G",
    "output": "64K",
    "read": ["/opt/models", "./templates:/templates"],
    "write": ["/srv/out"],
    "net": "host",
    "env": ["LANG", "MODEL=small=1", "EMPTY="],
    "fresh": "key",
    "max_jobs": 50,
    "without": ["memory-total", "inodes"],
    "start": "exec",
    "preload": [],
    "backend": "bwrap",
}


def test_every_key_of_a_table_has_its_place():
    assert list(FULL) == KEYS
    assert Sandbox.of(FULL) == Sandbox(
        profile=Profile.UNTRUSTED,
        wall=30.0,
        cpu=2,
        memory=512 * MIB,
        pids=64,
        disk=1024 * MIB,
        output=64 * 1024,
        read=("/opt/models", "./templates:/templates"),
        write=("/srv/out",),
        net=Net.HOST,
        env=("LANG", "MODEL=small=1", "EMPTY="),
        fresh=Fresh.KEY,
        max_jobs=50,
        without=frozenset({Guarantee.MEMORY_TOTAL, Guarantee.INODES}),
        start=Start.EXEC,
        preload=(),
        backend=Backend.BWRAP,
    )


def test_what_is_preloaded_is_a_list_of_modules():
    assert Sandbox.untrusted(preload=["json", "os.path"]).preload == ("json", "os.path")


def test_a_sandbox_is_made_of_one():
    sandbox = Sandbox.untrusted(wall="1ms", cpu="1h")

    assert Sandbox.of(sandbox) is sandbox
    assert replace(sandbox) == sandbox
    assert replace(sandbox, read=["/a"]).read == ("/a",)
    assert (sandbox.wall_ms, sandbox.cpu) == (1, 3_600)


def test_it_is_data():
    sandbox = Sandbox.untrusted(read=["/a"], without=["cpu"])

    assert {sandbox: 1}[Sandbox.untrusted(read=("/a",), without={"cpu"})] == 1
    with pytest.raises(FrozenInstanceError):
        sandbox.wall = 5


@pytest.mark.parametrize(
    ("sandbox", "wall_ms", "walled"),
    [
        (Sandbox(), None, False),
        (Sandbox(wall=0.25), 250, False),
        (Sandbox.of("none"), None, False),
        (Sandbox.untrusted(), 60_000, True),
    ],
)
def test_what_is_asked_of_it(sandbox, wall_ms, walled):
    assert (sandbox.wall_ms, sandbox.walled) == (wall_ms, walled)


# table -> what is said beside the key
BAD = [
    ("untrustd", ".profile must be one of none, limits, untrusted: 'untrustd'"),
    (5, " must be the name of a profile, or a table: 5"),
    (None, " must be the name of a profile, or a table: None"),
    (["untrusted"], " must be the name of a profile, or a table"),
    ({"memry": 1}, ".memry is not known; did you mean 'memory'?"),
    ({5: 1}, ".5 is not known; known are:"),
    ({"profile": None}, ".profile must be one of none, limits, untrusted: None"),
    ({"profile": []}, ".profile must be one of"),
    ({"start": None}, ".start must be one of auto, exec, fork: None"),
    ({"fresh": "always"}, ".fresh must be one of job, key, never: 'always'"),
    ({"profile": "untrusted", "net": "lan"}, ".net must be one of none, host: 'lan'"),
    (
        {"profile": "untrusted", "backend": "docker"},
        ".backend must be one of auto, bwrap",
    ),
    # numbers
    ({"wall": 0}, ".wall must be at least 0.001: 0"),
    ({"wall": -1}, ".wall must be between 0 and 100 years"),
    ({"wall": "soon"}, ".wall is not a duration: 'soon'"),
    ({"wall": True}, ".wall must be seconds"),
    ({"cpu": 0}, ".cpu must be at least 1: 0"),
    ({"cpu": "fast"}, ".cpu is not a duration: 'fast'"),
    ({"memory": "much"}, ".memory is not a size: 'much'"),
    ({"memory": 1024}, ".memory must be at least 1048576: 1024"),
    ({"memory": -1}, ".memory must be at least 1048576: -1"),
    ({"memory": 2**63}, ".memory must be at most"),
    ({"memory": 1.5}, ".memory must be bytes or a text"),
    ({"pids": 0}, ".pids must be a whole number from 1 to"),
    ({"pids": "32"}, ".pids must be a whole number"),
    ({"pids": True}, ".pids must be a whole number"),
    ({"profile": "untrusted", "disk": "1K"}, ".disk must be at least 65536: '1K'"),
    ({"output": 10}, ".output must be at least 1024: 10"),
    ({"max_jobs": 0}, ".max_jobs must be a whole number from 1"),
    # lists
    ({"profile": "untrusted", "read": "/opt"}, ".read must be a list of texts: '/opt'"),
    ({"profile": "untrusted", "read": {"/opt": 1}}, ".read must be a list of texts"),
    ({"profile": "untrusted", "read": 5}, ".read must be a list of texts: 5"),
    ({"profile": "untrusted", "read": [""]}, ".read must be a text that is not empty"),
    ({"profile": "untrusted", "write": [5]}, ".write must be a text that is not empty: 5"),
    ({"profile": "untrusted", "write": ["out"]}, ".write takes PATH or HOST:INSIDE, whole paths"),
    ({"env": "LANG"}, ".env must be a list of texts: 'LANG'"),
    ({"env": ["=x"]}, ".env takes NAME or NAME=value: '=x'"),
    ({"without": "cpu"}, ".without must be a list of texts: 'cpu'"),
    ({"without": ["cpus"]}, ".without must be one of environment, orphans,"),
    ({"without": [["cpu"]]}, ".without must be one of"),
    # what a profile cannot give
    ({"disk": "64M"}, ".disk needs profile 'untrusted'; with 'limits' a child has the files"),
    ({"read": ["/opt"]}, ".read needs profile 'untrusted'"),
    ({"write": ["/opt"]}, ".write needs profile 'untrusted'"),
    ({"net": "none"}, ".net needs profile 'untrusted'; with 'limits'"),
    ({"preload": ["json"]}, ".preload needs profile 'untrusted'"),
    ({"backend": "bwrap"}, ".backend needs profile 'untrusted'"),
    ({"profile": "none", "disk": 2**20}, ".disk needs profile 'untrusted'; with 'none'"),
    ({"profile": "none", "cpu": 1}, ".cpu needs profile 'limits' or 'untrusted'"),
    ({"profile": "none", "memory": "1G"}, ".memory needs profile 'limits' or 'untrusted'"),
    ({"profile": "none", "pids": 5}, ".pids needs profile 'limits' or 'untrusted'"),
    ({"profile": "none", "without": ["cpu"]}, ".without needs profile 'limits' or 'untrusted'"),
    ({"without": ["files"]}, ".without 'files': profile 'limits' does not promise it anyway"),
    # life
    ({"fresh": "job", "max_jobs": 2}, ".max_jobs is for children that are shared"),
    ({"profile": "untrusted", "max_jobs": 2}, ".max_jobs is for children that are shared"),
    ({"start": "fork"}, ".start 'fork' needs profile 'untrusted' and fresh 'job'"),
    ({"profile": "untrusted", "start": "fork", "fresh": "key"}, ".start 'fork' needs profile"),
    (
        {"profile": "untrusted", "start": "fork", "backend": "landlock"},
        ".start 'fork' needs the walls of bubblewrap",
    ),
    ({"profile": "untrusted", "preload": ["a"], "start": "exec"}, ".preload is for children that"),
    ({"profile": "untrusted", "preload": ["a"], "fresh": "never"}, ".preload is for children that"),
    (
        {"profile": "untrusted", "preload": ["a"], "backend": "landlock"},
        ".preload is for children that",
    ),
    ({"profile": "untrusted", "preload": ["a b"]}, ".preload takes names of modules: 'a b'"),
]


@pytest.mark.parametrize(("table", "message"), BAD, ids=[str(table) for table, _ in BAD])
def test_what_cannot_be_is_refused_with_its_key(table, message):
    with pytest.raises(InvalidInput, match=re.escape(message)) as caught:
        Sandbox.of(table, "queues.a.handlers.b.sandbox")

    assert str(caught.value).startswith(f"queues.a.handlers.b.sandbox{message[:5]}")


def test_every_key_has_an_error_in_the_table():
    refused = {found[1] for _, message in BAD if (found := re.match(r"\.(\w+) ", message))}

    assert set(KEYS) <= refused


@pytest.mark.parametrize("profile", Profile)
def test_what_a_key_has_anyway_may_be_said(profile):
    plain = Sandbox(profile=profile)
    told = Sandbox.of({name: getattr(plain, name) for name in KEYS})

    assert told == plain
    assert Sandbox.of({"profile": str(profile), "read": [], "env": [], "without": []}) == plain


def test_each_profile_promises_more_than_the_one_before():
    none, limits, untrusted = (set(PROMISES[profile]) for profile in Profile)

    assert none < limits < untrusted == set(Guarantee)
    for promised in PROMISES.values():
        assert len(set(promised)) == len(promised)


@pytest.mark.parametrize("guarantee", Guarantee)
def test_each_guarantee_may_be_waived_by_its_name(guarantee):
    assert Sandbox.untrusted(without=[str(guarantee)]).without == {guarantee}


@pytest.mark.parametrize(
    ("sandbox", "warning"),
    [
        (Sandbox(), None),
        (Sandbox(fresh="key"), None),
        (Sandbox.untrusted(), None),
        (Sandbox.untrusted(fresh="key"), "jobs of one pool key share a child"),
        (Sandbox.untrusted(fresh="never"), "jobs of this handler share a child"),
    ],
)
def test_who_shares_children_that_are_not_trusted_is_told(sandbox, warning):
    told = warnings_of(sandbox)

    assert len(told) == (warning is not None)
    assert all(warning in text for text in told)
