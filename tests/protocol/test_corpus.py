"""The inputs that a fuzzer found worth keeping, replayed; see fuzz.py."""

from pathlib import Path

import pytest

from tests.protocol.fuzz import check

CORPUS = sorted(Path(__file__).with_name("corpus").iterdir())


def test_there_is_a_corpus():
    assert len(CORPUS) >= 15


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.name)
def test_bytes_that_reach_far_are_read_alike_however_they_are_cut(path):
    check(path.read_bytes())
