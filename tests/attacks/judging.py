"""Whether an attack has worked, judged from outside: what was heard, seen, changed, left.

A judge takes the evidence and answers with what has escaped, in words; empty: nothing. The
attacker's word counts only where it proves that it knows a secret.
"""

import os
import re
import signal
import socket
import subprocess
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.attacks import host, watching
from tests.attacks.watching import Watch
from tests.attacks.world import SETTING, Victim, World, clock_error


@dataclass
class Evidence:
    """All that is known of an attack after its end."""

    world: World
    token: str
    data: dict[str, Any]
    outcome: Any
    told: str
    watch: Watch
    before: dict[str, Any]
    victim: Victim | None = None
    later: Any = None
    told_later: str = ""
    elapsed_s: float = 0.0
    #: How long whatever is to be gone after a job may take for it, in seconds.
    patience_s: float = 0.0

    @property
    def kind(self):
        failure = self.outcome.failure
        return "" if failure is None else failure.kind.value


Judge = Callable[[Evidence], str]


# ---- secrets and listeners


def tells(*names: str) -> Judge:
    """One of these secrets is in what the job has said, or was told to a listener."""

    def judge(evidence):
        heard = [words for words in evidence.world.heard if evidence.token in words]
        said = evidence.told + " ".join(heard)
        for name in names:
            if evidence.world.secrets[name] in said:
                return f"{name} was told"
        return ""

    return judge


def tells_what(find: Callable[[Evidence], list[str]], what: str) -> Judge:
    """One of the texts that only the host knows is in what the job has said."""

    def judge(evidence):
        known = [text for text in find(evidence) if text and text in evidence.told]
        return f"{what} was told: {known[0]!r}" if known else ""

    return judge


def heard(evidence):
    """A listener of the host has heard the token."""
    said = any(evidence.token in words for words in evidence.world.heard)
    return "a listener of the host was reached" if said else ""


def any_of(*judges: Judge) -> Judge:
    """The first of them that finds something."""
    return lambda evidence: next(filter(None, (judge(evidence) for judge in judges)), "")


# ---- files


def appears(evidence):
    """A file of that name is on the host."""
    own = evidence.world.folder
    places = [own, own / "home", *map(Path, ("/tmp", "/var/tmp", "/dev/shm"))]
    places += map(Path, host.libraries())
    names = [f"{evidence.token}{end}" for end in ("", ".txt", ".pyc", ".py")]
    found = [place / name for place in places for name in (*names, f".{evidence.token}")]
    found = [path for path in found if path.is_symlink() or path.exists()]
    for path in found:
        path.unlink()
    for path in (own / "programs").iterdir():
        if path.stem == evidence.token:
            path.unlink()
        elif evidence.token not in path.read_text():
            continue
        found.append(path)

    return f"{found[0]} was written" if found else ""


def file_changes(evidence):
    """The secret file, or one that was stocked for this attack, is not as it was."""
    open_file, folder = Path(evidence.data["open_file"]), Path(evidence.data["open_folder"])
    secret = evidence.world.secret_file.stat()
    if not open_file.exists() or open_file.read_text() != "as it was":
        return "a file of the host was changed"
    if not (folder / "leaf").exists():
        return "a folder of the host was removed"
    told = (secret.st_mode, secret.st_mtime_ns, secret.st_nlink)
    if told != evidence.before["secret file"]:
        evidence.world.secret_file.chmod(0o600)
        return "the secret file was changed"
    with suppress(OSError):
        if os.getxattr(evidence.world.secret_file, "user.sandq"):
            return "an attribute of the secret file was set"

    return ""


def makes_a_device(evidence):
    """A device is in the room of the job."""
    path = evidence.world.folder / "room" / evidence.token
    made = path.is_block_device()
    path.unlink(missing_ok=True)
    return "a device of the host was made" if made else ""


def leaves_folders(evidence):
    """A tree that is too deep for a path is on the host."""
    left = [
        path for path in (evidence.world.folder / "room").iterdir() if (path / ("d" * 8)).exists()
    ]
    for path in left:
        subprocess.run(["rm", "-rf", str(path)], check=True)
    return "a deep tree is left on the host" if left else ""


def core_dumped(evidence):
    """A core file is on the host."""
    cores = [path for path in (evidence.world.folder / "room").iterdir() if "core" in path.name]
    for path in cores:
        path.unlink()
    return "a core was dumped on the host" if cores else ""


# ---- processes


def harms(evidence):
    """A process of the host was ended, stopped, traced, or changed."""
    return evidence.victim.harm()


def harms_the_parent(evidence):
    """The process that starts all children has ended, or was stopped."""
    now = watching.spawners()
    for pid, _ in now:
        os.kill(pid, signal.SIGCONT)
    return "" if now == evidence.before["spawners"] else "the spawner was ended or stopped"


def finds_others(evidence):
    """The token of another job is in its answer, or the secret of the supervisor."""
    found = set(re.findall(r"job-[0-9a-f]{16}", evidence.told)) - {evidence.token}
    return f"{len(found)} other jobs were in its memory" if found else ""


def types(evidence):
    """Something came to a terminal of the host."""
    return "a terminal was written to" if evidence.token in evidence.world.typed() else ""


def survives(evidence):
    """A process of the job is alive after its end."""
    end = evidence.before["clock"]() + evidence.patience_s
    while pids := watching.named(evidence.token):
        if evidence.before["clock"]() >= end:
            return f"{len(pids)} processes are left"
        evidence.before["wait"]()
    return ""


def leaves_zombies(evidence):
    """Dead processes of the job are left for somebody to bury."""
    end = evidence.before["clock"]() + evidence.patience_s
    while left := [one for one in watching.processes().values() if one.name == evidence.token[:15]]:
        if len(left) <= 1 or evidence.before["clock"]() >= end:
            return f"{len(left)} processes are left" if len(left) > 1 else ""
        evidence.before["wait"]()
    return ""


# ---- what was held


def holds(pattern: str) -> Judge:
    """A descriptor of such a kind was seen in a process of the job."""

    def judge(evidence):
        found = [link for link in sorted(evidence.watch.held) if re.search(pattern, link)]
        return f"it held {found[0]}" if found else ""

    return judge


def shows(pattern: str) -> Judge:
    """A process of the job was seen with such a right."""

    def judge(evidence):
        found = [fact for fact in sorted(evidence.watch.facts) if re.search(pattern, fact)]
        return f"it was {found[0]}" if found else ""

    return judge


def proves(pattern: str) -> Judge:
    """The job says so, in words that it cannot know otherwise."""

    def judge(evidence):
        found = re.search(pattern, evidence.told)
        return f"it told {found[0]!r}" if found else ""

    return judge


# ---- how much


def over(name: str, bound: str, slack: float = 1.5, for_s: float = 0.6) -> Judge:
    """It had more than the bound, and some slack, for some time; a peak of an instant passes."""

    def judge(evidence):
        limit = evidence.data["bounds"][bound] * slack
        if evidence.watch.longest_s(name, limit) < for_s:
            return ""
        return f"{name} was {evidence.watch.most(name)}, the limit is {limit:.0f}"

    return judge


def ever(name: str, bound: str, slack: float = 1.5) -> Judge:
    """It had more than the bound, and some slack, at any time."""

    def judge(evidence):
        limit = evidence.data["bounds"][bound] * slack
        most = evidence.watch.most(name)
        return f"{name} was {most}, the limit is {limit:.0f}" if most > limit else ""

    return judge


# ---- the kernel


def changes_setting(evidence):
    """A setting of the kernel has another value."""
    if SETTING.read_text().strip() != str(evidence.data["setting_value"]):
        return ""
    SETTING.write_text(evidence.before["setting"])
    return "a setting of the kernel was changed"


def changes_clock(evidence):
    if clock_error() != evidence.data["clock_value"]:
        return ""
    return "the clock of the kernel was told"


def changes_domain(evidence):
    path = Path("/proc/sys/kernel/domainname")
    if path.read_text().strip() != evidence.token:
        return ""
    path.write_text(evidence.before["domain"])
    return "the domain name of the host was changed"


def adds_key(evidence):
    """The key is in a keyring that this process, outside, can search as well."""
    keys = Path("/proc/keys").read_text() if Path("/proc/keys").exists() else ""
    return "a key is in the keyring of the host's user" if evidence.token in keys else ""


# ---- the next job, and the supervisor


def found_later(evidence):
    """The next job has found the mark of the first, or has come to harm."""
    if re.search(r"mark[0-9a-f]{16}", evidence.told_later):
        return "the next job found what was left"
    outcome = evidence.later
    if outcome is None:
        return ""
    if outcome.released is not None:
        return f"the next job could not be run: {outcome.released}"
    failure = outcome.failure
    if failure is not None and failure.kind.value != "error":
        return f"the next job came to harm: {failure.message}"
    return ""


def makes_believe(*kinds: str) -> Judge:
    """The supervisor takes the end of the job for one of these."""

    def judge(evidence):
        return f"it was taken for {evidence.kind}" if evidence.kind in kinds else ""

    return judge


def speaks_as_sandq(evidence):
    """The type of its error is one of those that are the supervisor's own."""
    failure = evidence.outcome.failure
    told = "" if failure is None else str(failure.type)
    return f"its error is of type {told}" if told.startswith("sandq.") else ""


def is_released(evidence):
    """The job costs nothing: it is given back, as if it were not its own fault."""
    return f"it was given back: {evidence.outcome.released}" if evidence.outcome.released else ""


def lasts(seconds: float) -> Judge:
    """It keeps its child for longer than its time."""

    def judge(evidence):
        return f"it lasted {evidence.elapsed_s:.1f} s" if evidence.elapsed_s > seconds else ""

    return judge


def answers(pattern: str) -> Judge:
    """This is taken for its value."""

    def judge(evidence):
        value = (evidence.outcome.value or b"").decode()
        return f"the value is {value[:80]!r}" if re.search(pattern, value) else ""

    return judge


# ---- what only the host knows


def users(evidence):
    """The users of the host that no other host has: lines of /etc/passwd."""
    lines = Path("/etc/passwd").read_text().splitlines()
    return [line for line in lines if not line.startswith(("root:", "nobody:"))]


def names(evidence):
    return [f'"{socket.gethostname()}"']


def interfaces(evidence):
    return [f'"{name}"' for name in host.interfaces()]


def kernel_log(evidence):
    return host.kernel_log()
