"""Moments: how people write them and how they are kept.

The Python API takes a `datetime` that knows its time zone, or seconds since 1970 (int or float).
Wire and storage hold whole milliseconds since 1970.
"""

import math
from datetime import UTC, datetime, timedelta

from sandq.errors import InvalidInput

#: What a caller may give as a moment: an aware datetime, or seconds since 1970.
Moment = datetime | float | int

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)

#: The last millisecond of the year 2200. What lies beyond is most likely a mistake: today in
#: milliseconds, given for seconds, is some 50,000 years away.
LAST_MS = (datetime(2201, 1, 1, tzinfo=UTC) - _EPOCH) // _MS - 1


def to_moment_ms(value: Moment, what: str) -> int:
    """`value` in whole milliseconds since 1970, rounded up, so that nothing happens too early.

    `what` names the setting in the message. Raises InvalidInput for a datetime without a time
    zone, and for anything that is no moment from 1970 to the end of 2200.
    """
    if isinstance(value, datetime):
        if value.utcoffset() is None:
            raise InvalidInput(
                f"{what} has no time zone: {value!r}; write datetime(…, tzinfo=UTC), or local "
                "time with .astimezone()"
            )
        # whole numbers all the way: microseconds, rounded up
        ms = -((_EPOCH - value) // _MS)
    elif isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidInput(f"{what} must be a datetime or seconds since 1970: {value!r}")
    # asked this way round because NaN is not between anything
    elif not 0 <= value <= LAST_MS:
        ms = -1
    else:
        # a double holds these seconds to a thousandth of a millisecond: closer is what was meant
        nearest_ms = round(value * 1000)
        ms = nearest_ms if abs(value * 1000 - nearest_ms) < 1e-2 else math.ceil(value * 1000)

    if not 0 <= ms <= LAST_MS:
        raise InvalidInput(
            f"{what} must be between the years 1970 and 2200, in seconds since 1970: {value!r}"
        )

    return ms
