"""`sandq conformance handler`: is my handler right?"""

import argparse
from pathlib import Path
from typing import Any

from sandq.cli.common import print_json
from sandq.conformance import report
from sandq.conformance.cases import load_cases
from sandq.conformance.kit import Result, probe, run_case
from sandq.conformance.saying import read_job
from sandq.conformance.subject import Subject
from sandq.errors import InvalidInput
from sandq.model.duration import to_ms

LEVELS = ("oneshot", "simple", "full")


def options(parser: argparse.ArgumentParser) -> None:
    """The options that are for handlers alone."""
    parser.add_argument(
        "--level", choices=LEVELS, help="the level it is to have; default: simple or full"
    )
    parser.add_argument("--job", metavar="FILE", help="a job it can do, as JSON")
    parser.add_argument("--timeout", default="10s", help="how long an answer may take (10s)")
    parser.add_argument("--ready", default="30s", help="how long starting may take (30s)")


def run(given: argparse.Namespace) -> int:
    """Run the checks; exit code 1 tells that the handler does not conform."""
    if not given.command:
        raise InvalidInput(
            "which handler? give its command after --: sandq conformance handler -- COMMAND"
        )
    cases = load_cases()
    unknown = set(given.only or ()) - {case.number for case in cases}
    if unknown:
        raise InvalidInput(f"there is no check {min(unknown)}; they are 1 to {cases[-1].number}")
    chosen = [case for case in cases if not given.only or case.number in given.only]

    subject = Subject(
        command=tuple(given.command),
        job=_job(given.job),
        answer_s=to_ms(given.timeout, "--timeout") / 1000,
        ready_s=to_ms(given.ready, "--ready") / 1000,
    )
    subject = probe(subject, given.level)
    _tell([] if given.json else report.tap_head(subject, len(chosen)))
    results: list[Result] = []
    for case in chosen:
        results.append(run_case(case, subject))
        if given.json:
            print_json(report.json_result(results[-1]))
        else:
            _tell(report.tap_lines(len(results), results[-1]))
    if given.json:
        print_json(report.json_summary(subject, results))
    else:
        _tell(report.tap_tail(subject, results))

    return 0 if report.conforms(results) else 1


def _job(file: str | None) -> dict[str, Any] | None:
    if file is None:
        return None
    try:
        return read_job(Path(file).read_bytes())
    except OSError as error:
        raise InvalidInput(f"the job's file {file} cannot be read: {error.strerror}") from error


def _tell(lines: list[str]) -> None:
    for line in lines:
        print(line, flush=True)
