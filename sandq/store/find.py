"""Which queues there are."""

from sandq.model.names import is_queue_name
from sandq.store import connect


def find_queues(url: str | None, prefix: str) -> list[str]:
    """The names of all queues under `prefix`, sorted; walks over every key of the server.

    Raises StoreError.
    """
    resolved = connect.resolve_url(url)
    client = connect.sync_client(resolved)
    head, tail = f"{prefix}:{{", "}:meta"
    try:
        keys = list(client.scan_iter(f"{head}*{tail}", count=1000))
    except connect.CLIENT_ERRORS as error:
        raise connect.translate(error, resolved) from error
    finally:
        client.close()

    texts = (key.decode("utf-8", "backslashreplace") for key in keys)
    names = (text.removeprefix(head).removesuffix(tail) for text in texts)

    # the key of a job can end in the same way
    return sorted(name for name in names if is_queue_name(name))
