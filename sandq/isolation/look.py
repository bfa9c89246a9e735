"""What confining a handler needs to know of the host's files. Tests give other answers."""

import os
import stat
import sys
from pathlib import Path

_FIRST_LINE_BYTES = 256


class Look:
    """Looks at the host's files; what cannot be seen is not there."""

    #: The interpreter that runs sandq, and the folder of the package.
    interpreter = sys.executable
    package = str(Path(__file__).parents[1])

    def folder(self) -> str:
        """The current folder."""
        try:
            return os.getcwd()
        except OSError:
            return "/"

    def is_file(self, path: str) -> bool:
        """Whether it is a regular file, or a link to one."""
        return os.path.isfile(path)

    def is_folder(self, path: str) -> bool:
        """Whether it is a folder, or a link to one."""
        return os.path.isdir(path)

    def link(self, path: str) -> str | None:
        """What a link says; None: it is no link."""
        try:
            return os.readlink(path)
        except OSError:
            return None

    def text(self, path: str) -> str:
        """The text of a small file."""
        try:
            return Path(path).read_text()
        except (OSError, UnicodeDecodeError):
            return ""

    def first_line(self, path: str) -> str:
        """The first line of a program that is a script."""
        try:
            with open(path, "rb") as stream:
                line = stream.readline(_FIRST_LINE_BYTES)
        except OSError:
            return ""

        return line.decode("utf-8", "replace").rstrip() if line.startswith(b"#!") else ""

    def is_python_prefix(self, prefix: str) -> bool:
        """Whether a Python is installed there: its library is in it, not somebody's modules."""
        try:
            names = os.listdir(f"{prefix}/lib")
        except OSError:
            return False

        return any(
            name.startswith(("python3", "pypy3")) and self.is_file(f"{prefix}/lib/{name}/os.py")
            for name in names
        )

    def open_to_all(self, path: str) -> bool:
        """Whether any user may go to it through the folders above it."""
        try:
            real = Path(path).resolve(strict=True)
            return all(folder.stat().st_mode & stat.S_IXOTH for folder in real.parents)
        except OSError:
            # bubblewrap will say what is wrong with it
            return True
