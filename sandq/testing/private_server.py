"""A private server: for tests, without anything that outlives them."""

import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from urllib.parse import quote

from sandq.clock import block_s, monotonic_s
from sandq.errors import EmbeddedServerError, StoreUnreachable
from sandq.store import reads
from sandq.store.embedded import find_binary
from sandq.store.store import SyncStore

#: Becomes the server. Beside it somebody reads a pipe that only we hold open, and ends the server
#: when the pipe ends: however this process ends, the server does not outlive it.
_SCRIPT = 'exec 3<&0; (cat <&3; kill "$$") >/dev/null 2>&1 & exec "$@" </dev/null 3<&-'

_OPTIONS = (
    *("--port", "0", "--unixsocket", "s", "--unixsocketperm", "600"),
    *("--save", "", "--appendonly", "no", "--maxmemory-policy", "noeviction"),
)

# seconds for the server to come up or to end; it takes some hundredths
_DEADLINE_S = 10.0

# seconds between two looks at a server that comes up
_POLL_S = 0.005


class Server:
    """A redis-server or valkey-server of the test's own, as a context manager.

    It listens on a socket in a temporary folder and writes nothing to disk. The program is the one
    that `binary` names, else redis-server or valkey-server from PATH, else the one that comes with
    sandq. It ends with the block, and with this process, however that ends.

    `url` is what queues are given. Raises EmbeddedServerError when no server can be started.
    """

    def __init__(self, binary: Path | None = None) -> None:
        self._binary = binary
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The URL of the server; it must have been started."""
        if self._folder is None:
            raise EmbeddedServerError(
                "the server does not run: use it as `with Server() as server`"
            )

        return f"unix://{quote(self._folder.name)}/s"

    def start(self) -> None:
        """Start the server, and wait until it answers. What `with` does."""
        binary = self._binary or find_binary()
        # a short path: that of a socket may have 100 bytes, and pytest's own folders are deep
        self._folder = tempfile.TemporaryDirectory(prefix="sandq-", ignore_cleanup_errors=True)
        with tempfile.TemporaryFile() as log:
            self._process = subprocess.Popen(
                ["sh", "-c", _SCRIPT, "sh", str(binary), *_OPTIONS],
                cwd=self._folder.name,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                # Ctrl-C is for the tests; they end the server when they have been tidied up
                start_new_session=True,
            )
            try:
                if not self._answers(self._process):
                    log.seek(0)
                    words = log.read().decode(errors="replace").strip()
                    raise EmbeddedServerError(
                        f"{binary} does not come up as a server for tests; it said:\n{words}"
                    )
            except BaseException:
                # the block does not begin, so nobody would end it
                self.stop()
                raise

    def stop(self) -> None:
        """End the server and remove its folder; what was stored is gone. What the end of the block
        does. A second time it does nothing."""
        process, self._process = self._process, None
        folder, self._folder = self._folder, None
        if process is not None and process.stdin is not None:
            process.stdin.close()
            try:
                process.wait(_DEADLINE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if folder is not None:
            folder.cleanup()

    def __enter__(self) -> "Server":
        self.start()

        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"<Server {'stopped' if self._folder is None else self.url}>"

    def _answers(self, process: subprocess.Popen[bytes]) -> bool:
        until_s = monotonic_s() + _DEADLINE_S
        store = SyncStore("none", self.url)
        try:
            while process.poll() is None and monotonic_s() < until_s:
                try:
                    store.run(reads.counts())
                except StoreUnreachable:
                    block_s(_POLL_S)
                else:
                    return True
        finally:
            store.close()

        return False
