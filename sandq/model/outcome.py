"""What happened to one attempt: facts, no decisions.

A normal answer, a crash, a timeout and a give-back are all Outcomes and take the same last
steps: outcome -> verdict -> settle.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import orjson


class FailureKind(StrEnum):
    """Why an attempt failed. The words are stored and never change their meaning."""

    ERROR = "error"
    UNRECOVERABLE = "unrecoverable"
    CRASHED = "crashed"
    TIMED_OUT = "timed_out"
    HEARTBEAT_LOST = "heartbeat_lost"
    CPU_LIMIT = "cpu_limit"
    OUT_OF_MEMORY = "out_of_memory"
    PIDS_LIMIT = "pids_limit"
    DISK_LIMIT = "disk_limit"
    OUTPUT_LIMIT = "output_limit"
    PROTOCOL_ERROR = "protocol_error"
    HANDLER_MISSING = "handler_missing"
    STALLED = "stalled"
    EXPIRED = "expired"
    OVERSIZE_PAYLOAD = "oversize_payload"
    START_FAILED = "start_failed"
    SANDBOX_UNAVAILABLE = "sandbox_unavailable"


@dataclass(frozen=True, slots=True)
class LimitHit:
    """A limit that ended a job: its name, its value, and the most that was seen, in its unit.

    | name   | unit                                     |
    |--------|------------------------------------------|
    | wall   | milliseconds                             |
    | cpu    | seconds                                  |
    | memory | bytes of all the job's processes         |
    | pids   | processes and threads                    |
    | inodes | files and folders                        |
    | output | bytes of one line                        |

    `peak` is None where only the passing was seen.
    """

    name: str
    value: int
    peak: int | None = None

    def to_member(self) -> dict[str, Any]:
        """The `limit` member of a failure record."""
        peak = {} if self.peak is None else {"peak": self.peak}
        return {"name": self.name, "value": self.value, **peak}


@dataclass(frozen=True, slots=True)
class Death:
    """How a child ended.

    - `how`: "exit" or "signal".
    - `exit_code`: for "exit"; `signal`: a name such as "SIGKILL", for "signal".
    - `by`: who ended it: "itself"; sandq: "timeout", "heartbeat", "stop", "cancel", "lease_lost",
      "protocol", "retired", "limit"; the kernel, short of memory: "oom"; or "unknown": a signal
      that neither sandq nor the kernel's memory killer sent.
    - `cpu_s`: processor time of the child and the children it waited for.
    - `max_rss_kb`: the largest resident size of one of its processes, in KiB.
    - `stderr_tail`: its last lines on the error stream.
    - `limit`: the limit that ended it, if one did.
    - `sandbox`: the mechanisms it ran under, such as "bwrap+seccomp+watchdog"; "" for none.
    """

    how: str
    exit_code: int | None
    signal: str | None
    by: str
    cpu_s: float
    max_rss_kb: int
    stderr_tail: tuple[str, ...] = ()
    limit: LimitHit | None = None
    sandbox: str = ""

    def describe(self) -> str:
        """One clause for an error message."""
        ending = f"exit code {self.exit_code}" if self.how == "exit" else f"signal {self.signal}"
        return (
            f"{ending}; last error output: {self.stderr_tail[-1]!r}" if self.stderr_tail else ending
        )

    def to_member(self) -> dict[str, Any]:
        """The `death` member of a failure record, without what does not apply."""
        return {
            "how": self.how,
            **({"exit_code": self.exit_code} if self.how == "exit" else {"signal": self.signal}),
            "by": self.by,
            "cpu_s": round(self.cpu_s, 3),
            "max_rss_kb": self.max_rss_kb,
            "stderr_tail": list(self.stderr_tail),
            **({"sandbox": self.sandbox} if self.sandbox else {}),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why an attempt failed; stored with the job as its failure record.

    `type`, `stack`, `code`, `data` are the handler's own words about its error; `cause` is the
    record of the error behind it, an object with type, message, code and cause.
    `limit` is the one that it passed, if it was ended for that.
    `retryable` False ends the job whatever its attempts; `retry_after_ms` overrides its backoff.
    """

    kind: FailureKind
    message: str
    type: str | None = None
    stack: str | None = None
    code: str | int | None = None
    data: Any = None
    retryable: bool = True
    retry_after_ms: int | None = None
    death: Death | None = None
    cause: dict[str, Any] | None = None
    limit: LimitHit | None = None

    def to_text(self) -> bytes:
        """The failure record: JSON text without the members that have nothing to say."""
        record: dict[str, Any] = {"kind": self.kind.value, "message": self.message}
        for name in ("type", "stack", "code", "data", "cause"):
            value = getattr(self, name)
            if value is not None:
                record[name] = value
        if self.limit is not None:
            record["limit"] = self.limit.to_member()
        if self.death is not None:
            record["death"] = self.death.to_member()

        return orjson.dumps(record)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of lending one claim: exactly one of the three is set.

    - `value`: the JSON text the handler returned, byte for byte.
    - `failure`: why the attempt failed.
    - `released`: why the job is given back with no attempt spent.

    `sandbox` is what a job with a value ran under; of a failed one its death tells it.
    """

    value: bytes | None = None
    failure: Failure | None = None
    released: str | None = None
    delay_ms: int = 0
    sandbox: str = ""

    @classmethod
    def returned(cls, value: bytes) -> "Outcome":
        """The handler answered with `value`."""
        return cls(value=value)

    @classmethod
    def failed(
        cls,
        kind: FailureKind,
        message: str,
        *,
        death: Death | None = None,
        limit: LimitHit | None = None,
    ) -> "Outcome":
        """The attempt failed in a way that is worth another try."""
        return cls(failure=Failure(kind=kind, message=message, death=death, limit=limit))

    @classmethod
    def give_back(cls, reason: str, delay_ms: int = 0) -> "Outcome":
        """The job could not be started or finished for a reason that is not its own.

        It goes back to its place at once, or stays delayed for `delay_ms` first.
        """
        return cls(released=reason, delay_ms=delay_ms)
