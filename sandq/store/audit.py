"""The audit of a queue: every broken invariant is told, and repaired if that is wanted.

Each job, key or page of an index is judged by one short script that sees it at one moment, so what
is told was so, however much goes on meanwhile. The way through a queue:

1. the sets of states, by pages: members that their jobs should not have there are judged in full;
2. every key of the queue, by SCAN: each job in full, what belongs to a job, tags page by page;
3. the other indexes, by pages;
4. what is one for the queue, and its counters.

The way is a generator that knows no connection: it gives calls, and is sent their replies.
"""

import logging
import re
from collections.abc import Generator, Sequence
from contextlib import aclosing
from typing import Any

from sandq.store import audit_calls
from sandq.store.audit_calls import INDEXES, SETS, START, Block, Finding
from sandq.store.calls import Call, text_of
from sandq.store.store import Store, SyncStore

log = logging.getLogger(__name__)

#: Jobs or keys judged by one call: Redis serves nobody else meanwhile, for some 2 ms.
JUDGED_AT_ONCE = 200

#: Members of a set or an index looked at by one call, about; less is done for each.
PAGE = 400

#: Failed jobs counted by one call.
BLOCK = 1000

#: Jobs counted and compared with a counter at one moment; it takes some 5 ms.
MOST_COUNTED = 5_000

#: Times that failed jobs are compared with their counters before that is given up.
ROUNDS = 20

#: Kinds of keys, the word in front of their name, that are judged by what they belong to.
OWNED = frozenset({"dedup", "repeat", "logs", "emitted", "failures", "limiter", "worker"})

#: The way of an audit. It gives None instead of a call when it wants the next keys of the queue,
#: and is sent None after the last of them.
Way = Generator[Call[Any] | None, Any, None]


async def audit(store: Store, fix: bool = False) -> list[Finding]:
    """All that is wrong with the queue; with `fix`, repaired where that is possible.

    It may be called while the queue is worked on: what is told was so at some moment.
    """
    auditor = Auditor(store.keys.base, fix)
    way = auditor.way()
    reply: Any = None
    async with aclosing(store.scan(auditor.pattern, PAGE)) as keys:
        while True:
            try:
                step = way.send(reply)
            except StopIteration:
                return auditor.findings
            reply = await anext(keys, None) if step is None else await store.run(step)


def audit_sync(store: SyncStore, fix: bool = False) -> list[Finding]:
    """The same for synchronous code."""
    auditor = Auditor(store.keys.base, fix)
    way = auditor.way()
    keys = store.scan(auditor.pattern, PAGE)
    reply: Any = None
    while True:
        try:
            step = way.send(reply)
        except StopIteration:
            return auditor.findings
        reply = next(keys, None) if step is None else store.run(step)


class Auditor:
    """One audit: what it has found so far, and the way through the queue."""

    def __init__(self, base: str, fix: bool = False) -> None:
        self._base = base.encode()
        self._fix = fix
        self._found: dict[tuple[str, str, str], Finding] = {}
        #: Matches every key of the queue, and no other.
        self.pattern = re.sub(r"([\\*?\[\]^-])", r"\\\1", base) + "*"

    @property
    def findings(self) -> list[Finding]:
        """What was found, in the order in which it was met, each once."""
        return list(self._found.values())

    def way(self) -> Way:
        """All calls, one after the other."""
        for name in SETS:
            yield from self._set(name)
        yield from self._keys()
        for index in INDEXES:
            yield from self._index(index)
        active, findings = yield audit_calls.audit_queue(MOST_COUNTED, self._fix)
        self._tell(findings)
        if active:
            log.warning("%d jobs are active: too many for groups to be compared", active)
        yield from self._kinds()

    def _set(self, name: str) -> Way:
        cursor = START
        while True:
            cursor, _, members = yield audit_calls.audit_set(name, cursor, PAGE)
            yield from self._judge([(name, member) for member in members])
            if cursor == START:
                return

    def _judge(self, jobs: Sequence[tuple[str, bytes]]) -> Way:
        for batch in batches(jobs):
            self._tell((yield audit_calls.audit(batch, self._fix)))

    def _keys(self) -> Way:
        # these were judged where they were met, and more is known there of where they are
        judged = set() if self._fix else {finding.subject for finding in self.findings}
        while (keys := (yield None)) is not None:
            jobs: list[tuple[str, bytes]] = []
            owned: list[tuple[str, bytes]] = []
            for key in keys:
                word, colon, name = key.removeprefix(self._base).partition(b":")
                kind = text_of(word)
                if kind == "job":
                    if text_of(name) not in judged:
                        jobs.append((kind, name))
                elif kind == "tag":
                    yield from self._index(kind, name)
                # `repeat` alone is an index, `limiter` alone is the window of the whole queue
                elif kind in OWNED and (colon or kind == "limiter"):
                    owned.append((kind, name))
            yield from self._judge(jobs)
            for batch in batches(owned):
                self._tell((yield audit_calls.audit_keys(batch, self._fix)))

    def _index(self, index: str, tag: bytes = b"") -> Way:
        cursor = START
        while True:
            call = audit_calls.audit_index(index, tag, cursor, PAGE, self._fix)
            cursor, findings = yield call
            self._tell(findings)
            if cursor == START:
                return

    def _kinds(self) -> Way:
        blocks = yield from self._count("-inf", "")
        for _ in range(ROUNDS):
            compared = yield audit_calls.audit_kinds(blocks, MOST_COUNTED, self._fix)
            self._tell(compared.findings)
            if compared.done:
                return
            fresh: list[Block] = []
            for number, block in enumerate(blocks):
                if number in compared.changed:
                    fresh += yield from self._count(block.after, str(int(block.upto) + 1))
                else:
                    fresh.append(block)
            if compared.newer:
                fresh += yield from self._count(blocks[-1].upto, "")
            blocks = fresh
        log.warning("failed jobs come and go too fast to be compared with their counters")

    def _count(self, after: str, before: str) -> Generator[Call[Any], Any, list[Block]]:
        blocks: list[Block] = []
        while True:
            block, is_last = yield audit_calls.audit_failed(after, before, BLOCK)
            blocks.append(block)
            if is_last:
                return blocks
            after = block.upto

    def _tell(self, findings: Sequence[Finding]) -> None:
        for finding in findings:
            self._found.setdefault((finding.problem, finding.subject, finding.detail), finding)


def batches(items: Sequence[tuple[str, bytes]]) -> list[Sequence[tuple[str, bytes]]]:
    """`items` in the numbers that are judged at once."""
    return [items[i : i + JUDGED_AT_ONCE] for i in range(0, len(items), JUDGED_AT_ONCE)]
