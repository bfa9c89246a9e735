"""The names of a queue's keys."""

import pytest

from sandq.errors import InvalidInput
from sandq.store.keys import ORDER, QueueKeys


def test_all_keys_of_a_queue_share_one_hash_tag():
    keys = QueueKeys("images", "my:app")

    assert keys.base == "my:app:{images}:"
    assert keys.ordered == tuple(f"my:app:{{images}}:{name}".encode() for name in ORDER)
    assert keys.wake.encode() in keys.ordered
    assert keys.events.encode() in keys.ordered
    assert keys.job("7") == "my:app:{images}:job:7"


@pytest.mark.parametrize(("queue", "prefix"), [("a}b", "sandq"), ("", "sandq"), ("a", "{x}")])
def test_names_that_would_break_the_tag_are_refused(queue, prefix):
    with pytest.raises(InvalidInput):
        QueueKeys(queue, prefix)
