"""`sandq ls`: the queues, or the jobs of one."""

import argparse

from sandq.cli.common import connection_options, json_option, print_json, print_table
from sandq.model.states import JobState
from sandq.store.find import find_queues
from sandq.sync import Job, Queue

#: Characters of data, value or error shown of a job in the table.
SHOWN = 60


def options(parser: argparse.ArgumentParser) -> None:
    """The options of the verb."""
    parser.add_argument("queue", nargs="?", help="the queue's name; none: list the queues")
    parser.add_argument(
        "--state",
        action="append",
        metavar="STATE",
        help=f"only jobs of this state ({', '.join(JobState)}); may be repeated",
    )
    parser.add_argument("--limit", type=int, default=20, help="most jobs of each state (20)")
    connection_options(parser)
    json_option(parser)


def run(given: argparse.Namespace) -> int:
    """Print the queues with their counts, or the jobs of one, newest first."""
    if given.queue is None:
        return _list_queues(given)

    with Queue(given.queue, given.url, prefix=given.prefix) as queue:
        states = given.state or [state.value for state in JobState]
        jobs = queue.get_jobs(states, 0, max(given.limit, 1) - 1)
    if given.json:
        for job in jobs:
            print_json(job.to_dict())
    elif jobs:
        print_table([["ID", "NAME", "STATE", "TRIES", "WHAT"], *map(_row, jobs)])
    else:
        print(f"queue {given.queue!r} has no jobs of these states")

    return 0


def _list_queues(given: argparse.Namespace) -> int:
    counts = {}
    for name in find_queues(given.url, given.prefix):
        with Queue(name, given.url, prefix=given.prefix) as queue:
            counts[name] = queue.get_job_counts()
    if given.json:
        for name, count in counts.items():
            print_json({"queue": name, **count})
    elif counts:
        heading = ["QUEUE", *(state.upper() for state in next(iter(counts.values())))]
        print_table([heading, *([n, *map(str, c.values())] for n, c in counts.items())])
    else:
        print("there are no queues")

    return 0


def _row(job: Job) -> list[str]:
    match job.state:
        case JobState.COMPLETED:
            what = f"value {job.value!r}"
        case JobState.FAILED:
            failure = job.failure or {}
            what = f"{failure.get('kind')}: {failure.get('message')}"
        case _:
            what = f"data {job.data!r}"
    what = what.replace("\n", " ")

    return [job.id, job.name, job.state.value, str(job.claims), what[:SHOWN]]
