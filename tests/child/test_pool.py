"""Pools of real processes: what starts, what is lent, what comes of every way to end."""

import errno
import json
import os
import signal
import sys

import anyio
import pytest

from sandq.child.pool import Pool
from sandq.child.spawn import StartFailed
from sandq.errors import HandlerInvalid
from sandq.model.limits import Limits
from sandq.model.outcome import FailureKind
from tests.child.lending import GRACE_MS, alive, children_of, handler, outcome_of, run, shell, until

pytestmark = pytest.mark.anyio

# the simple level in the shell: every job is answered
ECHO = ["/bin/sh", "-c", 'while read -r job; do echo \'{"status":"ok","result":"done"}\'; done']


@pytest.fixture(autouse=True)
def nothing_is_left():
    """No descriptor and no child process outlives a test."""
    before = set(os.listdir("/proc/self/fd"))
    yield
    assert set(os.listdir("/proc/self/fd")) <= before
    for pid in children_of(os.getpid()):
        with open(f"/proc/{pid}/cmdline", "rb") as cmdline:
            assert b"child/spawner" not in cmdline.read()


async def test_a_simple_child_serves_many_jobs_in_one_process():
    one = handler(ECHO)
    async with Pool(1, [one]) as pool:
        outcomes = [await run(pool, one, n) for n in range(10)]
        pids = pool.pids()

    assert [outcome.value for outcome in outcomes] == [b'"done"'] * 10
    assert len(pids) == 1


async def test_warm_children_are_kept_up_to_the_size_and_never_more(wait):
    one, two = handler(ECHO), handler([*ECHO, "second"])
    async with Pool(3, [one, two]) as pool:
        await until(lambda: pool.places([one]) == 3)
        pids = pool.pids()

    assert len(pids) == 3
    wait(lambda: not any(alive(pid) for pid in pids), "the children are gone")


async def test_an_idle_child_of_another_handler_gives_way(flaky):
    one, two = handler(ECHO), handler(flaky)
    async with Pool(1, [one, two]) as pool:
        first = await run(pool, one)
        second = await run(pool, two, {"value": 2})
        third = await run(pool, one)

    assert [first.value, second.value, third.value] == [b'"done"', b"2", b'"done"']


async def test_a_full_child_reports_and_answers_with_the_bytes_it_wrote(flaky):
    said = []

    outcome = await outcome_of(
        handler(flaky), {"value": {"b": []}, "progress": [0.5], "log": ["hi"]}, said=said
    )

    assert outcome.value == b'{"b":[]}'
    assert [getattr(message, "value", None) or message.text for message in said] == [
        b'{"level":"info","message":"hi"}', b"0.5",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("script", "kind", "words"),
    [
        ("read -r job; exit 3", "crashed", "exit code 3"),
        ("read -r job; echo oh >&2; exit 3", "crashed", "last error output: 'oh'"),
        ("read -r job; kill -9 $$", "crashed", "signal SIGKILL"),
        ("read -r job; kill -SEGV $$", "crashed", "signal SIGSEGV"),
        ("read -r job; echo garbage; exit 0", "crashed", "not JSON: 'garbage'"),
        ("read -r job; printf '{\"status\":'; exit 0", "crashed", "exit code 0"),
        ("read -r job; echo 1; echo 2; sleep 9", "protocol_error", "answered twice"),
        ("read -r job; echo '{\"a\":NaN}'; sleep 9", "protocol_error", "NaN"),
        ("read -r job; echo '{\"sandq\":2}'; sleep 9", "protocol_error", "speaks protocol 2"),
        ("read -r job; head -c 2097152 /dev/zero | tr '\\0' x; sleep 9", "output_limit",
         "longer than 1048576 bytes"),
        ("read -r job; exec >&-; sleep 9", "crashed", "SIGKILL"),
        ("read -r job; echo '{\"status\":\"error\",\"error\":\"no\"}'", "error", "no"),
    ],
)  # fmt: skip
async def test_every_bad_end_is_a_failure_that_says_what_happened(script, kind, words):
    outcome = await outcome_of(shell(script))

    assert outcome.failure is not None, outcome
    assert outcome.failure.kind == kind
    assert words in outcome.failure.message


async def test_two_answers_at_once_fail_the_job_of_a_child_past_its_probation():
    script = "for n in 1 2 3 4 5; do read -r job; echo 1; done; read -r job; printf '1\\n2\\n'"
    one = shell(script)
    async with Pool(1, [one], kill_grace_ms=GRACE_MS) as pool:
        outcomes = [await run(pool, one) for _ in range(6)]

    assert [outcome.value for outcome in outcomes[:5]] == [b"1"] * 5
    assert outcomes[5].failure.kind == "protocol_error"
    assert "answered twice" in outcomes[5].failure.message


async def test_a_death_is_recorded_with_cause_usage_and_last_words():
    script = "read -r job; for n in 1 2 3; do echo line $n >&2; done; kill -TERM $$; sleep 9"

    outcome = await outcome_of(shell(script))
    death = outcome.failure.death

    assert (death.how, death.signal, death.exit_code, death.by) == (
        "signal", "SIGTERM", None, "unknown",
    )  # fmt: skip
    assert death.stderr_tail == ("line 1", "line 2", "line 3")
    assert death.max_rss_kb > 0
    assert death.cpu_s >= 0


@pytest.mark.parametrize(
    ("script", "signal_name", "hint"),
    [
        ("read -r job; exec sleep 60", "SIGTERM", "nothing was seen"),
        ("trap '' TERM; read -r job; while :; do sleep 60; done", "SIGKILL", "nothing was seen"),
        ("read -r job; echo hello; exec sleep 60", "SIGTERM", "not JSON: 'hello'"),
    ],
)
async def test_a_child_that_never_answers_is_ended_by_our_clock(script, signal_name, hint):
    one = shell(script)
    async with Pool(1, [one], kill_grace_ms=GRACE_MS) as pool:
        outcome = await run(pool, one, timeout_ms=200)

    assert outcome.failure.kind is FailureKind.TIMED_OUT
    assert "no answer within 200 ms" in outcome.failure.message
    assert hint in outcome.failure.message
    assert (outcome.failure.death.signal, outcome.failure.death.by) == (signal_name, "timeout")


async def test_after_a_timeout_a_new_child_serves_the_next_job(flaky):
    one = handler(flaky)
    async with Pool(1, [one], kill_grace_ms=GRACE_MS) as pool:
        slow = await run(pool, one, {"sleep_s": 60}, timeout_ms=200)
        quick = await run(pool, one, {"value": 1}, timeout_ms=20_000)

    assert slow.failure.kind is FailureKind.TIMED_OUT
    assert quick.value == b"1"


DAEMON = """
import os, sys, time
line = sys.stdin.readline()
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        open(sys.argv[1], "w").write(str(os.getpid()))
        time.sleep(60)
    os._exit(0)
while not os.path.exists(sys.argv[1]) or not open(sys.argv[1]).read():
    pass
os._exit(int(sys.argv[2]))
"""


async def test_a_crash_is_seen_at_once_though_a_grandchild_holds_the_output(
    program, tmp_path, wait
):
    note = tmp_path / "pid"
    one = handler([*program(DAEMON), str(note), "7"])

    with anyio.fail_after(10):
        outcome = await outcome_of(one)

    assert "exit code 7" in outcome.failure.message
    # what left the group and the session is found and killed too, before the end is told
    assert not alive(int(note.read_text()))


async def test_a_job_that_was_never_read_is_given_back_and_costs_nothing(tmp_path):
    note = tmp_path / "failed-once"
    script = f"[ -e {note} ] || {{ touch {note}; sleep 0.1; exit 1; }}; read -r job; echo 5"
    one = shell(script)
    async with Pool(1, [one]) as pool:
        first = await run(pool, one)
        await until(lambda: pool.places([one]))
        second = await run(pool, one)

    assert first.failure is None
    assert "before it read the job" in first.released
    assert second.value == b"5"


async def test_a_child_that_does_not_start_has_no_place_for_jobs(caplog, wait):
    one = shell("echo broken import >&2; exit 1")
    async with Pool(4, [one]) as pool:
        with pytest.raises(StartFailed, match=r"before it was ready: exit code 1.*broken import"):
            await pool.obtain(one)
        places = pool.places([one])

    assert places == 0


async def test_a_failing_start_is_tried_again_with_pauses_and_told_once(caplog, tmp_path):
    note = tmp_path / "tries"
    one = shell(f"echo x >> {note}; exit 1")
    async with Pool(2, [one]):
        await until(lambda: "unhealthy" in caplog.text)
        tries = note.read_text().count("x")

    assert tries <= 8
    assert caplog.text.count("unhealthy") == 1


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["./missing"], "does not exist"),
        (["no-such-program-anywhere"], "is not on PATH"),
        (["./plain.txt"], "is not executable"),
    ],
)
def test_a_command_that_cannot_be_run_is_refused_at_once(command, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plain.txt").write_text("text")

    with pytest.raises(HandlerInvalid, match=words):
        Pool(1, [handler(command)])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("#!/no/such/interpreter\n", "'#!/no/such/interpreter', does not exist"),
        ("echo no shebang\n", "neither a program nor a script"),
    ],
)
async def test_a_bad_first_line_is_explained(program, text, words):
    one = handler(program(text, "script"))
    async with Pool(1, [one]) as pool:
        with pytest.raises(StartFailed, match=words):
            await pool.obtain(one)


async def test_a_child_gets_the_declared_environment_and_no_other(monkeypatch):
    monkeypatch.setenv("REDIS_URL", "redis://:secret@host")
    monkeypatch.setenv("MY_SECRET", "secret")
    code = "import os, json; input(); print(json.dumps(dict(os.environ)))"
    one = handler([sys.executable, "-c", code], env=(("MINE", "1"),))

    outcome = await outcome_of(one)
    names = set(json.loads(outcome.value))

    assert names <= {
        "PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "SANDQ", "SANDQ_PROTOCOL",
        "SANDQ_WORKER", "SANDQ_MAX_LINE", "SANDQ_CHILD", "PYTHONUNBUFFERED", "MINE",
    }  # fmt: skip
    assert {"SANDQ", "SANDQ_PROTOCOL", "MINE", "PATH"} <= names


async def test_a_child_has_three_descriptors_its_own_session_and_no_privileges_to_gain():
    code = (
        "import os, json; input(); status = open('/proc/self/status').read();"
        "print(json.dumps([sorted(map(int, os.listdir('/proc/self/fd')))[:-1], "
        "os.getsid(0) == os.getpid(), 'NoNewPrivs:\\t1' in status]))"
    )

    outcome = await outcome_of(handler([sys.executable, "-c", code]))

    assert outcome.value == b"[[0, 1, 2], true, true]"


async def test_limits_bite():
    code = "input(); x = bytearray(300 << 20); print(1)"
    memory = await outcome_of(
        handler([sys.executable, "-c", code], limits=Limits(memory=100 << 20))
    )
    cpu = await outcome_of(
        handler([sys.executable, "-c", "input()\nwhile 1: pass"], limits=Limits(cpu=1))
    )

    assert memory.failure.kind is FailureKind.CRASHED
    assert "MemoryError" in memory.failure.message
    assert cpu.failure.kind is FailureKind.CPU_LIMIT


async def test_a_line_at_the_limit_passes_in_both_directions():
    code = "import sys\nfor line in sys.stdin: print('\"' + 'x' * (1048576 - 2) + '\"')"
    one = handler([sys.executable, "-c", code])

    outcome = await outcome_of(one, "y" * (900 * 1024))

    assert len(outcome.value) == 1048576


async def test_a_child_that_writes_before_it_reads_does_not_block_us():
    code = (
        "import sys\nsys.stderr.write('e' * 500000)\n"
        "print('n' * 500000, flush=True)\nsys.stdin.readline()\nprint(7)"
    )

    outcome = await outcome_of(handler([sys.executable, "-c", code]), "y" * 500_000)

    assert outcome.value == b"7"


async def test_ends_of_output_without_an_end_of_the_process_end_the_process():
    outcome = await outcome_of(shell("exec >&-; read -r job; sleep 60"))

    assert outcome.failure is not None or outcome.released is not None


FRESH = {
    "answer": ('read -r job; echo \'{"status":"ok","result":[1]}\'', b"[1]", None),
    "answer without newline": ("cat >/dev/null; printf 12", b"12", None),
    "no answer": ("true", b"null", None),
    "no answer, exit 3": ("exit 3", None, "crashed"),
    "no answer, exit 65": ("exit 65", None, "unrecoverable"),
    "answer, exit 3": ("echo 1; exit 3", None, "crashed"),
    "error, exit 1": ('echo \'{"status":"error","error":"x"}\'; exit 1', None, "error"),
    "two answers": ("echo 1; echo 2", None, "protocol_error"),
    "noise": ("echo working; echo 5", b"5", None),
}


@pytest.mark.parametrize("name", FRESH)
async def test_one_shot_children(name):
    script, value, kind = FRESH[name]

    outcome = await outcome_of(shell(script, fresh=True))

    assert outcome.value == value
    assert (outcome.failure.kind if outcome.failure else None) == kind


async def test_each_fresh_job_has_a_process_of_its_own_and_an_environment():
    code = "import json, os; print(json.dumps([os.getpid(), os.environ['SANDQ_JOB_ID']]))"
    one = handler([sys.executable, "-c", code], fresh=True)
    async with Pool(2, [one]) as pool:
        values = []
        for job_id in ("a", "b", "c"):
            child = await pool.obtain(one, {"SANDQ_JOB_ID": job_id})
            outcome = await child.run(job_id, b"{}\n", None, lambda _: None)
            pool.give_back(child)
            values.append(json.loads(outcome.value))

    assert [job_id for _, job_id in values] == ["a", "b", "c"]
    assert len({pid for pid, _ in values}) == 3


async def test_a_lost_spawner_costs_no_attempt_and_is_replaced(flaky, caplog):
    one = handler(flaky)
    async with Pool(1, [one]) as pool:
        await run(pool, one, {"value": 1})
        async with anyio.create_task_group() as group:
            outcomes = []

            async def slow():
                outcomes.append(await run(pool, one, {"sleep_s": 60}))

            group.start_soon(slow)
            await until(lambda: not pool.places([one]))
            os.kill(pool._keeper.starter._spawner._process.pid, signal.SIGKILL)
        again = await run(pool, one, {"value": 2})

    assert outcomes[0].released == "the spawner process died"
    assert again.value == b"2"
    assert "the spawner process died" in caplog.text


async def test_a_thousand_jobs_leave_no_descriptor_and_no_timer(flaky):
    one = handler(flaky)
    async with Pool(2, [one]) as pool:
        await run(pool, one, {"value": 0})
        before = len(os.listdir("/proc/self/fd"))
        for n in range(1000):
            await run(pool, one, {"value": n}, job_id=str(n), timeout_ms=60_000)
        after = len(os.listdir("/proc/self/fd"))

    assert after == before


async def test_however_they_crash_there_are_never_more_processes_than_the_pool_may_have(flaky):
    one = handler(flaky)
    most = 0
    async with Pool(3, [one]) as pool:
        spawner = pool._keeper.starter._spawner._process.pid

        async def crash():
            for n in range(15):
                outcome = await run(pool, one, {"exit": 3}, job_id=str(n))
                assert outcome.failure is None or outcome.failure.kind is FailureKind.CRASHED

        async with anyio.create_task_group() as group:
            async with anyio.create_task_group() as crashes:
                for _ in range(3):
                    crashes.start_soon(crash)

                async def count():
                    nonlocal most
                    while True:
                        most = max(most, sum(map(alive, children_of(spawner))))
                        await anyio.lowlevel.checkpoint()

                group.start_soon(count)
            group.cancel_scope.cancel()

    assert 1 <= most <= 3


async def test_too_many_open_files_are_a_failed_start_that_says_so(flaky, monkeypatch):
    one = handler(flaky)
    made = []

    def pipe2(flags):
        if len(made) == 2:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        made.append(real(flags))
        return made[-1]

    real = os.pipe2
    with monkeypatch.context() as patch:
        patch.setattr("os.pipe2", pipe2)
        async with Pool(1, [one]) as pool:
            with pytest.raises(StartFailed, match="Too many open files; allow more open files"):
                await pool.obtain(one)
            patch.undo()
            await until(lambda: pool.places([one]))
            outcome = await run(pool, one, {"value": 1})

    assert outcome.value == b"1"
