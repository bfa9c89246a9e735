"""The door to configuration: environment variables, and TOML files good and bad."""

import re

import pytest

from sandq import settings
from sandq.errors import ConfigError
from sandq.model.handler import Channel, Handler
from sandq.model.limits import Limits
from sandq.model.sandbox import Sandbox
from sandq.model.supervision import Supervision
from sandq.settings import Config, load_config

HANDLER = """
[queues.images.handlers.resize]
command = ["resize"]
"""


@pytest.fixture
def load(tmp_path):
    """Read a configuration of this text."""

    def read(text):
        path = tmp_path / "sandq.toml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return load_config(path)

    return read


def test_an_empty_file_is_all_defaults(load):
    assert load("") == Config(
        redis=None, prefix=None, supervision=Supervision(), handlers={}, files=frozenset()
    )


def test_every_key_has_its_place(load):
    config = load(
        """
        redis = "redis://localhost/1"
        prefix = "mine"
        pool = 8
        pool_least = 2
        broken_after = "5m"
        lease = "1m"
        recover_every = 20
        max_stalls = 3
        drain_timeout = "10s"
        kill_grace = 0.5

        [limits]
        line = "2M"
        open_files = 64

        [queues.images.handlers.resize]
        command = ["python", "resize.py"]
        cwd = "/srv"
        timeout = "30s"
        fresh = true
        strict = true
        heartbeat_timeout = "10s"
        channel = "fd3"
        max_jobs = 100
        max_age = "1h"
        max_rss = "300M"
        idle = "2m"
        env = {A = "1", B = "2"}
        limits = {cpu = 1.5, memory = "256M", file_size = 1048576, open_files = 32}

        [queues.images.handlers."*"]
        command = ["any"]
        calls = ["get_result", "add_job"]

        [queues.mail.handlers.send]
        file = "send.py"
        """
    )

    assert config == Config(
        redis="redis://localhost/1",
        prefix="mine",
        supervision=Supervision(
            pool=8,
            pool_least=2,
            broken_ms=300_000,
            lease_ms=60_000,
            recover_ms=20_000,
            max_stalls=3,
            drain_ms=10_000,
            kill_grace_ms=500,
        ),
        handlers={
            "images": {
                "resize": Handler(
                    command=("python", "resize.py"),
                    cwd="/srv",
                    env=(("A", "1"), ("B", "2")),
                    timeout_ms=30_000,
                    fresh=True,
                    strict=True,
                    heartbeat_timeout_ms=10_000,
                    channel=Channel.FD3,
                    max_jobs=100,
                    max_age_ms=3_600_000,
                    max_rss=300 * 1024**2,
                    idle_ms=120_000,
                    limits=Limits(
                        line=2 * 1024**2,
                        cpu=2,
                        memory=256 * 1024**2,
                        file_size=1024**2,
                        open_files=32,
                    ),
                ),
                "*": Handler(
                    command=("any",),
                    calls=("add_job", "get_result"),
                    limits=Limits(line=2 * 1024**2, open_files=64),
                ),
            },
            "mail": {
                "send": Handler(
                    command=("send.py",), limits=Limits(line=2 * 1024**2, open_files=64)
                ),
            },
        },
        files=frozenset({("mail", "send")}),
    )


BAD = [
    # text, what the message says beside the file
    ('reds = "redis://"', "key 'reds' is not known; did you mean 'redis'?"),
    ("pol = 1", "key 'pol' is not known; did you mean 'pool'?"),
    ("drain = 1", "key 'drain' is not known"),
    ("xyzzy = 1", "key 'xyzzy' is not known; known are: broken_after, drain_timeout"),
    ("[limits]\nmemry = 1", "key 'limits.memry' is not known; did you mean 'memory'?"),
    ("[queues.a.handler]", "key 'queues.a.handler' is not known; did you mean 'handlers'?"),
    (
        '[queues.a.handlers.b]\ncommand = ["b"]\ntimeot = 1',
        "key 'queues.a.handlers.b.timeot' is not known; did you mean 'timeout'?",
    ),
    (
        '[queues.a.handlers.b]\ncommand = ["b"]\nlimits = {cpus = 1}',
        "key 'queues.a.handlers.b.limits.cpus' is not known; did you mean 'cpu'?",
    ),
    ("redis = 5", "redis must be a text: 5"),
    ('redis = ""', "redis must be a text"),
    ("prefix = true", "prefix must be a text"),
    ('prefix = "a b"', "prefix"),
    ("pool = 0", "pool must be a number of at least 1: 0"),
    ("pool = 1.5", "pool must be a whole number: 1.5"),
    ("pool = true", "pool must be a whole number: True"),
    ('pool = "4"', "pool must be a whole number: '4'"),
    ("lease = -1", "lease must be between 0 and 100 years"),
    ('lease = "soon"', "lease is not a duration: 'soon'"),
    ("lease = true", "lease must be seconds"),
    ('lease = "99ms"', "lease"),
    ('recover_every = "1ms"', "recover_every"),
    ("kill_grace = nan", "kill_grace must be between"),
    ("drain_timeout = inf", "drain_timeout must be between"),
    ("max_stalls = -1", "max_stalls must be a number of at least 0"),
    ("limits = 5", "limits must be a table: 5"),
    ('[limits]\nmemory = "many"', "limits.memory is not a size: 'many'"),
    ("[limits]\nmemory = 1.5", "limits.memory must be bytes"),
    ('[limits]\nopen_files = "64"', "limits.open_files must be a whole number"),
    ("queues = 5", "queues must be a table: 5"),
    ('[queues."a b"]', "queue name 'a b' is not allowed"),
    ("[queues]\na = 5", "queues.a must be a table: 5"),
    ("[queues.a]", "queues.a has no handlers; add [queues.a.handlers.NAME]"),
    ("[queues.a]\nhandlers = []", "queues.a.handlers must be a table: []"),
    ("[queues.a.handlers]\nb = 5", "queues.a.handlers.b must be a table: 5"),
    ("[queues.a.handlers.b]", "queues.a.handlers.b needs either command or file"),
    (
        '[queues.a.handlers.b]\ncommand = ["b"]\nfile = "b.py"',
        "queues.a.handlers.b needs either command or file",
    ),
    ('[queues.a.handlers.b]\ncommand = "b"', "queues.a.handlers.b.command must be a list of words"),
    ("[queues.a.handlers.b]\ncommand = []", "queues.a.handlers.b.command must be a list of words"),
    ("[queues.a.handlers.b]\ncommand = [1]", "queues.a.handlers.b.command must be a list of words"),
    ('[queues.a.handlers.b]\ncommand = ["a\\u0000"]', "queues.a.handlers.b"),
    ("[queues.a.handlers.b]\nfile = 1", "queues.a.handlers.b.file must be a text"),
    ('[queues.a.handlers.b]\nfile = ""', "queues.a.handlers.b.file must be a text"),
    (HANDLER + "cwd = 1", "queues.images.handlers.resize.cwd must be a text"),
    (HANDLER + "fresh = 1", "queues.images.handlers.resize.fresh must be true or false: 1"),
    (HANDLER + 'strict = "yes"', "queues.images.handlers.resize.strict must be true or false"),
    (HANDLER + "timeout = -1", "queues.images.handlers.resize.timeout must be between"),
    (HANDLER + "timeout = 0", "queues.images.handlers.resize"),
    (HANDLER + "env = 5", "queues.images.handlers.resize.env must be a table"),
    (HANDLER + "env = {A = 1}", "queues.images.handlers.resize.env.A must be a text"),
    (HANDLER + "limits = {line = 10}", "queues.images.handlers.resize.limits"),
    (HANDLER + "limits = {memory = 0}", "queues.images.handlers.resize.limits"),
    (HANDLER + "[limits]\nopen_files = 0", "open_files must be at least 1: 0"),
    ('sandbox = "untrustd"', "sandbox.profile must be one of none, limits, untrusted: 'untrustd'"),
    ("sandbox = 5", "sandbox must be the name of a profile, or a table: 5"),
    ("[sandbox]\nmemry = 1", "sandbox.memry is not known; did you mean 'memory'?"),
    (HANDLER + "sandbox = true", "queues.images.handlers.resize.sandbox must be the name of a"),
    (HANDLER + "sandbox = {pids = 0}", "queues.images.handlers.resize.sandbox.pids must be"),
    (HANDLER + "sandbox = {disk = 0}", "queues.images.handlers.resize.sandbox.disk must be"),
    (HANDLER + 'sandbox = {net = "none"}', "queues.images.handlers.resize.sandbox.net needs"),
    (
        HANDLER + 'sandbox = {profile = "untrusted", read = ["missing"]}',
        "queues.images.handlers.resize.sandbox.read: ",
    ),
    (
        HANDLER + 'sandbox = {profile = "untrusted", write = ["/missing/at/all"]}',
        "resize.sandbox.write: '/missing/at/all' does not exist: '/missing/at/all'",
    ),
    (
        HANDLER + 'sandbox = {profile = "untrusted", read = ["/usr/../proc"]}',
        "queues.images.handlers.resize.sandbox.read: the path inside must not hold '..'",
    ),
    (
        HANDLER + 'limits = {line = "1M"}\nsandbox = {output = "2M"}',
        "resize.sandbox.output is 2097152 and queues.images.handlers.resize.limits.line is 1048576",
    ),
    (
        '[sandbox]\noutput = "2M"' + HANDLER + 'limits = {line = "3M"}',
        "queues.images.handlers.resize: sandbox.output is 2097152 and limits.line is 3145728",
    ),
    (
        HANDLER + 'fresh = true\nsandbox = {profile = "untrusted", fresh = "never"}',
        "queues.images.handlers.resize: sandbox.fresh is 'never'",
    ),
    (HANDLER + "[queues.mail]\nceilings = 5", "queues.mail.ceilings must be a table: 5"),
    (
        HANDLER + "[queues.images.ceilings]\nmemry = 5",
        "queues.images.ceilings.memry is not known; did you mean 'memory'?",
    ),
    (
        HANDLER + "[queues.images.ceilings]\ndisk = 5",
        "queues.images.ceilings.disk must be at least",
    ),
    (
        HANDLER + '[queues.images.ceilings]\nmemory = "64M"',
        "queues.images.handlers.resize.sandbox.memory has no limit; the queue allows at most",
    ),
    (
        'sandbox = "untrusted"' + HANDLER + '[queues.images.ceilings]\nmemory = "64M"',
        "queues.images.handlers.resize.sandbox.memory is 268435456; the queue allows at most",
    ),
    (
        HANDLER + '[queues.images.ceilings]\nprofile = "untrusted"',
        "queues.images.handlers.resize.sandbox.profile is 'limits'; the queue asks for",
    ),
]


@pytest.mark.parametrize(("text", "message"), BAD, ids=[text for text, _ in BAD])
def test_a_bad_file_is_refused_with_its_name_and_the_key(load, tmp_path, text, message):
    with pytest.raises(ConfigError, match=re.escape(message)) as caught:
        load(text)

    assert str(caught.value).startswith(f"{tmp_path / 'sandq.toml'}: ")


@pytest.mark.parametrize("text", ["pool =", "[a", "a = 1\na = 2", "pool = 1 2"])
def test_what_is_not_toml_is_refused_with_the_file_and_the_line(load, tmp_path, text):
    with pytest.raises(ConfigError, match=r"sandq\.toml is not TOML: .*(line \d|end of document)"):
        load(text)


def test_a_file_that_is_not_utf8_is_refused(load):
    with pytest.raises(ConfigError, match=r"cannot read the configuration .*sandq\.toml"):
        load(b'redis = "\xff"')


@pytest.mark.parametrize("name", ["missing.toml", "."])
def test_a_file_that_cannot_be_read_is_refused(tmp_path, name):
    with pytest.raises(ConfigError, match="cannot read the configuration"):
        load_config(tmp_path / name)


def test_a_handlers_own_limit_comes_before_the_common_one(load):
    config = load("[limits]\ncpu = 5\nopen_files = 9\n" + HANDLER + "limits = {cpu = 1}")

    assert config.handlers["images"]["resize"].limits == Limits(cpu=1, open_files=9)


@pytest.mark.parametrize(("written", "seconds"), [("1", 1), ('"1ms"', 1), ('"1h"', 3_600)])
def test_processor_time_is_kept_in_seconds_rounded_up(load, written, seconds):
    config = load(HANDLER + f"limits = {{cpu = {written}}}")

    assert config.handlers["images"]["resize"].limits.cpu == seconds


@pytest.mark.parametrize(
    ("variables", "url"),
    [
        ({}, None),
        ({"REDIS_URL": "redis://b"}, "redis://b"),
        ({"SANDQ_REDIS_URL": "redis://a", "REDIS_URL": "redis://b"}, "redis://a"),
        ({"SANDQ_REDIS_URL": "", "REDIS_URL": "redis://b"}, "redis://b"),
        ({"SANDQ_REDIS_URL": "", "REDIS_URL": ""}, None),
    ],
)
def test_our_own_variable_names_the_server_before_the_usual_one(monkeypatch, variables, url):
    for name in ("SANDQ_REDIS_URL", "REDIS_URL"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    assert settings.redis_url() == url


@pytest.mark.parametrize(
    ("value", "folder"), [(None, ".sandq"), ("", ".sandq"), ("/srv/q", "/srv/q")]
)
def test_the_folder_of_the_embedded_server_can_be_moved(monkeypatch, value, folder):
    monkeypatch.delenv("SANDQ_DIR", raising=False)
    if value is not None:
        monkeypatch.setenv("SANDQ_DIR", value)

    assert settings.folder() == folder


def test_a_child_gets_the_declared_variables_that_are_set_and_no_other(monkeypatch):
    for name in settings.PASSED_ON:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", "/bin")
    monkeypatch.setenv("TZ", "")
    monkeypatch.setenv("SANDQ_REDIS_URL", "redis://:secret@a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")

    assert settings.passed_on_environment() == {"PATH": "/bin", "TZ": ""}


def test_the_declared_variables_hold_no_secret():
    assert settings.PASSED_ON == ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR")


def test_a_sandbox_is_a_name_or_a_table(load):
    config = load(
        '[queues.a.handlers.b]\ncommand = ["b"]\nsandbox = "untrusted"\n'
        '[queues.a.handlers.c]\ncommand = ["c"]\n'
        '[queues.a.handlers.c.sandbox]\nprofile = "untrusted"\nwall = "5s"\nmemory = "1G"\n'
    )

    assert config.handlers["a"]["b"].sandbox == Sandbox.untrusted()
    assert config.handlers["a"]["c"].sandbox == Sandbox.untrusted(wall=5, memory="1G")


def test_a_sandbox_of_a_handlers_own_takes_the_place_of_the_common_one(load):
    config = load(
        '[sandbox]\nprofile = "untrusted"\nmemory = "1G"\n'
        '[queues.a.handlers.b]\ncommand = ["b"]\n'
        '[queues.a.handlers.c]\ncommand = ["c"]\nsandbox = {pids = 5}\n'
    )

    assert config.handlers["a"]["b"].sandbox == Sandbox.untrusted(memory="1G")
    assert config.handlers["a"]["c"].sandbox == Sandbox(pids=5)


def test_the_paths_of_a_sandbox_are_taken_from_the_files_folder_on(load, tmp_path, monkeypatch):
    monkeypatch.chdir("/")
    (tmp_path / "models").mkdir()
    (tmp_path / "a").write_text("")
    config = load(
        HANDLER + "[queues.images.handlers.resize.sandbox]\nprofile = 'untrusted'\n"
        f"read = ['models', './models/../a:/a', '/usr']\nwrite = ['{tmp_path}/models:/out']\n"
    )
    sandbox = config.handlers["images"]["resize"].sandbox

    assert sandbox.read == (f"{tmp_path}/models", f"{tmp_path}/a:/a", "/usr")
    assert sandbox.write == (f"{tmp_path}/models:/out",)


@pytest.mark.parametrize(
    ("common", "own", "line"),
    [
        ("line = '4M'", "output = '2M'", 2),
        ("cpu = 1", "output = '2M'", 2),
        ("line = '4M'", "pids = 5", 4),
        ("cpu = 1", "pids = 5", 1),
    ],
)
def test_the_output_of_a_sandbox_comes_before_the_common_line(load, common, own, line):
    config = load(f"[limits]\n{common}\n{HANDLER}sandbox = {{{own}}}")

    assert config.handlers["images"]["resize"].limits.line == line * 1024**2


def test_a_handler_below_the_ceilings_is_taken(load):
    config = load(
        'sandbox = "untrusted"' + HANDLER + '[queues.images.ceilings]\nprofile = "untrusted"\n'
        'wall = "1m"\ncpu = 10\nmemory = "256M"\npids = 32\ndisk = "64M"\noutput = "1M"\n'
    )

    assert config.handlers["images"]["resize"].sandbox == Sandbox.untrusted()


@pytest.mark.parametrize(
    ("value", "uids"),
    [
        (None, settings.UIDS),
        ("", settings.UIDS),
        ("60000-60999", (60_000, 60_999)),
        (" 1000 - 1000 ", (1_000, 1_000)),
        ("70000-4294967294", (70_000, 2**32 - 2)),
    ],
)
def test_the_user_ids_lent_to_jobs_can_be_chosen(monkeypatch, value, uids):
    monkeypatch.delenv("SANDQ_UIDS", raising=False)
    if value is not None:
        monkeypatch.setenv("SANDQ_UIDS", value)

    assert settings.uid_range() == uids


@pytest.mark.parametrize(
    "value", ["70000", "a-b", "0-100", "999-2000", "2000-1999", "1000-4294967295", "-1-5", "1-2-3"]
)
def test_other_user_ids_are_refused_with_the_variables_name(monkeypatch, value):
    monkeypatch.setenv("SANDQ_UIDS", value)

    with pytest.raises(ConfigError, match=f"^SANDQ_UIDS must be two user ids .*: {value!r}$"):
        settings.uid_range()
