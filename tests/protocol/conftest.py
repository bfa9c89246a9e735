"""The playbook, for every test here; and Hypothesis without its clock."""

import importlib.util
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("no_deadline", deadline=None)
settings.load_profile("no_deadline")


@pytest.fixture(scope="session")
def play():
    """`playbook.play`: act a dialogue out against a conversation."""
    path = Path(__file__).with_name("playbook.py")
    spec = importlib.util.spec_from_file_location("playbook", path)
    playbook = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(playbook)

    return playbook.play
