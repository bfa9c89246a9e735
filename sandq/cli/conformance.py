"""`sandq conformance`: is a handler, or a supervisor, right about the protocol? No Redis."""

import argparse
from importlib import import_module

from sandq.cli.common import json_option

#: what is tested -> the module with its `options` and `run`
KINDS = {
    "handler": "sandq.cli.conformance_handler",
    "supervisor": "sandq.cli.conformance_supervisor",
}


def options(parser: argparse.ArgumentParser) -> None:
    """The options of the verb."""
    parser.usage = "sandq conformance {handler,supervisor} [options] -- COMMAND..."
    parser.add_argument("what", choices=tuple(KINDS), help="what COMMAND is")
    parser.add_argument(
        "--only", type=int, action="append", metavar="N", help="this check; may be repeated"
    )
    json_option(parser)
    for name in KINDS.values():
        import_module(name).options(parser)


def run(given: argparse.Namespace) -> int:
    """Run the checks; exit code 1 tells that one failed which must not."""
    code: int = import_module(KINDS[given.what]).run(given)

    return code
