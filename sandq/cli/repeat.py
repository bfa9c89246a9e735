"""`sandq repeat`: series of jobs."""

import argparse
from datetime import UTC, datetime

from sandq.cli.common import (
    connection_options,
    json_option,
    print_json,
    print_table,
    read_json_text,
)
from sandq.errors import InvalidInput
from sandq.model.payload import JsonText
from sandq.model.repeat import Repeat
from sandq.sync import Queue


def options(parser: argparse.ArgumentParser) -> None:
    """The options of the verb."""
    parser.add_argument("what", choices=("ls", "add", "rm"), help="list, add or replace, end")
    parser.add_argument("queue", help="the queue's name")
    parser.add_argument("name", nargs="?", help="add: the jobs' name; rm: the key of the series")
    parser.add_argument("--every", metavar="TIME", help="add: an interval: 500ms, 30s, 5m, 2h")
    parser.add_argument("--cron", metavar="EXPR", help="add: 5 fields, or 6 with seconds first")
    parser.add_argument("--tz", default="UTC", help="add: time zone of --cron (UTC)")
    parser.add_argument("--key", help="add: the key of the series; default: from name and rule")
    parser.add_argument("--limit", type=int, metavar="N", help="add: end after so many jobs")
    parser.add_argument("--missed", default="skip", help="add: skip, once or all (skip)")
    parser.add_argument("--data", help="add: the jobs' data: JSON text (null)")
    parser.add_argument("--data-file", metavar="FILE", help="add: a file with the data; - is input")
    connection_options(parser)
    json_option(parser)


def run(given: argparse.Namespace) -> int:
    """List, add or end series."""
    with Queue(given.queue, given.url, prefix=given.prefix) as queue:
        match given.what:
            case "ls":
                return _list(given, queue)
            case "add":
                return _add(given, queue)
            case _:
                return _end(given, queue)


def _list(given: argparse.Namespace, queue: Queue) -> int:
    rows = [["KEY", "NAME", "NEXT", "MADE"]]
    for series in queue.get_repeatable_jobs():
        at = datetime.fromtimestamp(series.next_at, UTC).isoformat(timespec="milliseconds")
        rows.append([series.key, series.name, at, str(series.made)])
        if given.json:
            told = {"key": series.key, "name": series.name, "rule": series.repeat.rule}
            print_json({**told, "next_at": series.next_at, "made": series.made})
    if not given.json:
        print_table(rows) if len(rows) > 1 else print(f"queue {given.queue!r} has no series")

    return 0


def _add(given: argparse.Namespace, queue: Queue) -> int:
    if given.name is None or (given.every is None) == (given.cron is None):
        raise InvalidInput("a series needs the name of its jobs, and either --every or --cron")

    if given.every is not None:
        rule = Repeat.every(given.every, limit=given.limit, missed=given.missed)
    else:
        rule = Repeat.crontab(given.cron, tz=given.tz, limit=given.limit, missed=given.missed)
    data = JsonText(read_json_text(given.data, given.data_file))
    key = queue.upsert_repeatable(given.key, rule, given.name, data)
    print_json({"key": key}) if given.json else print(key)

    return 0


def _end(given: argparse.Namespace, queue: Queue) -> int:
    if given.name is None:
        raise InvalidInput("give the key of the series; see sandq repeat ls")
    if not queue.remove_repeatable_by_key(given.name):
        raise InvalidInput(f"queue {given.queue!r} has no series {given.name!r}")
    print_json({"removed": given.name}) if given.json else print(f"series {given.name!r} has ended")

    return 0
