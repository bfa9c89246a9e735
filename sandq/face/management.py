"""The async Queue: verbs that change many jobs, series, or the queue itself."""

from typing import Any, Unpack

from sandq.face.base import Face
from sandq.face.job import LEASE_S, Job
from sandq.model.duration import Duration
from sandq.model.job import JobRecord
from sandq.model.options import OptionArgs
from sandq.model.queue_settings import QueueSettings
from sandq.model.repeat import Repeat
from sandq.model.states import JobState
from sandq.steps import adding, bulk, jobs, looking, manual
from sandq.store.audit import audit
from sandq.store.audit_calls import Finding


class Management(Face):
    """What people and programs do to a queue. Every method may raise StoreError."""

    async def retry_jobs(
        self, count: int | None = None, *, state: str = "failed", reset_attempts: bool = False
    ) -> list[str]:
        """Run ended jobs again, oldest first, in batches; their ids (seed 0).

        - `count`: at most so many; None: all that have ended by now.
        - `state`: failed, completed or cancelled. `reset_attempts`: count attempts anew.

        Names, priorities and options are kept. Raises InvalidInput.
        """
        return await self._do(bulk.retry_many(state, count, reset_attempts))

    async def replay_dead(self, limit: int = 100, *, kind: str | None = None) -> list[str]:
        """Run failed jobs again, oldest first, with all their attempts; their ids (seed 3).

        `kind`: only those that failed so (`Stats.dead` has the numbers). Each job moves in one
        step, so two that replay at once never run a job twice. Raises InvalidInput.
        """
        return await self._do(bulk.replay_dead(limit, kind))

    async def peek_dead(self, limit: int = 20) -> list[Job]:
        """Failed jobs, oldest first; nothing is changed (seed 3)."""
        records = await self._do(looking.peek_dead(limit))

        return [Job(self, record.id, record=record) for record in records]

    async def clean(
        self, grace: Duration = 0, state: str = "completed", limit: int = 0
    ) -> list[str]:
        """Remove jobs of `state` that are older than `grace` (seconds), in batches; their ids.

        A job's age counts from its end, else from its last start, else from its adding (seed 0).
        Jobs under a lease are left. `limit` 0: all. Raises InvalidInput.
        """
        return await self._do(bulk.clean(grace, state, limit))

    async def empty(self) -> int:
        """Remove all jobs that wait or are delayed, with their logs and tags; how many (seed 0)."""
        return await self._do(bulk.empty([JobState.WAITING, JobState.DELAYED]))

    async def obliterate(self, force: bool = False) -> None:
        """Remove the queue: all its jobs, series, settings, figures and events (seed 0).

        It is paused first. Raises QueueBusy while jobs run, unless `force`: then their children
        are ended as soon as their supervisors notice. What is added meanwhile goes as well.
        """
        await self._do(bulk.begin_obliterate(force))
        base = self._store.keys.base
        async for keys in self._store.scan(bulk.every_key(base)):
            await self._store.unlink(await self._do(bulk.obliterate_found(base, keys)))
        await self._do(bulk.end_obliterate())
        await self._store.open()

    async def remove_jobs(self, pattern: str, *, force: bool = False) -> list[str]:
        """Remove the jobs whose ids match a glob (`* ? [a-z]`, a backslash escapes); their ids.

        Jobs that run are left, unless `force` (seed 0). Raises InvalidInput for a pattern that
        matches all.
        """
        removed: list[str] = []
        base = self._store.keys.base
        async for keys in self._store.scan(bulk.job_keys(base, pattern)):
            ids = bulk.ids_of(base, keys)
            removed += await self._do(bulk.remove_many(ids, force))

        return removed

    async def cancel(self, job_id: str, reason: str = "cancelled by request") -> JobState:
        """Call a job off; see `Job.cancel`."""
        return await self._do(jobs.cancel(job_id, reason))

    async def reclaim(self, max_stalls: int = 1) -> list[str]:
        """Recover jobs whose supervisor has vanished, now; their ids (seed 1).

        Supervisors do so by themselves. A job that stalled more than `max_stalls` times fails.
        """
        return await self._do(bulk.reclaim(max_stalls))

    async def get_next_job(self, *, lease: Duration = LEASE_S) -> Job | None:
        """Claim the next waiting job, to be worked by hand; None if there is none (seed 0).

        Say what became of it by `Job.move_to_completed` and its kin, and renew the claim by
        `Job.extend_lease` before `lease` (seconds) is over: else another gets the job.
        """
        steps = manual.get_next(self.name, self._worker, manual.check_lease(lease))
        claimed = await self._do(steps)
        if claimed is None:
            return None
        claim, record = claimed

        return Job(self, claim.id, claim=claim, record=record)

    async def upsert_repeatable(
        self,
        key: str | None,
        rule: Repeat,
        name: str,
        data: Any = None,
        **options: Unpack[OptionArgs],
    ) -> str:
        """Make a series of jobs, or replace the one of this key with its next job (seed 3).

        - `key`: None derives one from the name and the rule; it is returned.
        - `rule`: `Repeat.every(60)` or `Repeat.crontab("30 2 * * *", tz="Europe/Berlin")`.
        - options: those of each job.

        Raises InvalidInput, also when the series has no occurrence after now.
        """
        series, _, _ = await self._upsert(key, rule, name, data, dict(options))

        return series

    async def remove_repeatable(self, name: str, rule: Repeat) -> bool:
        """End the series that was made of this name and rule, and remove its next job; whether
        there was one (seed 0)."""
        return await self.remove_repeatable_by_key(adding.check_repeat(rule).key_for(name))

    async def remove_repeatable_by_key(self, key: str) -> bool:
        """End a series and remove its next job; whether there was one (seed 0)."""
        return await self._do(looking.remove_series(key))

    async def set_settings(self, settings: QueueSettings) -> None:
        """Store settings with the queue, in place of all it had (seed 2).

        Every producer and every supervisor obeys them from then on. Raises InvalidInput.
        """
        await self._do(adding.set_settings(settings))

    async def audit(self, fix: bool = False) -> list[Finding]:
        """Every broken invariant of the queue's data (seed 2); with `fix`, mended.

        It reads all jobs, in small batches, while the queue goes on. An empty list is a clean bill.
        """
        return await audit(self._store, fix)

    async def _upsert(
        self, key: str | None, repeat: Repeat, name: str, data: Any, options: dict[str, Any]
    ) -> tuple[str, str, JobRecord | None]:
        return await self._do(
            adding.upsert_series(self._producer, key, repeat, name, data, options)
        )
