"""Named backoffs: who may be one, and what each answer means."""

import functools
import math
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandq.errors import InvalidInput
from sandq.model.backoff import Backoff
from sandq.model.backoff_function import (
    SHOWN,
    BackoffAnswer,
    ask_backoff,
    check_backoff_function,
)
from sandq.model.duration import MAX_MS

SLOW = Backoff.named("slow", base=2)
RECORD = {"kind": "error", "message": "no"}


def ask(function, backoff=SLOW, failures=1):
    return ask_backoff(backoff, failures, dict(RECORD), {"slow": function})


class Callable:
    def __call__(self, failures, record, options):
        return 1


class AsyncCallable:
    async def __call__(self, failures, record, options):
        return 1


class Unspeakable(Exception):
    def __str__(self):
        raise RuntimeError

    __repr__ = __str__


async def asynchronous(failures, record, options):
    return 1


async def generator(failures, record, options):
    yield 1


@pytest.mark.parametrize(
    "function",
    [lambda *_: 1, Callable(), functools.partial(max, 1), math.sqrt, Callable().__call__],
)
def test_whatever_can_be_called_may_be_a_backoff(function):
    check_backoff_function("slow", function)


@pytest.mark.parametrize(
    "function", [asynchronous, generator, AsyncCallable(), functools.partial(asynchronous, 1)]
)
def test_an_async_function_is_refused(function):
    with pytest.raises(InvalidInput, match="backoff 'slow' must be an ordinary function, not an a"):
        check_backoff_function("slow", function)


@pytest.mark.parametrize("function", [None, 5, "slow", Backoff.fixed(1)])
def test_what_cannot_be_called_is_refused(function):
    with pytest.raises(InvalidInput, match="backoff 'slow' must be a function"):
        check_backoff_function("slow", function)


@pytest.mark.parametrize("name", ["", None, "a\nb", "x" * 257])
def test_a_backoff_needs_a_name(name):
    with pytest.raises(InvalidInput, match="backoff name"):
        check_backoff_function(name, lambda *_: 1)


def test_a_function_is_given_the_failures_the_record_and_the_options():
    seen = []

    assert ask(lambda *given: seen.append(given) or 1, failures=3) == BackoffAnswer(1_000)
    assert seen == [(3, {"kind": "error", "message": "no"}, {"base": 2})]


def test_the_options_are_a_new_copy_each_time():
    def spoil(failures, record, options):
        options["base"] += 1
        return options["base"]

    assert [ask(spoil).delay_ms, ask(spoil).delay_ms] == [3_000, 3_000]


@pytest.mark.parametrize(
    ("answer", "delay_ms"),
    [
        (0, 0),
        (0.0, 0),
        (-0.0, 0),
        (1, 1_000),
        (0.25, 250),
        (0.0001, 1),
        (timedelta(minutes=1), 60_000),
        (timedelta(0), 0),
        (1e300, MAX_MS),
        (10**400, MAX_MS),
        (MAX_MS / 1000, MAX_MS),
        (timedelta.max, MAX_MS),
        (-1, None),
        (-0.001, None),
        (-math.inf, None),
        (-(10**400), None),
        (timedelta(seconds=-1), None),
    ],
)
def test_an_answer_is_seconds_and_below_zero_gives_up(answer, delay_ms):
    assert ask(lambda *_: answer) == BackoffAnswer(delay_ms)


@given(st.floats(allow_nan=False, max_value=1e308))
def test_no_delay_is_out_of_range(seconds):
    answer = ask(lambda *_: seconds)

    assert answer.problem == ""
    assert answer.delay_ms is None or 0 <= answer.delay_ms <= MAX_MS


@pytest.mark.parametrize(
    ("answer", "shown"),
    [
        (None, "None"),
        (True, "True"),
        (math.nan, "nan"),
        (math.inf, "inf"),
        ("5s", "'5s'"),
        ([1], "[1]"),
        (1j, "1j"),
        (Unspeakable(), "something that cannot be shown"),
    ],
)
def test_a_senseless_answer_is_a_problem(answer, shown):
    told = ask(lambda *_: answer)

    assert told.delay_ms is None
    assert told.problem.startswith(f"backoff 'slow' answered {shown}; it must answer seconds, 0 fo")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError("too late"), "raised ValueError: too late"),
        (KeyError("base"), "raised KeyError: 'base'"),
        (Unspeakable(), "raised Unspeakable: something that cannot be shown"),
        (ValueError("a\ud800"), "raised ValueError: a\\ud800"),
    ],
)
def test_an_error_is_a_problem(error, said):
    def fail(failures, record, options):
        raise error

    assert ask(fail) == BackoffAnswer(None, f"backoff 'slow' {said}")


def test_a_long_error_is_cut_off():
    def fail(failures, record, options):
        raise ValueError("x" * 10_000)

    assert ask(fail).problem == "backoff 'slow' raised ValueError: " + "x" * SHOWN


def test_an_async_function_that_was_registered_all_the_same_is_a_problem():
    # without the warning that nobody awaited it, which fails a test
    answer = ask(lambda *given: asynchronous(*given))

    assert answer == BackoffAnswer(None, "backoff 'slow' is async; make it an ordinary function")


@pytest.mark.parametrize(
    ("known", "hint"),
    [
        ({}, "it has none"),
        ({"slowly": max}, "did you mean 'slowly'?"),
        ({"b": max, "a": max}, "known are: a, b"),
    ],
)
def test_a_name_nobody_registered_is_a_problem(known, hint):
    problem = f"backoff 'slow' is not registered with this supervisor; {hint}"

    assert ask_backoff(SLOW, 1, {}, known) == BackoffAnswer(None, problem)
