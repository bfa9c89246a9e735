"""`sandq add`: add a job to a queue."""

import argparse
import sys
from typing import cast

from sandq.cli.common import connection_options, json_option, print_json, read_json_text
from sandq.errors import JobCancelled, JobFailed
from sandq.model.backoff import Backoff
from sandq.model.options import OptionArgs
from sandq.model.payload import JsonText
from sandq.sync import Queue


def options(parser: argparse.ArgumentParser) -> None:
    """The options of the verb."""
    parser.add_argument("queue", help="the queue's name")
    parser.add_argument("name", help="the job's name, which chooses its handler")
    parser.add_argument("--data", help="the job's data: JSON text, kept as it is (null)")
    parser.add_argument("--data-file", metavar="FILE", help="a file with the data; - is the input")
    parser.add_argument("--id", help="an id of your own; adding it again changes nothing")
    parser.add_argument("--delay", help="wait so long before it may start: 500ms, 30s, 5m, 2h")
    parser.add_argument("--priority", type=int, help="1 is first; 0, the default, is last")
    parser.add_argument("--lifo", action="store_true", help="before others of its priority")
    parser.add_argument("--attempts", type=int, help="tries in all (1)")
    parser.add_argument("--backoff", help="wait between tries: 5s, or exponential:5s")
    parser.add_argument("--timeout", help="how long one try may run: 30s, 5m")
    parser.add_argument("--heartbeat-timeout", metavar="TIME", help="how long it may say nothing")
    parser.add_argument("--pool-key", metavar="KEY", help="share children with jobs of this key")
    parser.add_argument("--tag", action="append", help="a word to find it by; may be repeated")
    parser.add_argument("--group", help="the tenant it counts for, in limits by group")
    parser.add_argument("--dedup", metavar="KEY", help="add nothing while a job has this key")
    parser.add_argument("--wait", action="store_true", help="wait for the end, print the value")
    parser.add_argument("--wait-timeout", metavar="TIME", help="wait at most so long")
    connection_options(parser)
    json_option(parser)


def run(given: argparse.Namespace) -> int:
    """Add the job; with --wait, exit code 1 tells that it failed."""
    data = JsonText(read_json_text(given.data, given.data_file))
    with Queue(given.queue, given.url, prefix=given.prefix) as queue:
        job = queue.add(given.name, data, **_job_options(given))
        if not given.wait and given.wait_timeout is None:
            print_json({"id": job.id}) if given.json else print(job.id)
            return 0

        try:
            value = job.finished(given.wait_timeout)
        except (JobFailed, JobCancelled) as error:
            if given.json:
                print_json({"id": job.id, "status": "error", "error": error.failure})
            else:
                print(f"sandq: {error}", file=sys.stderr)
            return 1

    print_json({"id": job.id, "status": "ok", "result": value} if given.json else value)

    return 0


def _job_options(given: argparse.Namespace) -> OptionArgs:
    wanted = {
        "job_id": given.id,
        "delay": given.delay,
        "priority": given.priority,
        "lifo": given.lifo or None,
        "attempts": given.attempts,
        "backoff": None if given.backoff is None else _backoff(given.backoff),
        "timeout": given.timeout,
        "heartbeat_timeout": given.heartbeat_timeout,
        "pool_key": given.pool_key,
        "tags": given.tag,
        "group": given.group,
        "dedup": given.dedup,
    }
    return cast("OptionArgs", {k: v for k, v in wanted.items() if v is not None})


def _backoff(text: str) -> Backoff:
    kind, _, delay = text.rpartition(":")
    if kind == "exponential":
        return Backoff.exponential(delay)

    # an unknown kind is refused as a duration, which shows the forms that are known
    return Backoff.fixed(delay if kind in ("", "fixed") else text)
