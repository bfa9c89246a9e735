"""`sandq new`: write a handler that works, with its test."""

import argparse
import os
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from sandq.cli.common import json_option, print_json
from sandq.errors import ConfigError, InvalidInput

_PACKAGE = Path(__file__).parents[1]

#: Where templates and helpers lie: in the package, but for the helpers in a checkout.
_FOLDERS = (
    _PACKAGE / "templates",
    _PACKAGE / "templates" / "sdk",
    _PACKAGE.parent / "handlers" / "sdk",
)

#: A name becomes the name of two files, of which one is a module.
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,99}")

_SAMPLE = '{"text": "to be or not to be"}'


@dataclass(frozen=True, slots=True)
class Language:
    """What a handler in it is made of.

    - `suffix`: of its file. `program`: what runs it, on the command line.
    - `code`: the same in the test, as Python code.
    - `helper`: the file that must lie beside it, if it needs one.
    """

    suffix: str
    program: str
    code: str
    helper: str | None = None


LANGUAGES = {
    "python": Language(".py", "python", "sys.executable"),
    "node": Language(".mjs", "node", '"node"', "sandq.mjs"),
    "shell": Language(".sh", "sh", '"sh"', "sandq.sh"),
}


def options(parser: argparse.ArgumentParser) -> None:
    """The options of the verb."""
    parser.usage = "sandq new handler NAME [options]"
    parser.add_argument("what", choices=("handler",), help="what to write")
    parser.add_argument("name", help="its name: letters, digits, - and _")
    parser.add_argument("--lang", choices=tuple(LANGUAGES), default="python", help="(python)")
    parser.add_argument("--dir", default=".", help="the folder it is written to (.)")
    json_option(parser)


def run(given: argparse.Namespace) -> int:
    """Write the files; none if one of them is there."""
    if _NAME.fullmatch(given.name) is None:
        raise InvalidInput(
            f"the name of a handler has letters, digits, - and _, a letter first: {given.name!r}; "
            "give its folder with --dir"
        )
    language = LANGUAGES[given.lang]
    folder, file = Path(given.dir), given.name + language.suffix
    words = {"@FILE@": file, "@COMMAND@": language.code}
    test = f"test_{given.name.replace('-', '_')}.py"
    files = {
        file: _text(f"handler{language.suffix}.in", words),
        test: _text("test_handler.py.in", words),
    }
    helper = language.helper
    if helper is not None and not (folder / helper).exists():
        # one that is there already may serve other handlers: it is left as it is
        files[helper] = _text(helper, {})

    _write(folder, files, executable=file)
    if given.json:
        print_json({"files": [str(folder / name) for name in files]})
        return 0

    for name in files:
        print(f"wrote {folder / name}")
    command = f"{language.program} {shlex.quote(str(folder / file))}"
    print(f"try it:   sandq exec --data '{_SAMPLE}' -- {command}")
    print(f"test it:  pytest {shlex.quote(str(folder / test))}")
    print(f"run it:   sandq run texts -- {command}")
    print(f"use it:   sandq add texts {given.name} --data '{_SAMPLE}' --wait")

    return 0


def _text(name: str, words: dict[str, str]) -> str:
    """The text of a template or a helper, with these words put in."""
    for folder in _FOLDERS:
        try:
            text = (folder / name).read_text()
        except FileNotFoundError:
            continue
        for word, value in words.items():
            text = text.replace(word, value)
        return text

    raise ConfigError(f"{name} is missing from this installation of sandq; install it again")


def _write(folder: Path, files: dict[str, str], *, executable: str) -> None:
    for name in files:
        if (folder / name).exists():
            raise InvalidInput(
                f"{folder / name} is there already, so nothing was written; choose another name, "
                "or another folder with --dir"
            )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            # x: a file that has come in this very moment is not overwritten either
            with open(folder / name, "x", encoding="utf-8") as file:
                file.write(text)
        umask = os.umask(0)
        os.umask(umask)
        (folder / executable).chmod(0o777 & ~umask)
    except OSError as error:
        raise InvalidInput(f"cannot write {error.filename}: {error.strerror}") from error
