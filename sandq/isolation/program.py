"""What a program needs of the host beside itself: the links to it and, for an interpreter, the
folder it is installed in."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from sandq.isolation.bwrap import Bind
from sandq.isolation.look import Look

#: Shown to every child as they are.
SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")

_LINKS_MOST = 40

# options of Python that take the next word
_WITH_WORD = ("-W", "-X", "--check-hash-based-pycs")
# letters of options that take the rest of the word, or the next one
_ENDS = "WX"
# those that say what is to be run
_RUNS = "cm"


def python_command(words: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
    """A command line of Python in two: the flags for the interpreter, and what it runs, with its
    arguments: a script, "-m" and a module, or "-c" and a code. None: it runs none of them.
    """
    if not words or not os.path.basename(words[0]).startswith(("python", "pypy")):
        return None
    flags: list[str] = []
    rest = list(words[1:])
    while rest:
        word = rest[0]
        if not word.startswith("-") or word == "-":
            # what comes through the standard input is the job's
            return None if word == "-" else (tuple(flags), tuple(rest))
        if word == "--":
            return (tuple(flags), tuple(rest[1:])) if len(rest) > 1 else None
        if word.startswith("--"):
            take = 2 if word in _WITH_WORD else 1
        else:
            run = next((at for at, letter in enumerate(word) if at and letter in _RUNS + _ENDS), 0)
            if run and word[run] in _RUNS:
                return _split(flags, word, run, rest)
            # the value may be in the same word
            take = 2 if run and run == len(word) - 1 else 1
        if len(rest) < take:
            return None
        flags += rest[:take]
        rest = rest[take:]

    return None


def _split(
    flags: list[str], word: str, at: int, rest: list[str]
) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
    """At the word with the letter that says what is run: "-Im" is "-I" and "-m"."""
    before = [word[:at]] if at > 1 else []
    value = [word[at + 1 :]] if word[at + 1 :] else rest[1:2]
    if not value:
        return None
    arguments = rest[1:] if word[at + 1 :] else rest[2:]

    return (*flags, *before), (f"-{word[at]}", *value, *arguments)


@dataclass(slots=True)
class Needs:
    """What has to be there for a program to run: paths of the host, and links."""

    binds: list[Bind] = field(default_factory=list)
    links: dict[str, str] = field(default_factory=dict)

    def show(self, path: str) -> None:
        """Show a path of the host where it is, unless every child sees it anyway."""
        if not in_system(path):
            self.binds.append(Bind(path, path))


def in_system(path: str) -> bool:
    """Whether every child sees it."""
    return path.startswith(tuple(f"{folder}/" for folder in SYSTEM))


def program_needs(program: str, look: Look) -> Needs:
    """What of the host has to be there for a program to run."""
    needs = Needs()
    _add(needs, program, look)
    # a script is run by another program
    first, *_ = look.first_line(program).removeprefix("#!").split() or [""]
    if first.startswith("/") and first != program:
        _add(needs, first, look)

    return needs


def _add(needs: Needs, program: str, look: Look) -> None:
    chain = _chain(program, look)
    for path in chain:
        if in_system(path):
            continue
        folder, name = os.path.split(path)
        prefix = os.path.dirname(folder)
        home = _home(look.text(f"{prefix}/pyvenv.cfg"))
        if home:
            needs.show(prefix)
            if f"{home}/{name}" not in chain:
                _add(needs, f"{home}/{name}", look)
        elif look.is_python_prefix(prefix):
            needs.show(prefix)
    for path, to in pairwise(chain):
        # an interpreter finds its library by where the links lead
        if not in_system(path):
            needs.links[path] = to
    needs.show(chain[-1])


def _chain(path: str, look: Look) -> list[str]:
    """A path, and where its links lead, one after the other."""
    chain = [path]
    while len(chain) < _LINKS_MOST and (to := look.link(chain[-1])) is not None:
        chain.append(os.path.normpath(os.path.join(os.path.dirname(chain[-1]), to)))

    return chain


def _home(text: str) -> str:
    """Where the Python of a virtual environment is, as its pyvenv.cfg says it."""
    for line in text.splitlines():
        key, _, value = line.partition("=")
        if key.strip() == "home":
            return value.strip()

    return ""
