"""Children that are forked from an interpreter: each as if it were a new one, and alone."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import anyio
import pytest

import sandq
from sandq import settings
from sandq.child.spawn import StartFailed, WallsFailed
from sandq.isolation.confine import confine
from sandq.isolation.plan import plan
from sandq.isolation.probe import probe
from sandq.model.handler import Channel
from tests.child.forking import ENVIRONMENT, Forking, folder, server_of, words_in

pytestmark = pytest.mark.anyio


@pytest.fixture
def place():
    path = folder()
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def module(place):
    """Write a module that a server can load, and get the variable that lets it be found."""

    def write(name, text):
        (place / f"{name}.py").write_text(text)
        return {"PYTHONPATH": str(place)}

    return write


TELL = "import sys\nprint(sys.argv, sys.path[0], __name__, sys.stdin.encoding, sys.flags.optimize)"

# what is run -> the text of the script, if it is one
PROGRAMS = {
    "a code": (("-c", "print(1)"), ""),
    "a code with words": (("-c", TELL, "a", "-m"), ""),
    "a script": (("{script}", "a", "b"), TELL + "\nprint(__file__, __doc__)"),
    "a module": (("-m", "json.tool"), ""),
    "a module that fails": (("-m", "json.tool", "/no/such/file"), ""),
    "no such module": (("-m", "no_such_module"), ""),
    "no such script": (("{script}.no",), ""),
    "options": (("-O", "-W", "ignore", "-c", TELL + "\nimport warnings; warnings.warn('x')"), ""),
    "isolated": (("-I", "{script}"), "import sys; print(len(sys.path), sys.flags.isolated)"),
    "an exit code": (("-c", "raise SystemExit(3)"), ""),
    "an exit with words": (("-c", "import sys; sys.exit('I give up')"), ""),
    "an exit from deep within": (("-c", "import os; os._exit(7)"), ""),
    "an error": (("{script}",), "def f():\n    1 / 0\n\nf()\n"),
    "an error of an error": (
        ("{script}",), "try:\n    1 / 0\nexcept ValueError:\n    pass\nfinally:\n    [][1]\n"
    ),
    "bad syntax": (("{script}",), "x = (\n1 +\n"),
    "an encoding": (("{script}",), b"# coding: latin-1\nprint(ascii('\xe4'))\n"),
    "a hook": (("-c", "import sys; sys.excepthook = lambda *a: print('mine', a[0]); 1 / 0"), ""),
    "the end": (
        ("{script}",),
        (
            "import atexit, threading\natexit.register(print, 'last')\n"
            "threading.Timer(0.05, print, ['thread']).start()\nprint('main')\n"
        ),
    ),
    "a failing end": (
        ("{script}",),
        (
            "import atexit\nclass A:\n    def __call__(self):\n        1 / 0\n"
            "    def __repr__(self):\n        return 'A'\natexit.register(A())\n"
        ),
    ),
    "a segmentation fault": (("-c", "import ctypes; ctypes.string_at(0)"), ""),
    "the input": (
        ("-c", "import sys\nprint(repr(sys.stdin.readline()))\nfor x in sys.stdin: print(x)"), "",
    ),
    "all the input": (("-c", "import sys\nprint(sys.stdin.buffer.read())\nprint(input())"), ""),
    "names that are ours": (
        ("-c", "import sys; print([n for n in sys.modules if 'fork' in n or n == 'typing'])"), "",
    ),
    "a pickle": (("{script}",), "import pickle\nclass A: pass\nprint(pickle.dumps(A()))"),
}  # fmt: skip


@pytest.mark.parametrize("name", PROGRAMS)
async def test_it_does_what_a_new_interpreter_would(name, place):
    words, text = PROGRAMS[name]
    script = place / "script.py"
    script.write_bytes(text.encode() if isinstance(text, str) else text)
    words = [word.replace("{script}", str(script)) for word in words]
    data = "one\ntwo\nthrée".encode()
    wanted = subprocess.run(
        [sys.executable, *words], input=data, env=ENVIRONMENT, cwd="/", capture_output=True
    )
    async with Forking(*words) as forking:
        done = await forking.run(data)

    assert (done.out, done.err) == (wanted.stdout.decode(), wanted.stderr.decode())
    assert done.code == wanted.returncode


async def test_a_folder_and_an_archive_can_be_run(place):
    (place / "app").mkdir()
    (place / "app" / "other.py").write_text("x = 5")
    (place / "app" / "__main__.py").write_text("import other; print(other.x, __name__)")
    archive = shutil.make_archive(str(place / "app"), "zip", place / "app")
    for path in (str(place / "app"), archive):
        async with Forking(path) as forking:
            assert (await forking.run()).out == "5 __main__\n"


async def test_each_has_the_environment_of_its_own_and_its_folder():
    code = "import os; print(sorted(os.environ), os.environ.get('MINE'), os.getcwd())"
    async with Forking("-c", code) as forking:
        first = await forking.run(MINE="1", OTHER="x")
        second = await forking.run(MINE="2")

    assert first.out == f"{sorted([*ENVIRONMENT, 'MINE', 'OTHER'])} 1 /\n"
    assert second.out == f"{sorted([*ENVIRONMENT, 'MINE'])} 2 /\n"


async def test_random_numbers_differ():
    code = (
        "import random, uuid, ssl, os, tempfile\n"
        "print(random.random(), uuid.uuid4(), ssl.RAND_bytes(8), os.urandom(8), tempfile.mktemp())"
    )
    # what was drawn before must not be drawn again
    preload = ("random", "uuid", "ssl", "tempfile")
    async with Forking("-c", code, preload=preload) as forking:
        drawn = [(await forking.run()).out.split() for _ in range(3)]

    for ones in zip(*drawn, strict=True):
        assert len(set(ones)) == 3


async def test_it_sees_itself_alone_and_has_no_privileges():
    code = (
        "import os\n"
        "print(sorted(int(n) for n in os.listdir('/proc') if n.isdigit()), os.getppid())\n"
        "status = dict(line.split(':\\t') for line in open('/proc/1/status').read().splitlines())\n"
        "print([status[f'Cap{n}'] for n in ('Inh', 'Prm', 'Eff', 'Bnd', 'Amb')])\n"
        "print(status['NoNewPrivs'], [n for n in sorted(os.listdir('/proc/self/fd')) if n < '4'])\n"
        "try: open('/proc/self/oom_score_adj', 'w')\n"
        "except OSError as error: print(error.strerror)\n"
        "print(open('/proc/net/dev').read().count(':'))\n"
    )
    async with Forking("-c", code) as forking:
        done = await forking.run()
    alone, capabilities, rest, writes, devices = done.out.splitlines()

    assert alone == "[1] 0"
    assert capabilities == str(["0" * 16] * 5)
    # 3 is the folder that is listed
    assert rest == "1 ['0', '1', '2', '3']"
    assert writes == "Read-only file system"
    assert devices == "1"


async def test_its_files_are_its_own_and_go_with_it():
    code = "import os; print(os.listdir('/tmp')); open('/tmp/mine', 'w').write('x')"
    async with Forking("-c", code) as forking:
        assert [(await forking.run()).out for _ in range(2)] == ["[]\n"] * 2

    assert not os.path.exists("/tmp/mine")


async def test_its_room_is_bounded():
    code = (
        "try: open('/tmp/big', 'wb').write(b'x' * 2_000_000)\n"
        "except OSError as error: print(error.errno)\n"
        "import os\n"
        "os.truncate('/tmp/big', 0)\n"
        "try:\n"
        "    for n in range(100_000): open(f'/tmp/{n}', 'w').close()\n"
        "except OSError as error: print(error.errno, n < 2000)\n"
    )
    async with Forking("-c", code, sandbox={"disk": "1M"}) as forking:
        done = await forking.run()

    assert done.out == "28\n28 True\n", done.err


async def test_what_it_has_started_dies_with_it(place):
    code = (
        "import subprocess, sys\n"
        "subprocess.Popen(['sleep', '98765.25'], start_new_session=True)\n"
        "print('x')\n"
    )
    async with Forking("-c", code) as forking:
        done = await forking.run()
        assert done.code == 0

    assert not any(b"98765.25" in words_in(pid) for pid in os.listdir("/proc") if pid.isdigit())


async def test_many_leave_nothing_behind():
    code = "import sys; print(sys.stdin.readline(), end='')"
    async with Forking("-c", code) as forking:
        first = await forking.spawn()
        server = server_of(first)

        def open_here():
            return len(os.listdir("/proc/self/fd")), len(os.listdir(f"/proc/{server}/fd"))

        before = open_here()
        for _ in range(60):
            children = [await forking.spawn() for _ in range(5)]
            for number, child in enumerate(children):
                child.write(b"%d\n" % number)
            done = [await child.done() for child in children]
            assert [one.out for one in done] == [f"{number}\n" for number in range(5)]

        assert open_here() == before
        children = Path(f"/proc/{server}/task/{server}/children").read_text().split()
        assert children == [str(first.pid)]
        first.end_input()
        await first.done()


async def test_the_death_of_the_server_is_that_of_its_children(wait):
    async with Forking("-c", "import time; time.sleep(99)") as forking:
        child = await forking.spawn()
        server = server_of(child)
        os.kill(server, signal.SIGKILL)
        done = await child.done()
        assert done.end.spawner_lost
        wait(lambda: words_in(child.pid) == [], "the child is dead")

        # and the next one finds another server
        other = await forking.spawn()
        assert server_of(other) != server
        forking.starter.kill(other.pid, signal.SIGKILL)
        assert (await other.done()).code == -signal.SIGKILL
        assert forking.lost == []


async def test_the_end_of_our_side_is_that_of_all(wait):
    async with Forking("-c", "import time; time.sleep(99)") as forking:
        child = await forking.spawn()
        server = server_of(child)
    wait(lambda: words_in(child.pid) == words_in(server) == [], "both are dead")
    child.close()


async def test_signals_reach_it_and_its_group():
    code = (
        "import signal, subprocess\n"
        "signal.signal(signal.SIGTERM, lambda *_: print('told', flush=True))\n"
        "sleeper = subprocess.Popen(['sleep', '99'])\n"
        "print('ready')\n"
        "print(sleeper.wait())\n"
    )
    async with Forking("-c", code) as forking:
        child = await forking.spawn()
        await child.read(b"ready\n")
        forking.starter.kill(child.pid, signal.SIGTERM)
        done = await child.done()
        assert done.out == "told\n-15\n"
        # nobody is there any more
        forking.starter.kill(child.pid, signal.SIGKILL)


async def test_a_frozen_one_goes_on_when_it_is_thawed(wait):
    async with Forking("-c", "print(input()); print(input())") as forking:
        child = await forking.spawn()

        def state():
            return Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()[0]

        child.write(b"one\n")
        await child.read()
        forking.starter.freeze(child.pid)
        wait(lambda: state() == "T", "it is stopped")
        child.write(b"two\n")
        forking.starter.thaw(child.pid)
        assert (await child.done()).out == "two\n"


async def test_what_is_printed_is_out_at_once():
    async with Forking("-c", "print('a', end=''); input()") as forking:
        child = await forking.spawn()
        assert await child.read(b"a") == "a"
        child.end_input()
        await child.done()


async def test_the_kernels_end_for_processor_time_is_named():
    async with Forking("-c", "while True: pass", rlimits={"RLIMIT_CPU": 1}) as forking:
        done = await forking.run()

    assert done.code == -signal.SIGKILL
    assert (done.end.limit.name, done.end.limit.value) == ("cpu", 1)


async def test_answers_may_go_to_a_descriptor_of_their_own():
    code = "import os; os.write(3, b'there'); print('here')"
    async with Forking("-c", code, channel=Channel.FD3) as forking:
        child = await forking.spawn()
        assert await child.read(b"there", of="private") == "there"
        assert (await child.done()).out == "here\n"


SERVE = """
{}
print("before")
handler.serve(lambda job: {{"got": job.data, "longest": handler._MAX_LINE}})
"""


@pytest.mark.parametrize("line", ["from sandq import handler", "import sandq.handler as handler"])
@pytest.mark.parametrize("before", ["nothing", "sandq.handler", "mine"])
async def test_a_handler_written_with_the_helper_serves(place, module, before, line):
    module("mine", "from sandq.handler import Job")
    (place / "serving.py").write_text(SERVE.format(line))
    path = f"{place}:{Path(sandq.__file__).parents[1]}"
    env = {"PYTHONPATH": path, "SANDQ_PROTOCOL": "1", "SANDQ_MAX_LINE": "5000"}
    preload = [] if before == "nothing" else [before]
    async with Forking(str(place / "serving.py"), preload=preload) as forking:
        child = await forking.spawn(**env)
        child.write(b'{"id":"1","name":"x","data":[2]}\n')
        text = await child.read(b'"result"')
        child.end_input()
        done = await child.done()

    assert '"hello"' in text
    assert '{"got":[2],"longest":5000}' in text + done.out
    # what is printed is not among the answers, from the import on
    assert (done.err, done.code) == ("before\n", 0)


async def test_a_handler_without_the_helper_keeps_its_streams():
    env = {"PYTHONPATH": str(Path(sandq.__file__).parents[1]), "SANDQ_PROTOCOL": "1"}
    async with Forking("-c", "print(input())") as forking:
        assert (await forking.run(b"x\n", **env)).out == "x\n"


async def test_modules_are_loaded_once_and_the_handlers_own_code_never_before(place, module):
    env = module("dear", "import os\nloaded_by = os.getpid()")
    (place / "own").mkdir()
    (place / "own" / "script.py").write_text(
        "import os, sys\nprint('dear' in sys.modules, 'script' in sys.modules)\n"
        "import dear\nprint(dear.loaded_by == os.getpid(), dear.__file__)\n"
    )
    # of that name, where the handler is: it may be a tenant's
    (place / "own" / "dear.py").write_text("raise SystemExit('the wrong one')")
    async with Forking(str(place / "own" / "script.py"), preload=["dear"]) as forking:
        done = await forking.run(**env)

    assert done.out == f"True False\nFalse {place / 'dear.py'}\n"


UNFIT = {
    "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()": (
        "module 'unfit' has started 1 threads"
    ),
    "import os\nkept = open('/etc/passwd')": "module 'unfit' keeps open .*: /etc/passwd",
    "1 / 0": "module 'unfit': ZeroDivisionError: division by zero",
    "raise SystemExit(5)": "module 'unfit': SystemExit: 5",
    "import os, sys\nsys.stderr.write('I go')\nos._exit(3)": "has ended: I go",
}


@pytest.mark.parametrize("text", UNFIT)
async def test_an_interpreter_that_cannot_be_forked_from_says_why(text, module):
    env = module("unfit", text)
    async with Forking("-c", "pass", preload=["json", "unfit"]) as forking:
        for _ in range(2):
            with pytest.raises(StartFailed, match=UNFIT[text]):
                await forking.spawn(**env)


async def test_a_step_that_fails_is_a_start_that_fails():
    async with Forking("-c", "pass", rlimits={"RLIMIT_NOFILE": -5}) as forking:
        with pytest.raises(WallsFailed, match=r"cannot be started: .*limit"):
            await forking.spawn()


async def test_a_command_that_is_not_of_python_is_refused():
    async with Forking("x.sh", program="/bin/sh") as forking:
        with pytest.raises(StartFailed, match="it is no command of Python"):
            await forking.spawn()


async def test_a_server_that_does_not_fit_any_more_ends_when_its_children_have(wait):
    async with Forking("-c", "input()") as forking:
        old = await forking.spawn()
        server = server_of(old)
        forking.confinement = type(forking.confinement)(
            fork=forking.confinement.fork, cwd="/", rlimits={"RLIMIT_NOFILE": 99}
        )
        new = await forking.spawn()
        assert server_of(new) != server
        assert words_in(server)
        old.write(b"\n")
        await old.done()
        wait(lambda: words_in(server) == [], "the old server has ended")
        new.write(b"\n")
        await new.done()


async def test_starts_at_the_same_time_share_a_server():
    async with Forking("-c", "input()") as forking:
        children = []

        async def one():
            children.append(await forking.spawn())

        async with anyio.create_task_group() as group:
            for _ in range(8):
                group.start_soon(one)
        assert len({server_of(child) for child in children}) == 1
        for child in children:
            child.write(b"\n")
            assert (await child.done()).code == 0


@pytest.fixture
def walled():
    """Children behind the walls that are planned for this host."""

    def make(code, **sandbox):
        forking = Forking("-c", code, sandbox=sandbox)
        planned = plan(forking.handler.sandbox, probe(settings.uid_range()))
        if planned.refusal:
            pytest.skip(planned.refusal)
        forking.confinement = confine(planned, forking.handler, forking.program)
        assert forking.confinement.fork is not None
        return forking

    return make


async def test_behind_real_walls_it_is_nobody_and_its_calls_are_judged(walled):
    code = (
        "import os, socket\n"
        "print(os.getuid(), os.getgroups(), os.getcwd(), os.path.exists('/etc/shadow'))\n"
        "print(open('/proc/self/status').read().split('Seccomp:\\t')[1][0])\n"
        "try: socket.socket()\n"
        "except OSError: print('refused')\n"
        "os.write(os.open('/dev/stdout', os.O_WRONLY), b'out')\n"
    )
    async with walled(code) as forking:
        done = await forking.run(**forking.confinement.environment)

    groups = done.out.partition("[")[2].partition("]")[0]
    assert done.out == f"1000 [{groups}] /tmp False\n2\nrefused\nout", done.err


FORKS = """
import os, time
count = 0
try:
    for _ in range(40):
        if os.fork() == 0:
            time.sleep(99)
        count += 1
except BlockingIOError:
    pass
print(count, flush=True)
input()
"""


async def test_one_job_does_not_use_up_the_processes_of_another(walled):
    async with walled(FORKS, pids=10) as forking:
        # at the same time, but quicker than the watchdog would see it
        children = [await forking.spawn() for _ in range(3)]
        counts = [await child.read() for child in children]
        for child in children:
            child.end_input()
        done = [await child.done() for child in children]

    assert counts == ["9\n"] * 3
    assert [one.end.limit for one in done] == [None] * 3


async def test_what_all_its_processes_use_together_is_watched(walled):
    code = (
        "import os, time\n"
        "for _ in range(3):\n"
        "    if os.fork() == 0:\n"
        "        kept = b'x' * 30_000_000\n"
        "        time.sleep(99)\n"
        "time.sleep(99)\n"
    )
    async with walled(code, memory="64M") as forking:
        done = await forking.run()

    limit = done.end.limit
    assert done.code == -signal.SIGKILL
    assert (limit.name, limit.value) == ("memory", 64 * 1024 * 1024)
    assert limit.peak > limit.value
