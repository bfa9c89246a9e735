"""Durations: how people write them and how they are kept.

The Python API takes seconds (int or float) or a `timedelta`; the command line and TOML also
take `500ms`, `30s`, `5m`, `2h`, `1d`. Wire and storage hold whole milliseconds.
"""

import math
import re
from datetime import timedelta

from sandq.errors import InvalidInput

#: What a caller may give as a duration: seconds, a timedelta, or a text such as "30s".
Duration = float | int | timedelta | str

#: The longest duration accepted, in milliseconds: 100 years. Above it a double loses no digit
#: yet, but a typing error is the likelier cause.
MAX_MS = 100 * 366 * 24 * 3600 * 1000

_FAR = timedelta(milliseconds=MAX_MS) * 2
_UNIT_MS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_TEXT = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)?")


def to_ms(value: Duration, what: str) -> int:
    """`value` in whole milliseconds, rounded up, so that a tiny duration is never none at all.

    `what` names the setting in the message. Raises InvalidInput for anything that is not a
    finite duration of at least zero and at most 100 years.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | timedelta | str):
        raise InvalidInput(f"{what} must be seconds, a timedelta or a text like '30s': {value!r}")

    if isinstance(value, str):
        match = _TEXT.fullmatch(value.strip())
        if match is None:
            raise InvalidInput(
                f"{what} is not a duration: {value!r}; write 500ms, 30s, 5m, 2h or 1d"
            )
        ms = float(match[1]) * _UNIT_MS[match[2] or "s"]
    elif isinstance(value, timedelta):
        # whole numbers all the way: microseconds, rounded up
        ms = -(-value // timedelta(milliseconds=1)) if abs(value) < _FAR else math.inf
    else:
        ms = float(value) * 1000 if abs(value) <= MAX_MS else math.inf

    if not math.isfinite(ms) or ms < 0 or ms > MAX_MS:
        raise InvalidInput(f"{what} must be between 0 and 100 years: {value!r}")

    # 8388927.289 s are 8388927289 ms, though the product of the two doubles is a little more
    nearest_ms = round(ms)

    return nearest_ms if math.isclose(ms, nearest_ms, rel_tol=4e-16) else math.ceil(ms)
