"""Verbs about single jobs: cancel, retry, promote, rm."""

import argparse
import sys
from collections.abc import Callable

from sandq.cli.common import connection_options, json_option, print_json
from sandq.errors import InvalidInput, SandqError
from sandq.model.states import JobState
from sandq.sync import Job, Queue


def cancel_options(parser: argparse.ArgumentParser) -> None:
    """The options of `sandq cancel`."""
    _jobs(parser)
    parser.add_argument("--reason", default="cancelled by request", help="kept with the job")


def cancel(given: argparse.Namespace) -> int:
    """Call jobs off: those that run are stopped within a second."""
    return _each(given, lambda job: job.cancel(given.reason), "cancelled")


def retry_options(parser: argparse.ArgumentParser) -> None:
    """The options of `sandq retry`."""
    _jobs(parser, "none: with --all")
    parser.add_argument("--all", action="store_true", help="all jobs of the state")
    parser.add_argument("--state", default="failed", help="failed, completed or cancelled (failed)")
    parser.add_argument("--limit", type=int, metavar="N", help="with --all: at most so many")
    parser.add_argument("--reset", action="store_true", help="count their attempts anew")


def retry(given: argparse.Namespace) -> int:
    """Run ended jobs again."""
    if bool(given.job) == given.all:
        raise InvalidInput("name the jobs to be retried, or give --all")
    if not given.all:
        return _each(given, lambda job: job.retry(given.reset), "waiting")

    with _queue(given) as queue:
        ids = queue.retry_jobs(given.limit, state=given.state, reset_attempts=given.reset)
    print_json({"retried": len(ids)}) if given.json else print(f"{len(ids)} jobs wait again")

    return 0


def promote_options(parser: argparse.ArgumentParser) -> None:
    """The options of `sandq promote`."""
    _jobs(parser)


def promote(given: argparse.Namespace) -> int:
    """Let delayed jobs start now."""
    return _each(given, Job.promote, "waiting")


def rm_options(parser: argparse.ArgumentParser) -> None:
    """The options of `sandq rm`."""
    _jobs(parser, "none: with --match")
    parser.add_argument("--match", metavar="GLOB", help="jobs whose ids match: * ? [a-z]")
    parser.add_argument("--force", action="store_true", help="also those that run: stopped")


def rm(given: argparse.Namespace) -> int:
    """Remove jobs, with their logs and tags."""
    if bool(given.job) == (given.match is not None):
        raise InvalidInput("name the jobs to be removed, or give --match")
    if given.match is None:
        return _each(given, lambda job: job.remove(given.force), "removed")

    with _queue(given) as queue:
        ids = queue.remove_jobs(given.match, force=given.force)
    print_json({"removed": len(ids)}) if given.json else print(f"{len(ids)} jobs are gone")

    return 0


def _jobs(parser: argparse.ArgumentParser, none: str = "") -> None:
    parser.add_argument("queue", help="the queue's name")
    hint = f"; {none}" if none else ""
    parser.add_argument("job", nargs="*" if none else "+", help=f"the ids of the jobs{hint}")
    connection_options(parser)
    json_option(parser)


def _queue(given: argparse.Namespace) -> Queue:
    return Queue(given.queue, given.url, prefix=given.prefix)


def _each(given: argparse.Namespace, act: Callable[[Job], JobState | None], done: str) -> int:
    """Do something to each job; one that refuses does not keep the others from it."""
    refused = False
    with _queue(given) as queue:
        for job_id in given.job:
            try:
                running = act(Job(queue, job_id)) is JobState.ACTIVE
            except SandqError as error:
                refused = True
                if given.json:
                    print_json({"id": job_id, "error": error.code, "message": str(error)})
                else:
                    print(f"sandq: {error}", file=sys.stderr)
            else:
                state, text = ("active", "is being stopped") if running else (done, done)
                told = {"id": job_id, "state": state}
                print_json(told) if given.json else print(f"job {job_id}: {text}")

    return 2 if refused else 0
