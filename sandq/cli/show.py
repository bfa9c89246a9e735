"""`sandq show`: everything about one job."""

import argparse
import json
from datetime import UTC, datetime
from typing import Any

from sandq.cli.common import connection_options, json_option, print_json
from sandq.errors import JobMissing
from sandq.sync import Queue


def options(parser: argparse.ArgumentParser) -> None:
    """The options of the verb."""
    parser.add_argument("queue", help="the queue's name")
    parser.add_argument("job", help="the job's id")
    parser.add_argument("--logs", action="store_true", help="its log rows too")
    connection_options(parser)
    json_option(parser)


def run(given: argparse.Namespace) -> int:
    """Print the job."""
    with Queue(given.queue, given.url, prefix=given.prefix) as queue:
        job = queue.get_job(given.job)
        if job is None:
            raise JobMissing(
                f"queue {given.queue!r} has no job {given.job!r}; see sandq ls {given.queue}"
            )
        shown: dict[str, Any] = job.to_dict()
        if given.logs:
            shown["logs"] = job.logs()

    if given.json:
        print_json(shown)
        return 0

    width = max(map(len, shown))
    for name, value in shown.items():
        if value is None:
            continue
        if name.endswith("_at"):
            value = datetime.fromtimestamp(value, UTC).isoformat(timespec="milliseconds")
        elif not isinstance(value, str):
            value = json.dumps(value, ensure_ascii=False, indent=2)
        print(f"{name.ljust(width)}  {value.replace(chr(10), chr(10) + ' ' * (width + 2))}")

    return 0
