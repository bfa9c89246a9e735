"""What a handler says of its error: read for what it is, and cut where it is long."""

import orjson
import pytest

from sandq.model.duration import MAX_MS
from sandq.model.outcome import Failure, FailureKind
from sandq.protocol.messages import Answer
from sandq.protocol.reading import (
    ERROR_DATA_KEPT,
    MESSAGE_KEPT,
    STACK_KEPT,
    read_error,
    read_line,
)


def failure(message, **members):
    return Failure(kind=FailureKind.ERROR, message=message, **members)


NO_WORDS = "the handler reported an error"
ERRORS = [
    ("no", failure("no")),
    ("", failure("")),
    (None, failure(f"{NO_WORDS} without saying which")),
    (5, failure(f"{NO_WORDS} 5")),
    ([1], failure(f"{NO_WORDS} [1]")),
    (False, failure(f"{NO_WORDS} false")),
    ({}, failure("(no message)")),
    ({"message": 5}, failure("(no message)")),
    ({"message": "no", "extra": 1}, failure("no")),
    ({"message": "no", "type": "ValueError"}, failure("no", type="ValueError")),
    ({"message": "no", "type": 5, "stack": []}, failure("no")),
    ({"message": "no", "stack": "at x"}, failure("no", stack="at x")),
    ({"message": "no", "code": "ENOENT"}, failure("no", code="ENOENT")),
    ({"message": "no", "code": 0}, failure("no", code=0)),
    ({"message": "no", "code": True}, failure("no")),
    ({"message": "no", "code": 1.5}, failure("no")),
    ({"message": "no", "data": {"a": [1]}}, failure("no", data={"a": [1]})),
    ({"message": "no", "data": 0}, failure("no", data=0)),
    ({"message": "no", "retryable": True}, failure("no")),
    ({"message": "no", "retryable": 0}, failure("no")),
    ({"message": "no", "retry_after_ms": 0}, failure("no", retry_after_ms=0)),
    ({"message": "no", "retry_after_ms": MAX_MS}, failure("no", retry_after_ms=MAX_MS)),
    ({"message": "no", "retry_after_ms": MAX_MS + 1}, failure("no")),
    ({"message": "no", "retry_after_ms": -1}, failure("no")),
    ({"message": "no", "retry_after_ms": True}, failure("no")),
    ({"message": "no", "retry_after_ms": 1.5}, failure("no")),
    ({"message": "no", "type": "sandq.timed_out"}, failure("no", type="user.timed_out")),
    ({"message": "no", "type": "sandq"}, failure("no", type="sandq")),
    ({"message": "no", "kind": "timed_out"}, failure("no")),
    ({"message": "no", "cause": "deeper"}, failure("no", cause={"message": "deeper"})),
    ({"message": "no", "cause": 5}, failure("no")),
    (
        {"message": "no", "cause": {"type": "sandq.x", "code": 1, "stack": "s", "cause": {}}},
        failure(
            "no",
            cause={
                "type": "user.x",
                "message": "(no message)",
                "code": 1,
                "cause": {"message": "(no message)"},
            },
        ),
    ),
    (
        {"message": "no", "retryable": False, "type": "sandq.x"},
        Failure(kind=FailureKind.UNRECOVERABLE, message="no", type="user.x", retryable=False),
    ),
]


@pytest.mark.parametrize(("error", "expected"), ERRORS, ids=lambda value: repr(value)[:60])
def test_an_error_is_read_for_what_it_says_and_no_more(error, expected):
    envelope = {"status": "error", "error": error, "result": 1}
    message = {"sandq": 1, "type": "result", "id": "7", "status": "error", "error": error}

    assert read_error(error) == expected
    assert read_line(orjson.dumps(envelope)) == Answer(None, failure=expected)
    assert read_line(orjson.dumps(message)) == Answer("7", failure=expected)


def test_an_error_without_words_fails_the_job_too():
    nameless = failure(f"{NO_WORDS} without saying which")

    assert read_line(b'{"status":"error"}') == Answer(None, failure=nameless)


def test_long_words_of_an_error_are_cut_and_the_cut_is_told():
    long = {"message": "m" * 5_000, "stack": "s" * 20_000, "type": "t" * 300, "code": "c" * 300}
    error = read_error(long)

    assert error.message == "m" * MESSAGE_KEPT + "… (904 more characters)"
    assert error.stack == "s" * STACK_KEPT + "… (3616 more characters)"
    assert error.type == "t" * 256 + "… (44 more characters)"
    assert error.code == "c" * 256 + "… (44 more characters)"
    assert read_error("m" * MESSAGE_KEPT).message == "m" * MESSAGE_KEPT
    assert read_error("m" * (MESSAGE_KEPT + 1)).message.endswith("… (1 more characters)")


def test_so_much_is_kept():
    assert (MESSAGE_KEPT, STACK_KEPT, ERROR_DATA_KEPT) == (4_096, 16_384, 65_536)


def test_large_data_of_an_error_are_not_kept():
    most = "x" * (ERROR_DATA_KEPT - 2)

    assert read_error({"data": most}).data == most
    assert read_error({"data": most + "x"}).data == f"(more than {ERROR_DATA_KEPT} bytes, not kept)"


@pytest.mark.parametrize(
    "error",
    [
        "x" * 900_000,
        ["x" * 900_000],
        list(range(100_000)),
        {"message": "x" * 900_000, "stack": "x" * 10_000},
        {"stack": "x" * 900_000},
        {"type": "x" * 900_000},
        {"type": "sandq." + "x" * 900_000},
        {"code": "x" * 900_000},
        {"data": "x" * 900_000},
    ],
    ids=lambda error: repr(error)[:20],
)
def test_a_failure_record_is_small_however_much_the_child_says(error):
    assert len(read_error(error).to_text()) < 2 * (MESSAGE_KEPT + STACK_KEPT + ERROR_DATA_KEPT)


def test_of_causes_behind_causes_only_so_many_are_kept():
    error = None
    for n in range(10):
        error = {"message": str(n), "cause": error}

    kept, cause = [], read_error(error).cause
    while cause is not None:
        kept.append(cause["message"])
        cause = cause.get("cause")

    assert kept == ["8", "7", "6", "5"]
