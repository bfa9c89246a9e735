"""Outcomes in, settlements out: the verdicts wait here for the next call to Redis."""

import logging
from collections.abc import Container, Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from sandq import chance
from sandq.flow.telling import TOO_MUCH, Emitting, Telling
from sandq.model.backoff_function import BackoffFunction
from sandq.model.job import Claim
from sandq.model.outcome import Outcome
from sandq.model.verdict import Action, decide
from sandq.protocol.messages import Captured, Emit, Log, Progress, Said
from sandq.store.calls import Report, Settlement

if TYPE_CHECKING:
    from sandq.flow.desk import Held

log = logging.getLogger("sandq.flow")

_NO_BACKOFFS: Mapping[str, BackoffFunction] = MappingProxyType({})

#: Most settlements in one call: Redis is blocked while a script runs.
BATCH = 256

#: Most reports in one call, and bytes of them unless one alone has more.
REPORTS_AT_ONCE = 1_000
REPORT_BYTES_AT_ONCE = 1024 * 1024


class Settler:
    """What one queue's attempts have come to, until Redis knows it."""

    def __init__(self, backoffs: Mapping[str, BackoffFunction] = _NO_BACKOFFS) -> None:
        self._backoffs = backoffs
        self._settlements: list[tuple[Held, Settlement]] = []
        #: Job id and token -> what was said under that claim since Redis was told.
        self._tellings: dict[tuple[str, str], Telling] = {}
        #: The same -> how much of its result the attempt has told, if any.
        self._emitting: dict[tuple[str, str], Emitting] = {}

    def __bool__(self) -> bool:
        return bool(self._settlements)

    @property
    def has_reports(self) -> bool:
        """Whether something waits that jobs have said."""
        return bool(self._tellings)

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

    def say(self, claim: Claim, message: Said) -> None:
        """What an attempt says: of progress the newest counts; of log rows, lines it wrote and
        parts of its result as much stays as `sandq.model.bounds` allows."""
        telling = self._telling(claim)
        if isinstance(message, Progress):
            telling.progress = message.value
        elif isinstance(message, Log):
            telling.add_row(message.text)
        elif isinstance(message, Captured):
            if message.left_out:
                telling.add_row(message.left_out)
            telling.add_row(message)
        else:
            self._emit(telling, message)

    def take(self) -> list[tuple["Held", Settlement]]:
        """The next batch of settlements, oldest first."""
        batch = self._settlements[:BATCH]
        self._settlements = self._settlements[BATCH:]

        return batch

    def put_back(self, batch: list[tuple["Held", Settlement]]) -> None:
        """Redis could not be told: the batch comes first again."""
        self._settlements = batch + self._settlements

    def take_reports(self) -> list[Report]:
        """All that waits of what jobs have said."""
        tellings, self._tellings = self._tellings, {}

        return [report for telling in tellings.values() for report in telling.reports()]

    def put_back_reports(self, reports: list[Report]) -> None:
        """Redis could not be told: what has been said since is newer."""
        for report in (*reports, *self.take_reports()):
            self._telling(report.claim).add(report)

    def forget_all_but(self, job_ids: Container[str]) -> None:
        """Only these jobs are in hand."""
        if self._emitting:
            self._emitting = {k: v for k, v in self._emitting.items() if k[0] in job_ids}

    def _telling(self, claim: Claim) -> Telling:
        # an attempt that was given up may speak on beside another one of its job
        key = claim.id, claim.token
        telling = self._tellings.get(key)
        if telling is None:
            telling = self._tellings[key] = Telling(claim)

        return telling

    def _emit(self, telling: Telling, message: Emit) -> None:
        key = telling.claim.id, telling.claim.token
        emitting = self._emitting.get(key)
        if emitting is None:
            emitting = self._emitting[key] = Emitting()
        if emitting.full:
            return
        part = emitting.take(message.chunk)
        if part is None:
            telling.add_row(TOO_MUCH)
        else:
            telling.parts.append(part)


def in_batches(reports: list[Report]) -> Iterator[list[Report]]:
    """Reports in the numbers that one call may bring, in their order."""
    start, size = 0, 0
    for number, report in enumerate(reports):
        size += len(report.text)
        too_many = number - start == REPORTS_AT_ONCE
        if too_many or (size > REPORT_BYTES_AT_ONCE and number > start):
            yield reports[start:number]
            start, size = number, len(report.text)
    if reports:
        yield reports[start:]
