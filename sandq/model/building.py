"""From what a caller gives to a job that can be stored, and back to what a caller awaits."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from sandq.errors import InvalidInput, JobCancelled, JobFailed, JobMissing
from sandq.model.checks import check_label
from sandq.model.defaults import merge_options
from sandq.model.events import Event
from sandq.model.job import JobRecord, NewJob
from sandq.model.names import check_job_name
from sandq.model.options import DEFAULT_OPTIONS, JobOptions
from sandq.model.payload import MAX_DATA_BYTES, decode_stored, encode
from sandq.model.states import FINAL, JobState

#: Most jobs in one call to Redis, which serves nobody else meanwhile.
JOBS_AT_ONCE = 1000

_NO_OPTIONS: Mapping[str, Any] = MappingProxyType({})


def new_job(
    name: str,
    data: Any,
    options: JobOptions,
    *,
    max_data_bytes: int = MAX_DATA_BYTES,
    max_delay_ms: int | None = None,
    group_key: str | None = None,
) -> NewJob:
    """A job ready to be stored; raises InvalidInput for what no job may have.

    - `max_data_bytes`: longest data, in bytes of JSON text.
    - `max_delay_ms`: longest delay of the queue; `run_at` is the server's clock to judge.
    - `group_key`: where in the data the group is, if the options name none: member names with
      dots between them. A text or an integer found there is the group.
    """
    text = encode(data)
    if len(text) > max_data_bytes:
        raise InvalidInput(
            f"data is {len(text)} bytes of JSON; at most {max_data_bytes} are allowed. Store it "
            "elsewhere and give the job a reference"
        )
    if options is DEFAULT_OPTIONS and group_key is None:
        return NewJob("", check_job_name(name), text, b"", 0, 0, b"")

    delay_ms = options.delay_ms
    if max_delay_ms is not None and delay_ms > max_delay_ms:
        raise InvalidInput(
            f"delay is {delay_ms / 1000} s; the queue allows at most {max_delay_ms / 1000} s, its "
            "max_delay"
        )
    group = None
    if group_key is not None and options.group is None:
        group = _group_in(text, group_key)

    return NewJob(
        job_id=options.job_id or "",
        name=check_job_name(name),
        data=text,
        opts=options.to_text(),
        priority=int(options.priority),
        delay_ms=delay_ms,
        extras=options.to_extras(group),
    )


def _group_in(text: bytes, group_key: str) -> str | None:
    """The group that the data names; the text is looked at, for that is what others see."""
    value = decode_stored(text)
    for name in group_key.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        return None

    return check_label(f"group, taken from {group_key!r} of the data,", str(value))


def new_jobs(
    entries: Iterable[Any],
    *,
    stored_defaults: Mapping[str, Any] = _NO_OPTIONS,
    client_defaults: Mapping[str, Any] = _NO_OPTIONS,
    max_data_bytes: int = MAX_DATA_BYTES,
    max_delay_ms: int | None = None,
    group_key: str | None = None,
) -> list[NewJob]:
    """Many jobs, all of them checked before any is stored.

    An entry is `(name, data)` or `(name, data, options)`, the options being a mapping or a
    JobOptions; defaults are as in `merge_options`, the rest as in `new_job`. Raises InvalidInput,
    which says which entry is wrong.
    """
    plain = merge_options(stored_defaults, client_defaults, _NO_OPTIONS)
    jobs = []
    for number, entry in enumerate(entries):
        try:
            name, data, own = _parts(entry)
            options = plain if own is None else merge_options(stored_defaults, client_defaults, own)
            if options.repeat is not None:
                raise InvalidInput("repeat makes a series, not one job of a list; add it by itself")
            jobs.append(
                new_job(
                    name,
                    data,
                    options,
                    max_data_bytes=max_data_bytes,
                    max_delay_ms=max_delay_ms,
                    group_key=group_key,
                )
            )
        except InvalidInput as error:
            raise type(error)(f"job {number} of the list: {error}") from error

    return jobs


def _parts(entry: Any) -> tuple[str, Any, Mapping[str, Any] | JobOptions | None]:
    if not isinstance(entry, tuple | list) or len(entry) not in (2, 3):
        raise InvalidInput(f"must be (name, data) or (name, data, options): {entry!r}")

    name, data, options = entry if len(entry) == 3 else (*entry, None)
    if options is not None and not isinstance(options, JobOptions | Mapping):
        raise InvalidInput(f"options must be a mapping or JobOptions: {options!r}")

    return name, data, options


@dataclass(frozen=True, slots=True)
class JobResult:
    """What has come of a job: tells "not yet" from "returned None" from "no such job".

    - `state`: None if there is no such job, or it was removed.
    - `value`: what the handler returned, once the job has completed.
    - `failure`: the failure record of the last failed attempt; None once the job has completed.
    """

    id: str
    state: JobState | None
    value: Any = None
    failure: dict[str, Any] | None = None

    @property
    def done(self) -> bool:
        """Whether the job has ended: completed, failed or cancelled."""
        return self.state in FINAL

    @classmethod
    def of(cls, job_id: str, record: JobRecord | None) -> "JobResult":
        """The result that a job's record tells of; None is no such job."""
        if record is None:
            return cls(job_id, None)

        value = None if record.value is None else decode_stored(record.value)

        return cls(job_id, record.state, value, record.failure)


#: The field of the event of each ending that brings what a waiter wants to know.
TOLD: Mapping[str, str] = MappingProxyType(
    {"completed": "value", "failed": "failure", "cancelled": "reason"}
)


@dataclass(frozen=True, slots=True)
class Told:
    """What the event of its end tells of a job that is gone.

    - `ending`: completed, failed or cancelled.
    - `text`: the value, the failure record or the reason; empty if it was too long for an event.
    - `kind`: that of the failure.
    """

    ending: str
    text: bytes
    kind: str = ""

    @classmethod
    def of(cls, event: Event) -> "Told":
        """What this event, one of `TOLD`, tells."""
        text = event.fields.get(TOLD[event.kind], "")

        return cls(event.kind, text.encode(), event.fields.get("kind", ""))


def ended_value(
    job_id: str, record: JobRecord | None, told: Told | None = None
) -> tuple[bool, Any]:
    """Whether a job has ended, and the value it returned; `told` if it is gone.

    Raises JobFailed, JobCancelled, or JobMissing when nothing is known of it.
    """
    if record is None:
        return True, _value_told(job_id, told)
    if record.state not in FINAL:
        return False, None
    failure = record.failure or {}
    if record.state is JobState.CANCELLED:
        raise JobCancelled(f"job {job_id!r} was cancelled: {failure.get('message', '')}", failure)
    if record.state is JobState.FAILED:
        kind, message = failure.get("kind", "error"), failure.get("message", "")
        raise JobFailed(f"job {job_id!r} failed: {kind}: {message}", failure)

    return True, None if record.value is None else decode_stored(record.value)


def _value_told(job_id: str, told: Told | None) -> Any:
    if told is None:
        raise JobMissing(f"job {job_id!r} does not exist, or was removed")
    if told.ending == JobState.CANCELLED:
        reason = told.text.decode()
        failure = {"kind": "cancelled", "message": reason}
        raise JobCancelled(f"job {job_id!r} was cancelled and removed: {reason}", failure)
    if told.ending == JobState.FAILED:
        kept = decode_stored(told.text) if told.text else {"kind": told.kind, "message": "not kept"}
        words = f"{kept['kind']}: {kept['message']}"
        raise JobFailed(f"job {job_id!r} failed and was removed: {words}", kept)
    if not told.text:
        raise JobMissing(
            f"job {job_id!r} completed and was removed, and its value with it; keep some jobs "
            "(remove_on_complete=100), or give result_ttl"
        )

    return decode_stored(told.text)


def check_state_names(states: Iterable[str]) -> list[JobState]:
    """The states of these names; raises InvalidInput, which lists the known ones."""
    return [JobState(name) for name in check_names(states, list(JobState))]


def check_names(states: Iterable[str], known: Iterable[str]) -> list[str]:
    """Names of states, if all of them are known; one text is one name."""
    if not isinstance(states, Iterable):
        raise InvalidInput(f"states must be a list of names: {states!r}")

    names = [states] if isinstance(states, str) else list(states)
    for name in names:
        if not isinstance(name, str) or name not in known:
            raise InvalidInput(f"state {name!r} is not known; known are: {', '.join(known)}")

    return names
