"""Where answers come from: output, descriptor 3, a file; what else is written is text."""

import sys

import pytest

from sandq.child.pool import Pool
from sandq.errors import InvalidInput
from sandq.model.handler import Channel, Handler
from sandq.model.limits import Limits
from sandq.model.outcome import FailureKind
from sandq.protocol.messages import Captured
from tests.child.lending import (
    GRACE_MS,
    full,
    handler,
    lend,
    open_descriptors,
    outcome_of,
    run,
    shell,
    until,
)

pytestmark = pytest.mark.anyio

FORGED = '{"sandq":1,"type":"result","id":"1","status":"ok","result":"forged"}'


@pytest.fixture(autouse=True)
def nothing_is_left(tmp_path, monkeypatch, wait):
    """No descriptor and no file outlives a test."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    before = open_descriptors()
    yield
    assert open_descriptors() <= before
    wait(lambda: not list(tmp_path.glob("sandq-*")), "the folders of results are gone")


async def test_a_shell_loop_answers_on_descriptor_3_and_prints_what_it_likes():
    said = []
    script = f"while read -r job; do echo '{FORGED}'; echo true; echo '\"mine\"' >&3; done"
    one = shell(script, channel="fd3")
    async with Pool(1, [one]) as pool:
        values = [(await run(pool, one, said=said)).value for _ in range(5)]

    assert values == [b'"mine"'] * 5
    assert said[:2] == [Captured("stdout", FORGED), Captured("stdout", "true")]


async def test_a_full_child_speaks_on_descriptor_3():
    said = []
    script = f"print({FORGED!r}, flush=True); answer(job, 'mine'); hear()"
    one = full(sys.executable, script, [], channel=Channel.FD3)

    outcome = await outcome_of(one, said=said)

    assert outcome.value == b'"mine"'
    assert Captured("stdout", FORGED) in said


async def test_nothing_but_json_may_stand_on_descriptor_3():
    outcome = await outcome_of(shell("read -r job; echo words >&3; sleep 60", channel="fd3"))

    assert outcome.failure.kind is FailureKind.PROTOCOL_ERROR
    assert "'words'" in outcome.failure.message


@pytest.mark.parametrize(("channel", "wanted"), [("stdout", [0, 1, 2]), ("fd3", [0, 1, 2, 3])])
async def test_a_child_has_the_descriptors_of_its_channel_and_no_other(channel, wanted):
    code = (
        "import json, os, sys\nsys.stdin.readline()\n"
        "open_now = sorted(map(int, os.listdir('/proc/self/fd')))[:-1]\n"
        "out = int(os.environ.get('SANDQ_FD', 1))\n"
        "os.write(out, json.dumps([open_now, os.environ.get('SANDQ_FD')]).encode() + b'\\n')"
    )

    outcome = await outcome_of(handler([sys.executable, "-c", code], channel=channel))

    shown = b'"3"' if channel == "fd3" else b"null"
    assert outcome.value == f"[{wanted}, ".encode() + shown + b"]"


async def test_a_result_file_holds_the_answer_whatever_is_printed():
    said = []
    script = (
        f"echo '{FORGED}'; echo 1; ls -ld \"${{SANDQ_RESULT_FILE%/*}}\" | cut -c1-10\n"
        'printf \'{"status":"ok",\\n"result":[1,\\n2]}\' > "$SANDQ_RESULT_FILE"'
    )
    one = shell(script, fresh=True, channel="file")

    outcome = await outcome_of(one, said=said)

    assert outcome.value == b"[1, 2]"
    assert [line.text for line in said] == [FORGED, "1", "drwx------"]


FILES = {
    "nothing": ("true", b"null", None, ""),
    "nothing, exit 3": ("exit 3", None, "crashed", "exit code 3"),
    "an error": ('echo \'{"status":"error","error":"no"}\' > $F', None, "error", "no"),
    "words": ("echo words > $F", None, "protocol_error", "'words'"),
    "a value, exit 3": ("echo 1 > $F; exit 3", None, "crashed", "after it answered ok"),
    "gone": ("rm $F", b"null", None, ""),
    "a link": ("ln -sf /proc/self/environ $F", b"null", None, ""),
    "a pipe": ("rm $F; mkfifo $F", b"null", None, ""),
    "a folder": ("rm $F; mkdir $F", b"null", None, ""),
    "other files beside it": ("touch ${F}2; mkdir -p ${F}3/x; echo 2 > $F", b"2", None, ""),
    "too much": ("head -c 3000 /dev/zero | tr '\\0' 1 > $F", None, "output_limit", "longer than"),
}


@pytest.mark.parametrize("name", FILES)
async def test_what_may_become_of_a_result_file(name):
    script, value, kind, words = FILES[name]
    one = shell(
        "F=$SANDQ_RESULT_FILE; " + script, fresh=True, channel="file", limits=Limits(line=2048)
    )

    outcome = await outcome_of(one)

    assert outcome.value == value
    assert (outcome.failure.kind if outcome.failure else None) == kind
    assert words in (outcome.failure.message if outcome.failure else "")


async def test_the_file_of_a_job_that_never_started_is_removed_too(tmp_path):
    program = tmp_path / "bad"
    program.write_text("#!/no/such/interpreter\n")
    program.chmod(0o755)
    one = handler([str(program)], fresh=True, channel="file")
    async with Pool(1, [one]) as pool:
        outcome = await run(pool, one)

    assert "does not exist" in outcome.released


async def test_without_a_place_for_the_file_no_child_starts_and_the_job_is_given_back(
    tmp_path, monkeypatch
):
    one = shell("true", fresh=True, channel="file")
    async with Pool(1, [one]) as pool:
        with monkeypatch.context() as patch:
            patch.setattr("tempfile.tempdir", str(tmp_path / "nowhere"))
            outcome = await run(pool, one)
        await until(lambda: pool.places([one]))
        again = await run(pool, one)

    assert "no place for its result" in outcome.released
    assert "TMPDIR" in outcome.released
    assert again.value == b"null"


async def test_a_killed_child_leaves_no_file():
    one = shell("echo 1 > $SANDQ_RESULT_FILE; exec sleep 60", fresh=True, channel="file")
    async with Pool(1, [one], kill_grace_ms=GRACE_MS) as pool:
        child, job = await lend(pool, one, timeout_ms=200)
        outcome = await job
        pool.give_back(child)

    assert outcome.failure is None or outcome.failure.kind is FailureKind.TIMED_OUT


def test_channels_are_checked():
    with pytest.raises(InvalidInput, match="one of stdout, fd3, file"):
        Handler(command=("x",), channel="fd4")
    with pytest.raises(InvalidInput, match="one process per job"):
        Handler(command=("x",), channel="file")
