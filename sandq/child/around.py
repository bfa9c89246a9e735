"""What the children of one pool have in common."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sandq.child.starting import Starter
from sandq.child.tally import Tally
from sandq.child.watch import Watch

#: Told what goes to and fro: a pid, a mark (`>>` to the child, `<<` from it, `--` a remark), text.
Trace = Callable[[int, str, bytes], None]

if TYPE_CHECKING:
    from sandq.child.child import Child


@dataclass(frozen=True, slots=True)
class Around:
    """What the children of a pool share.

    `on_change` is called when one has become ready and when one has ended; `start_soon` runs a
    coroutine function beside everything else; `tally` counts what comes of their jobs; `trace` is
    told what goes to and fro.
    """

    starter: Starter
    watch: Watch
    kill_grace_s: float
    on_change: Callable[["Child"], None]
    start_soon: Callable[..., None]
    tally: Tally
    trace: Trace | None = None
