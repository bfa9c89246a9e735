"""A child between two jobs: whether there is a next one, and what it may do until then.

| the child                              | after its job               | its answers          |
|----------------------------------------|-----------------------------|----------------------|
| serves one job (`Handler.single_use`)  | is killed                   | count at once        |
| is shared, behind walls                | is frozen until the next    | see below            |
| is shared                              | waits                       | see below            |

The first answers of a simple child that is shared count only when nothing follows them: a program
that always answers twice is found out before its second answer is taken for another job's.
"""

from sandq.child.process import Process
from sandq.isolation.confinement import Confinement
from sandq.model.handler import Handler

#: A child that said no hello is ready when it has lived this long, in seconds.
MIN_UPTIME_S = 0.05

#: Jobs of a simple child under probation: an answer counts after this silence, in seconds.
PROBATION_JOBS, PROBATION_S = 3, 0.005


def uptime_s(confinement: Confinement) -> float:
    """How long a child that says no hello must live to be ready, in seconds."""
    # an interpreter that forks has loaded before what it needs
    return 0.0 if confinement.fork is not None else MIN_UPTIME_S


class Between:
    """What is so of one child when it has no job; `frozen` is whether it is stopped."""

    def __init__(self, handler: Handler, key: str, process: Process) -> None:
        self.frozen = False
        self._single_use = handler.single_use(key)
        self._freezes = handler.sandbox.walled and not handler.fresh
        self._process = process

    def on_probation(self, served: int) -> bool:
        """Whether an answer of a simple child that has ended so many jobs is to be waited on."""
        return served < PROBATION_JOBS and not self._single_use

    def rest(self) -> bool:
        """A job has ended; whether the child may stay."""
        if self._freezes and not self._single_use:
            # nothing that the job has left running goes on before the next one
            self.frozen = True
            self._process.freeze()

        return not self._single_use

    def wake(self) -> None:
        """A job is about to begin."""
        if self.frozen:
            self.frozen = False
            self._process.thaw()
