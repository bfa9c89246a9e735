"""The keys of a queue. spec/storage.md says what each of them holds."""

from sandq.model.names import check_prefix, check_queue_name

#: Number of the layout of the data; a queue written in another one is refused.
LAYOUT = 1

#: First part of every key, unless the caller chooses another.
DEFAULT_PREFIX = "sandq"

#: The keys every script gets, in this order (sandq/lua/include/keys.lua).
ORDER = (
    "waiting",
    "delayed",
    "active",
    "completed",
    "failed",
    "cancelled",
    "meta",
    "wake",
    "events",
)

#: The keys a queue has one of; all others are named after a job, a tag, a series, and so on.
SINGLE = (
    *ORDER,
    "parked",
    "windows",
    "expiry",
    "cancelling",
    "groups",
    "kinds",
    "totals",
    "repeat",
    "workers",
    "limiter",
    "metrics:completed",
    "metrics:failed",
)


class QueueKeys:
    """The names of one queue's keys. They share a hash tag, so a queue is one cluster slot."""

    __slots__ = ("base", "events", "ordered", "wake")

    def __init__(self, queue: str, prefix: str = DEFAULT_PREFIX) -> None:
        self.base = f"{check_prefix(prefix)}:{{{check_queue_name(queue)}}}:"
        self.ordered = tuple((self.base + name).encode() for name in ORDER)
        self.wake = self.base + "wake"
        self.events = self.base + "events"

    def job(self, job_id: str) -> str:
        """The hash of a job."""
        return f"{self.base}job:{job_id}"
