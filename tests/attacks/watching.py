"""The processes of a job as the host's /proc shows them: what they hold, and how much of it."""

import os
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

PAGE = os.sysconf("SC_PAGE_SIZE")
TICKS = os.sysconf("SC_CLK_TCK")
KIB = 1024


@dataclass(frozen=True)
class Process:
    """A process at a moment."""

    pid: int
    parent: int
    name: str
    threads: int
    cpu_s: float


def processes():
    """All of the host, by pid."""
    found = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with suppress(OSError):
            text = Path(f"/proc/{pid}/stat").read_text("latin-1")
            name, _, rest = text.partition("(")[2].rpartition(")")
            words = rest.split()
            cpu_s = sum(map(int, words[11:15])) / TICKS
            found[int(pid)] = Process(int(pid), int(words[1]), name, int(words[17]), cpu_s)

    return found


def family(everybody, roots, name):
    """The processes below these, these themselves, and those that bear the name."""
    mine = {pid for pid, process in everybody.items() if pid in roots or process.name == name}
    grown = True
    while grown:
        below = {pid for pid, process in everybody.items() if process.parent in mine}
        grown = not below <= mine
        mine |= below

    return {pid: everybody[pid] for pid in mine}


def named(token):
    """The processes of the host whose arguments hold the token."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with suppress(OSError):
            if token.encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.append(int(pid))

    return [pid for pid in found if pid != os.getpid()]


def spawners():
    """The processes that this one has started to start others, and whether they are at work."""
    found = set()
    for pid, process in processes().items():
        with suppress(OSError):
            words = Path(f"/proc/{pid}/cmdline").read_bytes()
            state = Path(f"/proc/{pid}/stat").read_text("latin-1").rpartition(")")[2].split()[0]
            if process.parent == os.getpid() and b"spawner" in words:
                found.add((pid, state in "TtZ"))

    return found


def status_of(pid):
    with suppress(OSError):
        lines = Path(f"/proc/{pid}/status").read_text("latin-1").splitlines()
        return dict(line.split(":\t", 1) for line in lines if ":\t" in line)
    return {}


def held_by(pid):
    """What its descriptors are: paths, anonymous inodes, and the families of sockets.

    What is open for writing has " for writing" behind it. Raises OSError if it cannot be seen.
    """
    held = set()
    for fd in os.listdir(f"/proc/{pid}/fd"):
        with suppress(OSError):
            path = f"/proc/{pid}/fd/{fd}"
            link = os.readlink(path)
            if link.startswith("socket:"):
                family = os.getxattr(path, "system.sockprotoname").rstrip(b"\0").decode()
                link = f"socket:{family}"
            flags = next(
                line.split()[1]
                for line in Path(f"/proc/{pid}/fdinfo/{fd}").read_text("latin-1").splitlines()
                if line.startswith("flags:")
            )
            held.add(link + (" for writing" if int(flags, 8) & 3 else ""))

    return held


@dataclass
class Sample:
    """How much a job has of everything, at a moment."""

    at_s: float
    memory: int = 0
    tables: int = 0
    pids: int = 0
    cpu: float = 0.0
    disk: int = 0
    inodes: int = 0
    descriptors: int = 0
    shared: int = 0
    taken: int = 0


@dataclass
class Watch:
    """Looks at a job from outside, again and again."""

    token: str
    roots: set[int]
    room: Path
    samples: list[Sample] = field(default_factory=list)
    held: set[str] = field(default_factory=set)
    facts: set[str] = field(default_factory=set)
    looked: bool = False
    blind: str = ""

    def __post_init__(self):
        self.shared_before = host_memory("Shmem")
        self.free_before = host_memory("MemAvailable")

    def family(self):
        return family(processes(), self.roots, self.token[:15])

    def look(self):
        """What is held, and with which rights, at this moment."""
        for pid in self.family():
            self._note(pid)
            try:
                held = held_by(pid)
            except OSError as error:
                self.blind = str(error)
                continue
            self.held |= held
            kinds = [link.partition(":")[0] for link in held if ":[" in link]
            self.facts |= {f"two {kind} namespaces" for kind in kinds if kinds.count(kind) > 1}
            self.looked = True

    def _note(self, pid):
        status = status_of(pid)
        if not status:
            return
        self.facts.add("privileged" if "0" in status["Uid"].split() else "not privileged")
        if int(status["CapEff"], 16):
            self.facts.add("capable")
        if int(status["TracerPid"]):
            self.facts.add("traced by a job")
        self._note_mounts(pid)
        with suppress(OSError):
            if int(Path(f"/proc/{pid}/personality").read_text("latin-1"), 16) & 0x0040000:
                self.facts.add("without random addresses")
        with suppress(OSError):
            if os.sched_getscheduler(pid) != os.SCHED_OTHER:
                self.facts.add("scheduled before all others")
        with suppress(OSError):
            self.facts.add(
                "spared by " + Path(f"/proc/{pid}/oom_score_adj").read_text("latin-1").strip()
            )

    def _note_mounts(self, pid):
        with suppress(OSError):
            if os.readlink(Path("/proc", str(pid), "root")) != "/":
                self.facts.add("in another root")
            lines = Path(f"/proc/{pid}/mounts").read_text("latin-1").splitlines()
            mounts = {words[1]: words for words in map(str.split, lines)}
            if any(words[0] == self.token for words in mounts.values()):
                self.facts.add("mounted by itself")
            self.facts |= {f"without {at}" for at in ("/proc", "/tmp") if at not in mounts}
            for at in ("/", "/usr"):
                if at in mounts and "rw" in mounts[at][3].split(","):
                    self.facts.add(f"able to write {at}")

    def sample(self):
        """Measure once."""
        mine = self.family()
        now = Sample(time.monotonic())
        for pid, process in mine.items():
            status = status_of(pid)
            for name in ("RssAnon", "RssShmem"):
                now.memory += int(status.get(name, "0").split()[0]) * KIB
            now.tables += int(status.get("VmPTE", "0").split()[0]) * KIB
            now.pids += process.threads
            now.cpu += process.cpu_s
            with suppress(OSError):
                now.descriptors = max(now.descriptors, len(os.listdir(f"/proc/{pid}/fd")))
        now.disk, now.inodes = self._room(mine)
        now.shared = host_memory("Shmem") - self.shared_before
        now.taken = self.free_before - host_memory("MemAvailable")
        self.samples.append(now)

    def _room(self, mine):
        """Bytes and files in the places it may fill."""
        disk = inodes = 0
        for folder, folders, files in os.walk(self.room):
            inodes += len(folders) + len(files)
            for name in files:
                with suppress(OSError):
                    disk += os.lstat(f"{folder}/{name}").st_blocks * 512
        seen = {Path("/tmp").stat().st_dev, Path("/dev/shm").stat().st_dev}
        for pid in mine:
            for place in ("tmp", "dev/shm"):
                with suppress(OSError):
                    at = Path("/proc", str(pid), "root", place)
                    device = os.stat(at).st_dev
                    if device in seen:
                        continue
                    seen.add(device)
                    told = os.statvfs(at)
                    disk += (told.f_blocks - told.f_bfree) * told.f_frsize
                    inodes += told.f_files - told.f_ffree
            for path in Path(f"/proc/{pid}/fd").glob("*"):
                with suppress(OSError):
                    link = os.readlink(path)
                    if link.endswith("(deleted)") and link.startswith((str(self.room), "/dev/shm")):
                        disk += path.stat().st_blocks * 512

        return disk, inodes

    def longest_s(self, name, bound):
        """For how long it had more than the bound, in seconds, as far as was seen."""
        longest = 0.0
        since = None
        for one in self.samples:
            if getattr(one, name) <= bound:
                since = None
                continue
            since = one.at_s if since is None else since
            longest = max(longest, one.at_s - since)

        return longest

    def most(self, name):
        """The most that was seen."""
        return max((getattr(one, name) for one in self.samples), default=0)


def host_memory(name):
    """Bytes of the host's memory of a kind: of files of memory, or still to be had."""
    for line in Path("/proc/meminfo").read_text("latin-1").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * KIB
    return 0
