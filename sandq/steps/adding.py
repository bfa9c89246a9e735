"""Adding jobs and series, by the queue's settings as they are at that moment."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from types import MappingProxyType
from typing import Any, TypeVar

from sandq.errors import InvalidInput, QueueFull, StaleSettings
from sandq.model.building import JOBS_AT_ONCE, new_job, new_jobs
from sandq.model.checks import check_label
from sandq.model.defaults import check_defaults, merge_options
from sandq.model.job import JobRecord, NewJob
from sandq.model.names import check_job_id
from sandq.model.options import JobOptions
from sandq.model.queue_settings import QueueSettings
from sandq.model.repeat import Repeat
from sandq.steps.runner import Learn, Steps
from sandq.store import calls, reads, verbs

T = TypeVar("T")

#: Most bytes of data in one call of a bulk, unless one job alone has more: Redis serves nobody
#: else while it copies them.
BYTES_AT_ONCE = 16 * 1024 * 1024

#: How often settings are learned anew because somebody changed them at that very moment.
TRIES = 10


@dataclass(frozen=True, slots=True)
class Producer:
    """What one client adds to every job: default options, and ids of its own making."""

    defaults: Mapping[str, Any]
    id_factory: Callable[[], str] | None

    def make_job(
        self, name: str, data: Any, options: Mapping[str, Any] | JobOptions, by: QueueSettings
    ) -> NewJob:
        """One job, as the settings, the defaults and its own options say."""
        merged = merge_options(by.defaults, self.defaults, options)
        if merged.repeat is not None:
            raise InvalidInput("repeat makes a series: add it by itself, or upsert_repeatable")

        return self.with_id(
            new_job(name, data, merged, max_delay_ms=by.max_delay_ms, group_key=by.group_key)
        )

    def make_jobs(self, entries: list[Any], by: QueueSettings) -> list[NewJob]:
        """Many jobs; see `new_jobs`."""
        made = new_jobs(
            entries,
            stored_defaults=by.defaults,
            client_defaults=self.defaults,
            max_delay_ms=by.max_delay_ms,
            group_key=by.group_key,
        )

        return made if self.id_factory is None else [self.with_id(job) for job in made]

    def with_id(self, job: NewJob) -> NewJob:
        """The job with an id of the factory's, if there is one and the job has none."""
        if self.id_factory is None or job.job_id:
            return job

        return replace(job, job_id=check_job_id(self.id_factory()))


def producer(
    defaults: Mapping[str, Any] | JobOptions | None, id_factory: Callable[[], str] | None
) -> Producer:
    """A producer; raises InvalidInput (UnknownOption) for defaults that cannot be."""
    if id_factory is not None and not callable(id_factory):
        raise InvalidInput(f"id_factory must be a function that returns an id: {id_factory!r}")
    if isinstance(defaults, JobOptions):
        raise InvalidInput("default_job_options must be a mapping of the options that are given")

    return Producer(MappingProxyType(check_defaults(defaults or {})), id_factory)


def add(
    made_by: Producer, name: str, data: Any, options: Mapping[str, Any]
) -> Steps[tuple[str, NewJob]]:
    """Add one job."""
    job = None
    for attempt in range(TRIES):
        version, job = yield from _made(
            partial(made_by.make_job, name, data, options), anew=attempt > 0
        )
        try:
            ids = yield calls.add([job], version)
        except StaleSettings:
            continue
        return ids[0], job

    raise StaleSettings(_RESTLESS)


def add_bulk(made_by: Producer, jobs: Iterable[Any]) -> Steps[list[tuple[str, NewJob]]]:
    """Add many jobs, in order: all are checked before the first is written."""
    if not isinstance(jobs, Iterable):
        raise InvalidInput(f"jobs must be a list of (name, data[, options]): {jobs!r}")

    entries = list(jobs)
    added: list[tuple[str, NewJob]] = []
    for attempt in range(TRIES):
        version, made = yield from _made(partial(made_by.make_jobs, entries), anew=attempt > 0)
        try:
            for chunk in _chunks(made[len(added) :]):
                ids = yield calls.add(chunk, version)
                added += zip(ids, chunk, strict=True)
        except StaleSettings:
            continue
        except QueueFull as error:
            if added:
                told = f"{error}; the first {len(added)} jobs of the list were added"
                raise QueueFull(told) from error
            raise
        return added

    raise StaleSettings(_RESTLESS)


def _chunks(jobs: list[NewJob]) -> Iterator[list[NewJob]]:
    """The jobs in parts that one call may bring."""
    start, size = 0, 0
    for number, job in enumerate(jobs):
        size += len(job.data)
        if number - start == JOBS_AT_ONCE or (size > BYTES_AT_ONCE and number > start):
            yield jobs[start:number]
            start, size = number, len(job.data)
    if jobs:
        yield jobs[start:]


def upsert_series(
    made_by: Producer,
    key: str | None,
    repeat: Repeat,
    name: str,
    data: Any,
    options: Mapping[str, Any],
) -> Steps[tuple[str, str, JobRecord | None]]:
    """Make or replace a series: its key, and its outstanding job."""
    check_repeat(repeat)
    if key is not None:
        check_label("key", key)
    for refused in ("job_id", "delay", "run_at", "dedup", "expires_at", "lifo", "repeat"):
        if options.get(refused):
            raise InvalidInput(f"a series does not take {refused}: it says when its jobs run")

    # a series is made for long: what is known of the settings may be old
    _, settings = yield from _settings(anew=True)
    # what would delay or name one job has no meaning for a series
    stored = {name: value for name, value in settings.defaults.items() if name != "delay"}
    own = {name: value for name, value in made_by.defaults.items() if name != "delay"}
    merged = merge_options(stored, own, options)
    job = new_job(name, data, merged, group_key=settings.group_key)
    now_ms, _ = yield reads.due_series(0)
    anchor_ms = repeat.anchor(now_ms)
    first_ms = repeat.first(now_ms)
    if first_ms is None:
        raise InvalidInput(f"the series has no occurrence after now: {repeat}")

    series_key = key or repeat.key_for(name)
    job_id, _ = yield verbs.upsert_series(series_key, first_ms, anchor_ms, repeat.to_text(), job)
    records = yield reads.look([job_id])

    return series_key, job_id, records[0]


def check_repeat(repeat: Any) -> Repeat:
    """`repeat`, if it is a rule."""
    if not isinstance(repeat, Repeat):
        raise InvalidInput(f"repeat must be a Repeat, such as Repeat.every(60): {repeat!r}")

    return repeat


def set_settings(settings: QueueSettings) -> Steps[None]:
    """Store settings with the queue, in place of all it had."""
    if not isinstance(settings, QueueSettings):
        raise InvalidInput(f"settings must be QueueSettings: {settings!r}")

    text = settings.to_text()
    yield verbs.configure(b"" if text == b"{}" else text, settings.to_meta())
    yield Learn(anew=True)
    # what limits had put aside or put off may come back at once
    begin = 0
    while begin >= 0:
        begin, _ = yield verbs.call_back(begin)
    more = True
    while more:
        _, more = yield calls.tend()


def get_settings() -> Steps[QueueSettings]:
    """The settings of the queue as they are now."""
    _, settings = yield from _settings(anew=True)

    return settings


_PLAIN = QueueSettings()
_RESTLESS = f"the settings of the queue were changed {TRIES} times in a row; try again"


def _made(make: Callable[[QueueSettings], T], anew: bool) -> Steps[tuple[str, T]]:
    """The version of the settings, and what is made by them."""
    version, settings = yield from _settings(anew)
    try:
        return version, make(settings)
    except InvalidInput:
        if anew or settings == _PLAIN:
            raise

    # it may be settings of earlier that refuse it
    version, settings = yield from _settings(anew=True)

    return version, make(settings)


def _settings(anew: bool) -> Steps[tuple[str, QueueSettings]]:
    version, text = yield Learn(anew)

    return version, _read_settings(text)


@lru_cache(maxsize=64)
def _read_settings(text: bytes) -> QueueSettings:
    return QueueSettings.from_text(text)
