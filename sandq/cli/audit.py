"""`sandq audit`: what is broken in a queue's data, and its repair."""

import argparse

from sandq.cli.common import connection_options, json_option, print_json
from sandq.store.audit_calls import Finding
from sandq.store.problems import PROBLEMS
from sandq.sync import Queue


def options(parser: argparse.ArgumentParser) -> None:
    """The options of the verb."""
    parser.add_argument("queue", help="the queue's name")
    parser.add_argument("--fix", action="store_true", help="repair what is found")
    connection_options(parser)
    json_option(parser)


def run(given: argparse.Namespace) -> int:
    """Print every finding; exit code 1 tells that some are left.

    Supervisors may go on meanwhile; an audit is many short calls.
    """
    with Queue(given.queue, given.url, prefix=given.prefix) as queue:
        findings = queue.audit(given.fix)
    for finding in findings:
        print_json(_members(finding)) if given.json else print(_line(finding, given.fix))
    left = sum(not finding.fixed for finding in findings)
    if not given.json:
        print(_summary(given.queue, len(findings), left, given.fix))

    return 1 if left else 0


def _members(finding: Finding) -> dict[str, object]:
    problem = PROBLEMS[finding.problem]

    return {
        "problem": finding.problem,
        "subject": finding.subject,
        "detail": finding.detail,
        "fixed": finding.fixed,
        "meaning": problem.meaning,
        "repair": problem.repair,
    }


def _line(finding: Finding, fix: bool) -> str:
    done = "repaired" if finding.fixed else "left" if fix else "--fix"
    line = (
        f"{finding.problem} {finding.subject}: {finding.detail}; {done}: "
        f"{PROBLEMS[finding.problem].repair}"
    )
    # what others wrote may hold anything
    return line.encode("unicode_escape").decode("ascii") if not line.isprintable() else line


def _summary(queue: str, found: int, left: int, fix: bool) -> str:
    if not found:
        return f"queue {queue!r} is in order"
    if fix:
        return f"{found} found, {found - left} repaired, {left} left"

    return f"{found} found; sandq audit {queue} --fix repairs what can be repaired"
