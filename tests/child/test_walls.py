"""Walls around children as their users meet them: the pool, every level and channel, every end."""

import sys

import pytest

from sandq.child.pool import Pool
from sandq.model.sandbox import Sandbox
from tests.child.lending import GRACE_MS, handler, outcome_of, run, shell

pytestmark = pytest.mark.anyio

FORMS = pytest.mark.parametrize("start", ["exec", "fork"])
SDK = "from sandq.handler import serve\nserve(lambda job: job.data)\n"
SIMPLE = (
    "import json, sys\nfor line in sys.stdin: print(json.dumps(json.loads(line)["
    "'data']), flush=True)"
)


def python(code, *, start, **settings):
    sandbox = Sandbox.untrusted(start=start, **settings.pop("sandbox", {}))

    return handler([sys.executable, "-c", code], sandbox=sandbox, **settings)


@FORMS
@pytest.mark.parametrize("code", [SDK, SIMPLE], ids=["full", "simple"])
async def test_each_job_has_a_child_of_its_own_behind_walls(start, code):
    one = python(code, start=start)
    async with Pool(2, [one], kill_grace_ms=GRACE_MS) as pool:
        outcomes = [await run(pool, one, {"n": n}) for n in range(6)]

    assert [outcome.value for outcome in outcomes] == [b'{"n":%d}' % n for n in range(6)] or [
        outcome.value for outcome in outcomes
    ] == [b'{"n": %d}' % n for n in range(6)]


@FORMS
async def test_answers_may_come_on_descriptor_3(start):
    one = python(
        SDK.replace("job.data", "(print('noise'), job.data)[1]"), start=start, channel="fd3"
    )

    assert (await outcome_of(one, 7)).value == b"7"


@pytest.mark.parametrize("start", ["exec", "auto"])
async def test_a_one_shot_handler_has_walls_too(start, tmp_path):
    code = f"import os, sys; sys.stdin.read(); print(int(os.path.exists({str(tmp_path)!r})))"
    sandbox = Sandbox.untrusted(start=start)
    one = handler([sys.executable, "-c", code], fresh=True, sandbox=sandbox)

    assert (await outcome_of(one)).value == b"0"


@FORMS
@pytest.mark.parametrize(
    ("code", "kind", "words"),
    [
        ("import sys; sys.stdin.readline(); sys.exit(3)", "crashed", "exit code 3"),
        ("import os; input(); os.abort()", "crashed", "signal SIG"),
        ("input(); raise ValueError('bad')", "crashed", "ValueError: bad"),
        ("input(); import time; time.sleep(60)", "timed_out", "no answer within 400 ms"),
        ("input(); print('x' * 2**21)", "output_limit", "longer than"),
        ("import sys; input(); sys.stdout.write('1\\n2\\n')", "protocol_error", "answered twice"),
    ],
)
async def test_every_bad_end_is_told_as_it_is_without_walls(start, code, kind, words):
    outcome = await outcome_of(python(code, start=start), timeout_ms=400)

    assert outcome.failure.kind == kind
    assert words in outcome.failure.message


@FORMS
async def test_a_record_tells_the_walls_and_the_limit_that_was_passed(start):
    code = (
        "import os, signal; input()\n"
        "for _ in range(3):\n"
        "    if os.fork() == 0:\n"
        "        hog = bytearray(40 << 20)\n"
        "        hog[::4096] = b'x' * len(hog[::4096])\n"
        "        signal.pause()\n"
        "signal.pause()"
    )
    failure = (await outcome_of(python(code, start=start, sandbox={"memory": "64M"}))).failure

    assert failure.kind == "out_of_memory"
    assert (failure.limit.name, failure.limit.value) == ("memory", 64 << 20)
    assert failure.limit.peak > 64 << 20
    assert failure.death.sandbox.startswith("bwrap+seccomp")


@FORMS
async def test_processor_time_is_bounded(start):
    outcome = await outcome_of(python("input()\nwhile True: pass", start=start, sandbox={"cpu": 1}))

    assert outcome.failure.kind == "cpu_limit"
    assert outcome.failure.limit.value == 1


@FORMS
async def test_what_it_may_not_have_is_an_error_of_its_own(start):
    code = (
        "import json, os; input(); errors = []\n"
        "for what in (lambda: open('/tmp/big', 'wb').write(bytes(2 << 20)),\n"
        "             lambda: open('/etc/new', 'w'), lambda: open('/etc/shadow')):\n"
        "    try: what()\n"
        "    except OSError as error: errors.append(error.errno > 0)\n"
        "print(json.dumps(errors))"
    )
    outcome = await outcome_of(python(code, start=start, sandbox={"disk": "1M"}))

    assert outcome.value == b"[true, true, true]"


async def test_a_program_that_is_not_there_inside_is_a_failed_start(tmp_path):
    program = tmp_path / "gone"
    program.write_text("#!/nowhere/interpreter\n")
    program.chmod(0o755)
    one = handler([str(program)], sandbox="untrusted")
    async with Pool(1, [one], kill_grace_ms=GRACE_MS) as pool:
        with pytest.raises(Exception, match="gone"):
            await run(pool, one)


async def test_other_languages_have_walls():
    one = shell(
        'read -r job; echo "{\\"status\\":\\"ok\\",\\"result\\":$(id -u)}"', sandbox="untrusted"
    )

    assert (await outcome_of(one)).value == b"1000"


@FORMS
async def test_paths_and_variables_that_are_named_are_seen(start, tmp_path, monkeypatch):
    # as root, a job is another user than the supervisor
    tmp_path.chmod(0o755)
    (tmp_path / "model").write_text("42")
    monkeypatch.setenv("GIVEN", "yes")
    monkeypatch.setenv("SECRET", "no")
    code = (
        "import json, os; input()\n"
        "print(json.dumps([open('/models/model').read(), os.environ['GIVEN'], "
        "'SECRET' in os.environ, os.environ['OWN']]))"
    )
    named = {"read": [f"{tmp_path}:/models"], "env": ["GIVEN"]}
    outcome = await outcome_of(python(code, start=start, sandbox=named, env=(("OWN", "1"),)))

    assert outcome.value == b'["42", "yes", false, "1"]'


@FORMS
async def test_memory_that_nobody_could_count_is_not_to_be_had(start):
    code = (
        "import json, mmap; input(); errors = []\n"
        "def zero():\n"
        "    file = open('/dev/zero', 'rb'); mmap.mmap(file.fileno(), 4096, mmap.MAP_SHARED)\n"
        "for what in (lambda: mmap.mmap(-1, 4096), zero):\n"
        "    try: what()\n"
        "    except (OSError, ValueError): errors.append(True)\n"
        "own = mmap.mmap(-1, 4096, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)\n"
        "print(json.dumps([errors, open('/dev/zero', 'rb').read(2) == bytes(2)]))"
    )
    outcome = await outcome_of(python(code, start=start))

    assert outcome.value == b"[[true, true], true]"


async def test_a_child_is_believed_once_that_it_has_not_read_its_job():
    one, trusted = shell("true", sandbox="untrusted"), shell("true")
    pool = Pool(1, [one, trusted])

    assert [pool.believes_unread(one, "q:1") for _ in range(2)] == [True, False]
    assert pool.believes_unread(one, "q:2")
    assert [pool.believes_unread(trusted, "q:1") for _ in range(2)] == [True, True]
