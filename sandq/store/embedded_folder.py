"""The folder of the embedded server: what lies in it, and how we know it for ours.

1. A folder that bears our marker is ours; an absent or empty one may become ours; any other is
   foreign and stays untouched.
2. Whoever starts or stops the server holds the folder's lock.
3. A number in the pid file proves nothing: only a live process that works in the folder counts.
"""

import os
import shlex
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote

import orjson
import psutil

from sandq.clock import block_s, monotonic_s
from sandq.errors import EmbeddedServerError

# the meaning of the folder's files; a folder with a higher number is left alone
LAYOUT = 1

MARKER_FILE = "sandq.json"
_SOCKET_FILE = "sandq.sock"
_LOG_FILE = "server.log"
PID_FILE = "server.pid"
_LOCK_FILE = "server.lock"
_NEW_MARKER_FILE = "sandq.json.new"

# All paths are relative to the folder, where the server works: so a long path is no trouble for
# its socket, and a folder that is moved takes its running server along.
SERVER_OPTIONS = (
    *("--daemonize", "yes", "--pidfile", PID_FILE, "--logfile", _LOG_FILE),
    *("--port", "0", "--unixsocket", _SOCKET_FILE, "--unixsocketperm", "600"),
    *("--dir", ".", "--appendonly", "yes", "--appendfsync", "everysec", "--save", ""),
    *("--maxmemory-policy", "noeviction"),  # a full server refuses jobs, it never drops them
)

# bytes; the kernel takes 107 on Linux and 103 on macOS
_SOCKET_PATH_LIMIT = 100

# seconds; the longest honest holder stops a server or waits for one to come up, 10 s each
_LOCK_DEADLINE_S = 30.0

# seconds between two looks at something that cannot be waited for; a start takes 10 to 40 ms
POLL_S = 0.01

# lines of the log that an error quotes, and the bytes they may take
_QUOTED_LINES, _QUOTED_BYTES = 12, 8192


@dataclass(frozen=True, slots=True)
class Marker:
    """What a folder's marker says.

    `binary` and `server` (such as "redis 7.0.15") are the program that last wrote the data, empty
    before the first start. `born_at` is in milliseconds since 1970. `data_written` is true once a
    server came up in the folder, and so has made its append-only file.
    """

    born_at: int
    binary: str = ""
    server: str = ""
    data_written: bool = False
    layout: int = LAYOUT

    def writer(self) -> Path | None:
        """The program that wrote the data, if it is still there: an older one may not read them."""
        usable = os.path.isfile(self.binary) and os.access(self.binary, os.X_OK)
        return Path(self.binary) if usable else None


class ServerFolder:
    """The folder and its files; of the server it knows no more than its recorded process."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def prepare(self) -> None:
        """Make the folder, or close an existing one to everybody else.

        Raises EmbeddedServerError for a folder that is not ours, before anything is touched.
        """
        if os.name != "posix":
            raise self.trouble("needs Linux or macOS", todo="Give the URL of a Redis server.")

        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.is_ours()
        if stat.S_IMODE(self.path.stat().st_mode) != 0o700:
            self.path.chmod(0o700)

    def is_ours(self) -> bool:
        """Whether the folder bears our marker; false while it is absent or empty.

        Raises EmbeddedServerError for a folder that is foreign or belongs to another user.
        """
        try:
            names = set(os.listdir(self.path))
        except FileNotFoundError:
            return False

        owner = self.path.stat().st_uid
        if owner != os.geteuid():
            raise self.trouble(
                f"foreign folder: it belongs to user {owner}, we are user {os.geteuid()}",
                todo="Choose another folder, or run as its owner.",
            )

        # the lock and half a marker may be left by a command that was interrupted
        if MARKER_FILE not in names and names - {_LOCK_FILE, _NEW_MARKER_FILE}:
            raise self.trouble(
                f"foreign folder: it holds files, but not our marker {MARKER_FILE}",
                todo="Nothing was touched. Choose another folder, or move this one away.",
            )

        return MARKER_FILE in names

    def read_marker(self) -> Marker | None:
        """What the marker says; None while the folder is absent or empty.

        Raises EmbeddedServerError for a foreign folder and for a marker that we cannot follow.
        """
        if not self.is_ours():
            return None

        file = self.path / MARKER_FILE
        try:
            fields = orjson.loads(file.read_bytes())
        except orjson.JSONDecodeError:
            fields = None

        match fields:
            case {"layout": int(layout)} if layout > LAYOUT:
                raise self.trouble(
                    f"{file} has layout {layout}, this version of sandq knows {LAYOUT}",
                    todo="A newer sandq made the folder: upgrade, or use another folder.",
                )
            case {
                "layout": int(layout),
                "born_at": int(born_at),
                "binary": str(binary),
                "server": str(server),
                "data_written": bool(data_written),
            }:
                return Marker(born_at, binary, server, data_written, layout)
            case _:
                raise self.trouble(
                    f"bad marker: {file} is not JSON with the fields of a marker",
                    todo="Restore the file from a copy, or move the folder away.",
                )

    def write_marker(self, marker: Marker) -> None:
        """Replace the marker; after a power cut the old one or the new one is there, whole."""
        new = self.path / _NEW_MARKER_FILE
        with open(new, "wb", opener=_open_private) as file:
            file.write(orjson.dumps(asdict(marker), option=orjson.OPT_INDENT_2) + b"\n")
            file.flush()
            os.fsync(file.fileno())

        new.replace(self.path / MARKER_FILE)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder's lock, against other processes and threads alike."""
        import fcntl  # here, because the module is not there on Windows

        deadline = monotonic_s() + _LOCK_DEADLINE_S
        with open(self.path / _LOCK_FILE, "ab", opener=_open_private) as file:
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if monotonic_s() > deadline:
                        what = f"another process holds its lock for over {_LOCK_DEADLINE_S:g} s"
                        raise self.trouble(what, todo=f"See who: fuser {file.name}") from None

                    block_s(POLL_S)

            try:
                yield
            finally:
                # closing is not enough: a process forked meanwhile holds the file open too
                fcntl.flock(file, fcntl.LOCK_UN)

    def url(self) -> str:
        """The URL of the socket.

        A path too long for a socket goes through a descriptor that this process keeps open; such
        a URL is good in this process and its forks only.
        """
        path = self.path / _SOCKET_FILE
        if len(os.fsencode(path)) > _SOCKET_PATH_LIMIT:
            if not Path("/proc/self/fd").is_dir():
                raise self.trouble(
                    f"its path is longer than {_SOCKET_PATH_LIMIT} bytes, too long for a socket",
                    todo="Choose a shorter path, or give the URL of a Redis server.",
                )

            where = self.path.stat()
            descriptor = _held_open(self.path, where.st_dev, where.st_ino)
            path = Path(f"/proc/self/fd/{descriptor}", _SOCKET_FILE)

        return "unix://" + quote(str(path))

    def missing_data(self) -> Path | None:
        """The file whose loss a server would take for an empty database; None when all is well."""
        manifest = self.path / "appendonlydir" / "appendonly.aof.manifest"
        if not manifest.exists():
            # servers before 7.0 write one file, without a manifest
            return None if (self.path / "appendonly.aof").exists() else manifest

        bases = manifest.parent.glob("*.base.*")
        return next((base for base in bases if base.stat().st_size == 0), None)

    def repair(self, binary: Path) -> str:
        """The shell command that cuts the newest append-only file off before its damage.

        Not by the manifest: the tool of Valkey 9.1 takes the base of its own server for damaged.
        """
        files = [*self.path.glob("appendonlydir/*.incr.aof"), *self.path.glob("appendonly.aof")]
        newest = max(files, key=lambda file: file.stat().st_mtime, default=self.path)
        tool = binary.with_name(binary.name.replace("-server", "-check-aof"))
        if tool.exists():
            return shlex.join([str(tool), "--fix", str(newest)])

        # a server called by its tool's name is the tool
        words = shlex.join([str(binary), "--fix", str(newest)])
        return f'bash -c \'exec -a {tool.name} "$0" "$@"\' {words}'

    def recorded_pid(self) -> int | None:
        """The number in the pid file, or None; proves nothing by itself."""
        try:
            return int((self.path / PID_FILE).read_text())
        except (FileNotFoundError, ValueError):
            return None

    def is_home_of(self, pid: int) -> bool:
        """Whether process `pid` lives and works in this folder, as no stranger does."""
        try:
            return os.path.samefile(psutil.Process(pid).cwd(), self.path)
        except (psutil.Error, OSError, ValueError):
            return False

    def open_log(self) -> BinaryIO:
        """The server's log, to append to."""
        return open(self.path / _LOG_FILE, "ab", opener=_open_private)

    def log_end(self, *, since: int = 0) -> str:
        """The last lines of the server's log, of those after the first `since` bytes."""
        try:
            with open(self.path / _LOG_FILE, "rb") as file:
                file.seek(max(since, os.fstat(file.fileno()).st_size - _QUOTED_BYTES))
                lines = file.read().decode(errors="replace").splitlines()
        except OSError:
            return ""

        return "\n".join(line for line in lines[-_QUOTED_LINES:] if line.strip())

    def trouble(
        self,
        what: str,
        *,
        todo: str = "Set that right and try again, or give the URL of a Redis server.",
        log_since: int = 0,
    ) -> EmbeddedServerError:
        """The error that says what happened, quotes the log's end and says what to do next."""
        log = self.log_end(since=log_since)
        quoted = f"\nThe end of {self.path / _LOG_FILE}:\n{log}" if log else ""

        return EmbeddedServerError(f"embedded server in {self.path}: {what}{quoted}\n{todo}")

    @contextmanager
    def explaining(self) -> Iterator[None]:
        """Turn what the operating system refuses (full disk, no permission) into our error."""
        try:
            yield
        except (OSError, subprocess.TimeoutExpired) as error:
            raise self.trouble(str(error)) from error


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


@cache
def _held_open(path: Path, device: int, inode: int) -> int:
    """A descriptor of the folder that stays open; a folder made anew gets one of its own."""
    return os.open(path, os.O_RDONLY)
