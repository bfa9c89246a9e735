"""What both faces show of a job."""

from typing import Any

from sandq.model.job import JobRecord, NewJob
from sandq.model.payload import decode_stored
from sandq.model.states import JobState

#: What `JobView.to_dict` tells, in this order.
SHOWN = (
    "id",
    "name",
    "state",
    "data",
    "opts",
    "priority",
    "group",
    "tags",
    "metadata",
    "dedup",
    "repeat_key",
    "attempts",
    "claims",
    "stalls",
    "created_at",
    "due_at",
    "expires_at",
    "started_at",
    "finished_at",
    "retried_at",
    "worker",
    "cancel_reason",
    "discarded",
    "progress",
    "value",
    "sandbox",
    "failure",
)


class JobView:
    """A job as it was when it was added, fetched or last refreshed.

    Times are seconds since 1970 by the server's clock, None where the moment has not come.
    """

    __slots__ = ("_new", "_record", "id")

    def __init__(self, job_id: str, *, new: NewJob | None = None, record: JobRecord | None = None):
        #: The job's id, unique in its queue.
        self.id = job_id
        self._new = new
        self._record = record

    @property
    def name(self) -> str:
        """The name that chooses the handler."""
        return self._source.name

    @property
    def data(self) -> Any:
        """The data given when the job was added, decoded from JSON."""
        return decode_stored(self._source.data)

    @property
    def data_text(self) -> bytes:
        """The data as the JSON text that is stored, byte for byte."""
        return self._source.data

    @property
    def state(self) -> JobState:
        """Where the job is; a job just added is waiting, or delayed if it has a delay or `run_at`.

        Whether `run_at` has passed already, only the server's clock knows.
        """
        if self._record is not None:
            return self._record.state
        later = self._new is not None and (self._new.delay_ms or "run_at" in self._extras)

        return JobState.DELAYED if later else JobState.WAITING

    @property
    def priority(self) -> int:
        """1 is first; 0 is none, and last."""
        return self._source.priority

    @property
    def opts(self) -> dict[str, Any]:
        """The stored options that differ from the defaults."""
        text = self._source.opts
        options: dict[str, Any] = decode_stored(text) if text else {}

        return options

    @property
    def group(self) -> str | None:
        """The tenant it counts for where limits are per group."""
        return self._record.group if self._record is not None else self._extras.get("group")

    @property
    def tags(self) -> list[str]:
        """The words to find it by."""
        return list(self._record.tags if self._record is not None else self._extras.get("tags", ()))

    @property
    def metadata(self) -> dict[str, str]:
        """The caller's own texts by name."""
        metadata: dict[str, str] = self.opts.get("metadata", {})

        return metadata

    @property
    def dedup(self) -> str | None:
        """The key it was added under, if it was to be added once."""
        return self._record.dedup if self._record is not None else self._extras.get("dedup")

    @property
    def repeat_key(self) -> str | None:
        """The key of the series it is an occurrence of; known once the job has been fetched."""
        return self._record.repeat if self._record is not None else None

    @property
    def attempts(self) -> int:
        """How many attempts have failed."""
        return self._record.attempts if self._record is not None else 0

    @property
    def claims(self) -> int:
        """How often the job was started."""
        return self._record.claims if self._record is not None else 0

    @property
    def stalls(self) -> int:
        """How many supervisors have vanished with the job since it last completed."""
        return self._record.stalls if self._record is not None else 0

    @property
    def created_at(self) -> float | None:
        """When it was added; known once the job has been fetched."""
        return self._record.created_ms / 1000 if self._record is not None else None

    @property
    def due_at(self) -> float | None:
        """When a delayed job will be waiting."""
        return _seconds(self._record.due_ms if self._record is not None else None)

    @property
    def expires_at(self) -> float | None:
        """After when it must not be started any more; None: never."""
        expires_ms: int | None = self._extras.get("expires_at")

        return _seconds(self._record.expires_ms if self._record is not None else expires_ms)

    @property
    def started_at(self) -> float | None:
        """When the last attempt began."""
        return _seconds(self._record.started_ms if self._record is not None else None)

    @property
    def finished_at(self) -> float | None:
        """When the job ended."""
        return _seconds(self._record.finished_ms if self._record is not None else None)

    @property
    def retried_at(self) -> float | None:
        """When it was last put back by hand after it had ended."""
        return _seconds(self._record.retried_ms if self._record is not None else None)

    @property
    def worker(self) -> str | None:
        """The supervisor that claimed it last."""
        return self._record.worker if self._record is not None else None

    @property
    def cancel_reason(self) -> str | None:
        """Why it is being cancelled while it runs, or was cancelled; None if neither."""
        return self._record.cancel if self._record is not None else None

    @property
    def discarded(self) -> bool:
        """Whether a failure of the attempt that runs is final, whatever its attempts."""
        return self._record is not None and self._record.discarded

    @property
    def progress(self) -> Any:
        """What the handler last said of its progress; None if nothing."""
        return _decoded(self._record.progress if self._record is not None else None)

    @property
    def value(self) -> Any:
        """What the handler returned; None if it has not, or if it returned null."""
        return _decoded(self._record.value if self._record is not None else None)

    @property
    def sandbox(self) -> str | None:
        """The mechanisms that a job which completed ran under, such as "bwrap+seccomp+watchdog";
        None without any. Of a failed one the failure record tells it."""
        return self._record.sandbox if self._record is not None else None

    @property
    def failure(self) -> dict[str, Any] | None:
        """The failure record of the last failed attempt (spec/storage.md)."""
        return self._record.failure if self._record is not None else None

    def to_dict(self) -> dict[str, Any]:
        """Everything, as JSON values."""
        return {name: getattr(self, name) for name in SHOWN}

    def __repr__(self) -> str:
        return f"<Job {self.id} {self.name!r} {self.state.value}>"

    @property
    def _source(self) -> JobRecord | NewJob:
        source = self._record or self._new
        assert source is not None, "a view is made of a new job or of a record"

        return source

    @property
    def _extras(self) -> dict[str, Any]:
        """What the job was added with beside the rest; nothing once it has been fetched."""
        text = b"" if self._record is not None or self._new is None else self._new.extras
        extras: dict[str, Any] = decode_stored(text) if text else {}

        return extras


def _seconds(ms: int | None) -> float | None:
    return None if ms is None else ms / 1000


def _decoded(text: bytes | None) -> Any:
    return None if text is None else decode_stored(text)
