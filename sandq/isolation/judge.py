"""What the canary is to try behind the walls of a plan, and which guarantees it has broken."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from sandq.isolation.plan import Plan, State
from sandq.model.sandbox import MIB, Guarantee, Sandbox

#: The canary's own limits where the handler's are larger: they are proved the same way, in less
#: time, and where they are smaller and it could not run.
DISK, PIDS = MIB, 8
MEMORY, CPU_S = 64 * MIB, 10

#: What belongs to the host; everybody can read or change it, or only root.
_READ = ("/etc/machine-id", "/etc/shadow")
_WRITE = ("/", "/usr", "/etc", "/dev", "/var", "/proc/sys/kernel/core_pattern")

#: Variables that the interpreter, the shell or the walls make by themselves.
_MADE = frozenset({"PWD", "LC_CTYPE", "SANDQ_CHILD", "OLDPWD", "SHLVL", "_", "container"})


@dataclass(frozen=True, slots=True)
class Escape:
    """A guarantee that does not hold, although the plan says so."""

    guarantee: Guarantee
    what: str

    def __str__(self) -> str:
        return f"{self.guarantee}: {self.what}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bait:
    """What there is outside for the canary to reach: a folder that anybody may write to, a file in
    it that anybody may read, sockets that anybody may connect to, and the supervisor."""

    folder: str
    secret: str
    port: int
    sockets: tuple[str, ...]
    supervisor: int


def canary_sandbox(sandbox: Sandbox) -> Sandbox:
    """The same walls for the canary, with limits that are soon tried."""
    return replace(
        sandbox,
        preload=(),
        disk=min(sandbox.disk or DISK, DISK),
        pids=min(sandbox.pids or PIDS, PIDS),
        memory=max(sandbox.memory or MEMORY, MEMORY),
        cpu=max(sandbox.cpu or CPU_S, CPU_S),
    )


def task(plan: Plan, bait: Bait) -> dict[str, Any]:
    """What the canary is told. It reaches for nothing that the handler is shown."""
    sandbox = plan.sandbox
    shown = [entry.partition(":")[0] for entry in (*sandbox.read, *sandbox.write)]

    return {
        "read": _hidden((bait.secret, *_READ), shown),
        "write": _hidden((bait.folder, *_WRITE), shown),
        "port": bait.port,
        "sockets": _hidden(bait.sockets, shown),
        "supervisor": bait.supervisor,
        # a watchdog would end the canary before it can tell
        "forks": 0 if plan.by(Guarantee.PIDS, "watchdog") else 2 * (sandbox.pids or 0),
        "fills": 2 * (sandbox.disk or 0),
    }


def judge(plan: Plan, report: dict[str, Any], variables: Iterable[str]) -> list[Escape]:
    """Which of the guarantees that are held are broken; `variables` are those it was given."""
    strange = sorted({*report["variables"]} - {*variables} - _MADE)
    core = "/proc/sys/kernel/core_pattern"
    sockets = [name for name in report["connect"] if name != "port"]
    sandbox = plan.sandbox
    pids, disk = sandbox.pids or 0, sandbox.disk or 0
    found = {
        Guarantee.FILES: [
            *(f"it can read {path}" for path in report["read"]),
            *(f"it can write to {path}" for path in report["write"] if path != core),
        ],
        Guarantee.NETWORK: ["it can connect to a port of the host"] * ("port" in report["connect"]),
        Guarantee.IPC: [f"it can connect to the socket {name}" for name in sockets],
        Guarantee.PROCESSES: [f"it sees process {pid}" for pid in report["processes"][:1]],
        Guarantee.ENVIRONMENT: [f"it sees the variable {name}" for name in strange],
        Guarantee.KERNEL: [f"the call {name} is open to it" for name in report["calls"]],
        Guarantee.PRIVILEGES: [
            *(f"it has {name}" for name in report["privileges"]),
            *(f"it can raise {name}" for name in report["raised"]),
            *(f"it can write to {core}" for path in report["write"] if path == core),
        ],
        # it is one of them itself
        Guarantee.PIDS: [f"it had {report['forks'] + 1} processes of {pids}"]
        * (report["forks"] >= pids > 0),
        Guarantee.DISK: [f"it has written {report['fills']} bytes of {disk}"]
        * (report["fills"] > disk),
    }
    held = {line.guarantee for line in plan.lines if line.state is State.HELD}

    return [Escape(name, what) for name, told in found.items() if name in held for what in told]


def _hidden(paths: Iterable[str], shown: list[str]) -> list[str]:
    return [
        path
        for path in paths
        if not any(path == place or path.startswith(f"{place.rstrip('/')}/") for place in shown)
    ]
