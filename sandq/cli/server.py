"""`sandq server`: the embedded server of this folder."""

import argparse
import dataclasses
from pathlib import Path

from sandq import settings
from sandq.cli.common import json_option, print_json
from sandq.store.embedded import EmbeddedServer


def options(parser: argparse.ArgumentParser) -> None:
    """The options of the verb."""
    parser.add_argument("action", choices=["status", "start", "stop"], help="what to do")
    parser.add_argument(
        "--dir", help="the server's folder; default: SANDQ_DIR, else .sandq in this folder"
    )
    json_option(parser)


def run(given: argparse.Namespace) -> int:
    """Do it, and say what came of it."""
    server = EmbeddedServer(Path(given.dir or settings.folder()))
    if given.action == "stop":
        stopped = server.stop()
        if given.json:
            print_json({"stopped": stopped})
        else:
            print("stopped; the data is kept" if stopped else "no server was running")
        return 0
    if given.action == "start":
        server.ensure()

    status = server.status()
    if given.json:
        print_json({k: _plain(v) for k, v in dataclasses.asdict(status).items()})
        return 0

    if not status.running:
        print(f"no server is running in {status.folder}")
        return 0
    for name, value in dataclasses.asdict(status).items():
        print(f"{name.ljust(12)}  {value}")

    return 0


def _plain(value: object) -> object:
    return str(value) if isinstance(value, Path) else value
