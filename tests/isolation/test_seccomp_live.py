"""The filter in the kernel of this machine: calls are refused, and programs of all kinds run."""

import json
import platform
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sandq.isolation.bpf import Choice
from sandq.isolation.seccomp import filter_bytes, policy, supported
from sandq.isolation.syscalls import number
from tests.conftest import DEADLINE_S, need
from tests.isolation.filters import ALLOW, ARCHES, ERRNO, decode, run

ARCH = platform.machine()
FILTERED = Path(__file__).with_name("filtered.py")

pytestmark = pytest.mark.skipif(not supported(ARCH), reason=f"there is no filter for {ARCH}")

STRICT = {"net": False, "shared_memory": False}
LAX = {"net": True, "shared_memory": True}

#: Tells of each call it is given what it came to: an errno, or 0.
CALLER = """
import ctypes, json, os, sys
libc = ctypes.CDLL(None, use_errno=True)
def call(nr, *args):
    ctypes.set_errno(0)
    result = libc.syscall(ctypes.c_long(nr), *map(ctypes.c_long, args))
    return 0 if result >= 0 else ctypes.get_errno()
print(json.dumps([call(*words) for words in json.loads(sys.argv[1])]))
"""

#: Asks for the process id as 32-bit programs do.
FOREIGN = r"""
import ctypes, mmap
own = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
memory = mmap.mmap(-1, 4096, own, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
memory.write(b"\xb8\x14\x00\x00\x00\xcd\x80\xc3")
ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(memory)))()
"""

PYTHON = """
import asyncio, concurrent.futures, json, multiprocessing, os, ssl, subprocess, sys, tempfile
import threading

async def echo():
    process = await asyncio.create_subprocess_exec("/bin/echo", "hi", stdout=subprocess.PIPE)
    return (await process.communicate())[0].decode().strip()

def main():
    ran = []
    for n in range(4):
        thread = threading.Thread(target=ran.append, args=(n,))
        thread.start()
        thread.join()
    ssl.create_default_context()
    with multiprocessing.Pool(2) as pool:
        squares = pool.map(abs, [-1, -2])
    shared = multiprocessing.Value("i", 7).value
    with tempfile.TemporaryFile() as file:
        file.write(b"x")
    return [ran, squares, shared, asyncio.run(echo()), subprocess.check_output(["id", "-u"]) != b""]

if __name__ == "__main__":
    print(json.dumps(main()))
"""

NODE = """
const { Worker } = require('node:worker_threads');
const child = require('node:child_process');
const fs = require('node:fs/promises');
const zlib = require('node:zlib');
const crypto = require('node:crypto');
(async () => {
  const said = await new Promise((done, failed) => {
    const code = "require('node:worker_threads').parentPort.postMessage(6 * 7)";
    new Worker(code, { eval: true }).on('message', done).on('error', failed);
  });
  const echoed = child.execFileSync('/bin/echo', ['hi']).toString().trim();
  await fs.stat('/');
  const bytes = zlib.gunzipSync(zlib.gzipSync(crypto.randomBytes(9))).length;
  await new Promise((done) => crypto.pbkdf2('a', 'b', 10, 9, 'sha256', done));
  console.log(JSON.stringify([said, echoed, bytes, typeof fetch]));
})();
"""


@pytest.fixture
def filtered(tmp_path):
    """Runs a program under the filter of these options; None: under none."""

    def go(options, *command):
        words = command
        if options is not None:
            file = tmp_path / "filter"
            file.write_bytes(filter_bytes(ARCH, **options))
            words = (sys.executable, "-I", "-S", FILTERED, file, *command)
        return subprocess.run(
            words,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
            start_new_session=True,
            cwd=tmp_path,
        )

    return go


@pytest.fixture
def told(filtered):
    """What a program has said, as JSON."""

    def go(options, *command):
        ran = filtered(options, *command)
        assert ran.returncode == 0, ran.stderr
        return json.loads(ran.stdout)

    return go


def calls_of(options):
    """Calls that the filter refuses, and the errno for each: no argument of theirs is any good."""
    found = {}
    for name, outcome in policy(**options).items():
        nr = number(name, ARCH)
        if nr is not None and not isinstance(outcome, Choice):
            found[name] = ([nr, -1, -1, -1, -1, -1], outcome)
    return found


@pytest.mark.parametrize("options", [STRICT, LAX], ids=["strict", "lax"])
def test_refused_calls_do_not_reach_the_kernel(told, options):
    calls = calls_of(options)
    code = decode(filter_bytes(ARCH, **options))
    # some of them would do harm if they did
    for words, reason in calls.values():
        assert run(code, ARCHES[ARCH], words[0], words[1:]) == ERRNO | reason != ALLOW

    said = told(options, sys.executable, "-c", CALLER, json.dumps([w for w, _ in calls.values()]))

    assert dict(zip(calls, said, strict=True)) == {
        name: reason for name, (_, reason) in calls.items()
    }


def test_arguments_decide_in_the_kernel_as_well(told):
    code = decode(filter_bytes(ARCH, **STRICT))
    rows = [
        *(
            ("socket", family, kind, 0)
            for family in (1, 2, 10, 16, 17, 38, 40)
            for kind in (1, 2, 3)
        ),
        ("socket", 1 | 1 << 32, 1, 0),
        *(("socketpair", family, 1, 0, 0) for family in (2, 30)),
        ("personality", 0xFFFFFFFF),
        ("personality", 0x0040000),
        *(("clone", flag | signal.SIGCHLD) for flag in (1 << 17, 1 << 28, 1 << 28 | 1 << 32)),
        *(("ioctl", 0, request, 0) for request in (0x5412, 0x5412 | 1 << 32, 0x541C, 0x5423)),
        ("prlimit64", 1, 7, 0, 0),
        ("prlimit64", 0, 7, 0, 0),
    ]
    words = [[number(name, ARCH), *args] for name, *args in rows]
    expected = [run(code, ARCHES[ARCH], nr, args) for nr, *args in words]

    said = told(STRICT, sys.executable, "-c", CALLER, json.dumps(words))

    # the kernel has objections of its own to what the filter allows
    assert len(set(expected)) == 3
    assert [
        (row, reason)
        for row, reason, verdict in zip(rows, said, expected, strict=True)
        if verdict != ALLOW
    ] == [
        (row, verdict - ERRNO)
        for row, verdict in zip(rows, expected, strict=True)
        if verdict != ALLOW
    ]


@pytest.mark.skipif(ARCH != "x86_64", reason="other architectures have one way to a call")
def test_the_other_ways_to_a_call_are_closed(filtered, told):
    assert told(STRICT, sys.executable, "-c", CALLER, json.dumps([[0x40000000 | 39]])) == [38]
    assert filtered(STRICT, sys.executable, "-c", FOREIGN).returncode == -signal.SIGSYS
    # without the filter it works, or is not built into this kernel
    assert filtered(None, sys.executable, "-c", FOREIGN).returncode in (0, -signal.SIGSEGV)


@pytest.mark.parametrize("options", [STRICT, LAX], ids=["strict", "lax"])
def test_python_runs_under_it(told, tmp_path, options):
    program = tmp_path / "program.py"
    program.write_text(PYTHON)

    assert told(options, sys.executable, program) == [[0, 1, 2, 3], [1, 2], 7, "hi", True]


@pytest.mark.parametrize("options", [STRICT, LAX], ids=["strict", "lax"])
def test_node_runs_under_it(told, options):
    node = need("node", "nodejs")

    assert told(options, node, "-e", NODE) == [42, "hi", 9, "function"]


@pytest.mark.parametrize("options", [STRICT, LAX], ids=["strict", "lax"])
def test_the_shell_runs_under_it(filtered, options):
    ran = filtered(options, "/bin/sh", "-c", "for n in a b; do (echo $n | cat) & wait $!; done")

    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "a\nb\n", "")


def test_without_threads_there_are_processes(filtered):
    program = """
import subprocess, threading
subprocess.run(["/bin/echo", "hi"], check=True)
threading.Thread(target=print).start()
"""
    ran = filtered({**LAX, "threads": False}, sys.executable, "-c", program)

    assert ran.stdout == "hi\n"
    assert "can't start new thread" in ran.stderr


def test_a_filter_once_installed_cannot_be_had_off_by_another(filtered, tmp_path):
    file = tmp_path / "lax"
    file.write_bytes(filter_bytes(ARCH, **LAX))
    program = "import socket; socket.socket()"

    ran = filtered(
        STRICT, sys.executable, "-I", "-S", FILTERED, file, sys.executable, "-c", program
    )

    assert "Address family not supported" in ran.stderr


def test_bubblewrap_takes_it(tmp_path):
    bwrap = need("bwrap", "bubblewrap")
    file = tmp_path / "filter"
    file.write_bytes(filter_bytes(ARCH, **STRICT))
    walls = [bwrap, "--unshare-all", "--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev"]
    probe = subprocess.run([*walls, "true"], capture_output=True, text=True, timeout=DEADLINE_S)
    if probe.returncode:
        pytest.skip(f"bubblewrap does not work on this machine: {probe.stderr}")

    with file.open("rb") as opened:
        ran = subprocess.run(
            [
                *walls,
                "--seccomp",
                "0",
                "sh",
                "-c",
                "grep Seccomp: /proc/self/status; unshare -U id",
            ],
            stdin=opened,
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
        )

    assert ran.stdout.split() == ["Seccomp:", "2"]
    assert "Operation not permitted" in ran.stderr
