"""How the demo shows what it does: a live view in a terminal, plain lines elsewhere."""

import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from sandq import Job, JobState

#: No line is longer, however wide the terminal is.
WIDTH = 100

HEADING = ("JOB", "HANDLER", "LANGUAGE", "STATE", "TRY", "MS", "RESULT")

#: Job name -> the handler's file, and its language.
Handlers = Mapping[str, tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Entry:
    """A job that is followed. `expected`: completed, or the kind of failure it must end with."""

    title: str
    expected: str
    job: Job

    @property
    def is_as_expected(self) -> bool:
        """Whether it has ended, and as it should."""
        state, failure = self.job.state, self.job.failure or {}
        return self.expected == (failure.get("kind") if state is JobState.FAILED else state)

    def state(self) -> str:
        """Its state, with a mark when it is not the expected one."""
        return self.job.state.value + ("" if self.is_as_expected else " !")

    def result(self) -> str:
        """What it returned, or why it failed, in a few words."""
        if self.job.state is JobState.FAILED:
            return describe_failure(self.job.failure or {})
        match self.job.value:
            case {"width": width, "height": height, "bytes": size}:
                return f"{width} x {height}, {size} bytes"
            case {"sha256": digest, "type": kind, "bytes": size}:
                return f"{kind}, {size} bytes, {digest[:7]}…"
            case {"words": words}:
                return f"{words} words"
            case value:
                return "" if value is None else str(value)

    def row(self, handlers: Handlers) -> tuple[str, ...]:
        """Its line of the table."""
        job = self.job
        ended = job.finished_at is not None and job.started_at is not None
        ms = f"{(job.finished_at - job.started_at) * 1000:.0f}" if ended else ""

        return (self.title, *handlers[job.name], self.state(), str(job.claims), ms, self.result())


def describe_failure(failure: Mapping[str, Any]) -> str:
    """A failure record in a few words: its kind, and how the child died if it did."""
    death = failure.get("death")
    if death is None:
        return f"{failure.get('kind')}: {failure.get('message')}"

    how = death.get("signal") or f"exit code {death.get('exit_code')}"
    if death["by"] == "timeout":
        return f"{failure['kind']}: {how} by sandq"

    return ", ".join([f"{failure['kind']}: {how}", *map(repr, death["stderr_tail"][-1:])])


class PlainView:
    """A line for every change, and a table of text."""

    def __init__(self, handlers: Handlers, began_s: float) -> None:
        self._handlers = handlers
        self._began_s = began_s
        self._told: dict[str, tuple[bool, int]] = {}

    def show(self, entries: Sequence[Entry], pids: Sequence[int]) -> None:
        """Tell what has changed since the last time."""
        for entry in entries:
            job = entry.job
            now = (job.finished_at is not None, job.attempts)
            if self._told.get(job.id, (False, 0)) == now:
                continue

            self._told[job.id] = now
            what = f"attempt {job.attempts} failed, there will be another"
            if job.finished_at is not None:
                what = f"{entry.state()}: {entry.result()}"
            at_s = time.monotonic() - self._began_s
            line = f"{at_s:5.2f} s  {job.name:<10} {entry.title:<14} {what}"
            print(line[:WIDTH].rstrip(), flush=True)

    def finish(self, entries: Sequence[Entry]) -> None:
        """Print the table."""
        rows = [HEADING, *(entry.row(self._handlers) for entry in entries)]
        widths = widths_of(rows)
        print()
        for row in rows:
            cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            print("  ".join(cells)[:WIDTH].rstrip())
        print(flush=True)


class LiveView:
    """Bars that fill, what runs now, and at the end a table with colours."""

    def __init__(self, handlers: Handlers, live: Any, console: Any) -> None:
        self._handlers = handlers
        self._live = live
        self._console = console

    def show(self, entries: Sequence[Entry], pids: Sequence[int]) -> None:
        """Draw anew; every picture has the same height, so that nothing jumps."""
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        total = Counter(entry.job.name for entry in entries)
        ended = Counter(entry.job.name for entry in entries if entry.job.finished_at is not None)
        bars = Table.grid(padding=(0, 2))
        for name, (file, language) in self._handlers.items():
            if name in total:
                bar = ProgressBar(total[name], ended[name], width=32)
                count = f"{ended[name]:>2} of {total[name]}"
                bars.add_row(f" {name}", Text(file, "dim"), Text(language, "dim"), bar, count)

        notes = [note for entry in entries if (note := describe_now(entry))][:4]
        notes += [""] * (4 - len(notes))
        children = f" {len(pids) or 'no'} children now: {' '.join(map(str, pids))}"
        lines = [Text(line, "dim", no_wrap=True, overflow="ellipsis") for line in notes]
        self._live.update(Group("", bars, "", Text(children), *lines), refresh=True)

    def finish(self, entries: Sequence[Entry]) -> None:
        """Put the table where the bars were."""
        from rich.table import Table
        from rich.text import Text

        gap = 2 if self._console.width >= WIDTH else 1
        table = Table(box=None, padding=(0, gap, 0, 0), pad_edge=False, header_style="bold")
        rows = [entry.row(self._handlers) for entry in entries]
        for heading, width in zip(HEADING, widths_of([HEADING, *rows]), strict=True):
            # in a narrow terminal only the last column gives way
            fixed = heading != HEADING[-1]
            right = "right" if heading in ("TRY", "MS") else "left"
            table.add_column(
                heading, justify=right, min_width=width if fixed else None, no_wrap=fixed
            )
        for entry, (title, file, language, state, *numbers, result) in zip(
            entries, rows, strict=True
        ):
            colour = "green" if entry.job.state is JobState.COMPLETED else "yellow"
            shown = Text(state, colour if entry.is_as_expected else "bold red")
            dim = Text(file, "dim"), Text(language, "dim")
            table.add_row(
                title, *dim, shown, *numbers, Text(result, overflow="ellipsis", no_wrap=True)
            )

        self._live.stop()
        self._console.print("", table, "", sep="\n")


def widths_of(rows: Sequence[Sequence[str]]) -> list[int]:
    """How wide each column must be."""
    return [max(map(len, column)) for column in zip(*rows, strict=True)]


def describe_now(entry: Entry) -> str:
    """What a job that has not ended does, if there is something to tell."""
    job = entry.job
    tries = job.opts.get("attempts", 1)
    if job.state is JobState.ACTIVE:
        share = f", {job.progress:.0%}" if isinstance(job.progress, float) else ""
        return f"   {job.name}: {entry.title}: attempt {job.attempts + 1} of {tries}{share}"
    if job.state is JobState.DELAYED and job.due_at is not None:
        wait_s = max(0.0, job.due_at - time.time())
        failed = f"attempt {job.attempts} of {tries} failed, the next comes in {wait_s:.1f} s"
        return f"   {job.name}: {entry.title}: {failed}"

    return ""


@contextmanager
def open_view(
    handlers: Handlers, skipped: Mapping[str, str], began_s: float
) -> Iterator[PlainView | LiveView]:
    """The view that fits the standard output; handlers that are skipped are named first."""
    for name, reason in skipped.items():
        print(f"skipped: {name} ({handlers[name][1]}): {reason}", flush=True)

    if sys.stdout.isatty() and find_spec("rich") is not None:
        from rich.console import Console
        from rich.live import Live

        console = Console(highlight=False)
        console.width = min(console.width, WIDTH)
        if not console.is_dumb_terminal:
            with Live(console=console, auto_refresh=False, transient=True) as live:
                yield LiveView(handlers, live, console)
            return

    yield PlainView(handlers, began_s)
