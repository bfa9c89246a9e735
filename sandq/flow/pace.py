"""How fast jobs end, and so how many claims are worth holding ahead: pure, given the time."""

from sandq.model.supervision import Supervision

#: A pause is counted as at most this long, so that the first jobs after it are soon forgiven.
_LONGEST_GAP_S = 0.02

#: Weight of the newest gap between two ends.
_NEWEST = 0.1


class Pace:
    """The time between the ends of two jobs, averaged; over all children together."""

    __slots__ = ("_ahead_s", "_gap_s", "_last_s", "_most")

    def __init__(self, supervision: Supervision) -> None:
        self._ahead_s = supervision.ahead_ms / 1000
        self._most = supervision.ahead_most
        self._gap_s = _LONGEST_GAP_S
        self._last_s = 0.0

    def ended(self, now_s: float) -> None:
        """A job has ended."""
        gap_s = min(now_s - self._last_s, _LONGEST_GAP_S)
        self._gap_s += (gap_s - self._gap_s) * _NEWEST
        self._last_s = now_s

    def ahead(self, now_s: float) -> int:
        """How many claims the children would use up in the time that may be held ahead.

        None when the last job ended longer ago than that: the jobs at work are long ones.
        """
        since_s = now_s - self._last_s
        if since_s >= self._ahead_s:
            return 0

        return min(int(self._ahead_s / max(self._gap_s, since_s, 1e-6)), self._most)
