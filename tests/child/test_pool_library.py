"""The pool by itself: `sandq.child.Pool` and its synchronous twin, without Redis."""

import os
import pickle
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import anyio
import pytest

import sandq.child
from sandq.child import HandlerFailed, HandlerInvalid, Pool, PoolMetrics, handler_file
from sandq.errors import InvalidInput, SandqError
from sandq.model.handler import Handler
from sandq.sync import Pool as SyncPool

ASKER = """
from sandq.handler import serve

def ask(job):
    return job.call("double", n=job.data)

serve(ask)
"""

SAYER = """
import sys
from sandq.handler import serve

def say(job):
    job.progress(0.5)
    job.log("half way", level="warning")
    print("by hand")
    return job.name, job.id

serve(say)
"""

ANSWER = 'while read -r job; do echo \'{"status":"ok","result":"done"}\'; done'


@pytest.fixture
def flaky_one(flaky):
    return Handler(command=tuple(flaky))


@pytest.mark.anyio
async def test_a_call_runs_a_job_and_returns_its_value(flaky_one):
    async with Pool(1, [flaky_one]) as pool:
        values = [await pool.call(flaky_one, {"value": value}) for value in (1, None, {"a": []})]
        metrics = pool.metrics

    assert values == [1, None, {"a": []}]
    assert isinstance(metrics, PoolMetrics)
    assert metrics.jobs == {"completed": 3}


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("data", "options", "kind", "type_", "retryable"),
    [
        ({"fail": "no"}, {}, "error", "RuntimeError", True),
        ({"exit": 3}, {}, "crashed", None, True),
        ({"sleep_s": 60}, {"timeout": "100ms"}, "timed_out", None, True),
        ("x" * 1_100_000, {}, "oversize_payload", None, False),
    ],
)
async def test_a_job_that_fails_raises_and_says_how(
    flaky_one, data, options, kind, type_, retryable
):
    async with Pool(1, [flaky_one], kill_grace="200ms") as pool:
        with pytest.raises(HandlerFailed, match=kind) as caught:
            await pool.call(flaky_one, data, **options)
        after = await pool.call(flaky_one, {"value": 1})

    error = caught.value
    assert (error.kind, error.type, error.retryable) == (kind, type_, retryable)
    assert error.failure["kind"] == kind
    assert isinstance(error, SandqError)
    assert after == 1


@pytest.mark.anyio
async def test_a_handler_that_does_not_start_is_a_failure():
    lost = Handler(command=("/bin/sh", "-c", "exit 4"))
    async with Pool(1, [lost]) as pool:
        with pytest.raises(HandlerFailed, match="exit code 4") as caught:
            await pool.call(lost)

    assert caught.value.kind == "start_failed"


@pytest.mark.anyio
async def test_a_job_that_no_child_has_read_is_lent_to_another_one(tmp_path):
    note = tmp_path / "failed-once"
    once = f"[ -e {note} ] || {{ touch {note}; sleep 0.1; exit 1; }}; {ANSWER}"
    one = Handler(command=("/bin/sh", "-c", once))
    async with Pool(1, [one]) as pool:
        assert await pool.call(one) == "done"


@pytest.mark.anyio
async def test_calls_wait_their_turn_first_come_first_served(flaky_one, flaky):
    other = Handler(command=(*flaky, "other"))
    order = []
    async with Pool(1, [flaky_one, other]) as pool, anyio.create_task_group() as group:
        await pool.call(flaky_one, 0)

        async def call(number):
            await pool.call([flaky_one, other][number % 2], {"value": number})
            order.append(number)

        for number in range(8):
            group.start_soon(call, number)
            await anyio.lowlevel.checkpoint()

    assert order == list(range(8))


@pytest.mark.anyio
async def test_a_cancelled_call_stops_its_job_and_its_child_serves_the_next(flaky_one):
    async with Pool(1, [flaky_one], kill_grace="200ms") as pool:
        with anyio.move_on_after(0.2) as scope:
            await pool.call(flaky_one, {"sleep_s": 60})
        with anyio.fail_after(20):
            value = await pool.call(flaky_one, {"value": 1})
        metrics = pool.metrics

    assert scope.cancelled_caught
    assert value == 1
    assert metrics.jobs == {"completed": 1, "released": 1}


@pytest.mark.anyio
async def test_a_call_that_is_cancelled_while_it_waits_costs_nothing(flaky_one):
    async with Pool(1, [flaky_one]) as pool, anyio.create_task_group() as group:
        group.start_soon(pool.call, flaky_one, {"sleep_s": 0.3})
        await anyio.lowlevel.checkpoint()
        with anyio.move_on_after(0.05) as scope:
            await pool.call(flaky_one, {"value": 1})
        value = await pool.call(flaky_one, {"value": 2})

    assert scope.cancelled_caught
    assert value == 2


@pytest.mark.anyio
async def test_what_a_job_says_is_passed_on(program):
    one = Handler(command=tuple(program(SAYER)))
    progress, rows = [], []
    async with Pool(1, [one]) as pool:
        value = await pool.call(
            one, name="say", job_id="a1", on_progress=progress.append, on_log=rows.append
        )

    assert value == ["say", "a1"]
    assert progress == [0.5]
    assert {"level": "warning", "message": "half way"} in rows
    assert {"stream": "stderr", "text": "by hand"} in rows


@pytest.mark.anyio
async def test_what_goes_wrong_with_what_a_job_says_is_no_affair_of_the_job(program, caplog):
    one = Handler(command=tuple(program(SAYER)))

    def fail(_):
        raise ValueError("not taken")

    async with Pool(1, [one]) as pool:
        value = await pool.call(one, on_progress=fail, job_id="1")

    assert value == ["job", "1"]
    assert "what a job says was not taken" in caplog.text


@pytest.mark.anyio
async def test_a_job_asks_and_a_function_answers(program):
    one = Handler(command=tuple(program(ASKER)), calls=("double",))

    async def double(n):
        return 2 * n

    async with Pool(1, [one]) as pool:
        value = await pool.call(one, 21, calls={"double": double})
        plain = await pool.call(one, 4, calls={"double": lambda n: n + n})
        with pytest.raises(HandlerFailed, match="nobody here carries out 'double'"):
            await pool.call(one, 21)

    assert (value, plain) == (42, 8)


@pytest.mark.anyio
async def test_one_shot_handlers_and_keys():
    one = Handler(command=("/bin/sh", "-c", 'printf \'"%s"\' "$SANDQ_POOL_KEY"'), fresh=True)
    async with Pool(1, [one]) as pool:
        values = [await pool.call(one, key=key) for key in ("a", "b", "")]

    assert values == ["a", "b", ""]


@pytest.mark.anyio
async def test_a_handler_that_is_none_of_the_pools_is_refused(flaky_one):
    async with Pool(1, [flaky_one]) as pool:
        with pytest.raises(InvalidInput, match="none of this pool's"):
            await pool.call(Handler(command=("true",)))


@pytest.mark.anyio
async def test_a_pool_that_is_not_open_says_so(flaky_one):
    pool = Pool(1, [flaky_one])
    with pytest.raises(SandqError, match="not open"):
        await pool.call(flaky_one)
    async with pool:
        pass
    with pytest.raises(SandqError, match="not open"):
        await pool.call(flaky_one)


@pytest.mark.anyio
async def test_leaving_the_pool_ends_the_calls_under_way(flaky_one):
    failures = []
    async with anyio.create_task_group() as group, Pool(1, [flaky_one]) as pool:

        async def call(data):
            try:
                await pool.call(flaky_one, data)
            except HandlerFailed as error:
                failures.append(error.kind)

        group.start_soon(call, {"sleep_s": 60})
        group.start_soon(call, {"value": 1})
        while not pool.ready or pool.places([flaky_one]):
            await anyio.lowlevel.checkpoint()

    assert sorted(failures) == ["crashed", "start_failed"]


@pytest.mark.parametrize(
    "settings", [{"size": 0}, {"size": 1, "least": 2}, {"size": 1, "least": -1}, {"size": True}]
)
def test_a_pool_of_no_children_is_refused(settings, flaky_one):
    with pytest.raises(InvalidInput, match="must be a whole number"):
        Pool(handlers=[flaky_one], **settings)


# ---- handlers from files


def test_a_handler_is_made_from_a_file_with_settings_as_people_write_them(program):
    command = program(SAYER)

    one = handler_file(
        command[-1],
        timeout="2s",
        max_age="1h",
        max_rss="300M",
        max_jobs=9,
        idle=3,
        calls=["b", "a"],
    )

    assert one == Handler(
        command=tuple(command),
        timeout_ms=2_000,
        max_age_ms=3_600_000,
        max_rss=300 << 20,
        max_jobs=9,
        idle_ms=3_000,
        calls=("a", "b"),
    )


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"channel": "fd9"}, "channel must be one of stdout, fd3, file: 'fd9'"),
        ({"channel": "file"}, "one process per job"),
        ({"calls": "add_job"}, "calls must be a list"),
        ({"max_jobs": 0}, "max_jobs"),
        ({"max_rss": "much"}, "max_rss is not a size"),
        ({"env": {"A": 1}}, "env must map text to text"),
        ({"sandbox": "safe"}, r"sandbox\.profile must be one of none, limits, untrusted: 'safe'"),
        ({"sandbox": {"memory": "much"}}, r"sandbox\.memory is not a size"),
    ],
)
def test_a_setting_that_cannot_be_is_refused(program, settings, words):
    with pytest.raises(InvalidInput, match=words):
        handler_file(program(SAYER), **settings)


@pytest.mark.anyio
@pytest.mark.parametrize("settings", [{}, {"timeout": 60}])
async def test_no_timeout_passes_the_wall(flaky, settings):
    one = handler_file(flaky, sandbox={"wall": "100ms"}, **settings)
    async with Pool(1, [one]) as pool:
        with pytest.raises(HandlerFailed, match="no answer within 100 ms") as caught:
            await pool.call(one, {"sleep_s": 60}, timeout=60)

    assert caught.value.kind == "timed_out"


def test_a_file_that_cannot_be_run_is_refused(tmp_path):
    with pytest.raises(HandlerInvalid, match="does not exist"):
        handler_file(tmp_path / "none.py")


# ---- without an event loop


def test_the_synchronous_pool_is_called_from_any_thread(flaky_one):
    with SyncPool(2, [flaky_one]) as pool, ThreadPoolExecutor(8) as threads:
        values = list(threads.map(lambda n: pool.call(flaky_one, {"value": n}), range(50)))
        pids = pool.pids()
        jobs = pool.metrics.jobs

    assert values == list(range(50))
    assert len(pids) == 2
    assert jobs == {"completed": 50}


def test_the_synchronous_pool_raises_what_the_other_one_does(flaky_one):
    with SyncPool(1, [flaky_one]) as pool:
        with pytest.raises(HandlerFailed, match="no") as caught:
            pool.call(flaky_one, {"fail": "no"})
        pool.renew_all()

    assert caught.value.type == "RuntimeError"
    with pytest.raises(SandqError, match="not open"):
        pool.call(flaky_one)


def test_the_synchronous_pool_leaves_no_thread_and_can_be_opened_again(flaky_one):
    before = threading.active_count()
    pool = SyncPool(1, [flaky_one])
    for number in (1, 2):
        pool.open()
        pool.open()
        assert pool.call(flaky_one, {"value": number}) == number
        pool.close()
        pool.close()

    assert threading.active_count() == before


def test_a_synchronous_pool_that_cannot_be_says_so_at_once():
    with pytest.raises(HandlerInvalid, match="does not exist"):
        SyncPool(1, [Handler(command=("./none",))])


def test_closing_the_synchronous_pool_ends_the_calls_under_way(flaky_one):
    pool = SyncPool(1, [flaky_one])
    pool.open()
    began = threading.Event()
    with ThreadPoolExecutor(1) as threads:
        data = {"progress": [1], "sleep_s": 60}
        call = threads.submit(pool.call, flaky_one, data, on_progress=lambda _: began.set())
        assert began.wait(20)
        pool.close()
        with pytest.raises(HandlerFailed, match="given up"):
            call.result(20)


def test_a_synchronous_pool_that_nobody_closes_ends_with_its_process(flaky, wait):
    program = (
        "import sys\n"
        "from sandq.child import SyncPool, Handler\n"
        "one = Handler(command=tuple(sys.argv[1:]))\n"
        "pool = SyncPool(2, [one])\n"
        "pool.open()\n"
        "print(pool.call(one, 7), *pool.pids())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *flaky],
        capture_output=True,
        text=True,
        check=True,
        timeout=20,
    )
    value, *pids = map(int, done.stdout.split())

    assert (value, len(pids), done.stderr) == (7, 2, "")
    wait(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in pids), "its children are gone")


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_process_that_was_forked_opens_a_pool_of_its_own(flaky_one):
    with SyncPool(1, [flaky_one]) as pool:
        read, write = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                pool.call(flaky_one, 1)
            except SandqError as error:
                os.write(write, str(error).encode())
            finally:
                os._exit(0)
        os.waitpid(pid, 0)
        os.close(write)
        with os.fdopen(read) as said:
            assert "not open here" in said.read()


def test_a_failure_can_be_passed_on_between_processes(flaky_one):
    error = HandlerFailed("error: no", {"kind": "error", "message": "no", "type": "E"}, False)
    copy = pickle.loads(pickle.dumps(error))

    assert (str(copy), copy.failure, copy.kind, copy.type, copy.retryable) == (
        "error: no", error.failure, "error", "E", False,
    )  # fmt: skip


# ---- what it loads


@pytest.mark.parametrize("name", ["", *sandq.child.__all__])
def test_no_client_of_redis_is_loaded(name):
    """The children are of use to people who have no Redis."""
    statement = f"from sandq.child import {name}" if name else "import sandq.child"
    program = (
        f"import sys\n{statement}\n"
        "print(*(m for m in sys.modules if m.partition('.')[0] == 'redis' or 'store' in m))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert done.stdout.split() == []


def test_the_public_names_are_those_that_have_a_home():
    assert sandq.child.__all__ == sorted(sandq.child._HOMES, key=sandq.child.__all__.index)
    assert dir(sandq.child) == sorted(sandq.child.__all__)
    with pytest.raises(AttributeError, match=r"module 'sandq.child' has no attribute 'Poll'"):
        _ = sandq.child.Poll
