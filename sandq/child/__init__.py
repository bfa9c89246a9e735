"""The child half: processes, their pipes, their limits and their deaths. It knows no Redis.

It is a library by itself (docs/pool.md). Its public names are loaded on first use.
"""

from typing import TYPE_CHECKING, Any

# name -> the module that defines it
_HOMES = {
    "CallRefused": "sandq.child.asking",
    "Handler": "sandq.model.handler",
    "HandlerFailed": "sandq.errors",
    "HandlerInvalid": "sandq.errors",
    "Limits": "sandq.model.limits",
    "Pool": "sandq.child.library",
    "PoolMetrics": "sandq.child.tally",
    "SyncPool": "sandq.child.sync_pool",
    "handler_file": "sandq.child.making",
}

__all__ = [
    "CallRefused",
    "Handler",
    "HandlerFailed",
    "HandlerInvalid",
    "Limits",
    "Pool",
    "PoolMetrics",
    "SyncPool",
    "handler_file",
]

if TYPE_CHECKING:
    from sandq.child.asking import CallRefused
    from sandq.child.library import Pool
    from sandq.child.making import handler_file
    from sandq.child.sync_pool import SyncPool
    from sandq.child.tally import PoolMetrics
    from sandq.errors import HandlerFailed, HandlerInvalid
    from sandq.model.handler import Handler
    from sandq.model.limits import Limits


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'sandq.child' has no attribute {name!r}")

    from importlib import import_module

    return getattr(import_module(home), name)


def __dir__() -> list[str]:
    return __all__
