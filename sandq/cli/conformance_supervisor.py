"""`sandq conformance supervisor`: is a supervisor right, whatever its children do?"""

import argparse
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from sandq.cli.common import print_json
from sandq.conformance.zoo import tap
from sandq.conformance.zoo.catalogue import Case, load_cases
from sandq.conformance.zoo.trial import play
from sandq.conformance.zoo.verdict import Verdict
from sandq.errors import InvalidInput
from sandq.model.duration import to_ms


def options(parser: argparse.ArgumentParser) -> None:
    """The options that are for supervisors alone."""
    parser.add_argument(
        "--case", action="append", help="a case with this in its name; may be repeated"
    )
    parser.add_argument(
        "--at-once", type=int, default=2, help="how many cases are played at the same time"
    )
    parser.add_argument(
        "--slack", default="3s", help="granted beside every bound, for a machine that is busy"
    )


def run(given: argparse.Namespace) -> int:
    """Play the cases; exit code 1 tells that the supervisor has failed one."""
    if not given.command:
        raise InvalidInput(
            "which supervisor? give its command after --: sandq conformance supervisor -- COMMAND"
        )
    if given.at_once < 1:
        raise InvalidInput(f"--at-once must be at least 1: {given.at_once}")
    cases = load_cases()
    groups = {case.group for case in cases}
    unknown = set(given.only or ()) - groups
    if unknown:
        raise InvalidInput(f"there is no group {min(unknown)}; they are 1 to {max(groups)}")
    chosen = [
        case
        for case in cases
        if (not given.only or case.group in given.only)
        and (not given.case or any(text in case.name for text in given.case))
    ]
    if not chosen:
        raise InvalidInput(f"no case has {given.case[0]!r} in its name")

    if not given.json:
        _tell(tap.tap_head(len(chosen)))
    verdicts: list[Verdict] = []
    slack_s = to_ms(given.slack, "--slack") / 1000
    for verdict in play_all(chosen, given.command, slack_s, given.at_once):
        verdicts.append(verdict)
        if given.json:
            print_json(tap.json_result(verdict))
        else:
            _tell(tap.tap_lines(len(verdicts), verdict))
    if given.json:
        print_json(tap.json_summary(verdicts))
    else:
        _tell(tap.tap_tail(verdicts))

    return 0 if all(verdict.passed for verdict in verdicts) else 1


def play_all(
    cases: Sequence[Case], command: Sequence[str], slack_s: float, at_once: int
) -> Iterator[Verdict]:
    """The verdicts in the order of the cases, but those that are heavy are played alone, last."""
    with ThreadPoolExecutor(at_once) as threads:
        light = [case for case in cases if not case.heavy]
        futures = [threads.submit(play, case, command, slack_s) for case in light]
        try:
            for future in futures:
                yield future.result()
        finally:
            threads.shutdown(cancel_futures=True)
    for case in cases:
        if case.heavy:
            yield play(case, command, slack_s)


def _tell(lines: list[str]) -> None:
    for line in lines:
        print(line, flush=True)
