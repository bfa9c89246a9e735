"""The tree of errors: one code each, for ever, and a sentence that says what it means."""

import inspect
import re

import pytest

from sandq import errors
from sandq.errors import InvalidInput, JobFailed, SandqError, StoreError, WaitTimeout, from_code

ERRORS = [
    member
    for _, member in inspect.getmembers(errors, inspect.isclass)
    if issubclass(member, BaseException)
]
IDS = [error.__name__ for error in ERRORS]


def test_there_is_one_tree_and_its_root_is_never_raised():
    assert SandqError in ERRORS
    assert all(issubclass(error, SandqError) for error in ERRORS)


@pytest.mark.parametrize("error", ERRORS, ids=IDS)
def test_every_error_is_documented(error):
    assert "__doc__" in vars(error)
    assert inspect.getdoc(error).endswith((".", ";"))


@pytest.mark.parametrize("error", ERRORS, ids=IDS)
def test_every_error_has_a_code_of_its_own(error):
    assert "code" in vars(error), "the code of its parent means something else"
    assert re.fullmatch(r"SANDQ(_[A-Z]+)+", error.code)


def test_no_code_is_used_twice():
    codes = [error.code for error in ERRORS]

    assert sorted(codes) == sorted(set(codes))


def test_errors_are_also_the_builtin_ones_a_caller_would_catch():
    assert issubclass(InvalidInput, ValueError)
    assert issubclass(WaitTimeout, TimeoutError)


def test_a_failed_job_brings_its_failure_record():
    error = JobFailed("job '7' failed", {"kind": "error"})

    assert str(error) == "job '7' failed"
    assert error.failure == {"kind": "error"}


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.QueueFull, "SANDQ_FULL"),
        (errors.QueueBusy, "SANDQ_BUSY"),
        (errors.JobActive, "SANDQ_ACTIVE"),
        (errors.IllegalState, "SANDQ_STATE"),
        (errors.TokenMismatch, "SANDQ_TOKEN"),
        (errors.StaleSettings, "SANDQ_STALE"),
    ],
)
def test_what_the_scripts_refuse_has_these_codes(error, code):
    assert error.code == code
    assert issubclass(error, StoreError) == (error is errors.StaleSettings)


@pytest.mark.parametrize("error", ERRORS, ids=IDS)
def test_an_error_is_found_by_its_code(error):
    assert from_code(error.code) is (None if error is SandqError else error)


@pytest.mark.parametrize("code", ["", "ERR", "SANDQ", "SANDQ_", "sandq_full", "NOSCRIPT"])
def test_another_code_is_no_error_of_ours(code):
    assert from_code(code) is None
