"""Verbs that look at a queue: stats, workers, events."""

import argparse
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from sandq.cli.common import connection_options, json_option, print_json, print_table
from sandq.sync import Queue


def stats_options(parser: argparse.ArgumentParser) -> None:
    """The options of `sandq stats`."""
    _options(parser)


def stats(given: argparse.Namespace) -> int:
    """Print counts, totals, and failed jobs by kind."""
    with _queue(given) as queue:
        shown = asdict(queue.stats())
    if given.json:
        print_json(shown)
        return 0

    rows = [["WHAT", "NUMBER"]]
    for part in ("counts", "totals", "dead", "groups"):
        rows += ([f"{part}: {name}", str(n)] for name, n in sorted(shown[part].items()))
    rows.append(["stalled", str(shown["stalled"])])
    for name in ("waiting_since", "overdue_since"):
        if shown[name] is not None:
            rows.append([name.replace("_", " "), _time(shown[name])])
    print_table(rows)

    return 0


def workers_options(parser: argparse.ArgumentParser) -> None:
    """The options of `sandq workers`."""
    _options(parser)


def workers(given: argparse.Namespace) -> int:
    """Print the supervisors that serve the queue."""
    with _queue(given) as queue:
        found = queue.get_workers()
    if given.json:
        for worker in found:
            print_json({**asdict(worker), "jobs": list(worker.jobs)})
    elif found:
        rows = [
            [w.id, w.host, str(w.pid), f"{w.busy}/{w.slots}", _time(w.seen_at), " ".join(w.jobs)]
            for w in found
        ]
        print_table([["WORKER", "HOST", "PID", "BUSY", "SEEN", "JOBS"], *rows])
    else:
        print(f"nobody serves queue {given.queue!r}")

    return 0


def events_options(parser: argparse.ArgumentParser) -> None:
    """The options of `sandq events`."""
    _options(parser)
    parser.add_argument(
        "--from", dest="since", metavar="ID", help="after this event; 0: the oldest that is kept"
    )
    parser.add_argument("--count", type=int, metavar="N", help="stop after so many")


def events(given: argparse.Namespace) -> int:
    """Print the events of the queue as they come, until it is interrupted."""
    left = given.count
    with _queue(given) as queue:
        for event in queue.subscribe(given.since):
            if given.json:
                said: dict[str, Any] = {"id": event.id, "event": event.kind, "job": event.job_id}
                print_json({**said, **event.fields})
            else:
                fields = (f"{name}={value}" for name, value in event.fields.items())
                print(_time(event.at), event.id, event.kind, event.job_id, *fields, flush=True)
            left = None if left is None else left - 1
            if left is not None and left <= 0:
                break

    return 0


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("queue", help="the queue's name")
    connection_options(parser)
    json_option(parser)


def _queue(given: argparse.Namespace) -> Queue:
    return Queue(given.queue, given.url, prefix=given.prefix)


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
