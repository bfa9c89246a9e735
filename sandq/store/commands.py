"""The commands that are no scripts: what is sent, and how the replies are read."""

from typing import Any

from sandq.model.events import Event
from sandq.store.calls import text_of

#: Most entries taken from the event stream at once.
EVENTS_AT_ONCE = 1000


def read_last_id(reply: Any) -> str:
    """The id in a reply of XREVRANGE … COUNT 1."""
    return reply[0][0].decode() if reply else "0-0"


def read_events(reply: Any) -> list[Event]:
    """The events in a reply of XREAD."""
    if not reply:
        return []

    return [read_event(entry_id, fields) for entry_id, fields in reply[0][1]]


def read_event(entry_id: bytes, fields: dict[bytes, bytes]) -> Event:
    """One entry of the stream."""
    said = {text_of(name): text_of(value) for name, value in fields.items()}

    return Event(entry_id.decode(), said.pop("e", ""), said.pop("id", ""), said)


def xread(key: str, event_id: str, timeout_s: float) -> tuple[Any, ...]:
    """Read the entries after `event_id`; block so long until there is one, not at all for 0."""
    # Redis takes 0 ms for ever
    wait = ("BLOCK", max(1, int(timeout_s * 1000))) if timeout_s > 0 else ()

    return ("XREAD", "COUNT", EVENTS_AT_ONCE, *wait, "STREAMS", key, event_id)


def scan(cursor: Any, pattern: str, count: int) -> tuple[Any, ...]:
    """Look at about `count` keys for those that match."""
    return ("SCAN", cursor, "MATCH", pattern, "COUNT", count)
