"""A spawner by itself, of root or of an ordinary user, and requests for it."""

import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from sandq.child import spawner

PROGRAM = Path(spawner.__file__).parent
DEADLINE_S = 20

ROOT = os.getuid() == 0
#: Nobody has it; the programs of the system can be run by everybody.
ORDINARY = 61234
UIDS = (61500, 61599)
PYTHON = "/usr/bin/python3"

#: Walls like those of the profile `untrusted`, without a filter.
OPTIONS = shlex.split("""--unshare-user --unshare-pid --unshare-net --unshare-ipc --unshare-uts
--disable-userns --die-with-parent --new-session --cap-drop ALL --uid 1000 --gid 1000
--perms 0755 --size 1048576 --tmpfs / --ro-bind /usr /usr --symlink usr/bin /bin
--symlink usr/lib /lib --ro-bind-try /lib64 /lib64 --ro-bind-try /etc/alternatives /etc/alternatives
--proc /proc --dev /dev --size 67108864 --tmpfs /tmp
--remount-ro /proc --remount-ro /dev --remount-ro / --chdir /tmp""")


def walls(*options, user=None, **more):
    """bubblewrap, with these options first; with a uid of the child's own for root."""
    uids = list(UIDS) if ROOT and user is None else None
    return {
        "kind": "bwrap", "program": shutil.which("bwrap"), "options": [*options, *OPTIONS],
        "seccomp": None, "files": [["/etc/passwd", "job:x:1000:1000::/tmp:/bin/sh\n"]],
        "stage": [], "uids": uids, "inside": {}, **more,
    }  # fmt: skip


class Spawned:
    """A spawner, our end of its socket, and the pipes of its children."""

    def __init__(self, user=None):
        """`user`: the id of an ordinary one."""
        self.user = user
        self.folder = None
        command = [sys.executable, "-I", "-S", str(PROGRAM)]
        if user is not None:
            self.folder = tempfile.mkdtemp()
            copy = shutil.copytree(PROGRAM, f"{self.folder}/spawner")
            subprocess.run(["chmod", "-R", "a+rX", self.folder], check=True)
            become = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"]
            command = [*become, PYTHON, "-I", "-S", copy]
        self.socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.settimeout(DEADLINE_S)
        self.process = subprocess.Popen(
            [*command, str(theirs.fileno())],
            env={},
            stdin=subprocess.DEVNULL,
            pass_fds=(theirs.fileno(),),
            start_new_session=True,
        )
        theirs.close()
        self.count = 0
        self.outputs = {}

    def request(self, *argv, env=None, cwd=None, rlimits=None, fds=(), **more):
        """Ask for a child; the answer is the number of the request. `walls=True`: our own."""
        self.count += 1
        if more.get("walls") is True:
            more["walls"] = walls(user=self.user)
        request = {
            "op": "spawn", "n": self.count, "argv": list(argv), "path": argv[0],
            "env": env or {"PATH": "/usr/bin:/bin"}, "cwd": cwd, "rlimits": rlimits or {}, **more,
        }  # fmt: skip
        ours, write = os.pipe()
        with open(os.devnull, "rb") as null:
            every = [null.fileno(), write, write, *fds]
            socket.send_fds(self.socket, [json.dumps(request).encode()], every)
        os.close(write)
        self.outputs[self.count] = ours
        return self.count

    def spawn(self, *argv, **more):
        """Start a child; the answer is the spawner's, its output is last()."""
        self.request(*argv, **more)
        return self.receive()

    def run(self, *argv, **more):
        """A child from its start to its end; the answer is the report."""
        answer = self.spawn(*argv, **more)
        assert "pid" in answer, answer
        end = self.receive()
        assert end["exit"] == answer["pid"]
        return end

    def output(self, number=None):
        """What a child has written, once nobody can write more; the last one's by default."""
        fd = self.outputs.pop(number or self.count)
        with open(fd, "rb") as stream:
            return stream.read().decode()

    def line(self, number=None):
        """A line of a living child, read byte by byte, as more may follow."""
        fd, text = self.outputs[number or self.count], b""
        while not text.endswith(b"\n"):
            byte = os.read(fd, 1)
            assert byte, text
            text += byte
        return text.decode().strip()

    def ask(self, op, pid, **more):
        self.socket.send(json.dumps({"op": op, "pid": pid, **more}).encode())

    def kill(self, pid, number=signal.SIGKILL):
        self.ask("kill", pid, signal=number)

    def receive(self):
        packet = self.socket.recv(1 << 20)
        assert packet, "the spawner has ended"
        return json.loads(packet)

    def close(self):
        self.socket.close()
        self.process.wait(DEADLINE_S)
        for fd in self.outputs.values():
            os.close(fd)
        if self.folder is not None:
            shutil.rmtree(self.folder)


def status_of(pid):
    """The state of a process; empty when it is gone."""
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def alive(pid):
    return status_of(pid) not in ("", "Z", "X")


def find(mark):
    """The living processes with a word among their arguments."""
    found = []
    for name in os.listdir("/proc"):
        try:
            with open(f"/proc/{name}/cmdline", "rb") as stream:
                words = stream.read().split(b"\0")
        except OSError:
            continue
        if mark.encode() in words and alive(name):
            found.append(int(name))
    return found
