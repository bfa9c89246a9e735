"""Outcomes in, settlements out: the verdicts wait here for the next call to Redis."""

import logging
from collections import deque
from collections.abc import Mapping
from itertools import chain
from types import MappingProxyType
from typing import TYPE_CHECKING

from sandq import chance
from sandq.model.backoff_function import BackoffFunction
from sandq.model.job import Claim
from sandq.model.outcome import Outcome
from sandq.model.verdict import Action, decide
from sandq.protocol.messages import Log, Progress
from sandq.store.calls import LOG_ROWS_KEPT, Report, Settlement

if TYPE_CHECKING:
    from sandq.flow.desk import Held

log = logging.getLogger("sandq.flow")

_NO_BACKOFFS: Mapping[str, BackoffFunction] = MappingProxyType({})

#: Most settlements in one call: Redis is blocked while a script runs.
BATCH = 256


class Settler:
    """What one queue's attempts have come to, until Redis knows it."""

    def __init__(self, backoffs: Mapping[str, BackoffFunction] = _NO_BACKOFFS) -> None:
        self._backoffs = backoffs
        self._settlements: list[tuple[Held, Settlement]] = []
        self._progress: dict[str, Report] = {}
        self._logs: dict[str, deque[Report]] = {}

    def __bool__(self) -> bool:
        return bool(self._settlements)

    @property
    def has_reports(self) -> bool:
        """Whether progress or log rows wait."""
        return bool(self._progress or self._logs)

    def add(self, held: "Held", outcome: Outcome) -> None:
        """The end of an attempt."""
        claim = held.claim
        options = held.options
        verdict = decide(outcome, options, claim.attempts, self._backoffs, chance.jitter)
        if verdict.action is not Action.COMPLETE and log.isEnabledFor(logging.INFO):
            failure = outcome.failure
            reason = outcome.released if failure is None else f"{failure.kind}: {failure.message}"
            log.info("job %s (%s): %s: %s", claim.id, claim.name, verdict.action.value, reason)
        completes = verdict.action is Action.COMPLETE
        retain = options.retain_completed if completes else options.retain_failed
        self._settlements.append((held, Settlement(claim, verdict, retain)))

    def say(self, claim: Claim, message: Progress | Log) -> None:
        """What an attempt says: of progress the newest counts, of log rows the newest so many."""
        if isinstance(message, Progress):
            self._keep(Report(claim, "progress", message.value))
        else:
            self._keep(Report(claim, "log", message.text))

    def take(self) -> list[tuple["Held", Settlement]]:
        """The next batch of settlements, oldest first."""
        batch = self._settlements[:BATCH]
        self._settlements = self._settlements[BATCH:]

        return batch

    def put_back(self, batch: list[tuple["Held", Settlement]]) -> None:
        """Redis could not be told: the batch comes first again."""
        self._settlements = batch + self._settlements

    def take_reports(self) -> list[Report]:
        """All log rows and progress that wait."""
        reports = [*chain.from_iterable(self._logs.values()), *self._progress.values()]
        self._logs, self._progress = {}, {}

        return reports

    def put_back_reports(self, reports: list[Report]) -> None:
        """Redis could not be told: what has been said since is newer."""
        for report in (*reports, *self.take_reports()):
            self._keep(report)

    def _keep(self, report: Report) -> None:
        if report.kind == "progress":
            self._progress[report.claim.id] = report
        else:
            rows = self._logs.setdefault(report.claim.id, deque(maxlen=LOG_ROWS_KEPT))
            rows.append(report)
