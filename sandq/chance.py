"""The door to randomness: the only module that draws it."""

import os
import secrets
import socket


def new_token() -> str:
    """A token that proves one claim: 16 hexadecimal digits, unguessable by other workers."""
    return secrets.token_hex(8)


def new_worker_id() -> str:
    """A supervisor's name: host, process id and a random part, so a restart never reuses it."""
    host = "".join(c for c in socket.gethostname() if c.isalnum() or c in "-_.")[:64] or "host"

    return f"{host}:{os.getpid()}:{secrets.token_hex(4)}"


def spread(low: float, high: float) -> float:
    """A number between `low` and `high`, evenly spread; for jitter."""
    return low + (high - low) * secrets.randbelow(1 << 30) / (1 << 30)


def jitter() -> float:
    """A number from -1 up to 1, evenly spread: how far a backoff strays from its curve."""
    return spread(-1.0, 1.0)
