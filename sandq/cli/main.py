"""The `sandq` command: verbs, options, and how an error is shown.

Exit codes: 0 done; 1 the job that was waited for or run has failed; 2 an error, told in one line;
130 interrupted.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import NoReturn

from sandq.errors import SandqError
from sandq.model.names import nearest

#: verb -> what it does, in one line; the module sandq.cli.<verb> has `options` and `run`.
VERBS = {
    "run": "run the jobs of one or more queues with programs as handlers",
    "add": "add a job to a queue",
    "show": "show one job",
    "ls": "list the queues, or the jobs of a queue",
    "server": "look at, or stop, the embedded server of this folder",
    "exec": "run one job through a handler, without Redis",
}


#: Verbs whose words after -- are a command line.
TAKES_COMMAND = ("run", "exec")


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line, with the nearest known option."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")

    def unknown(self, words: Sequence[str]) -> NoReturn:
        """Refuse words that are no options of this verb."""
        known = [name for action in self._actions for name in action.option_strings]
        word = words[0].split("=")[0]
        hint = f"; {nearest(word, known)}" if word.startswith("-") else ""
        self.error(f"{word!r} is not understood{hint}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the answer is its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    # what follows the first -- is a command of the user's, not ours to read
    command: list[str] = []
    if "--" in words and _verb(words) in TAKES_COMMAND:
        split = words.index("--")
        words, command = words[:split], words[split + 1 :]

    try:
        return _dispatch(words, command)
    except SandqError as error:
        print(f"sandq: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # whoever read our output has had enough; nothing more can be told
        sys.stderr.close()
        return 0


def _verb(words: Sequence[str]) -> str | None:
    return next((word for word in words if not word.startswith("-")), None)


def _dispatch(words: list[str], command: list[str]) -> int:
    top = Parser(prog="sandq", description="A Redis job queue whose handlers are programs.")
    top.add_argument("--version", action="store_true", help="print the version and exit")
    verbs = top.add_subparsers(dest="verb", metavar="VERB", title="verbs", parser_class=Parser)
    for verb, purpose in VERBS.items():
        # only the verb that is used pays for its options
        used = verb == _verb(words)
        parser = verbs.add_parser(
            verb,
            help=purpose,
            description=f"{purpose[0].upper()}{purpose[1:]}.",
            allow_abbrev=False,
            add_help=used,
        )
        if used:
            module = import_module(f"sandq.cli.{verb}")
            module.options(parser)
            parser.set_defaults(run=module.run, parser=parser)

    options, unknown = top.parse_known_args(words)
    if options.version:
        from sandq import __version__

        print(f"sandq {__version__}")
        return 0
    if options.verb is None:
        top.print_help()
        return 0
    if unknown:
        options.parser.unknown(unknown)
    options.command = command
    run: Callable[[argparse.Namespace], int] = options.run

    return run(options)
