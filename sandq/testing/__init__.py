"""Helpers for the tests of programs that use sandq; docs/testing.md shows them at work.

With pytest they come as fixtures, where a conftest.py of the project's root, or a test file, says

    pytest_plugins = ["sandq.testing"]

Without pytest `Server` and `Clock` are context managers that do the same. The functions take a
queue of either face: with that of `sandq` they are awaited, with that of `sandq.sync` they are not.

PYTEST_DONT_REWRITE: nothing is asserted here, and a file may import it and name it as a plugin.
"""

from sandq.testing.enqueued import assert_enqueued
from sandq.testing.inline import Ran, run_inline
from sandq.testing.manual_clock import Clock
from sandq.testing.private_server import Server
from sandq.testing.wait import wait_for_event

__all__ = ["Clock", "Ran", "Server", "assert_enqueued", "run_inline", "wait_for_event"]

#: What pytest loads when it is told to load this package; only this part of it needs pytest.
pytest_plugins = ["sandq.testing.plugin"]
