"""What the host's kernel lets its users do, with or without a sandbox."""

import ctypes
import os
import resource
import runpy
import socket
import subprocess
import sysconfig
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

CAPABILITIES = {
    "dac_override": 1, "dac_read_search": 2, "kill": 5, "net_raw": 13, "sys_chroot": 18,
    "sys_ptrace": 19, "sys_admin": 21, "sys_nice": 23, "sys_resource": 24,
    "sys_time": 25, "mknod": 27, "syslog": 34,
}  # fmt: skip


def setting(name, default=0):
    """A number of the kernel's settings."""
    with suppress(OSError, ValueError):
        return int(Path("/proc/sys", *name.split(".")).read_text().split()[0])
    return default


def effective():
    """The capabilities of this process."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            held = int(line.split()[1], 16)
            return frozenset(name for name, bit in CAPABILITIES.items() if held >> bit & 1)
    return frozenset()


def tries(*command):
    """Whether a command ends well here."""
    with suppress(OSError):
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=10)
        return done.returncode == 0
    return False


def opens(path, flags=os.O_RDONLY):
    with suppress(OSError):
        os.close(os.open(path, flags))
        return True
    return False


def makes_socket(family, kind, protocol):
    with suppress(OSError):
        socket.socket(family, kind, protocol).close()
        return True
    return False


@dataclass(frozen=True)
class Host:
    """The kernel, and what this user may do."""

    root: bool = field(default_factory=lambda: os.getuid() == 0)
    capabilities: frozenset[str] = field(default_factory=effective)
    new_users: bool = field(default_factory=lambda: tries("unshare", "-U", "true"))

    def has(self, name):
        return name in self.capabilities


@dataclass(frozen=True)
class Works:
    """Whether an attack works where nothing confines it, and why not if it does not."""

    on: Callable[[Host], bool]
    reason: str = ""


ALWAYS = Works(lambda _: True)
ROOT = Works(lambda host: host.root, "only root may")


def never(reason: str) -> Works:
    """Stopped by sandq itself, whatever the profile, or by every kernel of today."""
    return Works(lambda _: False, reason)


def capable(*names: str) -> Works:
    """Root's capabilities are divided: a container's root may not have this one."""
    return Works(
        lambda host: all(map(host.has, names)), f"it needs CAP_{' and '.join(names).upper()}"
    )


def when(on: Callable[[Host], bool], reason: str) -> Works:
    """As the host is set up."""
    return Works(on, reason)


SUPERVISOR = when(
    lambda host: host.has("sys_ptrace"), "the supervisor is undumpable: only root sees into it"
)
NEW_USERS = when(lambda host: host.new_users, "the host allows no user namespaces")
TRACES = when(
    lambda host: host.has("sys_ptrace") or setting("kernel.yama.ptrace_scope") == 0,
    "Yama lets only parents trace",
)


# ---- what the kernel has, tried out in a process of its own


def tried(function):
    """Whether a function ends without an error, in a process that is thrown away."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            function()
            code = 0
        finally:
            os._exit(code)
    return os.waitpid(pid, 0)[1] == 0


def has_call(program, name, **data):
    """Whether an attack of ours, of a few system calls, works here."""
    path = Path(__file__).with_name("programs")
    job_class = runpy.run_path(str(path / "serve.py"))["Job"]

    class Job(job_class):
        def hold(self, seconds=0.0):
            """Nobody looks."""

    facts = {"token": "x", "walled": False, "room": "/tmp", **data}
    function = runpy.run_path(str(path / program))[name]

    return tried(lambda: function(Job({"id": "1", "data": facts})))


def has_realtime():
    return tries("chrt", "-r", "1", "true")


def processors():
    return os.sched_getaffinity(0)


def most_descriptors():
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def dumps_cores(host):
    """Whether a process may dump one, into its own folder."""
    may = resource.getrlimit(resource.RLIMIT_CORE)[1] != 0 or host.has("sys_resource")
    return may and not set(Path("/proc/sys/kernel/core_pattern").read_text()) & set("|/")


def opens_sys():
    for path in ("/sys/kernel/uevent_helper", "/sys/kernel/mm/transparent_hugepage/enabled"):
        if os.path.exists(path):
            return opens(path, os.O_WRONLY)
    return False


def opens_control_groups():
    folders = ("/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/memory")
    return any(opens(f"{folder}/cgroup.procs", os.O_WRONLY) for folder in folders)


def shows_addresses():
    with suppress(OSError, ValueError), open("/proc/kallsyms") as stream:
        return int(stream.readline().split()[0], 16) != 0
    return False


def opens_disk():
    disks = [name for name in os.listdir("/dev") if name.startswith(("vd", "sd", "nvme", "xvd"))]
    return bool(disks) and opens(f"/dev/{sorted(disks)[0]}")


def opens_devices():
    names = ("kvm", "fuse", "net/tun", "kmsg", "loop-control", "vhost-net", "userfaultfd")
    return any(opens(f"/dev/{name}", os.O_RDWR) for name in names)


def libraries():
    """Where the interpreter has its modules: compiled ones first."""
    paths = sysconfig.get_paths()
    own = [f"{paths['stdlib']}/__pycache__", paths["stdlib"], f"{paths['stdlib']}/lib-dynload"]
    return [folder for folder in (*own, paths["purelib"]) if os.path.isdir(folder)]


def writes(folders):
    return any(os.access(folder, os.W_OK) for folder in folders)


def kernel_log():
    """The last lines of the kernel's log; none if they cannot be read."""
    buffer = ctypes.create_string_buffer(1 << 18)
    length = max(0, ctypes.CDLL(None).klogctl(3, buffer, len(buffer)))
    lines = buffer.raw[:length].decode("latin-1").splitlines()
    return [words for line in lines[-5:] if len(words := line.partition("] ")[2]) > 10]


def interfaces():
    return [name for _, name in socket.if_nameindex() if name != "lo"]
