"""Verbs about whole queues: pause, resume, clean, empty, obliterate, reclaim, settings."""

import argparse
import json
from dataclasses import fields
from typing import Any

from sandq.cli.common import connection_options, json_option, print_json
from sandq.errors import InvalidInput
from sandq.model.names import nearest
from sandq.model.queue_settings import QueueSettings
from sandq.sync import Queue


def pause_options(parser: argparse.ArgumentParser) -> None:
    """The options of `sandq pause`."""
    _queue_options(parser)


def pause(given: argparse.Namespace) -> int:
    """Claim no more jobs of the queue, anywhere; those that run go on."""
    with _queue(given) as queue:
        queue.pause()

    return _tell(given, {"paused": True}, f"queue {given.queue!r} is paused")


def resume_options(parser: argparse.ArgumentParser) -> None:
    """The options of `sandq resume`."""
    _queue_options(parser)


def resume(given: argparse.Namespace) -> int:
    """Claim jobs of the queue again."""
    with _queue(given) as queue:
        queue.resume()

    return _tell(given, {"paused": False}, f"queue {given.queue!r} goes on")


def clean_options(parser: argparse.ArgumentParser) -> None:
    """The options of `sandq clean`."""
    _queue_options(parser)
    parser.add_argument("--state", default="completed", help="of which state (completed)")
    parser.add_argument("--older", default="0s", metavar="TIME", help="older than so long (0s)")
    parser.add_argument("--limit", type=int, default=0, metavar="N", help="at most so many (all)")


def clean(given: argparse.Namespace) -> int:
    """Remove jobs of a state that are older than so long."""
    with _queue(given) as queue:
        ids = queue.clean(given.older, given.state, given.limit)

    return _tell(given, {"removed": len(ids)}, f"{len(ids)} {given.state} jobs are gone")


def empty_options(parser: argparse.ArgumentParser) -> None:
    """The options of `sandq empty`."""
    _queue_options(parser)
    _yes(parser)


def empty(given: argparse.Namespace) -> int:
    """Remove all jobs that wait or are delayed."""
    _sure(given, "removes every job that waits or is delayed")
    with _queue(given) as queue:
        gone = queue.empty()

    return _tell(given, {"removed": gone}, f"{gone} jobs are gone")


def obliterate_options(parser: argparse.ArgumentParser) -> None:
    """The options of `sandq obliterate`."""
    _queue_options(parser)
    _yes(parser)
    parser.add_argument("--force", action="store_true", help="also while jobs run")


def obliterate(given: argparse.Namespace) -> int:
    """Remove the queue and everything in it."""
    _sure(given, "removes the queue with all its jobs, results and settings")
    with _queue(given) as queue:
        queue.obliterate(given.force)

    return _tell(given, {"obliterated": given.queue}, f"nothing is left of queue {given.queue!r}")


def reclaim_options(parser: argparse.ArgumentParser) -> None:
    """The options of `sandq reclaim`."""
    _queue_options(parser)


def reclaim(given: argparse.Namespace) -> int:
    """Recover the jobs of vanished supervisors now."""
    with _queue(given) as queue:
        ids = queue.reclaim()

    return _tell(given, {"recovered": ids}, f"{len(ids)} jobs were recovered")


def settings_options(parser: argparse.ArgumentParser) -> None:
    """The options of `sandq settings`."""
    _queue_options(parser)
    parser.add_argument(
        "--set", metavar="JSON", help="settings as JSON (spec/storage.md), in place of all it had"
    )


def settings(given: argparse.Namespace) -> int:
    """Print the settings stored with the queue, or replace them."""
    with _queue(given) as queue:
        if given.set is not None:
            queue.set_settings(QueueSettings.from_text(_known(given.set)))
        text = queue.get_settings().to_text()
    print(text.decode())

    return 0


def _known(text: str) -> str:
    """The text, if every member in it is known: a typing error must not pass for a newer word."""
    QueueSettings.from_text(text)
    known = {field.name for field in fields(QueueSettings)} - {"max_delay"} | {"max_delay_ms"}
    for member in json.loads(text or "{}"):
        if member not in known:
            raise InvalidInput(f"setting {member!r} is not known; {nearest(member, known)}")

    return text


def _queue_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("queue", help="the queue's name")
    connection_options(parser)
    json_option(parser)


def _yes(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--yes", action="store_true", help="really do it")


def _sure(given: argparse.Namespace, what: str) -> None:
    if not given.yes:
        raise InvalidInput(f"this {what}; give --yes if you mean it")


def _queue(given: argparse.Namespace) -> Queue:
    return Queue(given.queue, given.url, prefix=given.prefix)


def _tell(given: argparse.Namespace, value: dict[str, Any], text: str) -> int:
    print_json(value) if given.json else print(text)

    return 0
