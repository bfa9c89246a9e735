"""What became of a case."""

from dataclasses import dataclass

from sandq.conformance.zoo.catalogue import Case


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a case.

    - `complaints`: what is wrong, none if it passed.
    - `late_ms`: the longest time after timeout and kill grace that a job was over, None if no job
      timed out; `growth_kib`: how much the supervisor grew at most.
    - `errors`: the last lines of its error stream, for a case that failed.
    """

    case: Case
    complaints: tuple[str, ...]
    late_ms: float | None
    growth_kib: int
    errors: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether there is nothing to complain about."""
        return not self.complaints
