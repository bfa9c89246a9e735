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
    "Ceilings": "sandq.model.ceilings",
    "Event": "sandq.model.events",
    "Handler": "sandq.model.handler",
    "Job": "sandq.face.job",
    "JobOptions": "sandq.model.options",
    "JobResult": "sandq.model.building",
    "JobState": "sandq.model.states",
    "JsonText": "sandq.model.payload",
    "Keep": "sandq.model.keep",
    "Limits": "sandq.model.limits",
    "Metrics": "sandq.model.shown",
    "Priority": "sandq.model.options",
    "Queue": "sandq.queue",
    "QueueSettings": "sandq.model.queue_settings",
    "RateLimit": "sandq.model.rate_limit",
    "Repeat": "sandq.model.repeat",
    "Repeatable": "sandq.model.shown",
    "Sandbox": "sandq.model.sandbox",
    "SandqError": "sandq.errors",
    "Stats": "sandq.model.shown",
    "Worker": "sandq.model.shown",
}

__all__ = [
    "Backoff",
    "Ceilings",
    "Event",
    "Handler",
    "Job",
    "JobOptions",
    "JobResult",
    "JobState",
    "JsonText",
    "Keep",
    "Limits",
    "Metrics",
    "Priority",
    "Queue",
    "QueueSettings",
    "RateLimit",
    "Repeat",
    "Repeatable",
    "Sandbox",
    "SandqError",
    "Stats",
    "Worker",
    "__version__",
]

if TYPE_CHECKING:
    from sandq.errors import SandqError
    from sandq.face.job import Job
    from sandq.model.backoff import Backoff
    from sandq.model.building import JobResult
    from sandq.model.ceilings import Ceilings
    from sandq.model.events import Event
    from sandq.model.handler import Handler
    from sandq.model.keep import Keep
    from sandq.model.limits import Limits
    from sandq.model.options import JobOptions, Priority
    from sandq.model.payload import JsonText
    from sandq.model.queue_settings import QueueSettings
    from sandq.model.rate_limit import RateLimit
    from sandq.model.repeat import Repeat
    from sandq.model.sandbox import Sandbox
    from sandq.model.shown import Metrics, Repeatable, Stats, Worker
    from sandq.model.states import JobState
    from sandq.queue import Queue
else:

    def __getattr__(name):
        home = _HOMES.get(name)
        if home is None:
            raise AttributeError(f"module 'sandq' has no attribute {name!r}")

        from importlib import import_module

        return getattr(import_module(home), name)


def __dir__() -> list[str]:
    return __all__
