"""What queues, jobs and workers may be called."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandq.errors import InvalidInput
from sandq.model.names import (
    ANY_NAME,
    MAX_ID_BYTES,
    MAX_NAME_BYTES,
    REPEAT_PREFIX,
    check_job_id,
    check_job_name,
    check_prefix,
    check_queue_name,
    nearest,
)

SURROGATE = "a\ud800"


def test_these_words_and_lengths_are_part_of_the_contract():
    assert ANY_NAME == "*"
    assert REPEAT_PREFIX == "repeat:"
    assert (MAX_NAME_BYTES, MAX_ID_BYTES) == (256, 256)


@pytest.mark.parametrize("name", ["a", "images", "A.b_c-9", "9", "-", "." * 128])
def test_a_queue_may_be_named_with_letters_digits_and_three_marks(name):
    assert check_queue_name(name) == name


@pytest.mark.parametrize(
    "name", ["", "a b", "a:b", "{a}", "a*", "ä", "a\n", "a/b", "x" * 129, SURROGATE, None, 5, b"a"]
)
def test_another_queue_name_is_refused(name):
    with pytest.raises(InvalidInput, match="queue name"):
        check_queue_name(name)


@pytest.mark.parametrize("prefix", ["sandq", "a:b", "a-b_c.9", ":" * 128])
def test_a_prefix_may_have_colons_too(prefix):
    assert check_prefix(prefix) == prefix


@pytest.mark.parametrize("prefix", ["", "a b", "{a}", "a*", "ä", "a\n", "x" * 129, None, 5])
def test_another_prefix_is_refused(prefix):
    with pytest.raises(InvalidInput, match="key prefix"):
        check_prefix(prefix)


@pytest.mark.parametrize(
    "name",
    ["resize", "*", "a b", "größe", "12", "x" * MAX_NAME_BYTES, "ß" * 128, "😀" * 64],
)
def test_a_job_may_be_named_with_any_printable_text(name):
    assert check_job_name(name) == name


@pytest.mark.parametrize("name", ["", None, 5, b"a", ["a"]])
def test_a_job_name_that_is_no_text_or_empty_is_refused(name):
    with pytest.raises(InvalidInput, match="job name must be a text that is not empty"):
        check_job_name(name)


@pytest.mark.parametrize("name", ["x" * (MAX_NAME_BYTES + 1), "ß" * 129, "😀" * 65])
def test_a_job_name_is_measured_in_bytes(name):
    with pytest.raises(InvalidInput, match=f"job name is .* at most {MAX_NAME_BYTES}"):
        check_job_name(name)


@pytest.mark.parametrize(
    "job_id", ["a", "order-7", "7a", "-7", "1.5", "a:b", "größe", "x" * MAX_ID_BYTES, "{7}"]
)
def test_a_caller_may_choose_an_id_that_is_no_number(job_id):
    assert check_job_id(job_id) == job_id


@pytest.mark.parametrize("job_id", ["0", "7", "007", "9" * 30])
def test_ids_of_digits_alone_belong_to_the_counter(job_id):
    with pytest.raises(InvalidInput, match="reserved"):
        check_job_id(job_id)


@pytest.mark.parametrize("job_id", ["repeat:", "repeat:a", "repeat:7:1700000000000"])
def test_ids_of_occurrences_belong_to_repeatable_jobs(job_id):
    with pytest.raises(InvalidInput, match=f"'{job_id}' is reserved: .*choose another beginning"):
        check_job_id(job_id)


@pytest.mark.parametrize("job_id", ["repeat", "repeats:a", "Repeat:a", "a-repeat:b"])
def test_ids_that_only_look_like_those_of_occurrences_are_free(job_id):
    assert check_job_id(job_id) == job_id


@pytest.mark.parametrize("job_id", ["a b", " a", "a\t", "a\n", "a\x00", "\x1f", "a\x7f"])
def test_an_id_with_spaces_or_control_characters_is_refused(job_id):
    with pytest.raises(InvalidInput, match="no spaces and no control characters"):
        check_job_id(job_id)


@pytest.mark.parametrize("job_id", ["", None, 7, b"a"])
def test_an_id_that_is_no_text_or_empty_is_refused(job_id):
    with pytest.raises(InvalidInput, match="job id must be a text that is not empty"):
        check_job_id(job_id)


def test_an_id_is_measured_in_bytes():
    with pytest.raises(InvalidInput, match=f"258 bytes long; at most {MAX_ID_BYTES}"):
        check_job_id("ß" * 129)


@pytest.mark.parametrize("name", ["a\nb", "\0", "a\x7f", "\x1b[1m"])
def test_a_job_name_with_control_characters_is_refused(name):
    with pytest.raises(InvalidInput, match="no control characters"):
        check_job_name(name)


@pytest.mark.parametrize(
    ("check", "what"), [(check_job_name, "job name"), (check_job_id, "job id")]
)
def test_a_lone_surrogate_is_refused(check, what):
    with pytest.raises(InvalidInput, match=f"{what} .* lone surrogate"):
        check(SURROGATE)


@given(st.text())
def test_any_text_is_taken_as_it_is_or_refused(text):
    for check in (check_queue_name, check_prefix, check_job_name, check_job_id):
        with suppress(InvalidInput):
            assert check(text) == text


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("atempts", "did you mean 'attempts'?"),
        ("attempt", "did you mean 'attempts'?"),
        ("zzz", "known are: attempts, delay, priority"),
    ],
)
def test_the_nearest_known_word_is_named(name, hint):
    assert nearest(name, ["priority", "attempts", "delay"]) == hint
