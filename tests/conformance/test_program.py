"""A program at the end of plain pipes: deadlines, long lines, and nothing left behind."""

import os
import sys
from contextlib import contextmanager

import psutil
import pytest

from sandq.clock import monotonic_s
from sandq.conformance.program import Program
from sandq.errors import HandlerInvalid

LONG_S = 30.0
ENVIRONMENT = {"PATH": os.environ["PATH"]}


@contextmanager
def started(code, **options):
    program = Program((sys.executable, "-I", "-S", "-c", code), ENVIRONMENT, **options)
    try:
        yield program
    finally:
        program.close()


def later(seconds=LONG_S):
    return monotonic_s() + seconds


def lines_of(program):
    lines = []
    while (line := program.next_line(later())) is not None:
        lines.append(line)

    return lines


def test_lines_come_and_the_last_counts_only_if_it_may():
    code = "import os; os.write(1, b'one\\ntwo\\nrest')"
    with started(code) as program:
        assert lines_of(program) == [b"one", b"two"]
        assert program.output_over
    with started(code, last_counts=True) as program:
        assert lines_of(program) == [b"one", b"two", b"rest"]


def test_a_deadline_passes():
    with started("import time; time.sleep(60)") as program:
        assert program.next_line(later(0.05)) is None
        assert not program.output_over
        assert not program.ended(later(0.05))
        assert program.status is None


def test_neither_side_blocks_the_other():
    # it writes much before it reads, and is written to much more than a pipe holds
    code = (
        "import sys\n"
        "sys.stdout.write('x' * 300_000 + '\\n'); sys.stdout.flush()\n"
        "print(len(sys.stdin.readline()), flush=True)"
    )
    with started(code) as program:
        assert program.write(b"y" * 900_000 + b"\n", later())
        assert len(program.next_line(later())) == 300_000
        assert program.next_line(later()) == b"900001"


def test_a_line_that_is_too_long_is_told():
    with started("print('x' * (1024 * 1024 + 1), flush=True); input()") as program:
        assert program.next_line(later()) is None
        assert program.too_long.startswith(
            "a line is longer than 1048576 bytes: it begins with 'xx"
        )


def test_endless_output_is_not_kept():
    with started("while True: print('x' * 1000)") as program:
        assert program.next_line(later()) == b"x" * 1000
        program.idle(later(0.3))
        assert sum(map(len, program._lines)) < 16 * 1024 * 1024


def test_input_that_nobody_reads():
    with started("import os, time; os.close(0); os.write(1, b'\\n'); time.sleep(60)") as program:
        assert program.next_line(later()) == b""
        assert not program.write(b"job\n", later())
        assert program.input_broken
    with started("import time; time.sleep(60)") as program:
        assert not program.write(b"x" * 1_000_000, later(0.1))
        assert not program.input_broken


def test_the_end_and_its_errors():
    with started("import sys; print('a\\nb', file=sys.stderr); sys.exit(3)") as program:
        assert program.ended(later())
        assert program.status == 3
        assert lines_of(program) == []
        assert program.errors == ["a", "b"]
    with started("import os; os.kill(os.getpid(), 11)") as program:
        assert program.ended(later())
        assert program.status == -11


def test_output_held_open_by_another_is_waited_for_a_moment_only():
    code = (
        "import os, subprocess, sys\n"
        "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'],"
        " start_new_session=True)\n"
        "os.write(1, b'done\\n')"
    )
    with started(code) as program:
        assert lines_of(program) == [b"done"]


def test_everything_it_has_started_is_killed():
    # a grandchild that leaves the session and holds every pipe
    code = (
        "import os, time\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    if os.fork() == 0:\n"
        "        os.write(1, b'%d\\n' % os.getpid())\n"
        "    time.sleep(60)\n"
        "time.sleep(60)"
    )
    before = len(os.listdir("/proc/self/fd"))
    with started(code) as program:
        pid = int(program.next_line(later()))
        assert psutil.pid_exists(pid)
        assert program.memory_kib() > 0

    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("command", [("/no/such/program",), ("a\0b",)])
def test_a_program_that_cannot_be_started(command):
    with pytest.raises(HandlerInvalid, match=r"cannot be started: .*give a command that runs"):
        Program(command, ENVIRONMENT)
