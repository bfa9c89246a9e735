"""`sandq logs`: what a job said, printed and followed until it has ended."""

import json
import threading

import pytest

from sandq.cli.main import main
from sandq.store import calls
from sandq.store.calls import Report
from sandq.sync import Queue

DEADLINE_S = 30

ROWS = (
    b'{"level":"warning","message":"one","fields":{"page":7}}',
    b'{"stream":"stderr","text":"two \\u001b[31mred"}',
    b'{"cut":3}',
    b'{"stream":"stdout","text":"\xc3\xbcber"}',
)


@pytest.fixture
def sandq(url, capsys, monkeypatch):
    """Run the verb in this process: (exit code, lines of output, errors)."""
    monkeypatch.setenv("SANDQ_REDIS_URL", url)

    def run(*words):
        code = main(["logs", "q", *words])
        output = capsys.readouterr()
        return code, output.out.splitlines(), output.err

    return run


@pytest.fixture
def queue(url):
    with Queue("q", url) as queue:
        yield queue


@pytest.fixture
def job(queue):
    """A job that has said something of each kind, and still runs."""
    queue.add("work")
    job = queue.get_next_job()
    reports = [Report(job._claim, "log", row) for row in ROWS]
    reports += [Report(job._claim, "emit", b"%d %b" % (n, b'{"n":%d}' % n)) for n in range(3)]
    queue._store.run(calls.report(reports))
    return job


def plain(lines):
    """Lines without the time."""
    return [line.partition(" ")[2] for line in lines]


def test_everything_is_printed_oldest_first(sandq, job):
    code, lines, errors = sandq(job.id)

    assert (code, errors) == (0, "")
    assert plain(lines) == [
        "warning one page=7",
        # what a terminal would obey is shown
        "stderr two \\x1b[31mred",
        "(3 rows were left out)",
        "stdout über",
    ]
    assert all("T" in line.split()[0] and "+00:00" in line.split()[0] for line in lines)


def test_rows_are_printed_for_programs(sandq, job):
    _, lines, _ = sandq(job.id, "--json")
    rows = [json.loads(line) for line in lines]

    assert all(row.pop("at") > 0 for row in rows)
    assert rows == [json.loads(row) for row in ROWS]
    assert json.loads(sandq(job.id, "--json", "--last", "1")[1][0])["text"] == "über"


def test_one_stream_alone_is_printed(sandq, job):
    assert plain(sandq(job.id, "--stream", "stdout")[1]) == [
        "(3 rows were left out)",
        "stdout über",
    ]
    assert plain(sandq(job.id, "--stream", "stderr", "--last", "9")[1])[0].startswith("stderr two")


def test_parts_of_the_result_are_printed(sandq, job):
    parts = ['{"n": 0}', '{"n": 1}', '{"n": 2}']

    assert sandq(job.id, "--emitted") == (0, parts, "")
    assert sandq(job.id, "--emitted", "--last", "2", "--json") == (0, parts[1:], "")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--last", "0"], "--last must be at least 1"),
        (["--last", "1", "-f"], "give either --last or --follow"),
        (["--stream", "stdin"], "stream must be one of stderr, stdout"),
        (["--stream", "stderr", "--emitted"], "give either --stream or --emitted"),
        (["nobody", "-f"], "job 'nobody' does not exist"),
        (["nobody", "-f", "--emitted"], "job 'nobody' does not exist"),
    ],
)
def test_what_makes_no_sense_is_refused(sandq, words, message):
    words = words if words[0] == "nobody" else ["1", *words]
    code, lines, errors = sandq(*words)

    assert (code, lines) == (2, [])
    assert message in errors


ENDS = {
    "completes": (lambda job: job.move_to_completed(5), {}, 0),
    "completes and goes": (lambda job: job.move_to_completed(5), {"remove_on_complete": True}, 0),
    "fails": (lambda job: job.move_to_failed("no"), {}, 1),
    "fails and goes": (lambda job: job.move_to_failed("no"), {"remove_on_fail": True}, 1),
    "is cancelled": (lambda job: (job.cancel(), job.move_to_failed("no")), {}, 1),
}


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("what", [[], ["--emitted"]], ids=["log", "parts"])
def test_a_job_is_followed_until_it_has_ended(sandq, queue, end, what):
    act, options, expected = ENDS[end]
    queue.add("work", **options)
    job = queue.get_next_job()
    row, part = Report(job._claim, "log", ROWS[0]), Report(job._claim, "emit", b"0 {}")
    queue._store.run(calls.report([row, part]))
    job.log("two")
    ending = threading.Thread(target=act, args=(job,))
    ending.start()
    code, lines, errors = sandq(job.id, "-f", *what)
    ending.join()

    assert (code, errors) == (expected, "")
    # one that is gone at once may be gone before it was looked at
    if "goes" not in end:
        assert (lines if what else plain(lines)) == (
            ["{}"] if what else ["warning one page=7", "info two"]
        )


def test_rows_come_while_the_job_runs(url, queue, monkeypatch, capsys):
    """Each row is printed before the job says the next one."""
    monkeypatch.setenv("SANDQ_REDIS_URL", url)
    seen, printed = threading.Event(), []

    def show(*words, **options):
        printed.append(words[1:])
        seen.set()

    def talk(job):
        for number in range(3):
            job.log(f"row {number}")
            assert seen.wait(DEADLINE_S)
            seen.clear()
        raise ValueError("done")

    monkeypatch.setattr("builtins.print", show)
    queue.set_handler("*", talk)
    job = queue.add("talk")
    with queue.run():
        code = main(["logs", "q", job.id, "--follow"])

    assert code == 1
    assert printed == [("info", f"row {number}") for number in range(3)]
