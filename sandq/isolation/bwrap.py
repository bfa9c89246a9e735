"""The options of bubblewrap for a child's walls. Each is there because an attack, or a program,
failed without it; bubblewrap itself is started with an empty environment by the spawner.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

#: Who a child is inside, whatever its uid is outside.
UID = 1000

#: Where its private files are: the one place that it can write to.
ROOM = "/tmp"

#: The rest of what is mounted holds names and links alone.
_FRAME_BYTES = 1024 * 1024

_DEVICES = ("null", "zero", "full", "random", "urandom")
_STREAMS = {"fd": "", "stdin": "/0", "stdout": "/1", "stderr": "/2"}

#: Of the host's settings, those that programs need and that tell nothing.
ETC = (
    *("alternatives", "ld.so.cache", "localtime", "timezone", "mime.types", "fonts"),
    # certificates, but no keys
    *("ssl/certs", "ssl/openssl.cnf", "pki/tls/certs", "pki/tls/openssl.cnf"),
    *("pki/ca-trust/extracted", "crypto-policies"),
)

#: With the host's network also what finds others in it.
ETC_NET = ("resolv.conf", "hosts", "services", "protocols", "gai.conf")

#: Files of sandq/isolation/etc that stand for the host's: nobody of the host is named in them.
OWN_ETC = ("passwd", "group", "nsswitch.conf", "hosts")


@dataclass(frozen=True, slots=True, order=True)
class Bind:
    """A path of the host and where it is inside; `write`: it may be changed."""

    inside: str
    source: str
    write: bool = False

    def covers(self, other: "Bind") -> bool:
        """Whether the other one is there already when this one is."""
        if self == other or self.write != other.write:
            return self == other
        below = other.inside.removeprefix(self.inside.rstrip("/") + "/")

        return below != other.inside and other.source == f"{self.source.rstrip('/')}/{below}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """What a child's root is made of.

    - `links`: of the root, such as /bin: where each leads to.
    - `binds`: what is shown of the host, as `sift` leaves it; `etc`: name -> file that stands for
      the host's own.
    - `disk`: bytes of its room. `cwd`: where it runs.
    - `net`: it has the host's network. `proc`: it has a /proc.
    - `no_userns`: no further user namespace can be made in it; `forks`: a fork server makes one
      for each job, and says in /proc who is who there.
    - `counted`: memory that belongs to no process is counted.
    """

    links: Mapping[str, str]
    binds: Sequence[Bind]
    etc: Mapping[str, str]
    disk: int
    cwd: str = ROOM
    net: bool = False
    proc: bool = True
    no_userns: bool = True
    forks: bool = False
    counted: bool = False


def options(layout: Layout) -> list[str]:
    """The options, without those of the spawner's own: --args, --setenv and descriptors."""
    return [
        *_namespaces(layout),
        # small, as it is memory; sealed at the end
        *("--perms", "0755", "--size", str(_FRAME_BYTES), "--tmpfs", "/"),
        *(word for link, to in sorted(layout.links.items()) for word in ("--symlink", to, link)),
        *(("--proc", "/proc") if layout.proc else ("--dir", "/proc")),
        *_devices(layout),
        *("--perms", "1777", "--size", str(layout.disk), "--tmpfs", ROOM),
        *("--symlink", "../tmp", "/var/tmp"),
        *_settings(layout),
        *_binds(layout.binds),
        *("--chdir", layout.cwd),
        # of what belongs to others in /proc, and of the kernel's settings, nothing can be written;
        # a forked job has a read-only /proc of its own
        *(("--remount-ro", "/proc") if layout.proc and not layout.forks else ()),
        *("--remount-ro", "/dev", "--remount-ro", "/"),
    ]


def _namespaces(layout: Layout) -> list[str]:
    return [
        *("--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts"),
        "--unshare-cgroup-try",
        *(() if layout.net else ("--unshare-net",)),
        *(("--disable-userns",) if layout.no_userns else ()),
        # it ends with the spawner, which ends with the supervisor
        "--die-with-parent",
        # a signal to its own group must not reach bubblewrap outside
        "--new-session",
        *("--uid", str(UID), "--gid", str(UID), "--hostname", "job"),
        *("--cap-drop", "ALL"),
    ]


def _devices(layout: Layout) -> Iterable[str]:
    """Made by hand: what bubblewrap makes has a room of half the memory, and terminals."""
    yield from ("--perms", "0755", "--size", str(_FRAME_BYTES), "--tmpfs", "/dev")
    for name in _DEVICES:
        # what is mapped of the real one is memory that nobody counts; this one can only be read
        device = "full" if name == "zero" and not layout.counted else name
        yield from ("--dev-bind", f"/dev/{device}", f"/dev/{name}")
    for name, end in _STREAMS.items():
        yield from ("--symlink", f"/proc/self/fd{end}", f"/dev/{name}")
    # shared memory is part of its room, and counted there
    yield from ("--symlink", ROOM, "/dev/shm")


def _settings(layout: Layout) -> Iterable[str]:
    for name, file in layout.etc.items():
        if not (layout.net and name in ETC_NET):
            yield from ("--ro-bind", file, f"/etc/{name}")
    for name in (*ETC, *(ETC_NET if layout.net else ())):
        yield from ("--ro-bind-try", f"/etc/{name}", f"/etc/{name}")


def _binds(binds: Sequence[Bind]) -> Iterable[str]:
    for bind in binds:
        yield from ("--bind" if bind.write else "--ro-bind", bind.source, bind.inside)


def sift(binds: Iterable[Bind]) -> list[Bind]:
    """In the order of mounting, a folder before what is in it, and without what is there anyway."""
    kept: list[Bind] = []
    for bind in sorted(set(binds), key=lambda b: (b.inside.split("/"), b.source, b.write)):
        if not any(other.covers(bind) for other in kept):
            kept.append(bind)

    return kept
