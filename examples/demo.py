#!/usr/bin/env python3
"""The whole way on real input: a server, a queue, four handlers, a pool of four, and the results.

Run it with `make demo`, or with a Python that has sandq, Pillow and rich. It works in a temporary
folder with a Redis server of its own, and leaves nothing behind. Exit code 0: every job ended as
it should, those that should fail included.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
from demo_view import Entry, open_view

from sandq import Backoff, Job, JobState, Queue
from sandq.errors import HandlerInvalid, SandqError
from sandq.store.embedded import EmbeddedServer

HANDLERS_FOLDER = Path(__file__).resolve().parents[1] / "handlers"
SAMPLES = HANDLERS_FOLDER / "samples"

#: job name -> the program that serves it, and its language
HANDLERS = {
    "thumbnail": ("resize.py", "Python"),
    "words": ("wordcount.sh", "shell"),
    "probe": ("probe.mjs", "Node"),
    "flaky": ("flaky.py", "Python"),
}

#: Most children alive at once.
POOL = 4

#: The demo takes two seconds; this is for a machine on which something is wrong.
DEADLINE_S = 60.0

#: Between two looks at the jobs, and so between two pictures of the live view, in seconds.
LOOK_EVERY_S = 0.08

ENDED = {JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED}

NEXT_STEPS = """\
By hand (the first command runs until Ctrl-C, the others in a second terminal):
  .venv/bin/sandq run images --pool 2 -- .venv/bin/python handlers/resize.py
  .venv/bin/sandq add images thumb --wait \\
      --data '{"src": "handlers/samples/rocket.jpg", "width": 64}'
  .venv/bin/sandq ls images
  .venv/bin/sandq show images 1"""


@dataclass(frozen=True, slots=True)
class Task:
    """A job of the demo: what is added, and how it should end: a value, or a kind of failure."""

    name: str
    title: str
    data: dict[str, Any]
    options: dict[str, Any] = field(default_factory=dict)
    expected: str = "completed"


def tasks(thumbnails: Path) -> list[Task]:
    """Everything there is to do; the thumbnails go to that folder."""
    pictures = sorted(SAMPLES.glob("*.jpg"))
    texts = [SAMPLES / "notes.txt", SAMPLES / "SOURCES.md", HANDLERS_FOLDER / "README.md"]
    # the difficult ones first: their pauses pass while the others run
    work = [
        Task(
            "flaky",
            "fails twice",
            {"fail_until": 3, "value": "third time lucky"},
            {"attempts": 3, "backoff": Backoff.exponential(0.4)},
        ),
        Task(
            "flaky",
            "crashes",
            {"stderr": "wild pointer", "signal": signal.SIGSEGV},
            {"attempts": 2, "backoff": 0.4},
            expected="crashed",
        ),
        Task("flaky", "takes a minute", {"sleep_s": 60}, {"timeout": 0.5}, expected="timed_out"),
    ]
    for picture in pictures:
        title = picture.stem.partition("_")[0]
        for width in (64, 160, 320, 640):
            dst = thumbnails / f"{picture.stem}-{width}.jpg"
            data = {"src": str(picture), "width": width, "dst": str(dst)}
            work.append(Task("thumbnail", f"{title} {width}", data))
        work.append(Task("probe", title, {"path": str(picture)}))
    for text in texts:
        work.append(Task("probe", text.name, {"path": str(text)}))
        work.append(Task("words", text.name, {"path": str(text)}))

    return work


async def demo() -> bool:
    """Run it; whether every job ended as expected."""
    began_s = time.monotonic()
    async with private_server() as (url, folder), Queue("demo", url) as queue:
        skipped = set_handlers(queue)
        chosen = [task for task in tasks(folder) if task.name not in skipped]
        with open_view(HANDLERS, skipped, began_s) as view:
            async with queue.run(concurrency=POOL) as supervisor:
                jobs = await queue.add_bulk((task.name, task.data, task.options) for task in chosen)
                entries = [
                    Entry(task.title, task.expected, job)
                    for task, job in zip(chosen, jobs, strict=True)
                ]
                with anyio.move_on_after(DEADLINE_S):
                    await follow(jobs, lambda: view.show(entries, supervisor.pids()))

            view.finish(entries)

        thumbnails = len(os.listdir(folder))
        good = all(entry.is_as_expected for entry in entries) and thumbnails == sum(
            task.name == "thumbnail" for task in chosen
        )

    ends = Counter(job.state.value for job in jobs)
    print(
        f"{len(jobs)} jobs in {time.monotonic() - began_s:.1f} s: "
        f"{', '.join(f'{count} {state}' for state, count in ends.items())}, "
        f"{'all as expected' if good else 'NOT ALL AS EXPECTED'}; {thumbnails} thumbnails made"
    )

    return good


@asynccontextmanager
async def private_server() -> AsyncIterator[tuple[str, Path]]:
    """The URL of a server of our own, and a folder for the thumbnails; both gone at the end."""
    with tempfile.TemporaryDirectory(prefix="sandq-demo-") as folder:
        server = EmbeddedServer(Path(folder, "server"))
        thumbnails = Path(tempfile.mkdtemp(dir=folder))
        try:
            yield await anyio.to_thread.run_sync(server.ensure), thumbnails
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(server.stop)


def set_handlers(queue: Queue) -> dict[str, str]:
    """Give the queue its handlers; the answer names those that cannot run here, and why."""
    skipped = {}
    for name, (file, _) in HANDLERS.items():
        try:
            if reason := what_is_missing(name):
                skipped[name] = reason
            else:
                queue.set_handler_file(name, HANDLERS_FOLDER / file)
        except HandlerInvalid as error:
            skipped[name] = str(error)

    return skipped


def what_is_missing(name: str) -> str | None:
    """What the handler of this name needs, beside its language, and does not find here."""
    if name == "thumbnail" and find_spec("PIL") is None:
        return "Pillow is not installed: pip install pillow"
    if name == "probe" and shutil.which("node"):
        told = subprocess.run(["node", "--version"], capture_output=True, text=True, check=False)
        version = told.stdout.strip().removeprefix("v")
        if not (number := version.partition(".")[0]).isdigit() or int(number) < 18:
            return f"it needs Node 18 or later, and this is Node {version or 'unknown'}"

    return None


async def follow(jobs: list[Job], show: Callable[[], None]) -> None:
    """Look at the jobs until all have ended. (For one job: `await job.finished()`.)"""
    going_on = jobs
    while going_on:
        for job in going_on:
            await job.refresh()
        going_on = [job for job in going_on if job.state not in ENDED]
        show()
        await anyio.sleep(LOOK_EVERY_S)


async def demo_until_signal() -> int:
    """The demo, which ends in order on Ctrl-C too; the answer is the exit code."""
    code = 130

    async def cancel_on_signal() -> None:
        wanted = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        with anyio.open_signal_receiver(*wanted) as signals:
            async for _ in signals:
                group.cancel_scope.cancel()

    async with anyio.create_task_group() as group:
        group.start_soon(cancel_on_signal)
        code = 0 if await demo() else 1
        group.cancel_scope.cancel()

    return code


def main() -> int:
    """Exit codes: 0 as expected, 1 not so, 2 it could not run, 130 interrupted."""
    code = 2
    try:
        code = anyio.run(demo_until_signal)
    except* SandqError as group:
        while isinstance(error := group.exceptions[0], ExceptionGroup):
            group = error
        print(f"demo: {error}", file=sys.stderr)
    except* BrokenPipeError:
        # whoever read our output has had enough; what is left in the buffer goes nowhere
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if code == 0:
        print(f"\n{NEXT_STEPS}")
    if code == 130:
        print("demo: interrupted; everything is stopped", file=sys.stderr)

    return code


if __name__ == "__main__":
    sys.exit(main())
