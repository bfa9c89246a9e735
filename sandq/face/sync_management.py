"""The synchronous Queue: verbs that change many jobs, series, or the queue itself."""

from typing import Any, Unpack

from sandq.face import management
from sandq.face.job import LEASE_S
from sandq.face.sync_base import SyncFace, twin_of
from sandq.face.sync_job import Job
from sandq.model.duration import Duration
from sandq.model.job import JobRecord
from sandq.model.options import OptionArgs
from sandq.model.queue_settings import QueueSettings
from sandq.model.repeat import Repeat
from sandq.model.states import JobState
from sandq.steps import adding, bulk, jobs, looking, manual
from sandq.store.audit import audit_sync
from sandq.store.audit_calls import Finding


@twin_of(management.Management)
class Management(SyncFace):
    """What is done to a queue; the words are those of `sandq.face.management`."""

    def retry_jobs(
        self, count: int | None = None, *, state: str = "failed", reset_attempts: bool = False
    ) -> list[str]:
        return self._do(bulk.retry_many(state, count, reset_attempts))

    def replay_dead(self, limit: int = 100, *, kind: str | None = None) -> list[str]:
        return self._do(bulk.replay_dead(limit, kind))

    def peek_dead(self, limit: int = 20) -> list[Job]:
        records = self._do(looking.peek_dead(limit))

        return [Job(self, record.id, record=record) for record in records]

    def clean(self, grace: Duration = 0, state: str = "completed", limit: int = 0) -> list[str]:
        return self._do(bulk.clean(grace, state, limit))

    def empty(self) -> int:
        return self._do(bulk.empty([JobState.WAITING, JobState.DELAYED]))

    def obliterate(self, force: bool = False) -> None:
        self._do(bulk.begin_obliterate(force))
        base = self._store.keys.base
        for keys in self._store.scan(bulk.every_key(base)):
            self._store.unlink(self._do(bulk.obliterate_found(base, keys)))
        self._do(bulk.end_obliterate())
        self._store.open()

    def remove_jobs(self, pattern: str, *, force: bool = False) -> list[str]:
        removed: list[str] = []
        base = self._store.keys.base
        for keys in self._store.scan(bulk.job_keys(base, pattern)):
            ids = bulk.ids_of(base, keys)
            removed += self._do(bulk.remove_many(ids, force))

        return removed

    def cancel(self, job_id: str, reason: str = "cancelled by request") -> JobState:
        return self._do(jobs.cancel(job_id, reason))

    def reclaim(self, max_stalls: int = 1) -> list[str]:
        return self._do(bulk.reclaim(max_stalls))

    def get_next_job(self, *, lease: Duration = LEASE_S) -> Job | None:
        steps = manual.get_next(self.name, self._worker, manual.check_lease(lease))
        claimed = self._do(steps)
        if claimed is None:
            return None
        claim, record = claimed

        return Job(self, claim.id, claim=claim, record=record)

    def upsert_repeatable(
        self,
        key: str | None,
        rule: Repeat,
        name: str,
        data: Any = None,
        **options: Unpack[OptionArgs],
    ) -> str:
        series, _, _ = self._upsert(key, rule, name, data, dict(options))

        return series

    def remove_repeatable(self, name: str, rule: Repeat) -> bool:
        return self.remove_repeatable_by_key(adding.check_repeat(rule).key_for(name))

    def remove_repeatable_by_key(self, key: str) -> bool:
        return self._do(looking.remove_series(key))

    def set_settings(self, settings: QueueSettings) -> None:
        self._do(adding.set_settings(settings))

    def audit(self, fix: bool = False) -> list[Finding]:
        return audit_sync(self._store, fix)

    def _upsert(
        self, key: str | None, repeat: Repeat, name: str, data: Any, options: dict[str, Any]
    ) -> tuple[str, str, JobRecord | None]:
        return self._do(adding.upsert_series(self._producer, key, repeat, name, data, options))
