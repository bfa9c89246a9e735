"""Every attack works where nothing confines it, and none behind the walls of "untrusted"."""

import pytest

from tests.attacks.table import BY_KEY, GAPS

#: Root is there only if we are; then it makes an ordinary user.
USERS = ("root", "user")
MODES = ("exec", "fork")

pytestmark = pytest.mark.timeout(400)

#: Forked children are of Python alone.
FORKED = [key for key, attack in BY_KEY.items() if attack.program.endswith(".py")]
WALLED = [
    (who, mode, key)
    for who in USERS
    for mode in MODES
    for key in (FORKED if mode == "fork" else BY_KEY)
]


@pytest.mark.parametrize("key", BY_KEY)
@pytest.mark.parametrize("who", USERS)
def test_an_attack_works_where_nothing_confines_it(reports, who, key):
    result, works = reports(who, "none")[key], BY_KEY[key].works

    assert result["ran"], result
    assert not result["clumsy"], result
    if result["works"]:
        assert result["escaped"], result
    else:
        assert works.reason
        assert not result["escaped"], (works.reason, result)


@pytest.mark.parametrize(("who", "mode", "key"), WALLED, ids=["-".join(one) for one in WALLED])
def test_an_attack_fails_behind_the_walls(reports, who, mode, key):
    result = reports(who, mode)[key]

    assert result["ran"], result
    assert not result["clumsy"], result
    assert not result["blind"], result
    gap = GAPS.get(key)
    if gap is not None and gap.without not in result["sandbox"]:
        assert result["escaped"], f"{gap.reason}: but this gap is closed"
    else:
        assert not result["escaped"], result
