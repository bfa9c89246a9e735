"""Attacks on the supervisor: what a child says, how it says it, and how it ends.

What each is, is told by what the supervisor makes of it.
"""

import json
import os
import resource
import signal
import sys


def say(text):
    data = text if isinstance(text, bytes) else text.encode()
    while data:
        data = data[os.write(1, data) :]


def answer(value):
    say(json.dumps({"status": "ok", "result": value}) + "\n")


def honest(job):
    """No attack: a short job, whose answer is its own id."""
    job.wait(0.01)
    return job.id


def two_thousand_orphans(job):
    """They end at once, and somebody else has to bury them."""
    for _ in range(2_000):
        pid = os.fork()
        if pid == 0:
            if os.fork() == 0:
                os._exit(0)
            os._exit(0)
        os.waitpid(pid, 0)
    return "left behind"


# ---- lines


def endless_line(job):
    for _ in range(64):
        say(b"x" * 65536)
    return "said"


def endless_line_of_json(job):
    say(b'{"status":"ok","result":"')
    for _ in range(64):
        say(b"x" * 65536)
    return "said"


def flood_of_noise(job):
    for _ in range(10):
        say(b"noise\n" * 10_000)
    return "said"


def flood_of_errors(job):
    for _ in range(64):
        os.write(2, b"e" * 65535 + b"\n")
    return "said"


def flood_of_progress(job):
    line = json.dumps({"sandq": 1, "type": "progress", "id": job.id, "value": "x" * 100}) + "\n"
    for _ in range(40):
        say(line * 500)
    return "said"


def flood_of_logs(job):
    line = json.dumps({"sandq": 1, "type": "log", "id": job.id, "message": "x" * 1000}) + "\n"
    for _ in range(100):
        say(line * 100)
    return "said"


def slow_loris(job):
    """A byte now and then, for ever: always alive, never done."""
    say(b'{"status"')
    for _ in range(1000):
        say(b" ")
        job.wait(0.02)
    return "said"


def deep_json(job):
    say("[" * 100_000 + "]" * 100_000 + "\n")
    return "said"


def deep_json_in_a_value(job):
    say('{"status":"ok","result":' + "[" * 200 + "]" * 200 + "}\n")
    return "said"


def not_a_number(job):
    say('{"status":"ok","result":NaN}\n')
    return "said"


def infinity(job):
    say('{"status":"ok","result":1e999}\n')
    return "said"


def long_number(job):
    say('{"status":"ok","result":' + "9" * 500_000 + "}\n")
    return "said"


def invalid_utf8(job):
    say(b'{"status":"ok","result":"\xff\xfe\xc0\xaf"}\n')
    return "said"


def lone_surrogate(job):
    say('{"status":"ok","result":"\\ud800"}\n')
    return "said"


def the_same_member_twice(job):
    say('{"status":"ok","result":1,"result":2,"status":"error"}\n')
    return "said"


def nul_bytes(job):
    say(b'\0\0\0{"status":"ok","result":"\0"}\n')
    return "said"


def half_a_line(job):
    say(b'{"status":"ok","result":"' + job["token"].encode())
    os._exit(0)


# ---- answers


def forged_id(job):
    """An answer to somebody else's job."""
    say(json.dumps({"sandq": 1, "type": "hello"}) + "\n")
    for number in range(100):
        line = {
            "sandq": 1,
            "type": "result",
            "id": str(number),
            "status": "ok",
            "result": job["token"],
        }
        say(json.dumps(line) + "\n")
    os._exit(3)


def two_answers(job):
    answer("first")
    return "second"


def two_answers_at_once(job):
    say('{"status":"ok","result":"first"}\n{"status":"ok","result":"second"}\n')
    os._exit(0)


def smuggled_fields(job):
    """What a handler may not decide: state, attempts, tokens."""
    say(
        '{"status":"ok","result":"fine","state":"failed","attempts":99,"token":"x","retry":false,'
        '"remove_on_complete":true,"worker":"me"}\n'
    )
    os._exit(0)


def smuggled_error(job):
    """An error that speaks in the supervisor's name."""
    error = {
        "type": "sandq.OutOfMemory", "message": "the kernel ended it", "kind": "out_of_memory",
        "death": {"by": "oom"}, "retryable": False, "retry_after_ms": 10**15,
    }  # fmt: skip
    say(json.dumps({"status": "error", "error": error}) + "\n")
    os._exit(0)


def command_the_supervisor(job):
    """Calls that no handler was allowed."""
    say(json.dumps({"sandq": 1, "type": "hello", "caps": ["call"]}) + "\n")
    call = {
        "sandq": 1,
        "type": "call",
        "id": job.id,
        "re": 1,
        "verb": "add_job",
        "args": {"name": "x"},
    }
    say(json.dumps(call) + "\n")
    line = sys.stdin.readline()
    say(
        json.dumps({"sandq": 1, "type": "result", "id": job.id, "status": "ok", "result": line})
        + "\n"
    )
    job.wait(5)


def colours_in_the_log(job):
    """Control characters and escape sequences, for whoever reads the log in a terminal."""
    os.write(2, b"\x1b[2J\x1b]0;owned\x07 \x1b[31mred\x9b31m \x08\x08\x7f\r rewritten\n")
    raise RuntimeError("\x1b[2J\x1b]0;owned\x07 \x9b31m \x85 \u2028 \u202e txt.exe")


def another_line_in_the_log(job):
    """A row that looks like somebody else's."""
    raise RuntimeError("failed\n2030-01-01 00:00:00 supervisor INFO all is well\r\n")


def forged_log_level(job):
    job.say("log", level="\x1b[2Jfatal\nERROR", message="x\ny", fields={"\x1b[2J": "\x1b[2J"})
    return "said"


# ---- ends


def close_the_output(job):
    """Nobody hears from it again, and it does not end."""
    for fd in range(64):
        try:
            os.close(fd)
        except OSError:
            continue
    job.wait(20)
    os._exit(0)


def close_everything_and_stay(job):
    job.leave()
    return close_the_output(job)


def never_answer(job):
    job.wait(20)
    return "too late"


def exit_without_an_answer(job):
    os._exit(0)


def exit_codes(job):
    os._exit(job["code"])


def pose_as_out_of_memory(job):
    """Killed as the kernel kills, with a word about memory."""
    os.write(2, b"Out of memory: Killed process 7 (python3)\nMemoryError\n")
    os.kill(os.getpid(), signal.SIGKILL)


def pose_as_out_of_memory_by_code(job):
    """What a shell, or the program that built the walls, says for SIGKILL."""
    os.write(2, b"oom-kill\n")
    os._exit(137)


def pose_as_out_of_time(job):
    os.kill(os.getpid(), signal.SIGXCPU)
    job.wait(5)


def pose_as_out_of_time_by_code(job):
    os._exit(128 + signal.SIGXCPU)


def pose_as_failed_walls(job):
    """The words of the program that builds the walls, so that the job costs no attempt."""
    os.write(2, b"bwrap: setting up uid map: Permission denied\n")
    os._exit(1)


def pose_as_never_started(job):
    say(
        json.dumps({"sandq": 1, "type": "fatal", "error": {"message": "bwrap: no such file"}})
        + "\n"
    )
    os._exit(1)


def crash_below_the_language(job):
    import ctypes

    ctypes.string_at(0)


def crash_by_recursion(job):
    sys.setrecursionlimit(10**9)

    class Deeper:
        def __add__(self, other):
            # an operator goes through C, and so takes of the real stack
            return self + other

    return str(Deeper() + 1)


def abort(job):
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.abort()


def print_to_the_answers(job):
    """Libraries print; a line that is JSON by chance is an answer."""
    say("loading model...\nWARNING: deprecated\n\n\n")
    return "fine"
