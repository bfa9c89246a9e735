"""A forked child becomes what `python …` with the words of the handler would have been.

Exit codes and tracebacks are those of the interpreter. What differs, because the child is process 1
of its namespace: a signal it sends to itself does nothing unless it handles it. And a module that
is loaded already is not looked for beside the script.
"""

from __future__ import annotations

import atexit
import builtins
import io
import os
import runpy
import sys
import types
import zipimport
from importlib.machinery import SourceFileLoader

TYPE_CHECKING = False  # type checkers know the name; the module typing is dear to load
if TYPE_CHECKING:
    from typing import Any, NoReturn


def prepare() -> None:
    """In the server, before its memory is shared: what every child needs of it is there."""
    unbuffered = bool(getattr(sys.stdout, "write_through", False))
    sys.stdin = sys.__stdin__ = _stream(0, sys.__stdin__, "r")  # type: ignore[misc]
    sys.stdout = sys.__stdout__ = _stream(1, sys.__stdout__, "w", unbuffered)  # type: ignore[misc]
    sys.stderr = sys.__stderr__ = _stream(2, sys.__stderr__, "w", unbuffered)  # type: ignore[misc]


def set_environment(environment: dict[str, str]) -> None:
    """Make this process's environment the same, changing as little as possible."""
    for name in [name for name in os.environ if name not in environment]:
        del os.environ[name]
    for name, value in environment.items():
        if os.environ.get(name) != value:
            os.environ[name] = value


class Program:
    """What is run: the words after the interpreter's name and its options.

    All that does not depend on a child is made in the server; nothing of the handler is read there.
    """

    def __init__(self, words: list[str]) -> None:
        self.word, self.rest = words[0], words[1:]
        self.main = types.ModuleType("__main__")
        self.main.__dict__.update(__builtins__=builtins, __annotations__={})
        self.argv = [self.word, *self.rest[1:]] if self.word in ("-c", "-m") else list(words)
        self.first = {"-c": "", "-m": os.getcwd()}.get(self.word, "")
        self.path = ""
        if self.word not in ("-c", "-m"):
            self.path = self.main.__file__ = os.path.abspath(self.word)
            self.first = os.path.dirname(os.path.realpath(self.path))
            self.main.__loader__ = SourceFileLoader("__main__", self.path)
        # the first call makes some hundred types, which takes longer than the forking of a child
        compile("", "<nothing>", "exec")

    def become(self) -> NoReturn:
        """In a child: run it and exit."""
        status = 1
        try:
            try:
                _reseed()
                self._run()
                status = 0
            except SystemExit as end:
                status = _status_of(end)
            except BaseException as error:
                status = 130 if isinstance(error, KeyboardInterrupt) else 1
                _show(error)
            status = _finish(status)
        finally:
            os._exit(status)

    def _run(self) -> None:
        sys.modules["__main__"] = self.main
        sys.argv = self.argv
        if self.path and (_is_archive(self.path) or os.path.isdir(self.path)):
            sys.path.insert(0, self.path)
            runpy._run_module_as_main("__main__", False)  # type: ignore[attr-defined]
            return

        # modules are looked for there first, unless the interpreter's options say no
        if not (sys.flags.isolated or getattr(sys.flags, "safe_path", False)):
            sys.path.insert(0, self.first)
        if self.word == "-m":
            runpy._run_module_as_main(self.rest[0])  # type: ignore[attr-defined]
        elif self.word == "-c":
            exec(compile(self.rest[0], "<string>", "exec", dont_inherit=True), self.main.__dict__)
        else:
            source = _read(self.path)
            exec(compile(source, self.path, "exec", dont_inherit=True), self.main.__dict__)


def _stream(fd: int, old: Any | None, mode: str, unbuffered: bool = False) -> io.TextIOWrapper:
    """A standard stream as the interpreter makes it at its start: of a pipe, as every child's."""
    file: Any = open(fd, f"{mode}b", 0 if unbuffered else -1, closefd=False)  # noqa: SIM115
    (file if unbuffered else file.raw).name = ("<stdin>", "<stdout>", "<stderr>")[fd]
    stream = io.TextIOWrapper(
        file,
        encoding=getattr(old, "encoding", None),
        errors=getattr(old, "errors", None),
        newline="\n" if mode == "w" else None,
        line_buffering=fd == 2,
        write_through=unbuffered,
    )
    stream.mode = mode  # type: ignore[misc]

    return stream


def _reseed() -> None:
    """Every copy draws random numbers of its own; `random` and `uuid` see to it themselves."""
    numpy = sys.modules.get("numpy.random")
    if numpy is not None:
        numpy.seed()
    if "_ssl" in sys.modules:
        sys.modules["_ssl"].RAND_add(os.urandom(32), 32.0)


def _read(path: str) -> bytes:
    try:
        with io.open_code(path) as stream:
            return stream.read()
    except OSError as error:
        text = f"can't open file {path!r}: [Errno {error.errno}] {error.strerror}\n"
        sys.stderr.write(f"{sys.executable}: {text}")
        raise SystemExit(2) from None


def _is_archive(path: str) -> bool:
    if not path.endswith((".pyz", ".zip", ".egg", ".whl")):
        return False
    try:
        zipimport.zipimporter(path)
    except zipimport.ZipImportError:
        return False

    return True


def _status_of(end: SystemExit) -> int:
    code = end.code
    if code is None:
        return 0
    if isinstance(code, int):
        return code & 0xFF
    sys.stderr.write(f"{code}\n")

    return 1


def _show(error: BaseException) -> None:
    """Tell an error as the interpreter does: without the frames of this file."""
    frames = error.__traceback__
    while frames is not None and frames.tb_frame.f_code.co_filename == __file__:
        frames = frames.tb_next
    error = error.with_traceback(frames)
    try:
        sys.excepthook(type(error), error, frames)
    except BaseException:
        sys.__excepthook__(type(error), error, frames)


def _finish(status: int) -> int:
    """What the interpreter does before it ends, but for the clearing of its memory."""
    threading = sys.modules.get("threading")
    if threading is not None:
        threading._shutdown()
    try:
        atexit._run_exitfuncs()
    except BaseException as error:  # told already, and raised again by Python 3.9
        del error
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except (OSError, ValueError):
            status = 120

    return status
