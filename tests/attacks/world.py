"""What there is to be attacked: secrets, listeners, files, victims. All of it is of this suite.

It is made by the process that plays the supervisor, under its user, outside every sandbox.
"""

import ctypes
import os
import pty
import secrets
import signal
import socket
import subprocess
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

#: The prefix by which the secret in a victim's environment and memory is known.
SECRET = "SECRET="

#: A setting of the kernel that does no harm: how many lines its log takes at once.
SETTING = Path("/proc/sys/kernel/printk_ratelimit_burst")


@dataclass
class World:
    """A folder with a secret, what listens, and what was heard."""

    folder: Path
    environment_secret: str
    secrets: dict[str, str] = field(default_factory=dict)
    heard: list[str] = field(default_factory=list)
    _typed: str = ""

    def __post_init__(self):
        for name in ("open", "room", "home", "tree"):
            (self.folder / name).mkdir()
        self.secrets = {
            "the environment of the supervisor": self.environment_secret,
            "the secret file": secrets.token_hex(16),
            "a greeting": secrets.token_hex(16),
            "the memory of a process": secrets.token_hex(16),
            "the talk on the loopback": secrets.token_hex(16),
        }
        self.secret_file = self.folder / f"secret-{secrets.token_hex(8)}"
        self.secrets["the name of the secret file"] = self.secret_file.name.partition("-")[2]
        self.secret_file.write_text(self.secrets["the secret file"])
        self.secret_file.chmod(0o600)
        # open in the supervisor, and such that a careless program would pass it on
        self._held = os.open(self.secret_file, os.O_RDONLY)
        os.set_inheritable(self._held, True)
        self.terminal, self._slave = pty.openpty()
        os.set_blocking(self.terminal, False)
        self._listen()

    def _listen(self):
        self.socket_file = self.folder / "socket"
        self.socket_name = f"sandq-test-{secrets.token_hex(6)}"
        self.datagram_name = f"{self.socket_name}-d"
        tcp = socket.create_server(("127.0.0.1", 0))
        by_file, by_name = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
        by_file.bind(str(self.socket_file))
        by_name.bind("\0" + self.socket_name)
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.bind(("127.0.0.1", 0))
        datagram = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        datagram.bind("\0" + self.datagram_name)
        self.tcp, self.udp = tcp.getsockname()[1], udp.getsockname()[1]
        for server in (tcp, by_file, by_name):
            server.listen()
            threading.Thread(target=self._greet, args=(server,), daemon=True).start()
        for server in (udp, datagram):
            threading.Thread(target=self._reply, args=(server,), daemon=True).start()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.free_port = free.getsockname()[1]

    def _greet(self, server):
        """Hear what is said, and answer with a secret; on a unix socket with a descriptor too."""
        while True:
            other, _ = server.accept()
            other.settimeout(2)
            with other, suppress(OSError):
                self.heard.append(other.recv(200).decode("latin-1"))
                greeting = [self.secrets["a greeting"].encode()]
                if other.family == socket.AF_UNIX:
                    socket.send_fds(other, greeting, [self._held])
                else:
                    other.sendall(greeting[0])

    def _reply(self, server):
        while True:
            words, other = server.recvfrom(1000)
            self.heard.append(words.decode("latin-1"))
            if other:
                with suppress(OSError):
                    server.sendto(self.secrets["a greeting"].encode(), other)

    def talk_to_itself(self):
        """Say a secret on the loopback, for who can hear it there."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            text = f"{SECRET}{self.secrets['the talk on the loopback']}"
            sock.sendto(text.encode(), ("127.0.0.1", self.udp))

    def call(self, port):
        """Talk to whoever listens on a port of this host."""
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1) as sock:
            sock.sendall(self.secrets["a greeting"].encode())

    def stock(self, name):
        """A file that anybody may write, and a folder, for one attack."""
        file, folder = self.folder / "open" / name, self.folder / "tree" / name
        file.write_text("as it was")
        file.chmod(0o666)
        folder.mkdir()
        (folder / "leaf").write_text("as it was")

        return file, folder

    def typed(self):
        """What has come to the terminal so far."""
        with suppress(BlockingIOError):
            while text := os.read(self.terminal, 4096):
                self._typed += text.decode("latin-1")
        return self._typed

    def terminal_name(self):
        return os.ttyname(self._slave)


class Victim:
    """A process of the supervisor's user, with a secret, in a process group of its own."""

    def __init__(self, secret):
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGURG])
        try:
            self.process = subprocess.Popen(
                ["/bin/sh", "-c", "read word", secret], env={"VICTIM": f"{SECRET}{secret}"},
                process_group=0, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
            )  # fmt: skip
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGURG])
        self.before = self.state()
        while not self.before["environment"]:
            # it has not become its program yet
            self.before = self.state()
        self.seen = []

    @property
    def pid(self):
        return self.process.pid

    def state(self):
        """What an attack could change of it, as /proc tells it."""
        folder = Path(f"/proc/{self.pid}")
        try:
            status = dict(
                line.split(":\t", 1) for line in (folder / "status").read_text().splitlines()
            )
            stat = (folder / "stat").read_text().rpartition(")")[2].split()
            limits = (folder / "limits").read_text()
            adjusted = (folder / "oom_score_adj").read_text()
            environment = (folder / "environ").read_bytes()
        except OSError:
            return {"alive": False}

        return {
            "alive": stat[0] != "Z",
            "stopped": stat[0] in "Tt",
            "traced by": int(status["TracerPid"]) != 0,
            "signals": status["ShdPnd"],
            "nice": stat[16],
            "limits": limits,
            "oom_score_adj": adjusted,
            "processors": status["Cpus_allowed"],
            "environment": environment,
        }

    def look(self):
        """Note what has become of it by now."""
        self.seen.append(self.state())

    def harm(self):
        """What was done to it at any time, as words; empty: nothing."""
        self.look()
        for state in self.seen:
            changed = [name for name, value in state.items() if value != self.before.get(name)]
            if changed:
                return "of a process of the host changed: " + ", ".join(changed)

        return ""

    def end(self):
        self.process.stdin.close()
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        with suppress(subprocess.TimeoutExpired):
            # who is traced is buried when its tracer has gone
            self.process.wait(1)


class Timex(ctypes.Structure):
    """The start of what adjtimex(2) tells; the rest does not matter here."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("frequency", ctypes.c_long),
        ("most_error", ctypes.c_long),
        ("error", ctypes.c_long),
        ("rest", ctypes.c_char * 200),
    )


def clock_error():
    """What the kernel believes to be the error of its clock."""
    told = Timex()
    ctypes.CDLL(None).adjtimex(ctypes.byref(told))
    return told.error
