"""`sandq exec --jobs`: settings and jobs in, one line for each end out."""

import json
import subprocess
import sys

import pytest

COMMAND = [sys.executable, "-m", "sandq", "exec", "--jobs"]
ECHO = ["sh", "-c", 'while read -r job; do echo \'{"status":"ok","result":7}\'; done']
LATE = ["sh", "-c", "read -r job; exec sleep 60"]


def lines(*given):
    return "".join(line if isinstance(line, str) else json.dumps(line) + "\n" for line in given)


def settings(command, **more):
    return {
        "handler": {"command": command, **more.pop("handler", {})},
        "kill_grace_ms": 300,
        **more,
    }


def run(text):
    done = subprocess.run(COMMAND, input=text, capture_output=True, text=True, timeout=60)

    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr


def test_jobs_of_a_pipe_are_run_in_order_and_counted():
    code, told, errors = run(
        lines(settings(ECHO), *({"id": str(n), "name": "a"} for n in range(3)))
    )

    assert (code, errors) == (0, "")
    assert [(line["id"], line["state"], line["value"]) for line in told[:-1]] == [
        ("0", "completed", 7), ("1", "completed", 7), ("2", "completed", 7),
    ]  # fmt: skip
    assert told[-1] == {
        "metrics": {
            "jobs": {"completed": 3}, "failures": {}, "releases": 0, "children": 1,
            "failed_starts": 0,
        }
    }  # fmt: skip


def test_jobs_of_a_file_are_run_as_well(tmp_path):
    file = tmp_path / "jobs"
    file.write_text(lines(settings(ECHO), {"id": "1"}).rstrip("\n"))
    with file.open() as stream:
        done = subprocess.run(COMMAND, stdin=stream, capture_output=True, text=True, timeout=60)

    assert [json.loads(line).get("id") for line in done.stdout.splitlines()] == ["1", None]


def test_data_and_values_keep_their_bytes():
    digits = ["sh", "-c", "read -r job; d=${job#*'\"data\":'}; echo ${d%%,*}"]
    job = '{"id":"1","name":"a","data":123456789012345678901234567890}\n'
    done = subprocess.run(
        COMMAND, input=lines(settings(digits), job), capture_output=True, text=True, timeout=60
    )

    assert '"value":123456789012345678901234567890}' in done.stdout


# each of two jobs waits for the other
MEET = """
read -r job
case $job in *'"id":"1"'*) mine=1 other=2 ;; *) mine=2 other=1 ;; esac
touch "$FOLDER/$mine"
until [ -e "$FOLDER/$other" ]; do sleep 0.01; done
echo 1
"""


def test_as_many_jobs_as_the_pool_has_children_are_at_work(tmp_path):
    handler = {"env": {"FOLDER": str(tmp_path)}}
    given = settings(["sh", "-c", MEET], handler=handler, pool=2)

    code, told, _ = run(lines(given, {"id": "1"}, {"id": "2"}))

    assert code == 0
    assert {line["state"] for line in told[:-1]} == {"completed"}


def test_a_job_that_waits_is_cancelled_before_it_starts_and_one_at_work_is_ended():
    jobs = [{"id": "1"}, {"id": "2"}, {"cancel": "2"}, {"cancel": "nobody"}, {"cancel": "1"}]

    code, told, _ = run(lines(settings(LATE), *jobs))

    assert code == 0
    assert [(line["id"], line["state"], line["kind"]) for line in told[:-1]] == [
        ("1", "cancelled", None), ("2", "cancelled", None),
    ]  # fmt: skip
    assert told[-1]["metrics"]["jobs"] == {"cancelled": 2}


def test_a_job_that_nobody_can_do_is_tried_four_times_and_told_as_released():
    code, told, _ = run(lines(settings(["sh", "-c", "exit 3"]), {"id": "1"}))

    assert code == 0
    assert (told[0]["state"], told[0]["releases"]) == ("released", 4)
    assert "exit code 3" in told[0]["message"]
    assert told[1]["metrics"]["releases"] == 4


def test_a_line_that_is_too_long_is_not_sent():
    job = {"id": "1", "data": "x" * 2000}

    code, told, _ = run(lines(settings(ECHO, handler={"line": 1024}), job, {"id": "2"}))

    assert code == 0
    assert [line["kind"] for line in told[:-1]] == ["oversize_payload", None]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "the first line must be the settings"),
        ("{\n", "the settings: the line is not JSON"),
        ("[]\n", "the settings: the line must be an object"),
        ("{}\n", "the settings need a handler with a command"),
        (lines({"handler": {"command": ECHO}, "pools": 1}), "not known: 'pools'"),
        (lines(settings(ECHO, handler={"timeout": 1})), "not known: 'timeout'"),
        (lines(settings(ECHO, handler={"channel": "fd9"})), "channel must be one of"),
        (lines(settings(ECHO, handler={"line": 5})), "limit line must be at least 1024"),
        (lines(settings(ECHO), "7\n"), "a job: the line must be an object"),
        (lines(settings(ECHO), {"id": 7}), "a job needs an id, which is a text"),
        (lines(settings(["no-such-program"])), "is not on PATH"),
    ],
)
def test_what_is_not_understood_is_refused(text, words):
    code, told, errors = run(text)

    assert (code, told) == (2, [])
    assert words in errors
    assert len(errors.splitlines()) == 1
