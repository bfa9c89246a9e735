"""The group of a job, where its data name it."""

from dataclasses import dataclass
from uuid import UUID

import pytest

from sandq.errors import InvalidInput
from sandq.model.building import new_job
from sandq.model.options import DEFAULT_OPTIONS, JobOptions
from sandq.model.payload import JsonText


@dataclass
class Tenant:
    id: str


@pytest.mark.parametrize(
    ("data", "group_key", "group"),
    [
        ({"tenant": "acme"}, "tenant", "acme"),
        ({"tenant": {"id": "acme"}}, "tenant.id", "acme"),
        ({"tenant": {"id": 7}}, "tenant.id", "7"),
        ({"tenant": {"id": -7}}, "tenant.id", "-7"),
        ({"tenant": {"id": 2**63}}, "tenant.id", "9223372036854775808"),
        ({"tenant": Tenant("acme")}, "tenant.id", "acme"),
        (Tenant("acme"), "id", "acme"),
        ({"id": UUID(int=0)}, "id", "00000000-0000-0000-0000-000000000000"),
        (JsonText('{ "tenant" : {"id":"acme"} }'), "tenant.id", "acme"),
        ({"tenant": ""}, "tenant", None),
        ({"tenant": None}, "tenant", None),
        ({"tenant": True}, "tenant", None),
        ({"tenant": 1.5}, "tenant", None),
        ({"tenant": ["acme"]}, "tenant", None),
        ({"tenant": {"id": "acme"}}, "tenant", None),
        ({"tenant": "acme"}, "tenant.id", None),
        ({"tenant.id": "acme"}, "tenant.id", None),
        ({}, "tenant", None),
        ([{"tenant": "acme"}], "tenant", None),
        ("tenant", "tenant", None),
        (None, "tenant", None),
        ({"tenant": "acme"}, None, None),
    ],
)
@pytest.mark.parametrize("options", [DEFAULT_OPTIONS, JobOptions()])
def test_the_group_may_come_from_the_data(data, group_key, group, options):
    job = new_job("a", data, options, group_key=group_key)

    assert job.extras == (b"" if group is None else b'{"group":"%b"}' % group.encode())


def test_a_group_that_the_options_name_comes_before_that_of_the_data():
    options = JobOptions(group="own")

    assert new_job("a", {"id": "acme"}, options, group_key="id").extras == b'{"group":"own"}'


@pytest.mark.parametrize(
    ("tenant", "message"),
    [("a\n", "must hold no control characters"), ("x" * 257, "is 257 bytes long; at most 256")],
)
def test_a_group_in_the_data_that_can_be_none_is_refused(tenant, message):
    with pytest.raises(InvalidInput, match=f"group, taken from 'id' of the data, .*{message}"):
        new_job("a", {"id": tenant}, JobOptions(), group_key="id")
