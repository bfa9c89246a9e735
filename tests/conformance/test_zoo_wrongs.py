"""A supervisor that makes a mistake is caught, in the right group, with the right words."""

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sandq.conformance.zoo.catalogue import load_cases
from sandq.conformance.zoo.trial import play

# all cases are played before the first test
pytestmark = pytest.mark.timeout(300)

PROGRAM = Path(__file__).with_name("bad_supervisor.py")

CASES = {case.name: case for case in load_cases()}

# fault of bad_supervisor.py -> the case that catches it, the group of it, a part of the complaint
WRONGS = {
    "leaves-pipes": ("it ends after it has read its job", 1, "descriptors before"),
    "leaves-threads": ("it ends after it has read its job", 1, "threads before"),
    "leaves-files": ("it ends after it has read its job", 1, "temporary files are left"),
    "miscounts": ("it ends after it has read its job", 1, "its metrics tell"),
    "eats-jobs": ("it is killed before it reads", 2, "must make it completed"),
    "storms": ("it ends at once, every time", 1, "processes were started: too many"),
    "blocks": ("it neither reads nor writes", 3, "was not told in time"),
    "has-no-clock": ("it never answers", 4, "was not told in time"),
    "is-late": ("it ignores every signal that can be ignored", 5, "was not told in time"),
    "is-polite": ("it ignores every signal that can be ignored", 5, "was not told in time"),
    "waits-for-the-pipe": ("it ends, and a grandchild holds its output", 6, "not told in time"),
    "no-line-bound": ("it writes a line of 2 GiB", 7, "the supervisor grew by"),
    "keeps-everything": ("its error output has no line break, ever", 7, "the supervisor grew by"),
    "reuses-the-spoiled": ("its JSON is not strict", 8, "was not told in time"),
    "believes-noise": ("it makes noise before, in and after its answers", 9, "its value must be"),
    "keeps-no-probation": ("it answers twice at once", 10, "must make it failed (protocol_error)"),
    "trusts-the-idle": ("it answers while it has no job", 10, ""),
    "hides-errors": ("envelopes, and what only looks like one", 11, "must make it failed (error)"),
    "never-replies": ("its call has odd members", 15, "was not told in time"),
    "likes-silence": ("it closes its output and lives on", 16, "was not told in time"),
    "kills-the-leader": ("its grandchildren are in groups of their own", 17, "are left"),
    "inherits-environment": (
        "a child sees what was declared, and nothing else",
        18,
        "its value must",
    ),
    "inherits-descriptors": (
        "a child sees what was declared, and nothing else",
        18,
        "its value must",
    ),
    "dies-alone": ("the supervisor is killed", 19, "outlive the supervisor"),
}


def verdict_of(fault):
    case = CASES[WRONGS[fault.removeprefix("no ")][0]]
    words = [] if fault.startswith("no ") else [fault]

    return play(case, [sys.executable, str(PROGRAM), *words], 1.0)


@pytest.fixture(scope="module")
def verdicts():
    """By fault, and by `no` and a fault: the same case without it."""
    names = [name for fault in WRONGS for name in (fault, f"no {fault}")]
    with ThreadPoolExecutor(4) as threads:
        return dict(zip(names, threads.map(verdict_of, names), strict=True))


@pytest.mark.parametrize("fault", WRONGS)
def test_a_wrong_supervisor_is_caught(fault, verdicts):
    case, group, words = WRONGS[fault]

    assert CASES[case].group == group
    assert verdicts[f"no {fault}"].complaints == ()
    assert verdicts[fault].complaints
    assert words in " ".join(verdicts[fault].complaints)


def test_every_fault_is_one_of_the_program():
    text = PROGRAM.read_text()

    assert [fault for fault in WRONGS if f'"{fault}"' not in text] == []
    assert os.access(PROGRAM, os.R_OK)
