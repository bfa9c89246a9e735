"""Where the answers of the Python SDK go, and what user code can see of the way: descriptor 1,
the descriptor that SANDQ_FD names, the file that SANDQ_RESULT_FILE names.
"""

import json
import os
import subprocess
import sys

import pytest

from tests.child.sdk_python import DEADLINE_S, ECHO, children, job_line, message

sdk_child = pytest.fixture(children)

CHANNELS = pytest.mark.parametrize("channel", ["stdout", "fd"])


@CHANNELS
def test_user_code_and_its_programs_find_an_empty_input(sdk_child, channel):
    child = sdk_child(
        """
        import subprocess, sys
        from sandq.handler import serve

        def greedy(job):
            return [
                job.data,
                sys.stdin.read(),
                subprocess.run(["cat"], capture_output=True, text=True, check=True).stdout,
            ]

        serve(greedy)
    """,
        channel=channel,
    )

    child.write(job_line(1) + job_line(2))

    assert child.receive()["result"] == [1, "", ""]
    assert child.receive()["result"] == [2, "", ""]


@CHANNELS
def test_programs_of_user_code_inherit_nothing_of_the_conversation(sdk_child, channel):
    child = sdk_child(
        """
        import os, subprocess, sys
        from sandq.handler import serve

        PROGRAM = (
            "import os, sandq.handler;"
            "print(*sorted(os.listdir('/proc/self/fd')), *sorted(os.environ))"
        )

        def run(job):
            command = [sys.executable, "-c", PROGRAM]
            return subprocess.check_output(command, close_fds=False, text=True).split()

        serve(run)
        """,
        channel=channel,
    )

    seen = child.ask()["result"]

    # 3 is the descriptor that listing the folder takes. That there is any output at all shows
    # that the program, although it imports the SDK, does not take itself for a handler.
    assert seen[:4] == ["0", "1", "2", "3"]
    assert not {"SANDQ_PROTOCOL", "SANDQ_FD", "SANDQ_RESULT_FILE"} & set(seen)
    assert {"PATH", "PYTHONPATH"} <= set(seen)


@CHANNELS
def test_under_sandq_the_streams_are_safe_from_the_import_on(sdk_child, channel):
    child = sdk_child(
        """
        import os, sys
        from sandq.handler import serve
        os.write(1, b'{"status":"ok","result":"forged while starting"}\\n')
        sys.stdin.read()
        serve(lambda job: "real")
        """,
        channel=channel,
    )

    assert child.ask()["result"] == "real"


# --- a private descriptor -------------------------------------------------------------------------


def free_text(child):
    """What has been written to descriptor 1 of a child that has ended."""
    return child.process.stdout.read().decode()


@pytest.mark.parametrize("sandq", [True, False], ids=["under sandq", "by hand"])
def test_what_is_printed_is_free_text_and_cannot_be_taken_for_an_answer(sdk_child, sandq):
    child = sdk_child(
        """
        import os, subprocess, sys
        from sandq.handler import serve

        def talk(job):
            print(job.data)
            os.write(1, b"written\\n")
            subprocess.run(["echo", "from a program"], check=True)
            print("to the error stream", file=sys.stderr)
            job.progress(0.5)
            return "real"

        serve(talk)
        """,
        channel="fd",
        sandq=sandq,
    )
    forged = '{"sandq":1,"type":"result","id":"7","status":"ok","result":"forged"}'

    child.send(forged)

    assert child.receive()["value"] == 0.5
    assert child.receive()["result"] == "real"
    assert child.end() == ([], 0)
    assert free_text(child) == f"{forged}\nwritten\nfrom a program\n"
    assert child.log() == "to the error stream\n"


def test_the_whole_conversation_goes_over_it(sdk_child):
    child = sdk_child(
        """
        import asyncio
        from sandq.handler import serve

        async def work(job):
            job.emit(await job.acall("get_result", id="6"))
            await asyncio.Event().wait()

        serve(work)
        """,
        channel="fd",
    )

    child.reply(child.ask(), "found")
    assert child.receive()["chunk"] == "found"
    child.cancel()
    assert child.receive()["error"]["type"] == "Cancelled"
    child.say(type="ping", n=1)
    assert child.receive()["n"] == 1
    child.write(b"broken\n")
    assert child.receive()["type"] == "fatal"
    assert child.process.wait(DEADLINE_S) == 1
    assert free_text(child) == ""


def test_a_descriptor_that_is_not_open_ends_the_program_at_once(sdk_child):
    child = sdk_child(ECHO, hello=False, SANDQ_FD="99")

    assert child.process.wait(DEADLINE_S) == 1
    assert "Bad file descriptor" in child.log()


# --- a file for one answer ------------------------------------------------------------------------


def answer_in(child):
    return json.loads(child.file.read_bytes())


@pytest.mark.parametrize("sandq", [True, False], ids=["under sandq", "by hand"])
def test_the_answer_is_left_in_the_file_and_nothing_else(sdk_child, sandq):
    child = sdk_child(
        """
        import os
        from sandq.handler import serve

        def work(job):
            print("printed")
            job.progress(0.5)
            job.emit("chunk")
            job.heartbeat()
            return [job.data, job.cancelled, sorted(name for name in os.environ if "FILE" in name)]

        serve(work)
        """,
        channel="file",
        sandq=sandq,
    )

    child.send("ä")
    assert child.process.wait(DEADLINE_S) == 0, "it waits for the end of its input"

    assert child.file.read_text() == '{"status":"ok","result":["ä",false,[]]}\n'
    assert free_text(child) == "printed\n"
    assert child.log() == ""


def test_log_rows_are_printed_for_there_is_no_other_way(sdk_child):
    child = sdk_child(
        """
        from sandq.handler import serve

        def work(job):
            print("before")
            job.log("half way", level="warning", step=3)
            job.log("\\udcff ä", at={1})

        serve(work)
        """,
        channel="file",
    )

    child.send()
    child.process.wait(DEADLINE_S)

    rows = [line.rstrip() for line in free_text(child).splitlines()]
    assert rows == ["before", "warning: half way {'step': 3}", "info: \\udcff ä {'at': {1}}"]
    assert answer_in(child) == {"status": "ok", "result": None}


def test_an_error_is_left_in_the_file(sdk_child):
    child = sdk_child(
        """
        from sandq.handler import Unrecoverable, serve

        def work(job):
            raise Unrecoverable("no such account") from KeyError("account")

        serve(work)
        """,
        channel="file",
    )

    child.send()
    assert child.process.wait(DEADLINE_S) == 0
    answer = answer_in(child)

    assert answer["status"] == "error"
    assert answer["error"].pop("stack").startswith("KeyError: 'account'\n")
    assert answer["error"] == {
        "type": "Unrecoverable", "message": "no such account", "retryable": False,
        "cause": {"type": "KeyError", "message": "'account'"},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("value", "type_"),
    [("job.emit({1})", "InvalidValue"), ("'x' * 2**20", "InvalidValue"),
     ("job.add_job('next')", "CallRefused")],
)  # fmt: skip
def test_what_cannot_be_said_is_an_error_as_ever(sdk_child, value, type_):
    child = sdk_child(
        f"from sandq.handler import serve\nserve(lambda job: {value})", channel="file"
    )

    child.send()
    child.process.wait(DEADLINE_S)

    assert answer_in(child)["error"]["type"] == type_


def test_only_one_job_is_served(sdk_child):
    child = sdk_child(ECHO, channel="file")

    child.write(job_line(1) + job_line(2))
    child.process.wait(DEADLINE_S)

    assert answer_in(child) == {"status": "ok", "result": 1}


def test_a_broken_line_is_an_error_in_the_file(sdk_child):
    child = sdk_child(ECHO, channel="file")

    child.write(b"broken\n")

    assert child.process.wait(DEADLINE_S) == 1
    assert answer_in(child)["error"]["type"] == "ProtocolError"


def test_no_job_no_answer(sdk_child):
    child = sdk_child(ECHO, channel="file")

    child.process.stdin.close()

    assert child.process.wait(DEADLINE_S) == 0
    assert child.file.read_bytes() == b""


def test_by_hand_the_file_need_not_be_there_and_is_written_anew(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(ECHO)
    lines = tmp_path / "lines"
    file = tmp_path / "answer"
    for data in ("a long answer", 5):
        lines.write_bytes(job_line(data))
        with lines.open("rb") as stdin:
            subprocess.run(
                [sys.executable, program],
                stdin=stdin,
                env={**os.environ, "SANDQ_RESULT_FILE": str(file)},
                timeout=DEADLINE_S,
                check=True,
            )

    assert file.read_text() == '{"status":"ok","result":5}\n'
    assert file.stat().st_mode & 0o777 == 0o600


# --- an input that is a file ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    ["return job.cancelled", "await asyncio.sleep(0); return job.cancelled",
     "return await job.acall('v')"],
)  # fmt: skip
def test_a_file_of_jobs_is_served_though_nobody_speaks_from_it(tmp_path, body):
    program = tmp_path / "program.py"
    program.write_text(
        "import asyncio\nfrom sandq.handler import serve\n"
        f"async def work(job):\n    {body}\nserve(work)\n"
    )
    lines = tmp_path / "lines"
    lines.write_bytes(
        job_line(1) + message(type="cancel", id="7", reason="cancel", grace_ms=1) + job_line(2)
    )
    with lines.open("rb") as stdin:
        done = subprocess.run(
            [sys.executable, program],
            stdin=stdin,
            capture_output=True,
            env={**os.environ, "SANDQ_PROTOCOL": "1"},
            timeout=DEADLINE_S,
            check=True,
        )
    answers = [json.loads(line) for line in done.stdout.splitlines()[1:]]

    assert done.stderr == b""
    assert len(answers) == 2
    for answer in answers:
        assert answer.get("result", "none") is False or answer["error"]["type"] == "CallRefused"
