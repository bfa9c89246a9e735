"""sandq: a Redis job queue whose handlers are programs.

Public names are loaded on first use, so that `import sandq` (and a child that only wants
`sandq.handler`) pays for nothing else.
"""

# importing `typing` would cost every child some milliseconds; type checkers know this name
TYPE_CHECKING = False

__version__ = "0.1.0"

# name -> the module that defines it; tests/house/test_public_names.py reads this table
_HOMES = {
    "Backoff": "sandq.model.backoff",
    "Handler": "sandq.model.handler",
    "Job": "sandq.queue",
    "JobOptions": "sandq.model.options",
    "JobState": "sandq.model.states",
    "JsonText": "sandq.model.payload",
    "Limits": "sandq.model.limits",
    "Priority": "sandq.model.options",
    "Queue": "sandq.queue",
    "SandqError": "sandq.errors",
}

__all__ = [
    "Backoff",
    "Handler",
    "Job",
    "JobOptions",
    "JobState",
    "JsonText",
    "Limits",
    "Priority",
    "Queue",
    "SandqError",
    "__version__",
]

if TYPE_CHECKING:
    from sandq.errors import SandqError
    from sandq.model.backoff import Backoff
    from sandq.model.handler import Handler
    from sandq.model.limits import Limits
    from sandq.model.options import JobOptions, Priority
    from sandq.model.payload import JsonText
    from sandq.model.states import JobState
    from sandq.queue import Job, Queue
else:

    def __getattr__(name):
        home = _HOMES.get(name)
        if home is None:
            raise AttributeError(f"module 'sandq' has no attribute {name!r}")

        from importlib import import_module

        return getattr(import_module(home), name)


def __dir__() -> list[str]:
    return __all__
