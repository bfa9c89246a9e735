"""From what a caller wrote to a program that can be run, and from errno to a clear sentence."""

import errno
import os
import shutil
import sys
from pathlib import Path

from sandq.errors import HandlerInvalid
from sandq.model.handler import Handler

#: Suffix of a handler file -> the program that runs it. A file with another suffix is run by
#: itself, so it must be executable. Python files run under the interpreter that runs sandq.
INTERPRETERS: dict[str, tuple[str, ...]] = {
    ".py": (sys.executable,),
    ".mjs": ("node",),
    ".cjs": ("node",),
    ".js": ("node",),
    ".sh": ("sh",),
    ".pl": ("perl",),
    ".rb": ("ruby",),
    ".php": ("php",),
}


def command_for_file(path: str) -> tuple[str, ...]:
    """The command line that runs a handler file.

    Raises HandlerInvalid when there is no such file, or nothing that could run it.
    """
    file = Path(path)
    if not file.is_file():
        raise HandlerInvalid(f"handler file {path!r} does not exist; looked in {Path.cwd()}")

    interpreter = INTERPRETERS.get(file.suffix)
    if interpreter is not None:
        if shutil.which(interpreter[0]) is None:
            raise HandlerInvalid(
                f"handler file {path!r} needs {interpreter[0]!r}, which is not installed; install "
                "it, or give the command as a list"
            )
        return (*interpreter, str(file.absolute()))

    if not os.access(file, os.X_OK):
        raise HandlerInvalid(
            f"handler file {path!r} is not executable; run `chmod +x {path}`, or give the command "
            "as a list, such as ['ruby', 'job.rb']"
        )

    return (str(file.absolute()),)


def find_program(handler: Handler, path_variable: str | None) -> str:
    """The file that the first word of the command names; raises HandlerInvalid.

    A word with a slash is a path, from the handler's folder on; any other is looked for in
    `path_variable`, the PATH the child will have.
    """
    word = handler.command[0]
    folder = Path(handler.cwd) if handler.cwd is not None else Path.cwd()
    if not folder.is_dir():
        raise HandlerInvalid(f"handler {handler}: folder {str(folder)!r} does not exist")

    if "/" not in word:
        found = shutil.which(word, path=path_variable)
        if found is None:
            raise HandlerInvalid(
                f"handler {handler}: program {word!r} is not on PATH ({path_variable}); install it "
                "or write its whole path"
            )
        return found

    file = folder / word
    if not file.is_file():
        raise HandlerInvalid(f"handler {handler}: {str(file)!r} does not exist or is no file")
    if not os.access(file, os.X_OK):
        raise HandlerInvalid(
            f"handler {handler}: {str(file)!r} is not executable; run `chmod +x`, or put its "
            "interpreter first"
        )

    # the child goes to its folder before it becomes the program
    return str(file.absolute())


def explain(handler: Handler, path: str, step: str, code: int) -> str:
    """Why a child could not be started, for a person who can mend it."""
    reason = os.strerror(code)
    if step == "exec" and code in (errno.ENOENT, errno.ENOTDIR) and Path(path).is_file():
        reason = f"the interpreter named in its first line, {_first_line(path)!r}, does not exist"
    elif step == "exec" and code == errno.ENOEXEC:
        reason = (
            "it is neither a program nor a script whose first line names an interpreter "
            f"(it begins {_first_line(path)!r}); add one such as #!/bin/sh"
        )
    elif step == "exec" and code == errno.EACCES:
        reason = f"permission denied: is {path!r} executable, and its interpreter too?"
    elif step == "cwd":
        reason = f"folder {handler.cwd!r}: {reason}"
    elif step != "exec":
        reason = f"step {step!r}: {reason}"

    return f"handler {handler} cannot be started: {reason}"


def _first_line(path: str) -> str:
    try:
        with open(path, "rb") as stream:
            return stream.readline(200).decode("utf-8", "backslashreplace").rstrip()
    except OSError:
        return "(unreadable)"
