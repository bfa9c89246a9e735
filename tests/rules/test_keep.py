"""Which ended jobs are kept: what a caller may ask, its stored form, what the script is told."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandq.errors import InvalidInput
from sandq.model.duration import MAX_MS
from sandq.model.keep import MAX_KEPT, Keep, keep_from, retain_text

COUNTS = st.integers(0, MAX_KEPT)
AGES_MS = st.integers(1, MAX_MS)


@pytest.mark.parametrize(
    ("given_", "keep"),
    [
        (False, None),
        (True, Keep(count=0)),
        (0, Keep(count=0)),
        (100, Keep(count=100)),
        (Keep(age=60), Keep(age=60)),
        (Keep(5, "1h"), Keep(5, 3600)),
    ],
)
def test_each_form_means_this(given_, keep):
    assert keep_from("remove_on_fail", given_) == keep


@pytest.mark.parametrize("given_", [None, "5", 1.5, {"count": 1}, timedelta(1)])
def test_another_form_is_refused(given_):
    with pytest.raises(InvalidInput, match="remove_on_fail must be True, False, a number of jobs"):
        keep_from("remove_on_fail", given_)


@pytest.mark.parametrize("given_", [-1, MAX_KEPT + 1])
def test_a_number_out_of_range_is_refused(given_):
    with pytest.raises(InvalidInput, match="remove_on_fail must be a whole number from 0"):
        keep_from("remove_on_fail", given_)


@pytest.mark.parametrize("age", [60, 60.0, "60s", "1m", timedelta(minutes=1)])
def test_an_age_is_the_same_however_it_is_written(age):
    keep = Keep(age=age)

    assert keep == Keep(None, 60)
    assert (keep.age, keep.age_ms) == (60.0, 60_000)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "Keep needs a count, an age or both; False keeps all"),
        ({"count": -1}, "Keep count must be a whole number"),
        ({"count": True}, "Keep count must be a whole number"),
        ({"count": 1.0}, "Keep count must be a whole number"),
        ({"count": MAX_KEPT + 1}, "Keep count must be a whole number"),
        ({"age": 0}, "Keep age must be more than zero; True removes at once"),
        ({"age": -1}, "Keep age must be between"),
        ({"age": "soon"}, "Keep age is not a duration"),
        ({"age": True}, "Keep age must be seconds"),
    ],
)
def test_a_keep_out_of_range_is_refused(arguments, message):
    with pytest.raises(InvalidInput, match=message):
        Keep(**arguments)


@pytest.mark.parametrize(
    ("keep", "member"),
    [
        (Keep(0), {"count": 0}),
        (Keep(age="2s"), {"age_ms": 2_000}),
        (Keep(7, 0.001), {"count": 7, "age_ms": 1}),
    ],
)
def test_the_stored_form_holds_what_is_given(keep, member):
    assert keep.to_member() == member
    assert Keep.from_member("x", {**member, "colour": "red"}) == keep


@given(st.none() | COUNTS, st.none() | AGES_MS)
def test_a_keep_survives_its_stored_form(count, age_ms):
    if count is None and age_ms is None:
        return
    keep = Keep(count, None if age_ms is None else timedelta(milliseconds=age_ms))

    assert keep.age_ms == age_ms
    assert Keep.from_member("x", keep.to_member()) == keep


@pytest.mark.parametrize(
    ("member", "message"),
    [
        (True, "remove_on_fail must have the members count or age_ms: True"),
        (5, "remove_on_fail must have the members"),
        ([], "remove_on_fail must have the members"),
        ({}, "remove_on_fail must have the members"),
        ({"count": None}, "remove_on_fail must have the members"),
        ({"count": -1}, "remove_on_fail count must be a whole number"),
        ({"count": "1"}, "remove_on_fail count must be a whole number"),
        ({"age_ms": 0}, "remove_on_fail age_ms must be a whole number from 1"),
        ({"age_ms": 1.5}, "remove_on_fail age_ms must be a whole number"),
        ({"count": 1, "age_ms": MAX_MS + 1}, "remove_on_fail age_ms must be a whole number"),
    ],
)
def test_another_stored_form_is_refused(member, message):
    with pytest.raises(InvalidInput, match=message):
        Keep.from_member("remove_on_fail", member)


@pytest.mark.parametrize(
    ("keep", "ttl_ms", "history", "text"),
    [
        (None, None, None, ""),
        (Keep(0), None, None, "0,,,"),
        (Keep(100), None, None, "100,,,"),
        (Keep(age=60), None, None, ",60000,,"),
        (Keep(100, 60), 5_000, None, "100,60000,5000,"),
        (None, 5_000, None, ",,5000,"),
        (None, None, 0, ",,,0"),
        (Keep(1), None, 10, "1,,,10"),
    ],
)
def test_the_script_is_told_in_four_fields_or_not_at_all(keep, ttl_ms, history, text):
    assert retain_text(keep, ttl_ms, history) == text
