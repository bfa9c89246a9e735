"""The `sandq` command: verbs, options, and how an error is shown.

Exit codes: 0 done; 1 the job that was waited for, followed or run has failed, an audit has left
something broken, or a sandbox cannot be had; 2 an error, told in one line; 130 interrupted.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import NoReturn

from sandq.errors import SandqError
from sandq.model.names import nearest

#: verb -> what it does, in one line. The module sandq.cli.<verb> has `options` and `run`; one
#: that is named in SHARED has `<verb>_options` and `<verb>`.
VERBS = {
    "run": "run the jobs of one or more queues with programs as handlers",
    "add": "add a job to a queue",
    "show": "show one job",
    "ls": "list the queues, or the jobs of a queue",
    "server": "look at, or stop, the embedded server of this folder",
    "exec": "run one job through a handler, without Redis",
    "new": "write a handler that works, with its test",
    "conformance": "check that a handler, or a supervisor, is right about the protocol",
    "cancel": "call jobs off; those that run are stopped",
    "retry": "run jobs again that have ended",
    "promote": "let delayed jobs start now",
    "rm": "remove jobs",
    "logs": "print what a job said, and follow it while it runs",
    "dead": "look at failed jobs, or run them again with all their attempts",
    "repeat": "list, add or end series of jobs",
    "pause": "claim no more jobs of a queue; those that run go on",
    "resume": "claim jobs of a paused queue again",
    "clean": "remove old jobs of a state",
    "empty": "remove all jobs that wait or are delayed",
    "obliterate": "remove a queue and everything in it",
    "reclaim": "recover the jobs of vanished supervisors now",
    "settings": "print or replace the settings stored with a queue",
    "stats": "print the numbers of a queue",
    "workers": "list the supervisors that serve a queue",
    "events": "print what happens in a queue, as it happens",
    "audit": "find, and repair, what is broken in a queue's data",
    "doctor": "tell what this host can guarantee of a sandbox, and how to mend what it cannot",
}

#: module -> the verbs that share it.
SHARED = {
    "jobs": ("cancel", "retry", "promote", "rm"),
    "queues": ("pause", "resume", "clean", "empty", "obliterate", "reclaim", "settings"),
    "watching": ("stats", "workers", "events"),
}

#: Verbs whose words after -- are a command line.
TAKES_COMMAND = ("run", "exec", "conformance")


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


def _functions(verb: str) -> tuple[Callable[..., None], Callable[..., int]]:
    for name, verbs in SHARED.items():
        if verb in verbs:
            module = import_module(f"sandq.cli.{name}")
            return getattr(module, f"{verb}_options"), getattr(module, verb)
    module = import_module(f"sandq.cli.{verb}")

    return module.options, module.run


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
            options_of, function = _functions(verb)
            options_of(parser)
            parser.set_defaults(run=function, parser=parser)

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
