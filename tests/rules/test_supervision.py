"""The numbers of a supervisor."""

import pytest

from sandq.errors import InvalidInput
from sandq.model.supervision import Supervision

NUMBERS = {
    "pool": 1,
    "pool_least": 0,
    "lease_ms": 100,
    "recover_ms": 10,
    "max_stalls": 0,
    "drain_ms": 0,
    "kill_grace_ms": 0,
    "broken_ms": 0,
    "ahead_ms": 0,
    "ahead_most": 0,
}

# None says: there is none
MAY_BE_NONE = {"pool_least", "broken_ms"}


def test_every_number_has_its_least_value_in_this_table():
    assert set(Supervision.__slots__) == set(NUMBERS)


@pytest.mark.parametrize(("name", "least"), NUMBERS.items())
def test_a_number_may_be_as_small_as_its_least_value(name, least):
    assert getattr(Supervision(**{name: least}), name) == least


@pytest.mark.parametrize(("name", "least"), NUMBERS.items())
def test_a_smaller_number_is_refused(name, least):
    with pytest.raises(InvalidInput, match=f"must be a number of at least {least}: {least - 1}"):
        Supervision(**{name: least - 1})


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("value", [True, None, 1_000.0, "1000"])
def test_another_type_is_refused(name, value):
    if value is None and name in MAY_BE_NONE:
        assert getattr(Supervision(**{name: None}), name) is None
        return
    with pytest.raises(InvalidInput, match="must be a number"):
        Supervision(**{name: value})


def test_these_are_the_defaults():
    assert Supervision() == Supervision(
        pool=1,
        pool_least=None,
        lease_ms=30_000,
        recover_ms=15_000,
        max_stalls=1,
        drain_ms=25_000,
        kill_grace_ms=5_000,
        broken_ms=None,
        ahead_ms=5,
        ahead_most=64,
    )


def test_the_least_is_not_more_than_the_most():
    assert Supervision(pool=3, pool_least=3).pool_least == 3
    with pytest.raises(InvalidInput, match="pool_least must not be more than pool: 4 > 3"):
        Supervision(pool=3, pool_least=4)


def test_by_default_jobs_of_a_killed_supervisor_wait_45_seconds_at_most():
    usual = Supervision()

    assert usual.lease_ms + usual.recover_ms == 45_000


def test_by_default_a_stop_is_over_before_an_orchestrator_kills():
    usual = Supervision()

    assert usual.drain_ms + usual.kill_grace_ms <= 30_000
