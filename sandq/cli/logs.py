"""`sandq logs`: what a job said: its log, the lines its child wrote, parts of its result."""

import argparse
import re
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from sandq.cli.common import connection_options, json_option, print_json
from sandq.errors import InvalidInput, JobMissing
from sandq.model.states import JobState
from sandq.steps import jobs
from sandq.steps.follow import check_stream
from sandq.sync import Job, Queue

# what a terminal would obey is shown instead, and a row stays a row
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f]")


def options(parser: argparse.ArgumentParser) -> None:
    """The options of the verb."""
    parser.add_argument("queue", help="the queue's name")
    parser.add_argument("job", help="the job's id")
    parser.add_argument("-f", "--follow", action="store_true", help="go on until it has ended")
    parser.add_argument("--last", type=int, metavar="N", help="only the newest so many rows")
    parser.add_argument("--stream", metavar="NAME", help="only lines of stderr, or of stdout")
    parser.add_argument("--emitted", action="store_true", help="parts of the result instead")
    connection_options(parser)
    json_option(parser)


def run(given: argparse.Namespace) -> int:
    """Print the rows, oldest first; with --follow, exit code 1 tells that the job has failed."""
    if given.last is not None and given.last < 1:
        raise InvalidInput(f"--last must be at least 1: {given.last}")
    if given.last is not None and given.follow:
        raise InvalidInput("give either --last or --follow, not both")
    if given.stream is not None and given.emitted:
        raise InvalidInput("give either --stream or --emitted, not both")
    check_stream(given.stream)
    with Queue(given.queue, given.url, prefix=given.prefix) as queue:
        job = Job(queue, given.job)
        if not given.follow:
            _print(given, _said(given, job)[-(given.last or 0) :])
            return 0

        # one that is gone: the events may tell how it ended
        with suppress(JobMissing):
            _print(given, job.follow_emitted() if given.emitted else job.follow_logs(given.stream))
        state = queue._do(jobs.last_state(given.job))

    return 0 if state is JobState.COMPLETED else 1


def _said(given: argparse.Namespace, job: Job) -> list[Any]:
    if given.emitted:
        return job.emitted()

    rows = job.logs()

    return [row for row in rows if given.stream in (None, row.get("stream")) or "cut" in row]


def _print(given: argparse.Namespace, items: Iterable[Any]) -> None:
    for item in items:
        if given.json or given.emitted:
            print_json(item)
        else:
            print(datetime.fromtimestamp(item["at"], UTC).isoformat(timespec="milliseconds"),
                  *map(_shown, _words(item)), flush=True)  # fmt: skip


def _words(row: dict[str, Any]) -> list[str]:
    if "cut" in row:
        return [f"({row['cut']} rows were left out)"]
    if "stream" in row:
        return [row["stream"], row["text"]]

    fields = [f"{name}={value!r}" for name, value in row.get("fields", {}).items()]

    return [row["level"], row["message"], *fields]


def _shown(word: str) -> str:
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", word)
