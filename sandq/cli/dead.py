"""`sandq dead`: failed jobs, to be looked at or run again."""

import argparse

from sandq.cli.common import connection_options, json_option, print_json, print_table
from sandq.sync import Queue

#: Characters of a failure's message shown in the table.
SHOWN = 80


def options(parser: argparse.ArgumentParser) -> None:
    """The options of the verb."""
    parser.add_argument("what", choices=("peek", "replay"), help="look at them, or run them again")
    parser.add_argument("queue", help="the queue's name")
    parser.add_argument("--limit", type=int, metavar="N", help="most jobs (20, replay: 100)")
    parser.add_argument("--kind", help="replay: only those that failed so, such as timed_out")
    connection_options(parser)
    json_option(parser)


def run(given: argparse.Namespace) -> int:
    """Peek at failed jobs, oldest first, or replay them with all their attempts."""
    with Queue(given.queue, given.url, prefix=given.prefix) as queue:
        if given.what == "replay":
            ids = queue.replay_dead(100 if given.limit is None else given.limit, kind=given.kind)
            print_json({"replayed": ids}) if given.json else print(f"{len(ids)} jobs wait again")
            return 0
        jobs = queue.peek_dead(20 if given.limit is None else given.limit)
        kinds = queue.stats().dead

    if given.json:
        for job in jobs:
            print_json(job.to_dict())
    elif jobs:
        rows = []
        for job in jobs:
            failure = job.failure or {}
            message = str(failure.get("message")).replace("\n", " ")[:SHOWN]
            rows.append([job.id, job.name, str(job.attempts), str(failure.get("kind")), message])
        print_table([["ID", "NAME", "ATTEMPTS", "KIND", "MESSAGE"], *rows])
        print(", ".join(f"{kind}: {number}" for kind, number in sorted(kinds.items())))
    else:
        print(f"queue {given.queue!r} has no failed jobs")

    return 0
