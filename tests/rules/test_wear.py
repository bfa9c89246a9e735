"""When a child is worn, and how many children a pool should have: tables."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandq.child.wear import Wear, growth, recycles, wear_of
from sandq.model.handler import Handler


def handler(**settings):
    return Handler(command=("true",), **settings)


@pytest.mark.parametrize(
    ("settings", "served", "age_ms", "rss", "wear", "reason"),
    [
        ({}, 10**9, 10**9, 10**12, Wear.FIT, ""),
        ({"max_jobs": 3}, 1, 0, 0, Wear.FIT, ""),
        ({"max_jobs": 3}, 2, 0, 0, Wear.LAST, "jobs"),
        ({"max_jobs": 3}, 3, 0, 0, Wear.SPENT, "jobs"),
        ({"max_jobs": 1}, 0, 0, 0, Wear.LAST, "jobs"),
        ({"max_age_ms": 500}, 9, 499, 0, Wear.FIT, ""),
        ({"max_age_ms": 500}, 9, 500, 0, Wear.OLD, "age"),
        ({"max_rss": 100}, 9, 0, 100, Wear.FIT, ""),
        ({"max_rss": 100}, 9, 0, 101, Wear.OLD, "rss"),
        ({"max_jobs": 3, "max_age_ms": 500}, 2, 900, 0, Wear.LAST, "jobs"),
        ({"max_jobs": 3, "max_age_ms": 500, "max_rss": 1}, 0, 900, 9, Wear.OLD, "age"),
    ],
)
def test_how_fit_a_child_is(settings, served, age_ms, rss, wear, reason):
    assert wear_of(handler(**settings), served, age_ms, rss) == (wear, reason)


@pytest.mark.parametrize(
    ("settings", "recycled"),
    [
        ({}, False),
        ({"max_jobs": 3}, True),
        ({"max_age_ms": 3}, True),
        ({"max_rss": 3}, True),
        ({"idle_ms": 3}, False),
        ({"max_jobs": 3, "fresh": True}, False),
    ],
)
def test_only_handlers_with_a_rule_are_looked_at(settings, recycled):
    assert recycles(handler(**settings)) == recycled


@pytest.mark.parametrize(
    ("now", "starting", "most", "waiting", "waited_ms", "added"),
    [
        (2, 0, 16, 100, 99, 0),
        (2, 0, 16, 100, 100, 2),
        (4, 0, 16, 100, 100, 4),
        (2, 1, 16, 100, 9_000, 0),
        (12, 0, 16, 100, 100, 4),
        (16, 0, 16, 100, 100, 0),
        (8, 0, 16, 3, 100, 3),
        (8, 0, 16, 0, 100, 0),
        (0, 0, 16, 5, 100, 1),
        (3, 0, 2, 5, 100, 0),
    ],
)
def test_how_many_children_are_added(now, starting, most, waiting, waited_ms, added):
    assert added == growth(
        now=now, starting=starting, most=most, waiting=waiting, waited_ms=waited_ms
    )


COUNT = st.integers(0, 40)


@given(COUNT, COUNT, COUNT, COUNT, st.floats(0, 1000))
def test_a_pool_never_grows_beyond_its_most_or_its_work(now, starting, most, waiting, waited_ms):
    added = growth(now=now, starting=starting, most=most, waiting=waiting, waited_ms=waited_ms)

    assert 0 <= added <= waiting
    assert added == 0 or now + added <= most
