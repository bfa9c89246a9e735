"""What is loaded before the first fork, and what must not have come of it."""

from __future__ import annotations

import contextlib
import gc
import os
import sys
import types
from importlib import import_module
from importlib.machinery import ModuleSpec

TYPE_CHECKING = False  # type checkers know the name; the module typing is dear to load
if TYPE_CHECKING:
    from typing import Any

#: The helper for handlers in Python is loaded when it is there.
HELPER = "sandq.handler"


class Unfit(Exception):
    """Children cannot be forked from this interpreter; the message says why and what to do."""


def load(modules: list[str]) -> None:
    """Load these modules; raises Unfit."""
    before = _files()
    for name in modules:
        try:
            import_module(name)
        except BaseException as error:
            raise Unfit(f"preload: module {name!r}: {type(error).__name__}: {error}") from error
        _check(name, before)
    try:
        import_module(HELPER)
    except Exception:  # each child tries for itself, and tells
        sys.modules.pop(HELPER, None)
    else:
        sys.meta_path.insert(0, _Awakening(sys.modules.pop(HELPER)))


def share_memory() -> None:
    """What is there is never collected: no copy shall touch, and so copy, all of its memory."""
    gc.collect()
    gc.freeze()


def _check(name: str, before: dict[str, str]) -> None:
    threads = os.listdir("/proc/self/task")
    if len(threads) > 1:
        raise Unfit(
            f"preload: module {name!r} has started {len(threads) - 1} threads, which a fork does "
            "not copy; leave it out, or have it start none (OPENBLAS_NUM_THREADS=1 for numpy), or "
            "use start = 'exec'"
        )
    opened = [path for fd, path in _files().items() if before.get(fd) != path]
    if opened:
        raise Unfit(
            f"preload: module {name!r} keeps open what jobs would share: {', '.join(opened)}; "
            "leave it out, or use start = 'exec'"
        )


def _files() -> dict[str, str]:
    """The open descriptors, and what they are of."""
    found = {}
    for fd in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):  # that of the list itself
            found[fd] = os.readlink(f"/proc/self/fd/{fd}")

    return found


class _Awakening:
    """Importing the helper moves a job's streams away; the copy that is loaded has not done so.

    It is set aside, and put in place again by the first import of a child.
    """

    def __init__(self, helper: types.ModuleType) -> None:
        self._helper = helper
        package, name = HELPER.rsplit(".", 1)
        delattr(sys.modules[package], name)

    def find_spec(self, name: str, path: Any, target: Any = None) -> ModuleSpec | None:
        return ModuleSpec(name, self, origin=self._helper.__file__) if name == HELPER else None  # type: ignore[arg-type]

    def create_module(self, spec: ModuleSpec) -> types.ModuleType:
        return self._helper

    def exec_module(self, module: types.ModuleType) -> None:
        sys.meta_path.remove(self)
        if "SANDQ_PROTOCOL" in os.environ:
            module._take_streams()
