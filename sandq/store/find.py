"""Which queues there are."""

from sandq.store import connect


def find_queues(url: str | None, prefix: str) -> list[str]:
    """The names of all queues under `prefix`, sorted; walks over every key of the server.

    Raises StoreError.
    """
    resolved = connect.resolve_url(url)
    client = connect.sync_client(resolved)
    head, tail = f"{prefix}:{{", "}:meta"
    try:
        keys = [key.decode() for key in client.scan_iter(f"{head}*{tail}", count=1000)]
    except connect.CLIENT_ERRORS as error:
        raise connect.translate(error, resolved) from error
    finally:
        client.close()

    return sorted(key.removeprefix(head).removesuffix(tail) for key in keys)
